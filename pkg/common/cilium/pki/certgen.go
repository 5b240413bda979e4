package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Certgen holds the image of certgen, and its settings for the validity of the leaf certificates that it issues.
type Certgen struct {
	Image string
	// Enforces: certgen refuses a CA that expires before the leaf certificates would.
	Enforces bool
	// Longest is the longest validity of a leaf certificate; zero where the configuration names none.
	Longest time.Duration
}

const (
	flagEnforceValidity = "ca-enforce-validity-throughout-leaves-duration"
	suffixValidity      = "-validity-duration"
	envCertgenConfig    = "CILIUM_CERTGEN_CONFIG"
)

// ParseCertgen reads the arguments and the environment of a certgen container: the validities are in CILIUM_CERTGEN_CONFIG (charts from 1.17) or in
// separate flags (1.16). Only charts from 1.20 pass the flag that makes certgen refuse.
// Source: templates/{clustermesh-apiserver,hubble}/tls-cronjob/_job-spec.tpl (1.16.19, 1.18.11, 1.19.7 and 1.20.2, read).
func ParseCertgen(c Container) (Certgen, error) {
	out := Certgen{Image: c.Image, Enforces: c.enabled(flagEnforceValidity)}
	if v, ok := c.Env["CILIUM_CERTGEN_"+strings.ToUpper(strings.ReplaceAll(flagEnforceValidity, "-", "_"))]; ok && !out.Enforces {
		out.Enforces, _ = strconv.ParseBool(v)
	}
	for _, arg := range c.Args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || !strings.HasSuffix(name, suffixValidity) || name == "--ca"+suffixValidity {
			continue
		}
		if err := out.longer(value); err != nil {
			return out, err
		}
	}
	var doc struct {
		Certs []struct {
			Name     string `json:"name"`
			Validity string `json:"validity"`
		} `json:"certs"`
	}
	if err := yaml.Unmarshal([]byte(c.Env[envCertgenConfig]), &doc); err != nil {
		return out, fmt.Errorf("%s does not parse", envCertgenConfig)
	}
	for _, cert := range doc.Certs {
		if cert.Validity == "" {
			continue
		}
		if err := out.longer(cert.Validity); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (c *Certgen) longer(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("validity %q does not parse", clean(text))
	}
	c.Longest = max(c.Longest, d)
	return nil
}

// ErrNoChains says that certgen is not known to sign with a file of several certificates.
var ErrNoChains = errors.New("certgen v0.3.1 to v0.4 are known to sign with a file of several certificates")

// Chains returns nil if this certgen is known to do with a file of several certificates what Issues says, else the reason.
// Source: certgen internal/generate/generate.go. Up to v0.3.0 it parses one certificate and fails if another one follows. The code of v0.3.1, v0.3.2, v0.4.0 to v0.4.6 and
// a94b0bb (v0.4.11) is the same in this.
func (c Certgen) Chains() error {
	v := cilium.VersionFromImage(c.Image)
	switch {
	case v == (cilium.Version{}):
		return fmt.Errorf("%w; the image %q does not tell its version", ErrNoChains, clean(c.Image))
	case v.Major == 0 && (v.Minor == 3 && v.Patch >= 1 || v.Minor == 4):
		return nil
	}
	return fmt.Errorf("%w; this is v%d.%d.%d", ErrNoChains, v.Major, v.Minor, v.Patch)
}

// Refuses returns the time from which certgen no longer signs with a CA, and whether there is one: every certificate of the file must expire after
// the leaf certificates.
// Source: certgen internal/generate/generate.go ValidateExpiry (v0.4.9 and later); charts from 1.20, certgen.enforceCAValidityThroughoutLeavesDuration.
func (c Certgen) Refuses(chain []*x509.Certificate) (time.Time, bool) {
	if !c.Enforces || c.Longest == 0 || len(chain) == 0 {
		return time.Time{}, false
	}
	ends := chain[0].NotAfter
	for _, cert := range chain {
		if cert.NotAfter.Before(ends) {
			ends = cert.NotAfter
		}
	}
	return ends.Add(-c.Longest), true
}
