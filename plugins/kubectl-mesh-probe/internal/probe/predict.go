package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
)

// noPrediction is the error for --expect-prediction where nothing is predicted.
func (r *run) noPrediction() error {
	return fmt.Errorf("--expect-prediction: there is no prediction for %s: %s", r.service.url, r.clients[0].unnamed)
}

// predictions returns what routing predicts for each client, in their order.
func (r *run) predictions(snap *routing.Snapshot) []judge.Prediction {
	out := make([]judge.Prediction, len(r.clients))
	for i, c := range r.clients {
		if c.unnamed != "" {
			out[i] = judge.Prediction{Why: c.unnamed}
			continue
		}
		out[i] = judge.Predict(snap, c.member.Name, r.service.key, r.service.url.Port())
		out[i].Caveats = slices.Concat(out[i].Caveats, c.caveats)
	}
	return out
}

// predict keeps the prediction from before the first request.
func (r *run) predict(snap *routing.Snapshot) {
	r.mesh.touched = false
	for _, c := range snap.Clusters {
		if c.Gap != "" {
			r.mesh.unread = append(r.mesh.unread, c.Name)
		}
	}
	for i, p := range r.predictions(snap) {
		c := r.clients[i]
		c.prediction = p
		for _, w := range p.Caveats {
			if !slices.Contains(c.caveats, w) { // those of the pod were reported with the pod
				r.ui.Warn("cluster %s: %s", c.member.Name, w)
			}
		}
	}
}

// settleRounds is how often --settle waits again because the prediction has changed.
const settleRounds = 20

// settle returns when the prediction has been stable for --settle. Cilium takes some time to carry a change to all clusters.
func (r *run) settle(ctx context.Context, snap *routing.Snapshot) (*routing.Snapshot, error) {
	before := r.predictions(snap)
	r.ui.Note("Waiting until the prediction has been stable for %s (--settle): %s.", r.cfg.Settle, r.describe(before))
	for range settleRounds {
		timer := time.NewTimer(r.cfg.Settle)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		now := r.mesh.read(ctx)
		after := r.predictions(now)
		if slices.EqualFunc(before, after, judge.Prediction.Equal) {
			return now, nil
		}
		r.ui.Note("The prediction changed; waiting for another %s: %s.", r.cfg.Settle, r.describe(after))
		before = after
	}
	return nil, fmt.Errorf("--settle %s: the prediction was not stable for this long in %d attempts", r.cfg.Settle, settleRounds)
}

// describe shows the predictions of all clients.
func (r *run) describe(ps []judge.Prediction) string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = "clients in " + r.clients[i].member.Name + ": " + p.String()
	}
	return strings.Join(parts, "; ")
}

// compare notices a prediction that differs from the one at the start.
func (r *run) compare(snap *routing.Snapshot) {
	if !r.mesh.comparable(snap) {
		return // a member that stays unread is an error of its own
	}
	for i, p := range r.predictions(snap) {
		if c := r.clients[i]; c.changed == "" && !p.Equal(c.prediction) {
			c.changed = p.String()
		}
	}
}
