//go:build unix

// Command failover measures, on a lab that runs Cilium, what clients notice when backends fail, with mesh-probe and with an
// observer that opens a connection every 10 ms, side by side. Both must see failed requests, or both must see none, and the
// same cluster must answer afterwards.
//
// It expects a lab of `meshlab up --datapath=cilium --one-ca --clusters us,eu`: MESHLAB_KUBECONFIG, and kubectl, meshlab and the
// plugins on the PATH.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// looks is how long each scenario is observed, eventAt when it begins.
	looks   = 16 * time.Second
	eventAt = 4 * time.Second
	// rate is how many requests mesh-probe sends in a second.
	rate = 100
)

// scenario is one failure. do begins it and returns when what it does is done; undo ends it.
type scenario struct {
	name     string
	affinity string
	do, undo func(context.Context, *lab) error
	// after is the only cluster that may answer at the end; empty means that nobody knows.
	after string
}

func scenarios() []scenario {
	return []scenario{
		{"both local pods become not ready, affinity local", "local", notReady("false"), notReady("true"), "eu"},
		{"both local pods are killed and replaced, affinity local", "local", killPods, nil, ""},
		{"the local Deployment is scaled to 0, affinity local", "local", scale(0), scale(2), "eu"},
		{"the link is cut, affinity none", "none", cut, heal, ""},
		{"the link is cut, affinity local", "local", cut, heal, "us"},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	only := flag.String("only", "", "run the scenarios whose names contain this")
	drills := flag.Bool("drills", false, "compare drills with the observer instead")
	flag.Parse()
	do := run
	if *drills {
		do = runDrills
	}
	if err := do(ctx, os.Getenv("MESHLAB_KUBECONFIG"), *only, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores signal handling
	}
}

func run(ctx context.Context, kubeconfig, only string, out io.Writer) error {
	if kubeconfig == "" {
		return errors.New("MESHLAB_KUBECONFIG is not set; run this with make failover-cilium")
	}
	l := &lab{kubeconfig: kubeconfig}
	if err := l.deploy(ctx); err != nil {
		return err
	}
	var bad []string
	for _, s := range scenarios() {
		if !strings.Contains(s.name, only) {
			continue
		}
		r, err := l.try(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		problems := r.problems(s)
		_, _ = fmt.Fprintf(out, "%s\n%s", s.name, r)
		for _, p := range problems {
			_, _ = fmt.Fprintf(out, "  DIFFERS: %s\n", p)
			bad = append(bad, s.name+": "+p)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("mesh-probe and the observer differ: %s", strings.Join(bad, "; "))
	}
	return nil
}

// try runs a scenario while both look.
func (l *lab) try(ctx context.Context, s scenario) (*result, error) {
	if err := l.kubectl(ctx, "mesh-svc", "affinity", s.affinity, service, "--yes"); err != nil {
		return nil, err
	}
	if err := l.settle(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &result{}
	errs := make(chan error, 2)
	go func() { errs <- l.observe(ctx, r, looks) }()
	go func() { errs <- l.probe(ctx, r) }()
	time.Sleep(eventAt)
	r.event = time.Now()
	err := s.do(ctx, l)
	r.done = time.Now()
	if err != nil {
		return nil, err
	}
	err = errors.Join(<-errs, <-errs)
	if s.undo != nil {
		err = errors.Join(err, s.undo(ctx, l))
	}
	return r, err
}

// result is what both saw.
type result struct {
	event, done time.Time
	attempts    []attempt
	// requests and failed are mesh-probe's; seconds is how long it ran.
	requests, failed int
	classes          map[string]int
	answered         map[string]int
	seconds          float64
}

// attempt is a line of the observer; lab/internal/nodes/observe writes it.
type attempt struct {
	Start, Took    int64
	Cluster, Error string
}

// longest is the longest time without an answer, and how long after the event the last failed attempt began.
func (r *result) longest() (gap, last time.Duration) {
	slices.SortFunc(r.attempts, func(a, b attempt) int { return int(a.Start + a.Took - b.Start - b.Took) })
	before := int64(0)
	for _, a := range r.attempts {
		end := a.Start + a.Took
		if before > 0 { // an attempt that failed ends nothing, but shows how long the silence has lasted
			gap = max(gap, time.Duration(end-before)*time.Millisecond)
		}
		if a.Error != "" {
			last = max(last, time.Duration(a.Start-r.event.UnixMilli())*time.Millisecond)
			continue
		}
		before = end
	}
	return gap, last
}

// failures counts the observer's failed attempts by their class.
func (r *result) failures() (all int, classes map[string]int) {
	classes = map[string]int{}
	for _, a := range r.attempts {
		if a.Error != "" {
			classes[a.Error]++
			all++
		}
	}
	return all, classes
}

// finally are the clusters that answered the observer's last attempts.
func (r *result) finally() []string {
	const attempts = 100
	var names []string
	slices.SortFunc(r.attempts, func(a, b attempt) int { return int(a.Start - b.Start) })
	for _, a := range r.attempts[max(0, len(r.attempts)-attempts):] {
		if a.Cluster != "" && !slices.Contains(names, a.Cluster) {
			names = append(names, a.Cluster)
		}
	}
	slices.Sort(names)
	return names
}

// firstOther is how long after the event another cluster than us answered first.
func (r *result) firstOther() string {
	first := time.Duration(-1)
	for _, a := range r.attempts {
		at := time.Duration(a.Start+a.Took-r.event.UnixMilli()) * time.Millisecond
		if a.Cluster != "" && a.Cluster != "us" && at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first < 0 {
		return "never"
	}
	return "after " + first.String()
}

func (r *result) String() string {
	failed, classes := r.failures()
	gap, last := r.longest()
	return fmt.Sprintf("  observer:   %d attempts, %d failed %v, longest time without an answer %s, last failure %s after the event, another cluster first %s, at the end %v\n"+
		"  mesh-probe: %d requests in %.1f s, %d failed %v, answered %v\n  the change itself took %s\n",
		len(r.attempts), failed, classes, gap, last, r.firstOther(), r.finally(), r.requests, r.seconds, r.failed, r.classes, r.answered,
		r.done.Sub(r.event).Round(time.Millisecond))
}

// problems are the differences that time and chance do not explain.
func (r *result) problems(s scenario) []string {
	var out []string
	failed, _ := r.failures()
	// A failure that lasts for a few connections of the observer may fall between two of mesh-probe's requests.
	const few = 5
	switch {
	case failed == 0 && r.failed > 0:
		out = append(out, fmt.Sprintf("mesh-probe saw %d failed requests, the observer none", r.failed))
	case failed > few && r.failed == 0:
		out = append(out, fmt.Sprintf("the observer saw %d failed attempts, mesh-probe none", failed))
	}
	if got := r.finally(); s.after != "" && !slices.Equal(got, []string{s.after}) {
		out = append(out, fmt.Sprintf("%v answered at the end, want %s", got, s.after))
	}
	if len(r.attempts) == 0 || r.requests == 0 {
		out = append(out, "one of the two saw nothing")
	}
	return out
}
