package probe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/witness"
)

// The layers in which something may differ.
const (
	differsNone    = "none"
	differsAgent   = "agent"
	differsTraffic = "traffic"
)

// witnessRounds is how often an agent is asked that differs from the prediction, and witnessPause the time in between: a change that was made a
// moment ago needs time to arrive.
const (
	witnessRounds = 3
	witnessPause  = time.Second
)

// askAgents compares the tables of the agents on the clients' nodes with the prediction and with the traffic, and adds a check for each client.
func (r *run) askAgents(ctx context.Context, doc *v1alpha1.ProbeReport) {
	found := make([]v1alpha1.ProbeWitness, len(r.clients))
	for round := range witnessRounds {
		if round > 0 {
			timer := time.NewTimer(witnessPause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
		snaps := r.snapshots(ctx, r.found(), r.mesh.look)
		var wg sync.WaitGroup
		for i, c := range r.clients {
			if c.hasSent() && (round == 0 || found[i].DifferingLayer == differsAgent) {
				wg.Go(func() { found[i] = r.askAgent(ctx, c, snaps[c.to]) })
			}
		}
		wg.Wait()
		if !slices.ContainsFunc(found, func(w v1alpha1.ProbeWitness) bool { return w.DifferingLayer == differsAgent }) {
			break
		}
	}
	for i, c := range r.clients {
		if c.hasSent() {
			doc.Witnesses = append(doc.Witnesses, found[i])
			doc.Checks = append(doc.Checks, checkWitness(c.name, found[i]))
		}
	}
}

// askAgent asks the agent on the node of one client.
func (r *run) askAgent(ctx context.Context, c *client, snap *routing.Snapshot) v1alpha1.ProbeWitness {
	out := v1alpha1.ProbeWitness{Cluster: c.member.Name, Pod: c.pod.Name, URL: c.url, Node: c.pod.Node}
	if !c.to.found || c.unnamed != "" {
		out.Message = "no Service of the mesh was called"
		return out
	}
	var table witness.Table
	err := fanout.Do(ctx, r.mesh.timeout, func(ctx context.Context) (err error) {
		out.Agent, table, err = witness.Read(ctx, c.member, c.pod.Node)
		return err
	})
	if err != nil {
		out.Message = text.OneLine(err.Error())
		return out
	}
	r.judgeAgent(&out, c, table, snap)
	return out
}

// judgeAgent compares the table of an agent with the prediction, and the traffic with the table.
func (r *run) judgeAgent(out *v1alpha1.ProbeWitness, c *client, table witness.Table, snap *routing.Snapshot) {
	a := witness.Compare(table, snap, c.member.Name, c.to.key, c.to.url.Port())
	for _, f := range a.Frontends {
		out.Frontends = append(out.Frontends, f.String())
	}
	out.Backends, out.UnknownBackends, out.AgentShares = a.Backends, a.Unknown, a.Shares
	out.MissingBackends, out.ExtraBackends = describeBackends(a.Missing), describeBackends(a.Extra)
	now := judge.Predict(snap, c.member.Name, c.to.key, c.to.url.Port())
	out.PredictedShares, out.TrafficShares = now.Shares, c.traffic()
	const unclear = "the agent has the predicted backends, but the traffic cannot be compared: "
	switch {
	case a.Why != "":
		out.Message = a.Why
	case !a.Agrees():
		out.DifferingLayer, out.Message = differsAgent, describeDifference(a)
	case now.Shares == nil:
		out.Message = unclear + now.Why
	case c.changed != "":
		out.Message = unclear + "the prediction changed during the run"
	case !c.result.Complete:
		out.Message = unclear + "the run is not complete"
	default:
		switch k := r.checkTraffic(c, a, now); k.Verdict {
		case judge.Pass:
			out.DifferingLayer = differsNone
		case judge.Fail:
			out.DifferingLayer, out.Message = differsTraffic, "the requests were answered with other shares than the agent's backends have"
		default:
			out.Message = unclear + k.Reason
		}
	}
}

// checkTraffic compares the requests of a client with the backends of its agent, as --expect-prediction compares them with the prediction, and
// with the same doubts. A request that failed proves nothing about the agent's table.
func (r *run) checkTraffic(c *client, a witness.Agent, now judge.Prediction) judge.Check {
	ev := r.evidence(c)
	ev.ErrorsJudged, ev.Prediction = true, judge.Prediction{
		Shares: atLeastEmpty(a.Shares), None: len(a.Shares) == 0, Doubt: cmp.Or(now.Doubt, c.prediction.Doubt), Caveats: slices.Concat(now.Caveats, c.caveats),
	}
	return judge.CheckPrediction(c.tally, ev)
}

// atLeastEmpty keeps an agent without backends from having no shares: then nobody should answer.
func atLeastEmpty(shares map[string]float64) map[string]float64 {
	if shares == nil {
		return map[string]float64{}
	}
	return shares
}

// traffic returns the share of each cluster in the requests that were attributed.
func (c *client) traffic() map[string]float64 {
	attributed := c.tally.Requests - c.tally.Unattributed()
	if attributed == 0 {
		return nil
	}
	out := map[string]float64{}
	for _, row := range c.tally.Rows(nil) {
		if row.Requests > 0 {
			out[row.Name] = float64(row.Requests) / float64(attributed)
		}
	}
	return out
}

func describeBackends(list []witness.Backend) []v1alpha1.WitnessBackend {
	var out []v1alpha1.WitnessBackend
	for _, b := range list {
		out = append(out, v1alpha1.WitnessBackend{Address: b.Addr.String(), Cluster: b.Cluster})
	}
	return out
}

// describeDifference says how an agent differs from the prediction.
func describeDifference(a witness.Agent) string {
	if a.Absent {
		return "the agent does not have the Service's address"
	}
	var parts []string
	for _, d := range []struct {
		what string
		list []witness.Backend
	}{{"lacks", a.Missing}, {"still has", a.Extra}} {
		counts := map[string]int{}
		for _, b := range d.list {
			counts[b.Cluster]++
		}
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			of := "of " + name
			if name == "" {
				of = "that no cluster has"
			}
			parts = append(parts, fmt.Sprintf("%s backends %s (%d)", d.what, of, counts[name]))
		}
	}
	return "the agent " + strings.Join(parts, " and ")
}

// checkWitness is the check of one client: the agent has the predicted backends, and the traffic fits them.
func checkWitness(client string, w v1alpha1.ProbeWitness) v1alpha1.ProbeCheck {
	k := v1alpha1.ProbeCheck{Client: client, URL: w.URL, Expectation: "witness agents", Result: string(judge.Inconclusive), Reason: w.Message}
	switch w.DifferingLayer {
	case differsNone:
		k.Result = string(judge.Pass)
	case differsAgent, differsTraffic:
		k.Result, k.Reason = string(judge.Fail), fmt.Sprintf("node %s: %s", w.Node, w.Message)
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(w.Backends)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, w.Backends[name]))
	}
	if w.UnknownBackends > 0 {
		parts = append(parts, fmt.Sprintf("<unknown> %d", w.UnknownBackends))
	}
	if w.Agent != "" {
		k.Observed = "backends: " + strings.Join(parts, ", ")
		if len(parts) == 0 {
			k.Observed = "no backend"
		}
	}
	return k
}
