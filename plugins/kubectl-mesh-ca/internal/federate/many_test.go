package federate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
)

// TestManyClusters: ten CAs of one name are the most with which every Go program finds the cross certificate that it needs. With more, nothing is written.
func TestManyClusters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clusters int
		method   string
		files    bool
		refused  bool
	}{{10, "certgen", false, false}, {11, "hand", false, true}, {11, "helm", true, true}} {
		t.Run(fmt.Sprint(c.clusters, " ", c.method, " ", c.files), func(t *testing.T) {
			t.Parallel()
			var names []string
			for n := range c.clusters {
				names = append(names, fmt.Sprint("c", n))
			}
			w := newWorldOf(t, func(string, int) catest.Install {
				in := install(c.method)
				own := pkitest.NewCA(t, pkitest.Spec{})
				in.CA = &own
				return in
			}, names...)
			for _, name := range names { // they are not connected yet
				w.Forget(name)
			}
			writes := len(w.Log)
			_, err := w.run(-1, func(config *federate.Config) {
				config.FilesOnly = c.files
				if !c.refused {
					config.DryRun = cli.DryRunClient
				}
			})
			if (err != nil) != c.refused || c.refused && (!strings.Contains(err.Error(), "10 cross certificates of one name") || !strings.Contains(err.Error(), "kubectl mesh-ca sync") || !strings.Contains(err.Error(), "nothing was written")) {
				t.Error(err)
			}
			if len(w.Log) != writes+1 {
				t.Errorf("it wrote %v", w.Log[writes+1:])
			}
		})
	}
}

// TestAccepted: a report counts what the verifier accepts, and not what is signed.
func TestAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "hand", "us", "eu")
	w.federate()
	secret := w.Mesh[0].Secret(pki.SecretServer)
	chain, err := pki.ParseCertificates(secret.Data["tls.crt"])
	must(t, err)
	for range 10 { // cross certificates of other CAs, which lead nowhere here, come first
		other := pkitest.NewCA(t, pkitest.Spec{})
		chain = slices.Insert(chain, 1, other.Cross(t, w.cas["us"]).Cert)
	}
	secret.Data["tls.crt"] = pki.EncodeCertificates(chain...)
	w.Mesh[0].Put("secrets", secret)
	w.Kept, w.Grows = map[string]bool{}, false
	writes := len(w.Log)
	report, err := w.run(-1, nil)
	if err == nil || !strings.Contains(err.Error(), "us: not every cluster would accept the certificate in secret clustermesh-apiserver-server-cert") || len(w.Log) != writes+1 {
		t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
	}
	if us := report.Clusters[slices.IndexFunc(report.Clusters, func(c v1alpha1.FederationCluster) bool { return c.Cluster == "us" })]; us.Crossed != us.LeafCertificates-1 {
		t.Errorf("%d of %d are accepted by all", us.Crossed, us.LeafCertificates)
	}
}

// TestKeptWithoutKey: a backup without the key, from when the key was missing in cilium-ca, does not count as one.
func TestKeptWithoutKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "helm", "us", "eu")
	own := w.cas["us"]
	keyless := ca.NewBackup(&corev1.Secret{Data: map[string][]byte{"ca.crt": own.CertPEM}}, pki.Fingerprint(own.Cert))
	name := ca.BackupName(pki.Fingerprint(own.Cert))
	keyless.Name, keyless.Namespace = name, catest.Namespace
	w.Mesh[0].Put("secrets", keyless)
	report := w.federate()
	if kept := w.Mesh[0].Secret(name + "-2"); kept == nil || !maps.EqualFunc(kept.Data, own.CASecret(), slices.Equal) {
		t.Error("cilium-ca is not kept with its key")
	}
	if !slices.ContainsFunc(report.UndoSteps, func(s v1alpha1.NextStep) bool { return strings.Contains(s.Command, "--backup "+name+"-2") }) {
		t.Errorf("%v", report.UndoSteps)
	}
	if again := w.federate(); len(again.Changes) > 0 {
		t.Errorf("another run changed %v", again.Changes)
	}
}

// TestOffNotReissued: a cluster got its CA back, and its leaf certificates are still those of the other cluster. Without that one's CA nothing would verify them.
func TestOffNotReissued(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		trust func(us, eu pkitest.CA) []byte
		cross bool // a cross certificate of the cluster's own CA is sent: reissue without --all would not change it
	}{
		"the other CA alone":            {trust: func(us, _ pkitest.CA) []byte { return us.CertPEM }},
		"both":                          {trust: func(us, eu pkitest.CA) []byte { return us.With(eu).CertPEM }},
		"both, and a cross certificate": {trust: func(us, eu pkitest.CA) []byte { return us.With(eu).CertPEM }, cross: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := pkitest.NewCA(t, pkitest.Spec{})
			w := newWorldOf(t, func(name string, _ int) catest.Install {
				if name == "us" {
					return catest.Install{CA: &us, Method: "hand"}
				}
				eu := pkitest.NewCA(t, pkitest.Spec{})
				return catest.Install{CA: &eu, LeafCA: &us, Method: "hand", Edit: func(s map[string]*corev1.Secret) {
					for _, spec := range pki.LeafSpecs() {
						if s[spec.Secret] != nil {
							s[spec.Secret].Data["ca.crt"] = tc.trust(us, eu)
							if tc.cross {
								s[spec.Secret].Data["tls.crt"] = append(s[spec.Secret].Data["tls.crt"], eu.Cross(t, us).CertPEM...)
							}
						}
					}
				}}
			}, "us", "eu")
			w.Kept, w.Grows = map[string]bool{}, false
			writes := len(w.Log)
			_, err := w.run(-1, func(c *federate.Config) { c.Action, c.AllowDisconnect = federate.Off, true })
			if err == nil || !strings.Contains(err.Error(), "eu: the CA of another cluster signed the certificate in secret clustermesh-apiserver-server-cert") || !strings.Contains(err.Error(), "with: kubectl mesh-ca reissue --all --in eu --contexts kind-us,kind-eu") || len(w.Log) != writes+1 {
				t.Errorf("%v, %v", err, w.Log[writes+1:])
			}
		})
	}
}
