package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/replace"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// TestSequences: random commands, each cut after a random number of requests, never end the trust between two clusters, and the rotation can always be
// finished or turned back. MESH_CA_SEQUENCES says how many sequences, MESH_CA_SEED the first seed.
//
//nolint:tparallel // it waits for its sequences, which run side by side
func TestSequences(t *testing.T) {
	sequences := number(t, "MESH_CA_SEQUENCES", 24)
	first := number(t, "MESH_CA_SEED", 1)
	begun := time.Now()
	t.Run("all", func(t *testing.T) {
		for n := range sequences {
			seed := uint64(first + n)
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				sequence(t, seed)
			})
		}
	})
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
	late := seed%4 == 1
	if late {
		other, all := pkitest.NewCA(t, pkitest.Spec{Name: "of af"}), install
		install = func(name string, one *pkitest.CA) catest.Install {
			if name == "af" {
				return all(name, &other)
			}
			return all(name, one)
		}
	}
	w := newWorld(t, seed, install, "us", "eu", "ap", "sa", "af")
	first := firstCA(t, w).Signer()
	if late || seed%4 == 2 {
		w.connect(late)
	}
	w.Doubts = 8
	actions := []rotate.Action{rotate.Start, rotate.Start, rotate.Continue, rotate.Continue, rotate.Finish, rotate.Abort}
	for range 2 + w.R.IntN(5) {
		requests := -1
		if w.R.IntN(4) > 0 {
			requests = 1 + w.R.IntN(2500)
		}
		if w.R.IntN(6) == 0 { // sync and reissue are refused while a rotation is under way
			_ = w.syncOrReissue(w.R.IntN(3), requests)
		} else {
			_, _ = w.run(actions[w.R.IntN(len(actions))], "", requests) // most of them are refused or cut
		}
		w.nothingLost()
		w.At = w.At.Add(5 * time.Minute) // a run that was killed counts as alive for a while
		if w.R.IntN(2) == 0 {
			w.owner(w.Mesh[w.R.IntN(len(w.Mesh))], seed%3 == 0)
			w.evict()
			for range w.R.IntN(4) {
				must(t, w.Sleep(t.Context(), time.Second))
			}
		}
	}
	w.Log = append(w.Log, "--- to the end")
	w.Doubts = 0
	now := firstCA(t, w).Signer()
	if report, err := w.run(rotate.Status, "", -1); err != nil {
		t.Fatal(err, report)
	} else if !report.UnderWay && report.Phase == string(rotate.Done) && !now.Equal(first) {
		w.ends(false, first)
		return
	}
	back := w.R.IntN(2) == 0
	for range 6 {
		action := rotate.Abort
		if !back {
			report, err := w.run(rotate.Status, "", -1)
			if err != nil {
				t.Fatal(err)
			}
			action = rotate.Start
			if report.UnderWay || len(report.NextSteps) > 0 {
				action = rotate.Continue
				if len(report.NextSteps) > 0 && report.NextSteps[0].Command != "" && strings.Contains(report.NextSteps[0].Command, "rotate finish") {
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
			for _, line := range w.Log {
				t.Log(line)
			}
			t.Fatalf("%s: %v", action, err)
		}
	}
	if back && now.Equal(first) { // an abort needs a rotation that has not ended
		w.ends(true, first)
		return
	}
	w.ends(firstCA(t, w).Signer().Equal(first), first)
}

// nothingLost: no key and no former CA is lost, wherever a command was cut.
func (w *world) nothingLost() {
	w.T.Helper()
	for _, p := range w.Mesh {
		for _, what := range modeltest.Lost(p.Secrets(), w.first[p.Name]) {
			w.T.Fatalf("%s: %s", p.Name, what)
		}
	}
}

// connect runs sync and reissue at random, each cut after a random number of requests, and then sync to its end. late says that af has a CA of its own: it
// loses its connections to itself meanwhile, because agents and etcd read the new CA one after the other.
func (w *world) connect(late bool) {
	if late {
		delete(w.Kept, "af af")
	}
	for range 1 + w.R.IntN(4) {
		_ = w.syncOrReissue(w.R.IntN(3), 1+w.R.IntN(700)) // most of them are cut
		w.nothingLost()
		w.At = w.At.Add(5 * time.Minute)
		if w.R.IntN(2) == 0 {
			w.owner(w.Mesh[w.R.IntN(len(w.Mesh))], true)
		}
		w.evict()
		for range w.R.IntN(4) {
			must(w.T, w.Sleep(w.T.Context(), time.Second))
		}
	}
	w.Log = append(w.Log, "--- connect")
	if err := w.syncOrReissue(0, -1); err != nil {
		for _, line := range w.Log {
			w.T.Log(line)
		}
		w.T.Fatalf("sync: %v", err)
	}
	w.nothingLost()
	for _, client := range w.Mesh {
		for _, server := range w.Mesh {
			if why := w.Handshake(client, server); why != "" {
				for _, line := range w.Log {
					w.T.Log(line)
				}
				w.T.Fatalf("after sync: %s", why)
			}
		}
	}
	w.Keep()
}

// evict replaces the pod of clustermesh-apiserver in one cluster, or in none.
func (w *world) evict() {
	if n := w.R.IntN(2 * len(w.Mesh)); n < len(w.Mesh) {
		w.Log = append(w.Log, "    "+w.Mesh[n].Name+": clustermesh-apiserver is evicted")
		w.Evict(w.Mesh[n])
		w.Check("an eviction in " + w.Mesh[n].Name)
	}
}

// syncOrReissue runs sync --from us --to-all --reissue --restart, reissue --restart, or reissue --all --restart.
func (w *world) syncOrReissue(which, requests int) error {
	name := []string{"sync", "reissue", "reissue --all"}[which]
	defer w.Begin(name, requests)()
	ui := recorder{modeltest.UI{T: w.T}, w.said, w.heard}
	members := func(context.Context) (*clusters.Selection, error) {
		return &clusters.Selection{Members: w.Members()}, nil
	}
	means := reissue.Means{
		Restart: true, Helm: modeltest.Helm{World: w.World}, Observer: modeltest.Processes{World: w.World}, Clock: w.World,
		Wait: 20 * time.Minute, Poll: 10 * time.Second, GoOn: strings.Fields(name),
	}
	if which == 0 {
		_, err := replace.Sync(w.T.Context(), replace.SyncConfig{
			Config: replace.Config{Write: modeltest.Write(), Select: members, Now: w.Now}, From: "us", Reissue: &means,
		}, ui)
		return err
	}
	_, err := reissue.Run(w.T.Context(), reissue.Config{
		Write: modeltest.Write(), Means: means, Select: members, Which: ca.Which{All: which == 2, Soon: reissue.DefaultSoon},
		Show: func(v1alpha1.CAChangeReport) []output.Section { return nil },
	}, ui)
	return err
}

// TestEvictedBetween: a pod of clustermesh-apiserver that started after the CA was copied, and before the leaf certificates were issued, has read the CA file of before.
// No time in the API says so. Every command that restarts sees it.
func TestEvictedBetween(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(string, *pkitest.CA) catest.Install{"helm": byHelm, "certgen": byCertgen} {
		for which := range 3 {
			t.Run(fmt.Sprint(name, " ", which), func(t *testing.T) {
				t.Parallel()
				other := pkitest.NewCA(t, pkitest.Spec{Name: "of eu"})
				w := newWorld(t, 11, func(cluster string, one *pkitest.CA) catest.Install {
					if cluster == "eu" {
						return install(cluster, &other)
					}
					return install(cluster, one)
				}, "us", "eu")
				delete(w.Kept, "eu eu")
				eu := w.Mesh[1]
				cut := func(after string, nth int) {
					w.Stop = func(write string) bool {
						if write == after {
							nth--
						}
						return nth == 0
					}
					if err := w.syncOrReissue(0, -1); err == nil {
						t.Fatal("it was not cut")
					}
					w.Stop = nil
					w.At = w.At.Add(5 * time.Minute)
				}
				cut("eu secrets/cilium-ca", 2) // the first puts a mark on it
				w.Evict(eu)
				w.At = w.At.Add(time.Minute)
				w.owner(eu, true)
				must(t, w.syncOrReissue(which, -1))
				for range 20 {
					must(t, w.Sleep(t.Context(), time.Minute))
				}
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
