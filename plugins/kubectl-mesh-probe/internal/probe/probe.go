// Package probe calls a Service many times from client pods and reports which cluster answered.
//
// Run is the only entry. It finds the pods and the Service, reads the state of the mesh, predicts the shares, sends the requests, and
// judges the result. It knows no command line and prints nothing: it returns a report, and what happens meanwhile goes to a UI.
package probe

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
)

type run struct {
	cfg      Config
	ui       UI
	mesh     *mesh
	services []*service     // the targets
	abort    *judge.AbortOn // nil without --abort-on
	ending   chan struct{}  // closed when the run is to end early

	helpers *helper.Set // nil if there are none
	left    int         // how many helper pods could not be removed

	sources []*source // the client pods
	clients []*client // each client pod with each target

	mu      sync.Mutex // of the clients' tallies and goals, and of the history
	history history.Log
	live    *history.Timeline // the last intervals, while requests are sent
	events  events
}

// Run probes. An error without a report means that nothing was sent. An error with a report is a *ResultError.
func Run(ctx context.Context, cfg Config, ui UI) (*Report, error) {
	r, err := newRun(ctx, cfg, ui)
	if err != nil {
		return nil, err
	}
	defer r.removeHelpers(ctx) // where the run ends early
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.begin()
	r.send(ctx)
	r.removeHelpers(ctx)
	doc := r.document(ctx)
	if !slices.ContainsFunc(r.clients, (*client).hasSent) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, r.whyNothingWasSent()
	}
	if cfg.WitnessAgents && ctx.Err() == nil {
		r.askAgents(ctx, &doc)
	}
	return r.conclude(ctx, doc)
}

// newRun selects the members and parses the rules that need their names.
func newRun(ctx context.Context, cfg Config, ui UI) (*run, error) {
	selection, err := cfg.Mesh.Select(ctx)
	for _, w := range selection.Warnings {
		ui.Warn("%s", w)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range selection.Notes {
		ui.Note("Note: %s", n)
	}
	r := &run{cfg: cfg, ui: ui, mesh: newMesh(selection, cfg), ending: make(chan struct{}), events: events{begun: make(chan struct{})}}
	if r.abort, err = judge.ParseAbortOn(cfg.AbortOn); err != nil {
		return nil, err
	}
	id, err := origin.Parse(cfg.Identify, cfg.Map, r.mesh.members)
	if err != nil {
		return nil, err
	}
	expect, err := judge.SplitByURL(cfg.Expect, len(cfg.Targets))
	if err != nil {
		return nil, err
	}
	for i, t := range cfg.Targets {
		s := &service{Target: t, senders: newRecognizer(id)}
		if s.expect, err = judge.ParseExpectations(expect[i], r.mesh.members, !id.Auto()); err != nil {
			return nil, err
		}
		r.services = append(r.services, s)
	}
	return r, nil
}

// whyNothingWasSent is the error of a run in which no client sent anything. A pod that cannot send has the same error for each target.
func (r *run) whyNothingWasSent() error {
	var errs []error
	for _, c := range r.clients {
		err := c.cause()
		if err != nil && !slices.ContainsFunc(errs, func(o error) bool { return o.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// prepare finds the pods and the Services, and predicts the shares. It sends no request.
func (r *run) prepare(ctx context.Context) error {
	if err := r.findClients(ctx); err != nil {
		return err
	}
	snaps, err := r.findServices(ctx)
	if err != nil {
		return err
	}
	if r.cfg.ExpectPrediction {
		if err := r.noPrediction(); err != nil {
			return err
		}
	}
	if r.cfg.Clients.Helper != nil {
		if err := r.startHelpers(ctx); err != nil {
			return err
		}
		snaps = r.read(ctx) // the images may have taken long
	}
	r.announce()
	if r.cfg.Settle > 0 {
		if snaps, err = r.settle(ctx, snaps); err != nil {
			return err
		}
	}
	r.learn(snaps)
	r.predict(snaps)
	return nil
}

// announce reports how many requests the expectations need.
func (r *run) announce() {
	if r.cfg.Send.Duration > 0 {
		return
	}
	count, most := r.cfg.Send.Count, r.cfg.MaxCount
	var seen []string
	for _, e := range r.expectations() {
		if slices.Contains(seen, e.Expr()) {
			continue // of another target
		}
		seen = append(seen, e.Expr())
		switch needs := e.Needs(judge.Looks(count, most)); {
		case needs > most:
			r.ui.Warn("--expect %s needs about %d requests to pass reliably, but at most %d are sent: the check may stay inconclusive; raise --max-count", e.Expr(), needs, most)
		case needs > count:
			r.ui.Note("--expect %s needs about %d requests to pass reliably: the run is extended beyond %d while a check needs more, up to %d (--max-count).", e.Expr(), needs, count, most)
		}
	}
}

// expectations are those of all targets.
func (r *run) expectations() []judge.Expectation {
	var out []judge.Expectation
	for _, s := range r.services {
		out = append(out, s.expect...)
	}
	return out
}
