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

// noPrediction is the error for --expect-prediction where nothing is predicted. It is nil if every target has a prediction.
func (r *run) noPrediction() error {
	for _, s := range r.services {
		if !s.found {
			return fmt.Errorf("--expect-prediction: there is no prediction for %s: %s", s.url, r.clientsOf(s)[0].unnamed)
		}
	}
	return nil
}

// predictions returns what routing predicts for each client, in their order.
func (r *run) predictions(snaps snapshots) []judge.Prediction {
	out := make([]judge.Prediction, len(r.clients))
	for i, c := range r.clients {
		out[i] = c.predict(snaps[c.to])
	}
	return out
}

// predict returns what routing predicts for the client.
func (c *client) predict(snap *routing.Snapshot) judge.Prediction {
	if c.unnamed != "" {
		return judge.Prediction{Why: c.unnamed}
	}
	p := judge.Predict(snap, c.member.Name, c.to.key, c.to.url.Port())
	p.Caveats = slices.Concat(p.Caveats, c.caveats)
	return p
}

// predict keeps the prediction from before the first request.
func (r *run) predict(snaps snapshots) {
	r.mesh.touched = map[routing.Key]bool{}
	for _, snap := range snaps {
		for _, c := range snap.Clusters {
			if c.Gap != "" && !slices.Contains(r.mesh.unread, c.Name) {
				r.mesh.unread = append(r.mesh.unread, c.Name)
			}
		}
	}
	var warned []string
	for i, p := range r.predictions(snaps) {
		c := r.clients[i]
		c.prediction = p
		for _, w := range p.Caveats {
			line := fmt.Sprintf("cluster %s: %s", c.member.Name, w)
			if c.url != "" {
				line = fmt.Sprintf("cluster %s, Service %s: %s", c.member.Name, c.to.key, w)
			}
			if !slices.Contains(c.caveats, w) && !slices.Contains(warned, line) { // those of the pod were reported with the pod
				warned = append(warned, line)
				r.ui.Warn("%s", line)
			}
		}
	}
}

// settleRounds is how often --settle waits again because the prediction has changed.
const settleRounds = 20

// settle returns when the prediction has been stable for --settle. Cilium takes some time to carry a change to all clusters.
func (r *run) settle(ctx context.Context, snaps snapshots) (snapshots, error) {
	before := r.predictions(snaps)
	r.ui.Note("Waiting until the prediction has been stable for %s (--settle): %s.", r.cfg.Settle, r.describe(before))
	for range settleRounds {
		timer := time.NewTimer(r.cfg.Settle)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		now := r.read(ctx)
		after := r.predictions(now)
		if slices.EqualFunc(before, after, judge.Prediction.Equal) {
			return now, nil
		}
		r.ui.Note("The prediction changed; waiting another %s: %s.", r.cfg.Settle, r.describe(after))
		before = after
	}
	return nil, fmt.Errorf("--settle %s: the prediction was not stable for this long in %d attempts; wait until no rollout is under way, or use a shorter --settle", r.cfg.Settle, settleRounds)
}

// describe shows the predictions of all clients.
func (r *run) describe(ps []judge.Prediction) string {
	var parts []string
	for i, p := range ps {
		c := r.clients[i]
		of := "clients in " + c.member.Name
		if c.url != "" {
			of += ", " + c.url
		}
		if part := of + ": " + p.String(); !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

// compare notices predictions that differ from those at the start. It leaves out targets that were not read.
func (r *run) compare(snaps snapshots) {
	for _, c := range r.clients {
		snap := snaps[c.to]
		if c.changed != "" || snap == nil || len(r.mesh.silent(snap)) > 0 {
			continue // a member that stays unread is an error of its own
		}
		if p := c.predict(snap); !p.Equal(c.prediction) {
			c.changed = p.String()
		}
	}
}
