package judge

import (
	"fmt"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

func tallyOf(us, eu, unknown, refused int) *tally.Tally {
	t := tally.New(mesh)
	for range us {
		t.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByPod})
	}
	for range eu {
		t.Add(reply.Reply{Status: 200}, origin.Match{Name: "eu", Member: true, By: origin.ByPod})
	}
	for range unknown {
		t.Add(reply.Reply{Status: 200}, origin.Match{})
	}
	for range refused {
		t.Add(reply.Reply{Class: reply.ClassRefused}, origin.Match{})
	}
	return t
}

func TestExpect(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		expr                     string
		us, eu, unknown, refused int
		want                     Verdict
	}{
		{"us=50%", 500, 500, 0, 0, Pass},
		{"us=50%", 60, 40, 0, 0, Inconclusive},
		{"us=50%", 700, 300, 0, 0, Fail},
		{"us=50%", 500, 499, 1, 0, Inconclusive},
		{"kind-us=50%", 500, 500, 0, 0, Pass},
		{"us=0%", 0, 100, 0, 0, Pass},
		{"us=0%", 1, 9999, 0, 0, Fail},
		{"us=0%", 0, 99, 1, 0, Inconclusive},
		{"us=100%", 100, 0, 0, 0, Pass},
		{"us=100%", 100, 0, 0, 1, Fail},
		{"us=100%", 100, 0, 1, 0, Inconclusive},
		{"only=us", 100, 0, 0, 0, Pass},
		{"only=us", 100, 1, 0, 0, Fail},
		{"only=us", 100, 0, 1, 0, Inconclusive},
		{"only=us", 0, 0, 0, 100, Inconclusive},
		{"only=us", 99, 0, 0, 1, Inconclusive},
		{"errors<1%", 1000, 0, 0, 0, Pass},
		{"errors<1%", 100, 0, 0, 0, Inconclusive},
		{"errors<1%", 900, 0, 0, 100, Fail},
		{"errors=0%", 900, 0, 0, 1, Fail},
		{"errors=0%", 900, 0, 0, 0, Pass},
		{"us=50%", 0, 0, 0, 0, Inconclusive},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			t.Parallel()
			es, err := ParseExpectations([]string{tc.expr}, mesh, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := es[0].Judge(tallyOf(tc.us, tc.eu, tc.unknown, tc.refused), Evidence{Members: mesh}); got.Verdict != tc.want {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}
}

func TestParseExpectErrors(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{"", "us", "us=", "=5%", "us=50", "us=150%", "us=-1%", "us=NaN%", "mars=5%", "only=mars", "errors<", "errors<0%", "errors=5%", "us=60%,eu=60%", "us=1%,us=2%", "us=10%,"} {
		if got, err := ParseExpectations([]string{expr}, mesh, false); err == nil {
			t.Errorf("%q: %+v", expr, got)
		}
	}
	if _, err := ParseExpectations([]string{"Cluster-1=50%, only=x"}, mesh, true); err != nil {
		t.Error(err)
	}
}

func TestJudgePrediction(t *testing.T) {
	t.Parallel()
	half := Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5, "ap": 0}}
	two := Prediction{Shares: map[string]float64{"us": 2. / 3, "eu": 1. / 3, "ap": 0}}
	local := Prediction{Shares: map[string]float64{"us": 1, "eu": 0, "ap": 0}}
	doubt := Prediction{Shares: half.Shares, Doubt: "a peer was not read"}
	nobody := Prediction{Shares: map[string]float64{"us": 0, "eu": 0, "ap": 0}, None: true}
	for name, tc := range map[string]struct {
		p      Prediction
		tally  *tally.Tally
		judged bool
		want   Verdict
	}{
		"half":             {half, tallyOf(510, 490, 0, 0), false, Pass},
		"half, but not":    {half, tallyOf(600, 400, 0, 0), false, Fail},
		"in doubt, right":  {doubt, tallyOf(510, 490, 0, 0), false, Pass},
		"in doubt, wrong":  {doubt, tallyOf(600, 400, 0, 0), false, Inconclusive},
		"two thirds":       {two, tallyOf(667, 333, 0, 0), false, Pass},
		"two thirds, even": {two, tallyOf(500, 500, 0, 0), false, Fail},
		"a single stray":   {local, tallyOf(9999, 1, 0, 0), false, Fail},
		"local":            {local, tallyOf(1000, 0, 0, 0), false, Pass},
		"unknown":          {local, tallyOf(999, 0, 1, 0), false, Inconclusive},
		"errors":           {local, tallyOf(999, 0, 0, 1), false, Fail},
		"errors judged":    {local, tallyOf(999, 0, 0, 1), true, Inconclusive},
		"few":              {half, tallyOf(3, 4, 0, 0), false, Inconclusive},
		"none":             {nobody, tallyOf(0, 0, 0, 50), false, Pass},
		"none, but one":    {nobody, tallyOf(1, 0, 0, 49), false, Fail},
		"no prediction":    {Prediction{Why: "headless"}, tallyOf(10, 0, 0, 0), false, Inconclusive},
		"nothing":          {half, tallyOf(0, 0, 0, 0), false, Inconclusive},
		"all errors":       {half, tallyOf(0, 0, 0, 100), true, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := CheckPrediction(tc.tally, Evidence{Prediction: tc.p, Members: mesh, ErrorsJudged: tc.judged}); got.Verdict != tc.want {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}
}
