package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// client is one client pod.
type client struct {
	member *clusters.Member
	pod    podexec.Pod
	probe.Outcome
	err error // nothing was sent
}

// session is one call of the command.
type session struct {
	*env
	o         *options
	sel       *clusters.Selection
	known     []probe.Known
	clients   []*client
	namespace string
	query     meshstate.Query
	key       routing.Key
	service   bool // the URL names a Service
	url       probe.Target
	id        *probe.Identifier
	expect    []probe.Expectation
}

func (e *env) probe(ctx context.Context, o *options) error {
	sel, err := e.clusters.Select(ctx)
	if err != nil {
		return err
	}
	for _, w := range sel.Warnings {
		e.warn("%s", w)
	}
	s := &session{env: e, o: o, sel: sel, namespace: e.clusters.Namespace(sel.Home())}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	s.run(ctx)
	doc := s.report(ctx)
	return s.finish(ctx, doc)
}

// run probes from all client pods at once.
func (s *session) run(ctx context.Context) {
	p := newProgress(s)
	var wg sync.WaitGroup
	for _, c := range s.clients {
		if c.err != nil {
			continue
		}
		wg.Go(func() {
			cfg := s.o.config
			cfg.Target = s.url
			tr := podexec.New(c.member.REST, c.member.Client, c.pod)
			c.Result, c.err = probe.Run(ctx, tr, cfg, func(r probe.Reply) {
				who := s.id.Identify(&r)
				p.mu.Lock()
				defer p.mu.Unlock()
				c.Tally.Add(r, who)
			})
			if c.err != nil {
				c.err = fmt.Errorf("cluster %s: pod %s: %w", c.member.Label(), c.pod, hint(c.err, c.debug()))
			}
		})
	}
	wg.Wait()
	p.stop()
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
	case errors.Is(err, probe.ErrNoShell):
		return fmt.Errorf("%w; name another container with --container or another pod with --from, or give it one and name it with --container: %s", probe.ErrNoShell, debug)
	case errors.Is(err, probe.ErrNoTool):
		return fmt.Errorf("%w; name another container with --container or another pod with --from, or give it one and name it with --container: %s", err, debug)
	}
	return err
}

// report looks at the state once more, judges and describes.
func (s *session) report(ctx context.Context) v1alpha1.ProbeReport {
	changed := make([]bool, len(s.clients))
	again := s.o.expectPrediction || slices.ContainsFunc(s.clients, func(c *client) bool { return c.Tally.Unknown > 0 })
	if again && ctx.Err() == nil {
		snap := s.read(ctx)
		for i, p := range s.predictions(snap) {
			changed[i] = !p.Equal(s.clients[i].Prediction)
		}
		if s.id.Auto() {
			// Pods may have come up meanwhile.
			id := s.id.WithTokens(probe.NewTokens(snap, s.key))
			for _, c := range s.clients {
				c.Tally.Again(id)
			}
		}
	}
	doc := v1alpha1.ProbeReport{
		Document: clusters.Document("ProbeReport", s.sel.Members),
		Target:   v1alpha1.ProbeTarget{URL: s.url.String(), Method: s.o.method},
		Clients:  []v1alpha1.ProbeClient{},
	}
	if s.service {
		doc.Target.Service, doc.Target.Port = s.key.String(), s.url.Port()
	}
	for i, c := range s.clients {
		if c.err != nil {
			c.Result.Reason = cli.OneLine(c.err)
		}
		one := c.Report(s.known)
		doc.Complete = doc.Complete && one.Complete
		doc.Clients = append(doc.Clients, one)
		span(&doc, c.Result)
		doc.Checks = append(doc.Checks, s.judge(c, changed[i])...)
	}
	return doc
}

func span(doc *v1alpha1.ProbeReport, r probe.Result) {
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

// judge compares one client's tally with all expectations.
func (s *session) judge(c *client, changed bool) []v1alpha1.ProbeCheck {
	var found []probe.Check
	if s.o.expectPrediction {
		check := probe.JudgePrediction(c.Tally, c.Prediction, s.known, judgesErrors(s.expect))
		if changed {
			check.Verdict, check.Reason = probe.Inconclusive, "the prediction changed during the run"
		}
		found = append(found, check)
	}
	for _, x := range s.expect {
		found = append(found, x.Judge(c.Tally))
	}
	var out []v1alpha1.ProbeCheck
	for _, k := range found {
		if !c.Result.Complete && k.Verdict == probe.Pass {
			k.Verdict, k.Reason = probe.Inconclusive, "the run is not complete"
		}
		out = append(out, v1alpha1.ProbeCheck{Client: c.member.Name, Expr: k.Expr, Result: string(k.Verdict), Observed: k.Observed, Reason: k.Reason})
	}
	return out
}

func judgesErrors(es []probe.Expectation) bool {
	return slices.ContainsFunc(es, probe.Expectation.AboutErrors)
}
