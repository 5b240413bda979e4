package judge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
)

func TestPredict(t *testing.T) {
	t.Parallel()
	snap, key := meshtest.Snapshot()
	p := Predict(snap, "us", key, 80)
	if diff := cmp.Diff(map[string]float64{"us": 0.6, "eu": 0.4}, p.Shares); diff != "" || p.Why != "" {
		t.Errorf("%s %s", p.Why, diff)
	}
	for why, p := range map[string]Prediction{
		"no TCP port 81":      Predict(snap, "us", key, 81),
		"has no Service":      Predict(snap, "us", routing.Key{Namespace: "default", Name: "other"}, 80),
		"could not be read":   Predict(snap, "ap", key, 80),
		"sessionAffinity":     Predict(changed(func(c []routing.Cluster, k routing.Key) { c[0].Services[k].SessionAffinity = true }), "us", key, 80),
		"headless":            Predict(changed(func(c []routing.Cluster, k routing.Key) { c[0].Services[k].Headless = true }), "us", key, 80),
		"may also answer":     Predict(changed(func(c []routing.Cluster, _ routing.Key) { c[1] = routing.Cluster{Name: "eu", Gap: "timeout"} }), "us", key, 80),
		"not balanced by Cil": Predict(changed(func(c []routing.Cluster, k routing.Key) { c[0].Services[k].Type = "ExternalName" }), "us", key, 80),
	} {
		if p.Shares != nil || !strings.Contains(p.Why, why) {
			t.Errorf("%s: %+v", why, p)
		}
	}
	doubt := Predict(changed(func(c []routing.Cluster, _ routing.Key) { c[0].PeersKnown, c[0].Peers = true, []string{"eu", "ap"} }), "us", key, 80)
	if diff := cmp.Diff(p.Shares, doubt.Shares); diff != "" || !strings.Contains(doubt.Doubt, "ap, which is not read") {
		t.Errorf("a peer that was not asked: %q %s", doubt.Doubt, diff)
	}
	doubt = Predict(changed(func(c []routing.Cluster, _ routing.Key) { c[0].PeersKnown, c[0].Peers = false, nil }), "us", key, 80)
	if diff := cmp.Diff(p.Shares, doubt.Shares); diff != "" || !strings.Contains(doubt.Doubt, "the peers of the cluster could not be read") {
		t.Errorf("unknown peers: %q %s", doubt.Doubt, diff)
	}
	none := Predict(changed(func(c []routing.Cluster, k routing.Key) {
		c[0].Services[k].Endpoints, c[1].Services[k].Endpoints = nil, nil
	}), "us", key, 80)
	if !none.None || none.Shares["us"] != 0 {
		t.Errorf("%+v", none)
	}
}

func changed(f func([]routing.Cluster, routing.Key)) *routing.Snapshot {
	snap, key := meshtest.Snapshot()
	f(snap.Clusters, key)
	return snap
}

// The prediction says that no request fails, and those that were not sent may have failed.
func TestPredictionOfRequestsThatWereNotSent(t *testing.T) {
	t.Parallel()
	half, us := Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5}}, Prediction{Shares: map[string]float64{"us": 1, "eu": 0}}
	for name, tc := range map[string]struct {
		p       Prediction
		us, eu  int
		dropped int
		judged  bool
		want    Verdict
	}{
		"all were sent":             {half, 200, 200, 0, false, Pass},
		"one was not":               {half, 200, 200, 1, false, Inconclusive},
		"one was not, one cluster":  {us, 400, 0, 1, false, Inconclusive},
		"another check judges them": {half, 200, 200, 1, true, Pass},
		"another cluster answers":   {us, 399, 1, 1, false, Fail},
	} {
		got := CheckPrediction(tallyOf(tc.us, tc.eu, 0, 0), Evidence{Prediction: tc.p, Members: mesh, Dropped: tc.dropped, ErrorsJudged: tc.judged})
		if got.Verdict != tc.want || got.Verdict == Inconclusive && !strings.Contains(got.Reason, "1 requests were not sent") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
