package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

var testClusters = []string{"ap", "eu", "us"}

func TestStatesRepeat(t *testing.T) {
	t.Parallel()
	all, gates := drawAll(options{seed: 7, states: 40, only: -1}, testClusters)
	one, again := drawAll(options{seed: 7, states: 40, only: 23}, testClusters)
	if len(one) != 1 {
		t.Fatalf("%d states, want the one asked for", len(one))
	}
	if d := cmp.Diff(all[23], one[0]); d != "" {
		t.Errorf("a state alone is not that of the whole run: %s", d)
	}
	if d := cmp.Diff(gates, again); d != "" {
		t.Errorf("the namespaces differ: %s", d)
	}
	other, _ := drawAll(options{seed: 8, states: 40, only: 23}, testClusters)
	if cmp.Equal(one, other) {
		t.Error("another seed gives the same state")
	}
}

// The tested situations must occur in a run of the usual size.
func TestStatesVary(t *testing.T) {
	t.Parallel()
	states, _ := drawAll(options{seed: 1, states: 200, only: -1}, testClusters)
	text := ""
	for _, s := range states {
		text += s.String()
		if s.Clusters[s.Client] != nil && s.Clusters[s.Client].Headless {
			t.Errorf("the client's own Service is headless:\n%s", s)
		}
	}
	for _, want := range []string{
		"no Service", "io.cilium/global-service", "io.cilium/shared-service", "io.cilium/service-affinity", `"service.cilium.io/affinity":"junk"`,
		`"service.cilium.io/affinity":"local"`, `"service.cilium.io/affinity":"remote"`, `"service.cilium.io/shared":"false"`, "headless true",
		"terminating true", "ready absent", "UDP", "managed-by", "service-proxy-name", "asked from ap", "asked from eu", "asked from us", "8080",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no state has %q", want)
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	thirds := map[string]float64{"us": 2.0 / 3, "eu": 1.0 / 3, "ap": 0}
	nobody := map[string]float64{"us": 0, "eu": 0, "ap": 0}
	for name, tc := range map[string]struct {
		shares map[string]float64
		counts map[string]int
		lost   int
		want   string // part of the error
	}{
		"as predicted":                {thirds, map[string]int{"us": 667, "eu": 333}, 0, ""},
		"chance":                      {thirds, map[string]int{"us": 640, "eu": 360}, 0, ""},
		"too much":                    {thirds, map[string]int{"us": 500, "eu": 500}, 0, "chi-square"},
		"one is silent":               {thirds, map[string]int{"us": 1000}, 0, "chi-square"},
		"one answer of a predicted 0": {thirds, map[string]int{"us": 666, "eu": 333, "ap": 1}, 0, "ap answered 1 of 1000"},
		"lost requests":               {thirds, map[string]int{"us": 666, "eu": 333}, 1, "1 of 1000 requests were not answered"},
		"not accounted for":           {thirds, map[string]int{"us": 667, "eu": 332}, 0, "999 of 1000"},
		"a stranger":                  {thirds, map[string]int{"us": 666, "eu": 333, "x": 1}, 0, `"x" answered`},
		"nobody, as predicted":        {nobody, nil, 1000, ""},
		"somebody instead of nobody":  {nobody, map[string]int{"us": 1}, 999, "us answered 1 of 1000"},
		"shares do not add up":        {map[string]float64{"us": 0.5}, map[string]int{"us": 1000}, 0, "add up to 0.5"},
		"a single cluster, all of it": {map[string]float64{"us": 1, "eu": 0}, map[string]int{"us": 1000}, 0, ""},
		"a single cluster, not all":   {map[string]float64{"us": 1, "eu": 0}, map[string]int{"us": 999}, 1, "not answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tally{shares: tc.shares, counts: tc.counts, unanswered: tc.lost, requests: 1000}.fit(familyWise / 200)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestPredict(t *testing.T) {
	t.Parallel()
	shares := []v1alpha1.Outcome{{Shares: []v1alpha1.Share{{Cluster: "us", Share: ptr.To(1.0)}}}}
	for name, tc := range map[string]struct {
		predictions []v1alpha1.Prediction
		kind, want  string
	}{
		"of the client": {[]v1alpha1.Prediction{
			{Client: "eu", Kind: "balanced", Complete: true},
			{Client: "us", Kind: "balanced", Complete: true, Port: v1alpha1.Port{Port: 8080}},
			{Client: "us", Kind: "balanced", Complete: true, Port: v1alpha1.Port{Port: 80}, Outcomes: shares},
		}, "balanced", ""},
		"no Service":         {[]v1alpha1.Prediction{{Client: "us", Kind: "missing", Complete: true}}, "missing", ""},
		"not complete":       {[]v1alpha1.Prediction{{Client: "us", Outcomes: shares}}, "", "not complete"},
		"versions differ":    {[]v1alpha1.Prediction{{Client: "us", Complete: true, Outcomes: append(shares, shares...)}}, "", "2 outcomes"},
		"nothing of the one": {[]v1alpha1.Prediction{{Client: "eu", Complete: true}}, "", "predicts nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind, got, err := predict(v1alpha1.ServiceReport{Predictions: tc.predictions}, "us", testClusters)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want one with %q", err, tc.want)
				}
				return
			}
			if err != nil || kind != tc.kind {
				t.Fatalf("kind %q, error %v", kind, err)
			}
			share := 0.0
			if tc.kind == "balanced" {
				share = 1
			}
			if d := cmp.Diff(map[string]float64{"ap": 0, "eu": 0, "us": share}, got); d != "" {
				t.Error(d)
			}
		})
	}
}
