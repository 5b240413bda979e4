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

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
)

// run is one probe.
type run struct {
	cfg     Config
	ui      UI
	mesh    *mesh
	service service
	senders *recogniser
	expect  []judge.Expectation

	mu      sync.Mutex // of the clients' tallies and targets
	clients []*client
}

// Run probes. An error without a report means that nothing was sent. An error with a report is a *ResultError.
func Run(ctx context.Context, cfg Config, ui UI) (*Report, error) {
	r, err := newRun(ctx, cfg, ui)
	if err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.send(ctx)
	doc := r.document(ctx)
	if !slices.ContainsFunc(r.clients, (*client).hasSent) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var errs []error
		for _, c := range r.clients {
			errs = append(errs, c.err)
		}
		return nil, errors.Join(errs...)
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
	r := &run{cfg: cfg, ui: ui, mesh: newMesh(selection, cfg)}
	id, err := origin.Parse(cfg.Identify, cfg.Map, r.mesh.members)
	if err != nil {
		return nil, err
	}
	r.senders = newRecogniser(id)
	r.expect, err = judge.ParseExpectations(cfg.Expect, r.mesh.members, !id.Auto())
	return r, err
}

// prepare finds the pods and the Service, and predicts the shares. It sends no request.
func (r *run) prepare(ctx context.Context) error {
	if err := r.findClients(ctx); err != nil {
		return err
	}
	snap, err := r.findService(ctx)
	if err != nil {
		return err
	}
	if r.cfg.ExpectPrediction && !r.service.found {
		return r.noPrediction()
	}
	r.announce()
	if r.cfg.Settle > 0 {
		if snap, err = r.settle(ctx, snap); err != nil {
			return err
		}
	}
	r.senders.learn(snap, r.service.key)
	r.predict(snap)
	return nil
}

// announce reports how many requests the expectations need.
func (r *run) announce() {
	if r.cfg.Send.Duration > 0 {
		return
	}
	count, most := r.cfg.Send.Count, r.cfg.MaxCount
	for _, e := range r.expect {
		switch needs := e.Needs(judge.Looks(count, most)); {
		case needs > most:
			r.ui.Warn("--expect %s needs about %d requests to pass reliably, but at most %d are sent: the check may stay inconclusive; raise --max-count", e.Expr(), needs, most)
		case needs > count:
			r.ui.Note("--expect %s needs about %d requests to pass reliably: the run is extended beyond %d while a check needs more, up to %d (--max-count).", e.Expr(), needs, count, most)
		}
	}
}
