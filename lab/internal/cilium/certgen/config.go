package certgen

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// envPrefix begins the names of the variables that set what no argument sets: --ca-common-name is CILIUM_CERTGEN_CA_COMMON_NAME.
const envPrefix = "CILIUM_CERTGEN_"

// Config is what a run of certgen is told.
type Config struct {
	// Generate makes a CA if there is none, or without Reuse in any case.
	Generate bool
	// Reuse signs with the CA in the Secret.
	Reuse bool
	// Namespace and Secret are where the CA is.
	Namespace, Secret string
	// CommonName and Validity are those of a CA that it makes.
	CommonName string
	Validity   time.Duration
	// EnforceValidity refuses a CA that ends before the leaf certificates. Charts from 1.20 set it.
	EnforceValidity bool
	Certificates    []Certificate
}

// Certificate is a leaf certificate, and the Secret that it is written into.
type Certificate struct {
	Name, Namespace string
	CommonName      string
	// Hosts are DNS names and IP addresses; without any, the common name is the only one.
	Hosts    []string
	Usage    []string
	Validity time.Duration
}

// ParseConfig reads the arguments of the container, without the program, and its environment. It knows the flags that Cilium's charts from 1.17 to 1.20 set.
func ParseConfig(args []string, getenv func(string) string) (Config, error) {
	var c Config
	var certificates string
	f := pflag.NewFlagSet("cilium-certgen", pflag.ContinueOnError)
	f.BoolVar(&c.Generate, "ca-generate", false, "Make a CA.")
	f.BoolVar(&c.Reuse, "ca-reuse-secret", false, "Sign with the CA in the Secret if there is one.")
	f.StringVar(&c.Namespace, "ca-secret-namespace", "", "Namespace of the Secret with the CA.")
	f.StringVar(&c.Secret, "ca-secret-name", "", "Secret with the CA.")
	f.StringVar(&c.CommonName, "ca-common-name", "Cilium CA", "Common name of a CA that is made.")
	f.DurationVar(&c.Validity, "ca-validity-duration", Validity, "Validity of a CA that is made.")
	f.BoolVar(&c.EnforceValidity, "ca-enforce-validity-throughout-leaves-duration", false, "Refuse a CA that ends before the leaf certificates.")
	f.StringVar(&certificates, "config", "", "The leaf certificates, YAML.")
	f.Bool("debug", false, "Has no effect.")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	var errs []error
	f.VisitAll(func(flag *pflag.Flag) {
		variable := envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if value := getenv(variable); value != "" && !flag.Changed {
			if err := f.Set(flag.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", variable, err))
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	if c.Namespace == "" || c.Secret == "" {
		return c, errors.New("--ca-secret-name and --ca-secret-namespace are required")
	}
	var err error
	c.Certificates, err = parseCertificates(certificates)
	return c, err
}

func parseCertificates(text string) ([]Certificate, error) {
	var doc struct {
		Certs []struct {
			Name       string   `json:"name"`
			Namespace  string   `json:"namespace"`
			CommonName string   `json:"commonName"`
			Hosts      []string `json:"hosts"`
			Usage      []string `json:"usage"`
			Validity   string   `json:"validity"`
		} `json:"certs"`
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	certificates := make([]Certificate, 0, len(doc.Certs))
	for _, cert := range doc.Certs {
		validity, err := time.ParseDuration(cert.Validity)
		if err != nil {
			return nil, fmt.Errorf("--config: certificate %q: validity: %w", cert.Name, err)
		}
		hosts := cert.Hosts
		if len(hosts) == 0 {
			hosts = Hosts(cert.CommonName)
		}
		certificates = append(certificates, Certificate{
			Name: cert.Name, Namespace: cert.Namespace, CommonName: cert.CommonName, Hosts: hosts, Usage: cert.Usage, Validity: validity,
		})
	}
	return certificates, nil
}
