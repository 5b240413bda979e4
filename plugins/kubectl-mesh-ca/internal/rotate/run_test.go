package rotate_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
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
	first, err := pki.ParseCA(w.mesh[0].secret(pki.SecretCA).Data)
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
				w.kept = map[string]bool{}
				for _, p := range w.mesh {
					if secret := p.secret(pki.SecretCA); lost {
						delete(secret.Data, "ca.key")
						p.put("secrets", secret)
					}
				}
				if _, err := w.run(rotate.Start, "", -1); lost == (err == nil) {
					t.Fatalf("without --emergency: %v", err)
				} else if !lost {
					if _, err := w.run(rotate.Abort, "", -1); err != nil {
						t.Fatal(err)
					}
				}
				_, _ = w.run(rotate.Start, rotate.Emergency, 150) // cut
				w.at = w.at.Add(5 * time.Minute)
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
				for _, client := range w.mesh {
					for _, server := range w.mesh {
						if why := w.handshake(client, server); why != "" {
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
			joins := w.mesh[2]
			w.mesh = w.mesh[:2]
			w.forget("ap")
			if _, err := w.run(rotate.Start, "", -1); err != nil {
				t.Fatal(err)
			}
			other := pkitest.NewCA(t, pkitest.Spec{Name: "of ap"})
			fresh := newWorld(t, 5, func(name string, _ *pkitest.CA) catest.Install { return install(name, &other) }, "ap", "us", "eu").mesh[0]
			fresh.crashed, fresh.wrote = joins.crashed, joins.wrote
			w.mesh = append(w.mesh, fresh)
			w.remember("ap")
			writes := len(w.log)
			for _, action := range []rotate.Action{rotate.Continue, rotate.Finish, rotate.Abort} {
				if _, err := w.run(action, "", -1); err == nil || !strings.Contains(err.Error(), `cluster "ap" has a CA`) || len(w.log) != writes+1 {
					t.Errorf("%s: %v, %d writes", action, err, len(w.log)-writes-1)
				}
				writes = len(w.log)
			}
			w.mesh = w.mesh[:2]
			w.forget("ap")
			for _, action := range []rotate.Action{rotate.Continue, rotate.Finish} {
				if report, err := w.run(action, "", -1); err != nil {
					t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
				}
			}
			w.ends(false, first)
			if signer, err := pki.ParseSigner(fresh.secret(pki.SecretCA).Data); err != nil || !signer.Cert.Equal(other.Cert) {
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
		writes := len(w.log)
		if _, err := w.run(action, "", -1); err == nil || len(w.log) != writes+1 {
			t.Errorf("%s: %v, %d writes", action, err, len(w.log)-writes-1)
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

// TestSequences: random commands, each cut after a random number of requests, never end the trust between two clusters, and the rotation can always be
// finished or turned back. MESH_CA_SEQUENCES says how many sequences, MESH_CA_SEED the first seed.
func TestSequences(t *testing.T) {
	t.Parallel()
	sequences := number(t, "MESH_CA_SEQUENCES", 24)
	first := number(t, "MESH_CA_SEED", 1)
	begun := time.Now()
	for n := range sequences {
		seed := uint64(first + n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { sequence(t, seed) })
	}
	t.Logf("%d sequences from seed %d in %s", sequences, first, time.Since(begun).Round(time.Second))
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

func sequence(t *testing.T, seed uint64) {
	install := []func(string, *pkitest.CA) catest.Install{byHelm, byCertgen, mixed}[seed%3]
	w := newWorld(t, seed, install, "us", "eu", "ap", "sa", "af")
	first := firstCA(t, w).Signer()
	actions := []rotate.Action{rotate.Start, rotate.Start, rotate.Continue, rotate.Continue, rotate.Finish, rotate.Abort}
	for range 2 + w.r.IntN(5) {
		requests := -1
		if w.r.IntN(4) > 0 {
			requests = 1 + w.r.IntN(2500)
		}
		_, _ = w.run(actions[w.r.IntN(len(actions))], "", requests) // most of them are refused or cut
		w.at = w.at.Add(5 * time.Minute)                            // a run that was killed counts as alive for a while
		if w.r.IntN(2) == 0 {
			w.owner(w.mesh[w.r.IntN(len(w.mesh))], seed%3 == 0)
			for range w.r.IntN(4) {
				must(t, w.Sleep(t.Context(), time.Second))
			}
		}
	}
	w.log = append(w.log, "--- to the end")
	now := firstCA(t, w).Signer()
	if report, err := w.run(rotate.Status, "", -1); err != nil {
		t.Fatal(err, report)
	} else if !report.UnderWay && report.Phase == string(rotate.Done) && !now.Equal(first) {
		w.ends(false, first)
		return
	}
	back := w.r.IntN(2) == 0
	for range 6 {
		action := rotate.Abort
		if !back {
			report, err := w.run(rotate.Status, "", -1)
			if err != nil {
				t.Fatal(err)
			}
			action = rotate.Start
			if report.UnderWay || len(report.Next) > 0 {
				action = rotate.Continue
				if len(report.Next) > 0 && report.Next[0].Command != "" && strings.Contains(report.Next[0].Command, "rotate finish") {
					action = rotate.Finish
				}
			} else if !firstCA(t, w).Signer().Equal(first) {
				break
			}
		}
		_, err := w.run(action, "", -1)
		if errors.Is(err, rotate.ErrNotUnderWay) {
			break
		}
		if err != nil {
			for _, line := range w.log {
				t.Log(line)
			}
			t.Fatalf("%s: %v", action, err)
		}
	}
	w.ends(firstCA(t, w).Signer().Equal(first), first)
}
