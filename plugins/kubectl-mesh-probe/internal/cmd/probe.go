package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
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

// prepare finds the pods and the target, and reads the state from which the shares are predicted. It sends nothing.
func (s *session) prepare(ctx context.Context) error {
	for _, m := range s.sel.Members {
		s.known = append(s.known, probe.Known{Name: m.Name, Context: m.Context})
	}
	var err error
	if s.id, err = probe.ParseIdentify(s.o.identify, s.o.as, s.known); err != nil {
		return err
	}
	if s.expect, err = probe.ParseExpect(s.o.expect, s.known, !s.id.Auto()); err != nil {
		return err
	}
	if err := s.findClients(ctx); err != nil {
		return err
	}
	snap, err := s.findTarget(ctx)
	if err != nil {
		return err
	}
	if s.o.expectPrediction && !s.service {
		return fmt.Errorf("--expect-prediction: %s names no Service of namespace %q", s.url, s.namespace)
	}
	if s.o.settle > 0 {
		if snap, err = s.wait(ctx, snap); err != nil {
			return err
		}
	}
	if s.id.Auto() {
		s.id = s.id.WithTokens(probe.NewTokens(snap, s.key))
	}
	s.predict(snap)
	return nil
}

// findClients finds the client pod in each of --from-clusters.
func (s *session) findClients(ctx context.Context) error {
	members := []*clusters.Member{s.sel.Home()}
	switch {
	case len(s.o.fromClusters) == 1 && s.o.fromClusters[0] == "all":
		members = s.sel.Members
	case len(s.o.fromClusters) > 0:
		var err error
		if members, err = s.sel.Resolve("--from-clusters", s.o.fromClusters); err != nil {
			return err
		}
	}
	results := clusters.Each(ctx, members, s.clusters.Timeout, func(ctx context.Context, m *clusters.Member) (podexec.Pod, error) {
		return podexec.Find(ctx, m.Client, s.namespace, s.o.ref, s.o.container)
	})
	for _, r := range results {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := &client{member: r.Member, pod: r.Value}
		if r.Err != nil {
			c.err = fmt.Errorf("cluster %s: %w", r.Member.Label(), r.Err)
			if len(results) == 1 {
				return c.err
			}
		}
		c.Client = probe.Client{
			Cluster: r.Member.Name, Context: r.Member.Context, Namespace: s.namespace,
			Pod: c.pod.Name, Container: c.pod.Container, Node: c.pod.Node,
		}
		c.Tally = probe.NewTally(s.known)
		s.clients = append(s.clients, c)
		s.describePod(c)
	}
	if !slices.ContainsFunc(s.clients, func(c *client) bool { return c.err == nil }) {
		return s.clients[0].err
	}
	return nil
}

// describePod says on stderr what was chosen for the user and what may surprise.
func (s *session) describePod(c *client) {
	if c.err != nil {
		return
	}
	if len(c.pod.Defaulted) > 0 {
		s.note("Defaulted container %q of pod %s in %s out of: %v", c.pod.Container, c.pod.Name, c.member.Name, c.pod.Defaulted)
	}
	if c.pod.HostNetwork {
		s.warn("pod %s in %s is on its node's network: without kube-proxy replacement such clients do not reach remote backends", c.pod.Name, c.member.Name)
	}
	if c.pod.Sidecar != "" {
		s.warn("pod %s in %s has a sidecar (%s), which may pick the backend in place of Cilium", c.pod.Name, c.member.Name, c.pod.Sidecar)
	}
}

// findTarget works out which Service is called and reads it in all members.
func (s *session) findTarget(ctx context.Context) (*routing.Snapshot, error) {
	host := ""
	if s.o.url != nil {
		s.url = *s.o.url
		host = s.url.Host()
	} else {
		var err error
		if host, _, err = splitService(s.o.target); err != nil {
			return nil, err
		}
	}
	s.key, s.service = serviceKey(host, s.namespace)
	s.query = meshstate.Query{Namespace: s.key.Namespace, Name: s.key.Name}
	if !s.service {
		s.query = meshstate.Query{Namespace: s.namespace} // an address: look for it among the namespace's Services
	}
	snap := s.read(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if s.o.url == nil {
		var names []string
		for _, c := range s.clients {
			names = append(names, c.member.Name)
		}
		var err error
		if s.url, err = serviceURL(snap, names, s.key, s.o.target); err != nil {
			return nil, err
		}
	}
	if !s.service {
		if key, ok := byAddress(snap, s.clients[0].member.Name, host); ok {
			s.key, s.service = key, true
			s.query.Name = key.Name
		}
	}
	return snap, nil
}

func (s *session) read(ctx context.Context) *routing.Snapshot {
	return &meshstate.Read(ctx, s.sel.Members, s.clusters.Timeout, s.query).Snapshot
}

// predictions are what routing says for each client, in their order.
func (s *session) predictions(snap *routing.Snapshot) []probe.Prediction {
	out := make([]probe.Prediction, len(s.clients))
	for i, c := range s.clients {
		out[i] = probe.Prediction{Why: "the URL names no Service of the mesh"}
		if s.service {
			out[i] = probe.Predict(snap, c.member.Name, s.key, s.url.Port())
		}
	}
	return out
}

func (s *session) predict(snap *routing.Snapshot) {
	for i, p := range s.predictions(snap) {
		s.clients[i].Prediction = p
		for _, w := range p.Caveats {
			s.warn("cluster %s: %s", s.clients[i].member.Name, w)
		}
	}
}

// settleRounds is how often --settle waits again because the prediction has changed.
const settleRounds = 20

// wait returns when the prediction has stayed the same for --settle, which is the time
// that Cilium may take to carry a change to all clusters.
func (s *session) wait(ctx context.Context, snap *routing.Snapshot) (*routing.Snapshot, error) {
	for range settleRounds {
		timer := time.NewTimer(s.o.settle)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		now := s.read(ctx)
		if slices.EqualFunc(s.predictions(snap), s.predictions(now), probe.Prediction.Equal) {
			return now, nil
		}
		s.note("The prediction has changed; waiting another %s.", s.o.settle)
		snap = now
	}
	return nil, fmt.Errorf("--settle %s: the prediction did not stay the same for so long in %d attempts", s.o.settle, settleRounds)
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
				c.err = fmt.Errorf("cluster %s: pod %s: %w", c.member.Label(), c.pod, hint(c.err))
			}
		})
	}
	wg.Wait()
	p.stop()
}

// hint adds the ways out where the pod cannot be a client.
func hint(err error) error {
	switch {
	case errors.Is(err, probe.ErrNoShell):
		return fmt.Errorf("%w; name another container with --container or another pod with --from, or give it one: kubectl debug --image=busybox --target=CONTAINER, then --container", probe.ErrNoShell)
	case errors.Is(err, probe.ErrNoTool):
		return fmt.Errorf("%w; name another container with --container or another pod with --from, or give it one: kubectl debug --image=busybox --target=CONTAINER, then --container", err)
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

// finish prints the report and returns the exit code.
func (s *session) finish(ctx context.Context, doc v1alpha1.ProbeReport) error {
	sent := slices.ContainsFunc(s.clients, func(c *client) bool { return !c.Result.Start.IsZero() })
	if !sent {
		// Nothing was sent from anywhere: one line, no empty table.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var errs []error
		for _, c := range s.clients {
			errs = append(errs, c.err)
		}
		return errors.Join(errs...)
	}
	for _, c := range s.clients {
		for _, w := range c.Result.Warnings {
			s.warn("cluster %s: %s", c.member.Name, w)
		}
	}
	if err := s.out.Print(s.Out, doc, view.Sections(doc)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &cli.ExitError{Code: cli.ExitInterrupted, Err: errors.New("interrupted: the result is partial")}
	}
	missing := s.missing(ctx, s.sel.Members)
	var incomplete []error
	failed, open := 0, 0
	for _, c := range s.clients {
		if !c.Result.Complete && c.member.Err == nil {
			incomplete = append(incomplete, fmt.Errorf("cluster %s: %s", c.member.Name, c.Result.Reason))
		}
	}
	blind := 0
	for _, c := range doc.Clients {
		if c.Unknown > 0 && c.Unknown+c.NoAnswer == c.Requests {
			blind++
		}
	}
	for _, k := range doc.Checks {
		switch probe.Verdict(k.Result) {
		case probe.Fail:
			failed++
		case probe.Inconclusive:
			open++
		}
	}
	switch {
	case len(incomplete) > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("the run is not complete: %w", errors.Join(incomplete...))}
	case missing > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d clusters could not be read; the result is not complete", missing, len(s.sel.Members))}
	case failed > 0:
		return &cli.ExitError{Code: cli.ExitFailure, Err: fmt.Errorf("%d of %d checks failed", failed, len(doc.Checks))}
	case blind > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("no reply tells who sent it; name the part that does with --identify body=REGEX, header=NAME or json=PATH")}
	case open > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d checks are inconclusive", open, len(doc.Checks))}
	}
	return nil
}
