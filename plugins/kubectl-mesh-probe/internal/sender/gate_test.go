package sender

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// left is how many streams have not arrived at a gate.
func (g *Gate) left() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.missing
}

func TestGateOpensWithTheLast(t *testing.T) {
	t.Parallel()
	g := NewGate(2, Config{Streams: 3})
	for _, n := range []int{1, 1, 1, 2} {
		g.arrive(n)
		select {
		case <-g.open:
			t.Fatalf("open although %d streams are missing", g.left())
		default:
		}
	}
	g.arrive(1)
	<-g.open
	if g.at.IsZero() {
		t.Error("no moment")
	}
	g.arrive(1) // a stream that fails later changes nothing
	var none *Gate
	none.arrive(1)
	if at, err := none.pass(t.Context(), nil, nil); err != nil || at.IsZero() {
		t.Errorf("without a gate: %s, %v", at, err)
	}
}

// Several runs send nothing before all of them are ready. Then all of them count from one moment. A run that cannot start holds back no other one.
func TestRunsStartAtOneMoment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		words   []string
		open    bool
		streams int
	}{
		"batches":                 {[]string{"busybox", "wget=busybox", "head=busybox"}, false, 1},
		"batches, two streams":    {[]string{"dash", "curl", "head"}, false, 2},
		"a schedule":              {[]string{"busybox", "wget=busybox", "head=busybox"}, true, 1},
		"a schedule, two streams": {[]string{"bash", "curl", "head"}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			cfg := testConfig(t, s.URL+"/", 20)
			if c.open {
				cfg = openConfig(t, s.URL+"/", 20, 100)
			}
			cfg.Streams = c.streams
			cfg.Gate = NewGate(3, cfg)
			var wg sync.WaitGroup
			results, errs := make([]Result, 3), make([]error, 3)
			counts := make([]int, 3)
			start := func(i int, pod *freshPods) {
				wg.Go(func() { results[i], errs[i] = Run(t.Context(), pod, cfg, func(reply.Reply) { counts[i]++ }) })
			}
			waitFor := func(missing int) {
				for cfg.Gate.left() > missing {
					time.Sleep(time.Millisecond)
				}
			}
			start(0, &freshPods{t, c.words})
			waitFor(2 * c.streams)
			start(1, &freshPods{t, []string{"dash"}}) // has no tool
			waitFor(c.streams)
			if n := s.requests.Load(); n != 0 {
				t.Errorf("%d requests before all runs were ready", n)
			}
			start(2, &freshPods{t, c.words})
			wg.Wait()
			if errs[0] != nil || errs[1] == nil || errs[2] != nil {
				t.Fatalf("%v", errs)
			}
			for _, i := range []int{0, 2} {
				if r := results[i]; !r.Complete || counts[i] != 20 || !r.Start.Equal(cfg.Gate.at) {
					t.Errorf("run %d: %d replies, started %s, the gate opened %s: %+v", i, counts[i], r.Start, cfg.Gate.at, r)
				}
			}
			if n := s.requests.Load(); n != 40 {
				t.Errorf("the server counted %d requests", n)
			}
		})
	}
}

// A run that is interrupted at the gate ends, and is not complete.
func TestInterruptedAtTheGate(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]bool{"batches": false, "a schedule": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			cfg := testConfig(t, s.URL+"/", 20)
			if open {
				cfg = openConfig(t, s.URL+"/", 20, 100)
			}
			cfg.Gate = NewGate(2, cfg)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for cfg.Gate.left() > 1 {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			pod := newLocalPod(t, "busybox", "wget=busybox", "head=busybox")
			res, err := Run(ctx, pod, cfg, func(reply.Reply) { t.Error("a reply") })
			if err != nil || res.Complete || res.Reason != "interrupted" {
				t.Errorf("%+v, %v", res, err)
			}
			<-pod.ended
		})
	}
}
