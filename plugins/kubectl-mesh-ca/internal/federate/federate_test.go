package federate_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// unstable is an observer that fails for so many requests, once something was written.
type unstable struct {
	*modeltest.World

	fails atomic.Int64
	after int // lines in the log
}

func (u *unstable) Running(ctx context.Context, s *ca.State, look rotate.Look) (rotate.Running, error) {
	if len(u.Log) > max(3, u.after) && u.fails.Add(-1) >= 0 {
		return rotate.Running{}, errors.New("connection refused")
	}
	return u.World.Running(ctx, s, look)
}

// TestUnstable: a cluster that does not answer for a while is waited for, not longer than --wait.
func TestUnstable(t *testing.T) {
	t.Parallel()
	for fails, want := range map[int64]string{7: "", 10000: `"us": what its processes do could not be observed: connection refused. --wait 0 does not observe them. What was written is safe; to go on, run: kubectl mesh-ca federate`} {
		w := newWorld(t, "certgen", "us", "eu")
		observer := &unstable{World: w.World}
		observer.fails.Store(fails)
		_, err := w.run(-1, func(c *federate.Config) { c.Observer = observer })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d failures: %v", fails, err)
		}
	}
}

// TestGoesOnWithItsFlags: the printed command has the flags without which it would be refused.
func TestGoesOnWithItsFlags(t *testing.T) {
	t.Parallel()
	for action, want := range map[federate.Action]string{
		federate.Off:      "go on, run: kubectl mesh-ca federate --off --allow-disconnect --force-conflicts --wait=20m --in us,eu --contexts",
		federate.Federate: "go on, run: kubectl mesh-ca federate --files-only --force-conflicts --wait=20m --in us,eu --contexts",
		federate.Repair:   "go on, run: kubectl mesh-ca rotate repair --force-conflicts --wait=20m --contexts",
	} {
		w := newWorld(t, "certgen", "us", "eu")
		if action == federate.Off {
			w.federate()
			w.Grows, w.Kept = false, map[string]bool{} // they are separated on purpose
		}
		observer := &unstable{World: w.World}
		observer.fails.Store(10000)
		written := len(w.Log)
		observer.after = written + 3
		_, err := w.run(-1, func(c *federate.Config) {
			c.Action, c.AllowDisconnect, c.FilesOnly, c.Observer = action, true, true, observer
			c.RetryFlags = []string{"--force-conflicts", "--wait=20m"}
			if action != federate.Repair {
				c.In = []string{"us", "eu"}
			}
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// TestFederate: with each owner, clusters with different CAs trust each other; they still do after the owner has issued again, in any order of the clusters;
// another run changes nothing; and --off restores every byte.
func TestFederate(t *testing.T) {
	t.Parallel()
	names := []string{"us", "eu", "ap", "sa"}
	for _, method := range []string{"helm", "certgen", "hand"} {
		for _, n := range []int{2, 4} {
			t.Run(fmt.Sprint(method, " ", n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, method, names[:n]...)
				before := map[string]map[string]map[string][]byte{}
				for _, p := range w.Mesh {
					before[p.Name] = everything(p)
				}
				report := w.federate()
				w.trusted("federated")
				if want := map[string]string{"helm": "ca-certificates"}[method]; report.Recipe != want && report.Recipe != "cross-certificates" || len(report.Waiting) > 0 {
					t.Errorf("%s, %v", report.Recipe, report.Waiting)
				}
				for _, p := range w.Mesh {
					restarted := p.Restarted()
					if restarted != (method == "helm") {
						t.Errorf("%s: restarted %t", p.Name, restarted)
					}
					if method != "hand" && p.Secret(ca.BackupName(pki.Fingerprint(w.cas[p.Name].Cert))) == nil {
						t.Errorf("%s: cilium-ca is not kept", p.Name)
					}
					if !bytes.Equal(p.Secret(pki.SecretCA).Data["ca.key"], w.cas[p.Name].KeyPEM) {
						t.Errorf("%s: the key changed", p.Name)
					}
				}
				w.onlyOwnKeys()
				if again := w.federate(); len(again.Changes) > 0 {
					t.Errorf("another run changed %v", again.Changes)
				}
				if method != "hand" {
					for _, p := range slices.Backward(w.Mesh) {
						w.issue(p, method)
						must(t, w.Sleep(t.Context(), time.Minute)) // the model looks at what the processes have loaded
						w.trusted("issued again in " + p.Name)
					}
					if again := w.federate(); len(again.Changes) > 0 {
						t.Errorf("a run after the owners' changed %v", again.Changes)
					}
				}
				w.off(before, method == "hand")
			})
		}
	}
}

// TestIssuedAgain: the CA of one cluster is issued again under its key, for longer. The next run writes the present certificate everywhere, and the processes load it.
func TestIssuedAgain(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, method, "us", "eu", "ap")
			w.federate()
			us, eu := w.Mesh[0], w.Mesh[1]
			former := w.cas["eu"]
			now := pkitest.NewCA(t, pkitest.Spec{Key: former.Key, NotAfter: former.Cert.NotAfter.Add(900 * pkitest.Day)})
			secret := eu.Secret(pki.SecretCA)
			secret.Data["ca.crt"] = bytes.Replace(secret.Data["ca.crt"], bytes.TrimSpace(former.CertPEM), bytes.TrimSpace(now.CertPEM), 1)
			eu.Put("secrets", secret)
			w.issue(eu, method)
			w.settle()
			written := len(w.Log)
			w.federate()
			w.trusted("federated again")
			for _, p := range w.Mesh {
				restarts := strings.Count(strings.Join(w.Log[written:], "\n"), p.Name+" deployments/")
				if want := map[string]int{"helm": 1}[method]; restarts != want {
					t.Errorf("%s: %d restarts", p.Name, restarts)
				}
			}
			for object, data := range everything(us) {
				file, err := pki.ParseCertificates(data["ca.crt"])
				must(t, err)
				of := func(c *x509.Certificate) bool { return pki.SameAuthority(c, now.Cert) }
				if n := slices.IndexFunc(file, of); method == "helm" && (n < 0 || !file[n].Equal(now.Cert) || len(file) != 3) {
					t.Errorf("%s has %d certificates, that of eu is number %d", object, len(file), n)
				}
			}
			if again := w.federate(); len(again.Changes) > 0 {
				t.Errorf("another run changed %v", again.Changes)
			}
		})
	}
}

// TestDifferentOwners: Helm, nobody, and Helm again with the CA of the first cluster. What lasts with Helm is done in all of them.
func TestDifferentOwners(t *testing.T) {
	t.Parallel()
	shared := pkitest.NewCA(t, pkitest.Spec{})
	w := newWorldOf(t, func(name string, _ int) catest.Install {
		if name == "eu" {
			return catest.Install{Method: "hand"}
		}
		return catest.Install{CA: &shared}
	}, "us", "eu", "ap")
	report := w.federate()
	w.trusted("federated")
	if report.Recipe != string(federate.Roots) || !slices.ContainsFunc(report.UndoSteps, func(s v1alpha1.NextStep) bool { return strings.Contains(s.Command, "restore --in us") }) {
		t.Errorf("%s, %v", report.Recipe, report.UndoSteps)
	}
	if chain, err := pki.ParseCertificates(w.Mesh[2].Secret(pki.SecretServer).Data["tls.crt"]); err != nil || len(chain) != 2 {
		t.Errorf("a cluster sends a cross certificate for the CA that it has itself: %v, %d", err, len(chain))
	}
	for _, name := range []int{2, 0} {
		w.issue(w.Mesh[name], "helm")
		must(t, w.Sleep(t.Context(), time.Minute))
		w.trusted("issued again")
	}
}

// TestRenewedCA: a CA was issued again under its key, for longer. Cross certificates that end too early are made again.
func TestRenewedCA(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, func(string, int) catest.Install {
		own := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(100 * pkitest.Day)})
		return catest.Install{CA: &own, Method: "certgen", CronJobs: []string{"clustermesh-apiserver-generate-certs"}}
	}, "us", "eu")
	w.federate()
	for _, p := range w.Mesh {
		secret := p.Secret(pki.SecretCA)
		chain, err := pki.ParseCertificates(secret.Data["ca.crt"])
		must(t, err)
		longer := pkitest.NewCA(t, pkitest.Spec{Key: w.cas[p.Name].Key, NotAfter: pkitest.Now.Add(1000 * pkitest.Day)})
		secret.Data["ca.crt"] = pki.EncodeCertificates(chain[0], longer.Cert)
		p.Put("secrets", secret)
	}
	w.federate()
	w.trusted("federated again")
	chain, err := pki.ParseCertificates(w.Mesh[0].Secret(pki.SecretServer).Data["tls.crt"])
	must(t, err)
	if len(chain) != 2 || chain[1].NotAfter.Before(pkitest.Now.Add(900*pkitest.Day)) {
		t.Errorf("%d in the chain, until %s", len(chain), chain[1].NotAfter)
	}
}

// TestJoin: a cluster joins. All clusters change, and those that were there lose nothing. Separating it leaves the others federated.
func TestJoin(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, method, "us", "eu", "ap")
			// ap is a peer already, and not connected. That does not keep the others waiting.
			if report, err := w.run(-1, func(c *federate.Config) { c.In = []string{"us", "eu"} }); err != nil || w.Handshake(w.Mesh[0], w.Mesh[1]) != "" {
				t.Fatal(err, report.Waiting)
			}
			report := w.federate()
			w.trusted("joined")
			changed := map[string]bool{}
			for _, c := range report.Changes {
				changed[c.Cluster] = changed[c.Cluster] || c.Object == "secret/"+pki.SecretServer
			}
			if len(changed) != 3 || !changed["us"] || !changed["ap"] {
				t.Errorf("changed: %v", changed)
			}
			w.Grows, w.Kept = false, map[string]bool{"us us": true, "eu eu": true, "ap ap": true, "us eu": true, "eu us": true, "eu ap": true, "ap eu": true}
			_, err := w.run(-1, func(c *federate.Config) { c.Action, c.In, c.AllowDisconnect = federate.Off, []string{"us", "ap"}, true })
			if method == "helm" { // eu's CA signed a cross certificate of ap, and us trusts it
				if err == nil || !strings.Contains(err.Error(), "by the CA of a third cluster") {
					t.Fatal(err)
				}
				return
			}
			must(t, err)
			w.settle()
			if w.Handshake(w.Mesh[0], w.Mesh[2]) == "" {
				t.Error("us and ap still trust each other")
			}
		})
	}
}

// TestCertgenVersion: cross certificates are not written for a certgen that does not know files of several certificates, and are sent without it.
func TestCertgenVersion(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, func(string, int) catest.Install {
		in := install("certgen")
		in.Certgen = "quay.io/cilium/certgen:v0.3.0"
		return in
	}, "us", "eu")
	writes := len(w.Log)
	if _, err := w.run(-1, nil); err == nil || !strings.Contains(err.Error(), "eu: cross certificates are written into secret cilium-ca, and only certgen v0.3.1 to v0.4 are known") || len(w.Log) != writes+1 {
		t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
	}
	if _, err := w.run(-1, func(c *federate.Config) { c.FilesOnly = true }); err != nil {
		t.Error(err)
	}
}
