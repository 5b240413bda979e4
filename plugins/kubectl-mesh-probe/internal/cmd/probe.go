package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// client is one client pod.
type client struct {
	member *clusters.Member
	pod    podexec.Pod
	probe.Outcome
	err     error    // nothing was sent
	caveats []string // of the pod: what may make its answers differ from the prediction
	target  int      // how many requests are to be sent in all
	meaning target.Meaning
	unnamed string // why the URL names no Service for it
	changed string // what the prediction was before or after it changed during the run
}

// session is one call of the command.
type session struct {
	*env
	o         *options
	sel       *clusters.Selection
	known     []origin.Member
	clients   []*client
	namespace string
	query     meshstate.Query
	key       routing.Key
	service   bool // the URL names a Service
	url       request.Target
	id        *origin.Identifier
	who       atomic.Pointer[origin.Identifier] // with what is known of pods by now
	tokens    *origin.Tokens
	gaps      []string // members that could not be read from the start
	expect    []judge.Expectation
}

func (e *env) probe(ctx context.Context, o *options) error {
	sel, err := e.clusters.Select(ctx)
	for _, w := range sel.Warnings {
		e.warn("%s", w)
	}
	if err != nil {
		return err
	}
	for _, n := range sel.Notes {
		output.Say(e.ErrOut, "Note: %s", n)
	}
	s := &session{env: e, o: o, sel: sel, namespace: e.clusters.Namespace(sel.Home())}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	s.run(ctx)
	doc := s.report(ctx)
	return s.finish(ctx, doc)
}

// debug is the command that gives the client pod a container with a shell and a tool.
func (c *client) debug() string {
	words := []string{"debug", c.pod.Name, "--image=busybox", "--container=mesh-probe-client"}
	if c.pod.Container != "" {
		words = append(words, "--target="+c.pod.Container)
	}
	return commandline.Tool("kubectl", c.member.CommandContext(), c.pod.Namespace, append(words, "--", "sleep", "infinity")...)
}

// hint adds the ways out where the pod cannot be a client.
func hint(err error, debug string) error {
	switch {
	case errors.Is(err, wire.ErrNoShell):
		return fmt.Errorf("%w; name another container with --container or another pod with --from, or give it one and name it with --container: %s", wire.ErrNoShell, debug)
	case errors.Is(err, tool.ErrNoTool):
		return fmt.Errorf("%w; name another container with --container or another pod with --from, or give it one and name it with --container: %s", err, debug)
	}
	return err
}

// report looks at the state once more, judges and describes.
func (s *session) report(ctx context.Context) v1alpha1.ProbeReport {
	if s.service && ctx.Err() == nil {
		snap := s.read(ctx)
		s.compare(snap)
		s.learn(snap) // pods may have come up meanwhile
	}
	for _, c := range s.clients {
		c.Tally.Reattribute(s.who.Load())
		s.conclude(c)
	}
	doc := v1alpha1.ProbeReport{
		Document: clusters.Document("ProbeReport", s.sel.Members),
		Target:   v1alpha1.ProbeTarget{URL: s.url.String(), Method: s.o.method},
		Clients:  []v1alpha1.ProbeClient{},
	}
	if s.service {
		doc.Target.Service, doc.Target.Port = s.key.String(), s.url.Port()
	}
	for _, c := range s.clients {
		if c.err != nil {
			c.Result.Reason = cli.OneLine(c.err)
		}
		one := c.Report(s.known)
		doc.Complete = doc.Complete && one.Complete
		doc.Clients = append(doc.Clients, one)
		span(&doc, c.Result)
		doc.Checks = append(doc.Checks, s.judge(c)...)
	}
	return doc
}

func span(doc *v1alpha1.ProbeReport, r sender.Result) {
	if r.Start.IsZero() {
		return
	}
	start, end := r.Start.UTC(), r.End.UTC()
	if doc.StartTime == nil || start.Before(*doc.StartTime) {
		doc.StartTime = &start
	}
	if doc.EndTime == nil || end.After(*doc.EndTime) {
		doc.EndTime = &end
	}
}

// conclude takes back the prediction if it changed during the run, and warns of a tally that contradicts it.
func (s *session) conclude(c *client) {
	if c.changed != "" {
		c.Prediction = judge.Prediction{Why: fmt.Sprintf("the prediction changed during the run: %s, then %s", c.Prediction, c.changed)}
		return
	}
	if c.Tally.Weak > 0 && judge.Contradicts(c.Tally, c.Prediction, s.known) {
		c.Result.Warnings = append(c.Result.Warnings, fmt.Sprintf(
			"%d replies were attributed by a name of a cluster in them, and the tally contradicts the prediction (%s): the name may be there by chance; name the part of the reply that tells with --identify",
			c.Tally.Weak, c.Prediction))
	}
}

// checks compares one client's tally with all expectations.
func (s *session) checks(c *client) []judge.Check {
	ev := judge.Evidence{Prediction: c.Prediction, Members: s.known, ErrorsJudged: judgesErrors(s.expect), Looks: judge.Looks(s.o.count, s.o.most)}
	var out []judge.Check
	if s.o.expectPrediction {
		out = append(out, judge.CheckPrediction(c.Tally, ev))
	}
	for _, x := range s.expect {
		out = append(out, x.Judge(c.Tally, ev))
	}
	return out
}

// judge describes the checks of one client.
func (s *session) judge(c *client) []v1alpha1.ProbeCheck {
	var out []v1alpha1.ProbeCheck
	for _, k := range s.checks(c) {
		if !c.Result.Complete && k.Verdict == judge.Pass {
			k.Verdict, k.Reason = judge.Inconclusive, "the run is not complete"
		}
		out = append(out, v1alpha1.ProbeCheck{Client: c.member.Name, Expr: k.Expr, Result: string(k.Verdict), Observed: k.Observed, Reason: k.Reason})
	}
	return out
}

func judgesErrors(es []judge.Expectation) bool {
	return slices.ContainsFunc(es, judge.Expectation.AboutErrors)
}
