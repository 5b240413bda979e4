//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// A drill asks every 100 ms, because each request is a process and this machine has other work; the observer opens a connection every 10 ms. Both
// may see the same outage with a difference of an interval of either, and slack is for the processes that share the machine. Where the pod does not
// keep the rate, mesh-probe says how exact its figure is, and is held to that; so is the observer. Time on a busy machine is noisy: what differs is
// measured again, and is wrong when it differs each time.
const (
	// missed is the exit code of a check that failed.
	missed = 1
	// inconclusive is the exit code of a check that too few requests, or a rate that was not kept, leave open. The comparison does not need it.
	inconclusive  = 2
	drillInterval = 100 * time.Millisecond
	// coarse is how exact a figure must be, to be compared at all.
	coarse = 500 * time.Millisecond
	slack  = 50 * time.Millisecond
	// measured is how often a comparison is made before it counts as different.
	measured = 3
	// drilled is how long the observer looks: longer than a drill takes.
	drilled = 40 * time.Second
)

// drillOf is a drill that clients in us see. With cut, the link to the only backends that are left is cut for outage: then nobody answers, and both
// must see the same. Otherwise some connections fail and others do not, and who asks more often sees shorter gaps: the drill must only not print
// less than the observer saw.
type drillOf struct {
	with, in, affinity string
	cut                bool
}

// outage is how long the link is cut.
const outage = 1500 * time.Millisecond

// runDrills runs a drill of each kind beside the observer. The failover that the drill prints for the client in us must be what the observer saw,
// and everything must be as it was. Then it does the same with events of --mark-on, and asks the agents.
func runDrills(ctx context.Context, kubeconfig, only string, out io.Writer) error {
	if kubeconfig == "" {
		return errors.New("MESHLAB_KUBECONFIG is not set; run this with make drill-cilium")
	}
	l := &lab{kubeconfig: kubeconfig}
	if err := l.deploy(ctx); err != nil {
		return err
	}
	var bad []string
	for _, d := range []drillOf{{"scale", "us", "none", false}, {"evict", "us", "none", false}, {"shared", "eu", "none", false}, {"scale", "us", "local", true}} {
		if !wanted(d.with, only) {
			continue
		}
		if err := errors.Join(l.kubectl(ctx, "mesh-svc", "affinity", d.affinity, service, "--yes"), l.settle(ctx)); err != nil {
			return err
		}
		problems, err := again(out, func() (differs, wrong []string, err error) { return l.drill(ctx, d, out) })
		if err != nil {
			return fmt.Errorf("%s: %w", d.with, err)
		}
		for _, p := range problems {
			bad = append(bad, d.with+": "+p)
		}
	}
	if l.compared == 0 && only == "" {
		bad = append(bad, "no drill could be compared with the observer: the machine is too slow")
	}
	if wanted("repair", only) {
		if err := l.repair(ctx, out); err != nil {
			bad = append(bad, "repair: "+err.Error())
		}
	}
	if wanted("mark-on", only) {
		problems, err := l.marks(ctx, out)
		if err != nil {
			return err
		}
		bad = append(bad, problems...)
	}
	if wanted("witness", only) {
		if err := l.witnesses(ctx, out); err != nil {
			bad = append(bad, err.Error())
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("drill and observer differ: %s", strings.Join(bad, "; "))
	}
	return nil
}

// again repeats a comparison of times until it shows no difference, and returns the differences of the last one. What is wrong whatever the time is
// not repeated.
func again(out io.Writer, compare func() (differs, wrong []string, err error)) (problems []string, err error) {
	for range measured {
		differs, wrong, err := compare()
		problems = slices.Concat(differs, wrong)
		for _, p := range problems {
			_, _ = fmt.Fprintf(out, "  DIFFERS: %s\n", p)
		}
		if err != nil || len(wrong) > 0 || len(differs) == 0 {
			return problems, err
		}
	}
	return problems, nil
}

// wanted reports whether a part was asked for; no part named asks for all.
func wanted(part, only string) bool { return strings.Contains(part, only) }

// drill runs one drill while the observer looks, and returns which times differ, and what is wrong whatever the time.
func (l *lab) drill(ctx context.Context, d drillOf, out io.Writer) (differs, wrong []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := l.state(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := &result{}
	seen := make(chan error, 1)
	go func() { seen <- l.observe(ctx, r, drilled) }()
	clients := "us,eu"
	if d.cut {
		clients = "us"
	}
	cmd := l.command(ctx, "kubectl", "mesh-probe", "drill", service, "--in", d.in, "--with", d.with, "--from", "pod/prober", "--from-clusters", clients, "-n", namespace,
		"--hold", "8s", "--timeout", "2s", "--rate", fmt.Sprint(int(time.Second/drillInterval)), "--identify", `body=cluster=(\S+)`, "--yes", "-o", "json")
	var errOut taken
	if d.cut {
		errOut.then = func() error { return errors.Join(cut(ctx, l), sleep(ctx, outage), heal(ctx, l)) }
	}
	cmd.Stderr = &errOut
	raw, runErr := cmd.Output()
	if err := errOut.wait(); err != nil {
		return nil, nil, err
	}
	var doc v1alpha1.DrillReport
	if err := json.Unmarshal(raw, &doc); err != nil || doc.WriteTime == nil {
		return nil, nil, fmt.Errorf("mesh-probe drill: %w: %s", errors.Join(runErr, err), errOut.said.String())
	}
	if err := <-seen; err != nil {
		return nil, nil, err
	}
	after, err := l.state(ctx)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(doc.Clients, func(c v1alpha1.DrillClient) bool { return c.Cluster == "us" })
	if i < 0 || doc.Clients[i].FailoverMs == nil {
		return nil, nil, fmt.Errorf("mesh-probe drill saw nothing: %s%s", raw, errOut.said.String())
	}
	end := doc.WriteTime.Add(8 * time.Second)
	o := r.gap(doc.WriteTime.UnixMilli(), end.UnixMilli())
	printed := time.Duration(*doc.Clients[i].FailoverMs * float64(time.Millisecond))
	resolution := time.Duration(*doc.Clients[i].ResolutionMs * float64(time.Millisecond))
	what := "drill " + d.with + " in " + d.in
	if d.cut {
		what += ", and the link is cut for " + outage.String()
	}
	_, _ = fmt.Fprintf(out, "%s: failover %s (exact to %s), %s; %s\n", what, printed.Round(time.Millisecond), resolution.Round(time.Millisecond), o, summary(doc))
	l.count(out, o, resolution)
	code, failed := cmd.ProcessState.ExitCode(), failedChecks(doc)
	switch {
	case code == inconclusive && doc.Complete:
		_, _ = fmt.Fprintf(out, "  inconclusive: %s\n%s", doc.Reason, errOut.said.String())
		runErr = nil
	case code == missed && doc.Complete && len(failed) > 0:
		differs, runErr = failed, nil
	}
	if differ(printed, o, resolution, d.cut) {
		differs = append(differs, fmt.Sprintf("the drill prints a failover of %s, the observer saw %s", printed, o.gap))
	}
	return differs, leftovers(doc, before, after, runErr), nil
}

// failedChecks are the checks of a drill that failed. A busy machine may let the last request fail: noise of the same kind as a time.
func failedChecks(doc v1alpha1.DrillReport) (out []string) {
	for _, k := range doc.Checks {
		if k.Result == "FAIL" {
			out = append(out, fmt.Sprintf("%s: %s: %s", k.Client, k.Expectation, k.Reason))
		}
	}
	return out
}

// takenAway is what a drill prints once its write is accepted.
const takenAway = "The backends are being taken away."

// taken is what a drill prints on stderr. Once it has taken the backends away, something else is done.
type taken struct {
	said bytes.Buffer
	then func() error
	done chan error
}

func (t *taken) Write(p []byte) (int, error) {
	n, err := t.said.Write(p)
	if t.then != nil && t.done == nil && bytes.Contains(t.said.Bytes(), []byte(takenAway)) {
		t.done = make(chan error, 1)
		go func() { t.done <- t.then() }()
	}
	return n, err
}

// wait returns when what was to be done is done. The drill has ended.
func (t *taken) wait() error {
	switch {
	case t.then == nil:
		return nil
	case t.done == nil:
		return errors.New("the drill has taken no backends away: " + t.said.String())
	}
	return <-t.done
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// leftovers are what a drill must not leave.
func leftovers(doc v1alpha1.DrillReport, before, after string, runErr error) (out []string) {
	if before != after {
		out = append(out, fmt.Sprintf("before the drill the state was %s; after it, it is %s", before, after))
	}
	if runErr != nil || doc.State != "restored" || !doc.Complete {
		out = append(out, fmt.Sprintf("state %s, complete %v: %s (%v)", doc.State, doc.Complete, doc.Reason, runErr))
	}
	return out
}

// differ reports whether mesh-probe, exact to resolution, prints less than the observer saw or, where both must see the same, anything else.
func differ(printed time.Duration, o observed, resolution time.Duration, equal bool) bool {
	if tooCoarse(o, resolution) {
		return false
	}
	allowed := max(drillInterval, resolution) + o.hole + slack
	return o.gap-printed > allowed || equal && printed-o.gap > allowed
}

// tooCoarse reports whether one of the two is not exact enough for a comparison.
func tooCoarse(o observed, resolution time.Duration) bool { return max(o.hole, resolution) > coarse }

// count takes note of a comparison, or says why there is none.
func (l *lab) count(out io.Writer, o observed, resolution time.Duration) {
	if tooCoarse(o, resolution) {
		_, _ = fmt.Fprintf(out, "  not compared: the machine was too slow for figures that are exact to %s\n", coarse)
		return
	}
	l.compared++
}

// summary shows the propagation, and the errors of each client.
func summary(doc v1alpha1.DrillReport) string {
	show := func(p *v1alpha1.DrillPropagation) string {
		if p == nil || p.FirstMs == nil {
			return "-"
		}
		return fmt.Sprintf("%.0f ms to %.0f ms", *p.FirstMs, *p.LastMs)
	}
	errs := 0
	for _, c := range doc.Clients {
		errs += c.During.Errors
	}
	return fmt.Sprintf("clients moved after %s, came back after %s, %d errors", show(doc.Propagation), show(doc.ReturnPropagation), errs)
}

// observed is the observer's longest time without an answer, how many attempts failed, and how exact the first is: the longest time in which the
// observer began no attempt.
type observed struct {
	gap, hole time.Duration
	failed    map[string]int
}

func (o observed) String() string {
	return fmt.Sprintf("observer %s (exact to %s, failed attempts: %v)", o.gap, o.hole, o.failed)
}

// gap looks at what the observer saw between two moments.
func (r *result) gap(from, to int64) observed {
	o := observed{failed: map[string]int{}}
	slices.SortFunc(r.attempts, func(a, b attempt) int { return cmp.Compare(a.Start, b.Start) })
	for i, a := range r.attempts {
		if i > 0 && a.Start > from && r.attempts[i-1].Start < to {
			o.hole = max(o.hole, time.Duration(a.Start-r.attempts[i-1].Start)*time.Millisecond)
		}
	}
	slices.SortFunc(r.attempts, func(a, b attempt) int { return cmp.Compare(a.Start+a.Took, b.Start+b.Took) })
	last := from
	for _, a := range r.attempts {
		end := a.Start + a.Took
		if end < from || a.Start > to {
			continue
		}
		if a.Error != "" {
			o.failed[a.Error]++
			end = min(end, to)
		}
		o.gap = max(o.gap, time.Duration(end-last)*time.Millisecond)
		if a.Error == "" {
			last = end
		}
	}
	return o
}

// state is what a drill may change.
func (l *lab) state(ctx context.Context) (string, error) {
	var parts []string
	for _, c := range []string{"kind-us", "kind-eu"} {
		for _, args := range [][]string{
			{"get", "deployment", service, "-o", "jsonpath={.spec.replicas}"},
			{"get", "service", service, "-o", "jsonpath={.metadata.annotations}"},
			{"get", "configmap", "-l", "mesh.kubectl.io/drill", "-o", "name"},
		} {
			out, err := l.command(ctx, "kubectl", append([]string{"--context", c, "-n", namespace}, args...)...).Output()
			if err != nil {
				return "", fmt.Errorf("kubectl %v: %w", args, err)
			}
			parts = append(parts, strings.TrimSpace(string(out)))
		}
	}
	return strings.Join(parts, " "), nil
}
