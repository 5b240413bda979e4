package rotate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

func byHelm(_ string, ca *pkitest.CA) catest.Install { return catest.Install{CA: ca} }

func byCertgen(_ string, ca *pkitest.CA) catest.Install {
	return catest.Install{CA: ca, Method: "certgen", CronJobs: []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}}
}

func mixed(name string, ca *pkitest.CA) catest.Install {
	if name == "us" {
		return byHelm(name, ca)
	}
	return byCertgen(name, ca)
}

func firstCA(t testing.TB, w *world) pki.CA {
	t.Helper()
	first, err := pki.ParseCA(w.Mesh[0].Secret(pki.SecretCA).Data)
	must(t, err)
	return first
}

// TestWholeRotation: start, continue and finish replace the CA, and abort restores it, with each method.
func TestWholeRotation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		install func(string, *pkitest.CA) catest.Install
		method  rotate.Method
	}{"helm": {byHelm, rotate.Bundle}, "certgen": {byCertgen, rotate.Cross}, "both": {mixed, rotate.Cross}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, c.install, "us", "eu", "ap")
			first := firstCA(t, w).Signer()
			plan, err := w.run(rotate.Plan, "", -1)
			if err != nil || plan.Method != string(c.method) || len(plan.Phases) < 5 || len(plan.Changes) > 0 {
				t.Fatalf("%v: %s, %d phases", err, plan.Method, len(plan.Phases))
			}
			for _, action := range []rotate.Action{rotate.Start, rotate.Continue, rotate.Finish} {
				report, err := w.run(action, "", -1)
				if err != nil {
					t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
				}
				if len(report.Phases) == 0 || len(report.Changes) == 0 {
					t.Errorf("%s did nothing", action)
				}
			}
			w.ends(false, first)
			if _, err := w.run(rotate.Continue, "", -1); !errors.Is(err, rotate.ErrNotUnderWay) {
				t.Error(err)
			}
		})
	}
}

// TestAbort restores the previous CA from the end of every stage.
func TestAbort(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(string, *pkitest.CA) catest.Install{"helm": byHelm, "certgen": byCertgen, "both": mixed} {
		for n, actions := range [][]rotate.Action{{rotate.Start}, {rotate.Start, rotate.Continue}} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 2, install, "us", "eu")
				first := firstCA(t, w).Signer()
				for _, action := range append(actions, rotate.Abort) {
					if report, err := w.run(action, "", -1); err != nil {
						t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
					}
				}
				w.ends(true, first)
			})
		}
	}
}

// TestEmergency replaces a CA whose key is lost, in one command, and goes on after an interruption. Clusters do not accept each other meanwhile.
func TestEmergency(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(string, *pkitest.CA) catest.Install{"helm": byHelm, "certgen": byCertgen} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, key lost %t", name, lost), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 4, install, "us", "eu")
				first := firstCA(t, w).Signer()
				w.Kept = map[string]bool{}
				for _, p := range w.Mesh {
					if secret := p.Secret(pki.SecretCA); lost {
						delete(secret.Data, "ca.key")
						p.Put("secrets", secret)
					}
				}
				if lost { // CA files that nobody can write again without that key
					missing, damaged := w.Mesh[0].Secret(pki.SecretLocal), w.Mesh[1].Secret(pki.SecretServer)
					delete(missing.Data, "ca.crt")
					damaged.Data["ca.crt"] = []byte("x")
					w.Mesh[0].Put("secrets", missing)
					w.Mesh[1].Put("secrets", damaged)
				}
				if _, err := w.run(rotate.Start, "", -1); lost == (err == nil) {
					t.Fatalf("without --emergency: %v", err)
				} else if !lost {
					if _, err := w.run(rotate.Abort, "", -1); err != nil {
						t.Fatal(err)
					}
				}
				_, _ = w.run(rotate.Start, rotate.Emergency, 150) // cut
				w.At = w.At.Add(5 * time.Minute)
				action := rotate.Start
				if report, err := w.run(rotate.Status, "", -1); err != nil {
					t.Fatal(err)
				} else if report.UnderWay {
					action = rotate.Continue
				}
				if report, err := w.run(action, rotate.Emergency, -1); err != nil {
					t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
				}
				w.ends(false, first)
				for _, client := range w.Mesh {
					for _, server := range w.Mesh {
						if why := w.Handshake(client, server); why != "" {
							t.Error(why)
						}
					}
				}
			})
		}
	}
}

// TestJoins: a rotation does not go on with a cluster that joined meanwhile with a CA of its own, and does without it.
func TestJoins(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(string, *pkitest.CA) catest.Install{"helm": byHelm, "certgen": byCertgen} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5, install, "us", "eu", "ap")
			first := firstCA(t, w).Signer()
			w.Mesh = w.Mesh[:2]
			w.Forget("ap")
			if _, err := w.run(rotate.Start, "", -1); err != nil {
				t.Fatal(err)
			}
			other := pkitest.NewCA(t, pkitest.Spec{Name: "of ap"})
			fresh := newWorld(t, 5, func(name string, _ *pkitest.CA) catest.Install { return install(name, &other) }, "ap", "us", "eu").Mesh[0]
			w.Adopt(fresh)
			w.Remember("ap")
			writes := len(w.Log)
			for _, action := range []rotate.Action{rotate.Continue, rotate.Finish, rotate.Abort} {
				if _, err := w.run(action, "", -1); err == nil || !strings.Contains(err.Error(), `cluster "ap" has a CA`) || len(w.Log) != writes+1 {
					t.Errorf("%s: %v, %d writes", action, err, len(w.Log)-writes-1)
				}
				writes = len(w.Log)
			}
			w.Mesh = w.Mesh[:2]
			w.Forget("ap")
			for _, action := range []rotate.Action{rotate.Continue, rotate.Finish} {
				if report, err := w.run(action, "", -1); err != nil {
					t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
				}
			}
			w.ends(false, first)
			if signer, err := pki.ParseSigner(fresh.Secret(pki.SecretCA).Data); err != nil || !signer.Cert.Equal(other.Cert) {
				t.Errorf("the CA of the cluster that joined was changed: %v", err)
			}
		})
	}
}

// TestWrongOrder: commands that do not fit what is under way change nothing.
func TestWrongOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, byHelm, "us", "eu")
	refused := func(action rotate.Action) {
		t.Helper()
		writes := len(w.Log)
		if _, err := w.run(action, "", -1); err == nil || len(w.Log) != writes+1 {
			t.Errorf("%s: %v, %d writes", action, err, len(w.Log)-writes-1)
		}
	}
	refused(rotate.Continue)
	refused(rotate.Finish)
	refused(rotate.Abort)
	if _, err := w.run(rotate.Start, "", -1); err != nil {
		t.Fatal(err)
	}
	refused(rotate.Start)
	refused(rotate.Finish)
	if _, err := w.run(rotate.Continue, "", -1); err != nil {
		t.Fatal(err)
	}
	refused(rotate.Continue)
}

// TestSubset: a command that does not see a cluster that takes part changes nothing, also if the clusters are not configured as peers.
func TestSubset(t *testing.T) {
	t.Parallel()
	for _, connected := range []bool{true, false} {
		w := newWorld(t, 6, byHelm, "us", "eu", "ap")
		all := w.Mesh
		if !connected {
			for _, name := range []string{"us", "eu", "ap"} {
				w.Forget(name)
			}
			w.Kept = map[string]bool{}
		}
		if _, err := w.run(rotate.Start, "", -1); err != nil {
			t.Fatal(err)
		}
		w.Mesh = all[:2]
		for _, action := range []rotate.Action{rotate.Continue, rotate.Abort} {
			writes := len(w.Log)
			if _, err := w.run(action, "", -1); err == nil || !strings.Contains(err.Error(), "ap") || !strings.Contains(err.Error(), "--contexts") || len(w.Log) != writes+1 {
				t.Errorf("connected %t, %s: %v, %d writes", connected, action, err, len(w.Log)-writes-1)
			}
		}
		w.Mesh = all
		if report, err := w.run(rotate.Abort, "", -1); err != nil {
			t.Errorf("%v (%v)", err, report.Waiting)
		}
	}
}

// TestStartFlags: the printed start begins the rotation that the plan shows.
func TestStartFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9, byHelm, "us", "eu")
	w.flags = []string{"--emergency", "--valid-for=3650d"}
	for _, action := range []rotate.Action{rotate.Plan, rotate.Start} {
		report, err := w.run(action, "", -1)
		if err != nil || len(report.NextSteps) == 0 {
			t.Fatalf("%s: %v, %+v", action, err, report.NextSteps)
		}
		for _, step := range report.NextSteps {
			if strings.Contains(step.Command, strings.Join(w.flags, " ")) != (action == rotate.Plan) {
				t.Errorf("%s: %s", action, step.Command)
			}
		}
	}
}

// TestUnaskedEtcd is not restarted, and no certificate is written that it must have read before.
func TestUnaskedEtcd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7, byCertgen, "us", "eu")
	if _, err := w.run(rotate.Start, "", -1); err != nil {
		t.Fatal(err)
	}
	w.Doubts = 1
	writes := len(w.Log)
	_, err := w.run(rotate.Continue, "", -1)
	if !errors.Is(err, rotate.ErrWaiting) || !strings.Contains(err.Error(), "and the clusters trust each other") {
		t.Errorf("%v", err)
	}
	emergency := newWorld(t, 7, byCertgen, "us", "eu")
	emergency.Doubts, emergency.Kept = 1, map[string]bool{}
	if _, err := emergency.run(rotate.Start, rotate.Emergency, -1); !errors.Is(err, rotate.ErrWaiting) || !strings.Contains(err.Error(), "but clusters may not accept each other") {
		t.Errorf("emergency: %v", err)
	}
	for _, line := range w.Log[writes:] {
		if strings.Contains(line, "deployments/") || strings.Contains(line, "-cert") {
			t.Error(line)
		}
	}
}

// TestKeptWithoutKey: the key of the previous CA was missing once, and a backup from then is there without it. The CA is kept again, with its key, so that abort
// works and nothing is lost.
func TestKeptWithoutKey(t *testing.T) {
	t.Parallel()
	for name, cases := range map[string]struct {
		install  func(string, *pkitest.CA) catest.Install
		clusters []string
		actions  []rotate.Action
	}{
		"abort":  {byHelm, []string{"us", "eu"}, []rotate.Action{rotate.Start, rotate.Continue, rotate.Abort}},
		"finish": {byCertgen, []string{"us"}, []rotate.Action{rotate.Start, rotate.Continue, rotate.Finish}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 27, cases.install, "us", "eu")
			first := firstCA(t, w).Signer()
			for _, p := range w.Mesh {
				if !slices.Contains(cases.clusters, p.Name) {
					continue
				}
				keyless := p.Secret(pki.SecretCA)
				delete(keyless.Data, "ca.key")
				backup := ca.NewBackup(keyless, pki.Fingerprint(first))
				p.Put("secrets", backup)
			}
			for _, action := range cases.actions {
				if report, err := w.run(action, "", -1); err != nil {
					t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
				}
				for _, p := range w.Mesh {
					for _, lost := range modeltest.Lost(p.Secrets(), first) {
						t.Errorf("after %s: %s: %s", action, p.Name, lost)
					}
				}
			}
			w.ends(cases.actions[2] == rotate.Abort, first)
		})
	}
}

// TestGuardInTheMiddle: somebody replaces certificates after the first writes, so that the next phase would end trust. The error does not say that nothing was
// written.
func TestGuardInTheMiddle(t *testing.T) {
	t.Parallel()
	root := pkitest.NewCA(t, pkitest.Spec{Name: "Root"})
	below := root.Intermediate(t, pkitest.Spec{Name: "below"})
	w := newWorld(t, 26, func(name string, _ *pkitest.CA) catest.Install { return byCertgen(name, &below) }, "us", "eu")
	done := false
	w.Stop = func(write string) bool {
		if done || !strings.HasSuffix(write, "cronjobs/hubble-generate-certs") {
			return false
		}
		done = true
		for _, p := range w.Mesh {
			for _, spec := range pki.LeafSpecs() {
				if secret := p.Secret(spec.Secret); secret != nil {
					secret.Data["tls.crt"], secret.Data["ca.crt"] = append(secret.Data["tls.crt"], below.CertPEM...), root.CertPEM
					p.Put("secrets", secret)
				}
			}
		}
		return false
	}
	report, err := w.run(rotate.Start, "", -1)
	if err == nil || !strings.Contains(err.Error(), "this would end the trust") || !strings.Contains(err.Error(), "what was written before is safe") || strings.Contains(err.Error(), "nothing was written") || len(report.Changes) == 0 {
		t.Errorf("%v, %d changes", err, len(report.Changes))
	}
}

// TestMethodIsKept: start does not ignore options that a rotation under way does not have.
func TestMethodIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8, byHelm, "us", "eu")
	if _, err := w.run(rotate.Start, "", 400); err == nil {
		t.Fatal("it was not cut")
	}
	w.At = w.At.Add(5 * time.Minute)
	if report, _ := w.run(rotate.Status, "", -1); !report.UnderWay {
		t.Fatal("it was cut before its first write")
	}
	if _, err := w.run(rotate.Start, rotate.Emergency, -1); err == nil || !strings.Contains(err.Error(), "a rotation with the method bundle is under way already") {
		t.Error(err)
	}
}
