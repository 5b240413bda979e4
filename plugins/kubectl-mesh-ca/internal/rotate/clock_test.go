package rotate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// rejecting is a mesh in which the etcd of one cluster rejected a connection once. Its log has the time of the cluster.
type rejecting struct {
	*modeltest.World

	at time.Time
}

func (o rejecting) Running(ctx context.Context, s *ca.State, look rotate.Look) (rotate.Running, error) {
	out, err := o.World.Running(ctx, s, look)
	if s.Member.Name == "eu" && !o.at.Before(look.Since) {
		out.Rejected, out.Rejection = o.at, "tls: bad certificate"
	}
	return out, err
}

// started is a mesh in which a rotation was started and everything has settled.
func started(t *testing.T, seed uint64) *world {
	t.Helper()
	w := newWorld(t, seed, byCertgen, "us", "eu")
	if _, err := w.run(rotate.Start, "", -1); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		must(t, w.Sleep(t.Context(), time.Minute))
	}
	w.quiet = 2 * time.Minute
	return w
}

// TestQuietByTheClockOfTheCluster: a rejected connection of half a minute ago keeps the gate closed for the rest of the two minutes, whatever this machine's clock says.
func TestQuietByTheClockOfTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead   time.Duration
		unknown bool
		most    time.Duration
	}{
		"right":                  {0, false, 2 * time.Minute},
		"ahead":                  {10 * time.Minute, false, 2 * time.Minute},
		"far ahead, beyond logs": {25 * time.Minute, false, 2 * time.Minute},
		"behind":                 {-10 * time.Minute, false, 2 * time.Minute},
		"not known, and right":   {0, true, 3 * time.Minute},
		"not known, and ahead":   {25 * time.Minute, true, 3 * time.Minute},
		"not known, and behind":  {-25 * time.Minute, true, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := started(t, 11)
			w.ahead, w.unknown = c.ahead, c.unknown
			w.observe = rejecting{w.World, w.At.Add(-30 * time.Second)}
			report, err := w.run(rotate.Continue, "", -1)
			if err != nil {
				t.Fatal(err, report.Waiting)
			}
			waited := time.Duration(*report.Phases[0].WaitedMs) * time.Millisecond
			if report.Phases[0].Name != string(rotate.Trust) || waited < 90*time.Second || waited > c.most {
				t.Errorf("%s began after %s", report.Phases[0].Name, waited)
			}
		})
	}
}

// TestLockByTheClockOfTheCluster: a command that was killed a moment ago counts as alive on every machine, and three minutes later on none.
func TestLockByTheClockOfTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ writer, reader time.Duration }{
		"both right":       {0, 0},
		"the reader ahead": {0, 20 * time.Minute},
		"the writer ahead": {20 * time.Minute, 0},
		"the reader late":  {0, -20 * time.Minute},
		"the writer late":  {-20 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := started(t, 12)
			w.ahead = c.writer
			if _, err := w.run(rotate.Continue, "", 200); err == nil {
				t.Fatal("it was not killed")
			}
			w.ahead = c.reader
			writes := len(w.Log)
			if _, err := w.run(rotate.Continue, "", -1); err == nil || !strings.Contains(err.Error(), "counts as alive until") || len(w.Log) != writes+1 {
				t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
			}
			must(t, w.Sleep(t.Context(), 3*time.Minute))
			if _, err := w.run(rotate.Continue, "", -1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWrongClock: a clock that is so wrong that certificates might not be valid yet is refused before the first write. Less is a warning.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 13, byHelm, "us", "eu")
	w.ahead = 40 * time.Minute
	for _, action := range []rotate.Action{rotate.Plan, rotate.Start} {
		writes := len(w.Log)
		if _, err := w.run(action, "", -1); err == nil || !strings.Contains(err.Error(), "eu: the clock of this machine is 39m59s ahead of that of the API server") &&
			!strings.Contains(err.Error(), "eu: the clock of this machine is 40m0s ahead of that of the API server") || len(w.Log) != writes+1 {
			t.Errorf("%s: %v, %d writes", action, err, len(w.Log)-writes-1)
		}
	}
	w.ahead = -5 * time.Minute
	if report, err := w.run(rotate.Start, "", -1); err != nil || !strings.Contains(strings.Join(report.Warnings, "\n"), "us: the clock of this machine is 5m0s behind that of the API server") {
		t.Errorf("%v %q", err, report.Warnings)
	}
	w.ahead = 40 * time.Minute
	for _, action := range []rotate.Action{rotate.Continue, rotate.Abort} {
		writes := len(w.Log)
		if _, err := w.run(action, "", -1); err == nil || !strings.Contains(err.Error(), "nothing was written") || len(w.Log) != writes+1 {
			t.Errorf("%s: %v, %d writes", action, err, len(w.Log)-writes-1)
		}
	}
	if report, err := w.run(rotate.Status, "", -1); err != nil || !strings.Contains(strings.Join(report.Warnings, "\n"), "ahead of that of the API server") {
		t.Errorf("%v %q", err, report.Warnings)
	}
	w.ahead, w.unknown = 0, true
	if report, err := w.run(rotate.Status, "", -1); err != nil || !strings.Contains(strings.Join(report.Warnings, "\n"), "no Date header") {
		t.Errorf("%v %q", err, report.Warnings)
	}
	w.unknown = false
	if _, err := w.run(rotate.Continue, "", -1); errors.Is(err, rotate.ErrWaiting) || err != nil {
		t.Error(err)
	}
}
