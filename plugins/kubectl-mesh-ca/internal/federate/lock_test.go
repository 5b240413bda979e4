package federate_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// TestInterrupted cuts the command after a number of requests, and then lets another one go on. Pairs that trust each other never lose it. With
// MESH_CA_EVERY_CUT it cuts after every request, which takes some 20 minutes.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			cuts := 0
			step := func(requests int) int { return 1 + requests/6 }
			if os.Getenv("MESH_CA_EVERY_CUT") != "" {
				step = func(int) int { return 1 }
			}
			for requests := 1; ; requests += step(requests) {
				w := newWorld(t, method, "us", "eu")
				_, err := w.run(requests, nil)
				if err == nil {
					break
				}
				cuts++
				w.At = w.At.Add(5 * time.Minute) // a run that was killed counts as alive for a while
				w.federate()
				w.trusted(fmt.Sprint("cut after ", requests))
				for _, p := range w.Mesh {
					if p.Objects["configmaps/"+ca.ConfigMapFederation] != nil {
						t.Fatalf("cut after %d: the lock is left", requests)
					}
				}
			}
			if cuts < 15 {
				t.Errorf("only %d cuts", cuts)
			}
		})
	}
}

// TestLock: of two runs only one writes.
func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "helm", "us", "eu")
	if _, err := w.run(300, nil); err == nil {
		t.Fatal("it was not cut")
	}
	if w.Mesh[0].Objects["configmaps/"+ca.ConfigMapFederation] == nil {
		t.Fatal("there is no lock")
	}
	before := everything(w.Mesh[0])
	if _, err := w.run(-1, nil); err == nil || !strings.Contains(err.Error(), "counts as alive") {
		t.Fatal(err)
	}
	same(t, before, everything(w.Mesh[0]))
}

// TestLockByTheClockOfTheCluster: whether a run counts as alive does not depend on the clocks of the machines.
func TestLockByTheClockOfTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ writer, reader time.Duration }{
		"the reader ahead": {0, 20 * time.Minute}, "the writer ahead": {20 * time.Minute, 0}, "the writer late": {-20 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "helm", "us", "eu")
			if _, err := w.run(300, w.ahead(c.writer)); err == nil || w.Mesh[0].Objects["configmaps/"+ca.ConfigMapFederation] == nil {
				t.Fatal("it was not cut, or there is no lock")
			}
			if _, err := w.run(-1, w.ahead(c.reader)); err == nil || !strings.Contains(err.Error(), "counts as alive") {
				t.Error(err)
			}
			must(t, w.Sleep(t.Context(), 3*time.Minute))
			if _, err := w.run(-1, w.ahead(c.reader)); err != nil {
				t.Error(err)
			}
		})
	}
}

// ahead makes the clock of the machine that runs the command wrong.
func (w *world) ahead(d time.Duration) func(*federate.Config) {
	return func(c *federate.Config) {
		members := w.Members()
		for n, m := range members {
			members[n] = m.WithSkew(clusters.Skew{Low: -d - time.Second/2, High: -d + time.Second/2})
		}
		c.Select = func(context.Context) (*clusters.Selection, error) { return &clusters.Selection{Members: members}, nil }
		c.Clock = machine{w.World, d}
	}
}

// machine is a clock that is wrong.
type machine struct {
	*modeltest.World

	ahead time.Duration
}

func (m machine) Now() time.Time { return m.World.Now().Add(m.ahead) }

// TestWrongClock: certificates are not signed on a machine whose clock is that wrong.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "helm", "us", "eu")
	writes := len(w.Log)
	if _, err := w.run(-1, w.ahead(40*time.Minute)); err == nil || !strings.Contains(err.Error(), "us: the clock of this machine is") || len(w.Log) != writes+1 {
		t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
	}
}
