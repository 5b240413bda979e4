package judge

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// fieldTally has replies of us and eu, replies and 503s with an unknown sender, and requests without a reply.
func fieldTally(us, eu, silent, unnamed503 int, failed map[reply.Class]int) *tally.Tally {
	t := tally.New(mesh)
	add := func(n int, r reply.Reply, who origin.Match) {
		for range n {
			t.Add(r, who)
		}
	}
	add(us, reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByPod})
	add(eu, reply.Reply{Status: 200}, origin.Match{Name: "eu", Member: true, By: origin.ByPod})
	add(silent, reply.Reply{Status: 200, Body: []byte("ok")}, origin.Match{})
	add(unnamed503, reply.Reply{Status: 503, Class: reply.Class5xx}, origin.Match{})
	for class, n := range failed {
		add(n, reply.Reply{Class: class}, origin.Match{})
	}
	return t
}

var (
	predictHalf = Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5, "ap": 0}}
	predictUS   = Prediction{Shares: map[string]float64{"us": 1, "eu": 0, "ap": 0}}
	predictEU   = Prediction{Shares: map[string]float64{"us": 0, "eu": 1, "ap": 0}}
	predictNone = Prediction{Why: "the Service is headless"}
)

// Half of the requests fail, and it is unknown where. No expectation about who answers passes, in any form and for any kind of failure. If the
// prediction leaves one cluster that can have answered, the failures are its own.
func TestField01FailuresAreEvidence(t *testing.T) {
	t.Parallel()
	ways := map[string]*tally.Tally{
		"503":     fieldTally(200, 0, 0, 200, nil),
		"reset":   fieldTally(200, 0, 0, 0, map[reply.Class]int{reply.ClassReset: 200}),
		"hang":    fieldTally(200, 0, 0, 0, map[reply.Class]int{reply.ClassReadTimeout: 200}),
		"refused": fieldTally(200, 0, 0, 0, map[reply.Class]int{reply.ClassRefused: 200}),
		"one":     fieldTally(399, 0, 0, 0, map[reply.Class]int{reply.ClassRefused: 1}),
		"unnamed": fieldTally(200, 0, 200, 0, nil),
	}
	for _, expr := range []string{"only=us", "us=100%", "us=100%", "eu=0%", "ap=0%", "us=50%", "us=99%", "us=50%±20", "eu=1%", "eu=1%±40", "eu=50%"} {
		for _, p := range []Prediction{predictHalf, predictUS, predictEU, predictNone, {Shares: predictUS.Shares, Doubt: "a peer was not read"}} {
			for way, tally := range ways {
				for _, judged := range []bool{false, true} {
					es, err := ParseExpectations([]string{expr}, mesh, false)
					if err != nil {
						t.Fatal(err)
					}
					if c := es[0].Judge(tally, Evidence{Prediction: p, Members: mesh, ErrorsJudged: judged}); c.Verdict == Pass {
						t.Errorf("%s, %s, predicted %s: %+v", expr, way, p, c)
					}
				}
			}
		}
	}
	for way, tally := range ways {
		for _, p := range []Prediction{predictHalf, predictUS, predictEU, predictNone} {
			for _, judged := range []bool{false, true} {
				if c := CheckPrediction(tally, Evidence{Prediction: p, Members: mesh, ErrorsJudged: judged}); c.Verdict == Pass {
					t.Errorf("prediction %s, %s: %+v", p, way, c)
				}
			}
		}
	}
}

// If only one cluster can have answered, there is a verdict.
func TestField01OneClusterLeft(t *testing.T) {
	t.Parallel()
	nobodyNamed := fieldTally(0, 0, 0, 400, nil)
	for _, tc := range []struct {
		expr  string
		p     Prediction
		tally *tally.Tally
		want  Verdict
	}{
		{"us=0%", predictUS, nobodyNamed, Fail},
		{"us=0%", predictHalf, nobodyNamed, Inconclusive},
		{"us=0%", predictEU, nobodyNamed, Inconclusive},
		{"us=0%", Prediction{Shares: predictUS.Shares, Caveats: []string{"a caveat"}}, nobodyNamed, Inconclusive},
		{"only=us", predictEU, nobodyNamed, Fail},
		{"only=us", predictUS, nobodyNamed, Fail}, // its own failures
		{"only=us", predictHalf, nobodyNamed, Inconclusive},
		{"only=us", predictUS, fieldTally(399, 0, 1, 0, nil), Inconclusive},
		{"us=100%", predictEU, nobodyNamed, Fail},
		{"us=100%", predictHalf, nobodyNamed, Inconclusive},
		{"us=50%", predictUS, nobodyNamed, Fail},
		{"us=50%", predictEU, nobodyNamed, Fail},
		{"us=50%", predictHalf, nobodyNamed, Inconclusive},
		{"us=50%", predictHalf, fieldTally(300, 90, 10, 0, nil), Fail}, // whoever sent the ten
		{"us=50%", predictHalf, fieldTally(210, 190, 0, 0, nil), Inconclusive},
		{"eu=0%", predictUS, fieldTally(399, 0, 0, 1, nil), Inconclusive},
	} {
		es, err := ParseExpectations([]string{tc.expr}, mesh, false)
		if err != nil {
			t.Fatal(err)
		}
		if c := es[0].Judge(tc.tally, Evidence{Prediction: tc.p, Members: mesh}); c.Verdict != tc.want {
			t.Errorf("%s, predicted %s: %+v, want %s", tc.expr, tc.p, c, tc.want)
		}
	}
}

// us=0% does not pass if no request was answered, such as when the name does not exist.
func TestField01NotASingleAnswer(t *testing.T) {
	t.Parallel()
	for _, class := range []reply.Class{reply.ClassDNS, reply.ClassRefused, reply.ClassTLS, reply.ClassTool} {
		tally := fieldTally(0, 0, 0, 0, map[reply.Class]int{class: 400})
		for _, expr := range []string{"us=0%", "us=100%", "only=us", "us=50%", "us=50%±40"} {
			for _, p := range []Prediction{predictHalf, predictUS, predictEU, predictNone} {
				es, err := ParseExpectations([]string{expr}, mesh, false)
				if err != nil {
					t.Fatal(err)
				}
				if c := es[0].Judge(tally, Evidence{Prediction: p, Members: mesh}); c.Verdict != Inconclusive || c.Reason != noneAnswered {
					t.Errorf("%s, %s: %+v", class, expr, c)
				}
			}
		}
		for _, p := range []Prediction{predictHalf, predictUS} {
			if c := CheckPrediction(tally, Evidence{Prediction: p, Members: mesh}); c.Verdict != Inconclusive {
				t.Errorf("%s: %+v", class, c)
			}
		}
		none := Prediction{Shares: map[string]float64{"us": 0, "eu": 0, "ap": 0}, None: true}
		want := Inconclusive
		if class == reply.ClassRefused {
			want = Pass // as predicted: the Service exists and has no backend
		}
		if c := CheckPrediction(tally, Evidence{Prediction: none, Members: mesh}); c.Verdict != want {
			t.Errorf("no backend, %s: %+v", class, c)
		}
	}
}

func TestField01PredictionReportsAnswered(t *testing.T) {
	t.Parallel()
	for tally, want := range map[*tally.Tally]string{
		fieldTally(205, 195, 0, 0, nil):                                               "400 of 400 requests were answered: us 51.2% (predicted 50.0%), eu 48.8% (predicted 50.0%); chi-square 0.25, df 1, p 0.617",
		fieldTally(205, 180, 0, 5, map[reply.Class]int{reply.ClassRefused: 10}):       "390 of 400 requests were answered: us 51.2% (predicted 50.0%), eu 45.0% (predicted 50.0%)",
		fieldTally(0, 0, 0, 0, map[reply.Class]int{reply.ClassRefused: 1}):            "0 of 1 requests were answered: us 0.0% (predicted 50.0%), eu 0.0% (predicted 50.0%)",
		fieldTally(10, 0, 0, 0, map[reply.Class]int{reply.ClassRefused: 1, "dns": 1}): "10 of 12 requests were answered: us 83.3% (predicted 50.0%), eu 0.0% (predicted 50.0%)",
	} {
		if c := CheckPrediction(tally, Evidence{Prediction: predictHalf, Members: mesh}); c.Observed != want {
			t.Errorf("got  %q\nwant %q", c.Observed, want)
		}
	}
	if c := CheckPrediction(fieldTally(3, 0, 0, 0, nil), Evidence{Prediction: predictNone, Members: mesh}); c.Observed != "3 of 3 requests were answered" || c.Verdict != Inconclusive {
		t.Errorf("no prediction: %+v", c)
	}
}

// With a caveat, a tally that fits passes and shows the caveat. A tally that does not fit is inconclusive.
func TestField01Caveat(t *testing.T) {
	t.Parallel()
	for _, p := range []Prediction{
		{Shares: predictHalf.Shares, Doubt: "a peer was not read"},
		{Shares: predictHalf.Shares, Caveats: []string{"internalTrafficPolicy is Local"}},
	} {
		for tally, want := range map[*tally.Tally]Verdict{fieldTally(205, 195, 0, 0, nil): Pass, fieldTally(400, 0, 0, 0, nil): Inconclusive} {
			if c := CheckPrediction(tally, Evidence{Prediction: p, Members: mesh}); c.Verdict != want || c.Reason == "" {
				t.Errorf("%+v: %+v, want %s", p, c, want)
			}
		}
	}
}
