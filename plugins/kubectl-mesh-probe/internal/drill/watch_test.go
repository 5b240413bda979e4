package drill

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	members "github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// Nothing is written before the last requests of every client were answered: what fails without the drill is not an effect of it.
func TestBaseline(t *testing.T) {
	t.Parallel()
	healthy := strings.Repeat("ue", 30) // 1.2 s
	for name, c := range map[string]struct {
		letters string
		want    string // "" is ready
	}{
		"healthy":            {healthy, ""},
		"too short":          {healthy[:40], "do not cover --baseline"},
		"nothing of us":      {strings.ReplaceAll(healthy, "u", "e"), "none of them from us"},
		"no answer":          {strings.Repeat("x", 60), "none of 60 requests was answered"},
		"fails now":          {healthy + "x", "1 of the last 51 requests failed without the drill (connect-timeout)"},
		"fails now and then": {strings.Repeat("uuueex", 12), "requests failed without the drill"},
		"failed at first":    {"xxxxx" + healthy, ""},
	} {
		got := ready{cluster: "us", long: time.Second}.lacks(seen(c.letters), true)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A pod that cannot keep the rate is not asked to measure a failover. At its start it may be late.
func TestBaselineInTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to int // the requests of 60 that start late
		refused  bool
	}{
		"in time":             {0, 0, false},
		"late while starting": {0, 9, false},
		"now and then":        {30, 35, false},
		"more than a tenth":   {30, 36, true},
		"always":              {0, 60, true},
	} {
		requests := seen(strings.Repeat("ue", 30)) // 51 of them are of the last second
		for i := c.from; i < c.to; i++ {
			requests[i].Lag = 71 * time.Millisecond
		}
		got := ready{cluster: "us", long: time.Second, late: 70 * time.Millisecond}.lacks(requests, true)
		if strings.Contains(got, "the pod cannot keep --rate; use a lower --rate") != c.refused || (got == "") == c.refused {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A pod that starts its requests late again and again does not keep the rate. At its start it may be late, and failures do not matter.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		letters  string
		from, to int // the requests, one each 20 ms, that start late
		slow     bool
	}{
		"in time":             {strings.Repeat("ue", 150), 0, 0, false},
		"too early to say":    {strings.Repeat("ue", 100), 0, 200, false},
		"late while starting": {strings.Repeat("ue", 150), 0, 100, false},
		"a tenth":             {strings.Repeat("ue", 150), 0, 119, false},
		"more than a tenth":   {strings.Repeat("ue", 150), 0, 125, true},
		"late and failing":    {strings.Repeat("ux", 150), 0, 300, true},
		"no request":          {"", 0, 0, false},
	} {
		requests := seen(c.letters)
		for i := c.from; i < c.to; i++ {
			requests[i].Lag = 71 * time.Millisecond
		}
		got := ready{clients: []string{"us", "eu"}, late: 70 * time.Millisecond}.tooSlow(map[pod][]history.Request{{"us", "client"}: requests})
		if c.slow != slices.Equal(got, []string{"us"}) || !c.slow && len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A pod that answered before its name was known is recognized later. The result of a drill has it.
func TestLaterAttribution(t *testing.T) {
	t.Parallel()
	w := &watch{requests: map[pod][]history.Request{}}
	var log history.Log
	for _, r := range seen(strings.Repeat("u", 20) + strings.Repeat("-", 20)) {
		if r.Cluster == "" {
			r.Reply = 1
		}
		w.observe(r)
		log.Add(r)
	}
	log.Attribute(history.Client{Cluster: "us", Pod: "client"}, 1, origin.Match{Name: "eu", Member: true})
	w.report = &probe.Report{Requests: &log}
	r := &run{watch: w, clients: []string{"us"}, marks: marks{cluster: "us", with: drillrecord.Scale, write: at(400), restore: at(5000), end: at(5000)}, forecast: forecast{affected: map[string]bool{"us": true}}}
	got := r.observed()
	if len(got) != 1 || got[0].During.Unknown != 0 || got[0].During.Answers["eu"] != 20 || got[0].FollowedMs == nil || *got[0].FollowedMs != 0 {
		t.Errorf("%+v", got)
	}
}

// The return also counts if the names of the pods that answered are known only at the end.
func TestLaterReturn(t *testing.T) {
	t.Parallel()
	for late, want := range map[string]string{"us": "", "eu": "us did not answer every client again within"} {
		w := &watch{requests: map[pod][]history.Request{}, stop: make(chan struct{}), done: make(chan struct{}), cancel: func() {}}
		var log history.Log
		for _, one := range seen(strings.Repeat("-", 20)) {
			one.Reply = 1
			w.observe(one)
			log.Add(one)
		}
		go func() {
			<-w.stop
			log.Attribute(history.Client{Cluster: "us", Pod: "client"}, 1, origin.Match{Name: late, Member: true})
			w.report = &probe.Report{Requests: &log}
			close(w.done)
		}()
		r := &run{
			Config: Config{Write: Write{Now: time.Now}, With: drillrecord.Scale}, ui: &screen{}, watch: w, target: &members.Member{Name: "us"},
			marks: marks{cluster: "us", with: drillrecord.Scale, restore: at(0)}, forecast: forecast{affected: map[string]bool{"us": true}},
		}
		got := ""
		if err := r.awaitReturn(t.Context()); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q", late, got)
		}
	}
}

// A drill that judged nobody has no result.
func TestNothingChecked(t *testing.T) {
	t.Parallel()
	expect := []Expectation{{expr: "errors=0%", none: true}}
	for name, c := range map[string]struct {
		with   drillrecord.With
		expect []Expectation
		checks []v1alpha1.ProbeCheck
		ok     bool
	}{
		"scale":                       {drillrecord.Scale, nil, nil, false},
		"scale, expected":             {drillrecord.Scale, expect, nil, false},
		"evict":                       {drillrecord.Evict, nil, nil, true},
		"evict, expected":             {drillrecord.Evict, expect, nil, false},
		"evict, expected and checked": {drillrecord.Evict, expect, []v1alpha1.ProbeCheck{{Result: "PASS"}}, true},
	} {
		r := &run{Config: Config{With: c.with, Expect: c.expect}, sel: &members.Selection{}}
		doc := v1alpha1.DrillReport{Document: v1alpha1.Document{Complete: true}, Checks: slices.Clone(c.checks)}
		if got := r.failure(t.Context(), &doc, nil, nil); (got == nil) != c.ok || got != nil && got.Missed {
			t.Errorf("%s: %v", name, got)
		}
	}
}
