//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// event is a failure that mesh-probe itself causes, with --mark-on.
type event struct {
	name, affinity string
	// local is how many servers us has.
	local int
	// total says that nobody answers for some time.
	total bool
	// command causes the failure. It runs with the environment of this program.
	command string
}

func events() []event {
	kill := "kubectl --context " + local + " delete pods -l app=" + service + " --grace-period=0 --force"
	return []event{
		{"both local pods are killed and replaced, affinity local", "local", 2, false, kill},
		// All backends are in eu, so the outage lasts while the link is cut.
		{"the link to all backends is cut for 1.5 s", "none", 0, true, "meshlab cut us eu && sleep 1.5; meshlab heal us eu"},
	}
}

// marks compares the gap that mesh-probe prints for a mark with what the observer saw since then, as runDrills does.
func (l *lab) marks(ctx context.Context, out io.Writer) (bad []string, err error) {
	for _, e := range events() {
		problems, err := again(out, func() (differs, _ []string, err error) {
			differs, err = l.compareMark(ctx, e, out)
			return differs, nil, err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		for _, p := range problems {
			bad = append(bad, e.name+": "+p)
		}
	}
	return bad, errors.Join(scale(2)(ctx, l), l.settle(ctx))
}

// compareMark causes one failure in a lab that is well, and returns what differs.
func (l *lab) compareMark(ctx context.Context, e event, out io.Writer) ([]string, error) {
	if err := l.kubectl(ctx, "mesh-svc", "affinity", e.affinity, service, "--yes"); err != nil {
		return nil, err
	}
	if err := errors.Join(scale(e.local)(ctx, l), l.settle(ctx)); err != nil {
		return nil, err
	}
	gap, o, resolution, err := l.marked(ctx, e, out)
	if err != nil || !differ(gap, o, resolution, e.total) {
		return nil, err
	}
	return []string{fmt.Sprintf("mesh-probe prints %s without an answer, the observer saw %s", gap, o.gap)}, nil
}

// marked causes one failure while both look, and returns the longest time without an answer that each of them saw, and how exact mesh-probe says that its own is.
func (l *lab) marked(ctx context.Context, e event, out io.Writer) (gap time.Duration, seen observed, resolution time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &result{}
	observer := make(chan error, 1)
	go func() { observer <- l.observe(ctx, r, drilled) }()
	cmd := l.command(ctx, "kubectl", "mesh-probe", "http://"+service, "--from", "pod/prober", "--from-clusters", "us", "--rate", fmt.Sprint(int(time.Second/drillInterval)),
		"--duration", looks.String(), "--timeout", "2s", "--identify", `body=cluster=(\S+)`, "--mark-on", e.command, "--mark-after", eventAt.String(), "-o", "json")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	raw, runErr := cmd.Output()
	var doc v1alpha1.ProbeReport
	if err := json.Unmarshal(raw, &doc); err != nil || len(doc.Clients) != 1 || len(doc.Clients[0].Outages) == 0 {
		return 0, observed{}, 0, fmt.Errorf("mesh-probe: %w: %s%s", errors.Join(runErr, err), raw, errOut.String())
	}
	if err := <-observer; err != nil {
		return 0, observed{}, 0, err
	}
	o := doc.Clients[0].Outages[0]
	gap = time.Duration(o.GapMs * float64(time.Millisecond))
	seen = r.gap(o.Time.UnixMilli(), o.Time.Add(looks-eventAt).UnixMilli())
	resolution = time.Duration(o.ResolutionMs * float64(time.Millisecond))
	_, _ = fmt.Fprintf(out, "--mark-on, %s: %s without an answer (exact to %s), %s; mesh-probe: %d failed %v\n",
		e.name, gap.Round(time.Millisecond), resolution.Round(time.Millisecond), seen, o.Failed, o.Errors)
	l.count(out, seen, resolution)
	return gap, seen, resolution, nil
}
