package main

import (
	"strings"
	"testing"
	"time"
)

// A true gate may miss one of 60 runs, and a false one may pass one. An inconclusive run does not count as passed.
func TestBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		holds            bool
		pass, fail, open int
		kept             bool
	}{
		"all":                 {true, 60, 0, 0, true},
		"all but one":         {true, 59, 0, 1, true},
		"all but two":         {true, 58, 1, 1, false},
		"none":                {false, 0, 60, 0, true},
		"one by chance":       {false, 1, 58, 1, true},
		"two":                 {false, 2, 58, 0, false},
		"undecided":           {false, 0, 30, 30, false},
		"600, ten of them":    {true, 590, 0, 10, true},
		"600, eleven of them": {true, 589, 0, 11, false},
	} {
		s := series{gate: gate{name: name, expr: "us=50%", holds: c.holds}}
		for verdict, n := range map[string]int{"PASS": c.pass, "FAIL": c.fail, "INCONCLUSIVE": c.open} {
			for range n {
				s.add(result{verdict: verdict, requests: 100, us: 51, took: time.Second})
			}
		}
		var out strings.Builder
		err := report(&out, []series{s})
		if s.kept() != c.kept || (err == nil) != c.kept || !strings.Contains(out.String(), "51.00%") {
			t.Errorf("%s: kept %v, %v\n%s", name, s.kept(), err, out.String())
		}
	}
}

// A gate that never ran proves nothing.
func TestNoRuns(t *testing.T) {
	t.Parallel()
	for _, holds := range []bool{true, false} {
		if s := (series{gate: gate{holds: holds}}); s.kept() {
			t.Errorf("holds %v: kept without a run", holds)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	if got, err := choose("half,sixty"); err != nil || len(got) != 2 || got[1].name != "sixty" {
		t.Errorf("%v %v", got, err)
	}
	if got, err := choose(""); err != nil || len(got) != len(gates) {
		t.Errorf("%v %v", got, err)
	}
	if _, err := choose("half,x"); err == nil {
		t.Error("an unknown gate")
	}
	for _, g := range gates {
		if _, ok := shares[g.service]; !ok || !strings.Contains(manifests("eu"), "kind: Service\nmetadata: {name: "+g.service+",") {
			t.Errorf("%s has no Service", g.name)
		}
	}
}
