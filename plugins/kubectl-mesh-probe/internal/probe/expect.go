package probe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// Verdict is the result of a check. It has three values because a small sample proves nothing.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "PASS"
	Fail         Verdict = "FAIL"
	Inconclusive Verdict = "INCONCLUSIVE"
)

// tolerance is how far a share may lie from an expected one, in points: us=50% means 45 % to 55 %.
const tolerance = 0.05

// significance is the probability below which a deviation from the prediction is not taken for chance.
const significance = 1e-4

// Check is one expectation and what became of it.
type Check struct {
	Expr     string
	Verdict  Verdict
	Observed string
	Reason   string
}

// Expectation is one parsed --expect.
type Expectation struct {
	expr  string
	kind  string // share, only, errors
	name  string
	value float64
}

// ParseExpect reads expressions such as us=50%, only=us and errors<1%, separated by commas.
// names resolves a cluster or context name; with a rule that captures values any name may stand.
func ParseExpect(exprs []string, members []Known, anyName bool) ([]Expectation, error) {
	var out []Expectation
	sum, seen := 0.0, map[string]bool{}
	for _, all := range exprs {
		for expr := range strings.SplitSeq(all, ",") {
			expr = strings.TrimSpace(expr)
			e, err := parseExpectation(expr, members, anyName)
			if err != nil {
				return nil, fmt.Errorf("--expect %q: %w", expr, err)
			}
			if e.kind == "share" {
				if seen[e.name] {
					return nil, fmt.Errorf("--expect %q: there is another share for %s", expr, e.name)
				}
				seen[e.name] = true
				sum += e.value
			}
			out = append(out, e)
		}
	}
	if sum > 1+1e-9 {
		return nil, fmt.Errorf("--expect: the shares add up to %s", percent(sum))
	}
	return out, nil
}

func parseExpectation(expr string, members []Known, anyName bool) (Expectation, error) {
	e := Expectation{expr: expr}
	if rest, ok := strings.CutPrefix(expr, "errors<"); ok {
		v, err := parsePercent(rest)
		if err != nil {
			return e, err
		}
		if v == 0 {
			return e, errors.New("nothing is below 0%; use errors=0%")
		}
		e.kind, e.value = "errors", v
		return e, nil
	}
	left, right, ok := cutLast(expr, "=")
	if !ok || left == "" || right == "" {
		return e, errors.New("want CLUSTER=PERCENT%, only=CLUSTER or errors<PERCENT%")
	}
	switch left {
	case "errors":
		v, err := parsePercent(right)
		if err != nil || v != 0 {
			return e, errors.New("want errors=0% or errors<PERCENT%")
		}
		e.kind = "noerrors"
		return e, nil
	case "only":
		e.kind, e.name = "only", right
	default:
		v, err := parsePercent(right)
		if err != nil {
			return e, err
		}
		e.kind, e.name, e.value = "share", left, v
	}
	if name, ok := findMember(members, e.name); ok {
		e.name = name
	} else if !anyName {
		return e, fmt.Errorf("no cluster %q among those that are read: %s", e.name, memberNames(members))
	}
	return e, nil
}

func parsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) || !strings.HasSuffix(s, "%") {
		return 0, fmt.Errorf("%q is not a percentage from 0%% to 100%%", s)
	}
	return v / 100, nil
}

// Judge compares the tally with the expectation.
func (e Expectation) Judge(t *Tally) Check {
	c := Check{Expr: e.expr}
	n := t.Requests
	if n == 0 {
		return c.end(Inconclusive, "no request was counted")
	}
	switch e.kind {
	case "noerrors":
		c.Observed = ratio(t.Failed(), n)
		if t.Failed() > 0 {
			return c.end(Fail, "")
		}
		return c.end(Pass, "")
	case "errors":
		ci := stats.Wilson(t.Failed(), n)
		c.Observed = fmt.Sprintf("%s, 95%% CI %s", ratio(t.Failed(), n), interval(ci))
		switch {
		case ci.High < e.value:
			return c.end(Pass, "")
		case ci.Low >= e.value:
			return c.end(Fail, "")
		}
		return c.end(Inconclusive, "too few requests to tell; use a larger --count")
	case "only":
		return e.judgeOnly(t, c)
	}
	k := t.Count(e.name)
	ci := stats.Wilson(k, n)
	c.Observed = fmt.Sprintf("%s, 95%% CI %s", ratio(k, n), interval(ci))
	switch {
	case e.value == 0 && k > 0 || e.value == 1 && k+t.Unknown < n:
		return c.end(Fail, "")
	case t.Unknown > 0:
		return c.end(Inconclusive, fmt.Sprintf("%d replies could not be attributed; use --identify", t.Unknown))
	case e.value == 0, e.value == 1:
		return c.end(Pass, "")
	case ci.Low >= e.value-tolerance && ci.High <= e.value+tolerance:
		return c.end(Pass, "")
	case ci.High < e.value-tolerance || ci.Low > e.value+tolerance:
		return c.end(Fail, fmt.Sprintf("more than %s from it", percent(tolerance)))
	}
	return c.end(Inconclusive, "too few requests to tell; use a larger --count")
}

func (e Expectation) judgeOnly(t *Tally, c Check) Check {
	own, others := t.Count(e.name), 0
	for name, r := range t.rows {
		if name != e.name {
			others += r.Requests
		}
	}
	c.Observed = fmt.Sprintf("%s by it, %d by others", ratio(own, t.Requests), others)
	switch {
	case others > 0:
		return c.end(Fail, "")
	case t.Unknown > 0:
		return c.end(Inconclusive, fmt.Sprintf("%d replies could not be attributed; use --identify", t.Unknown))
	case own == 0:
		return c.end(Fail, "nobody answered")
	}
	return c.end(Pass, "")
}

// JudgePrediction compares the tally with who should answer: a share of 0 must be
// exactly 0; the others must fit by a chi-square test at 1e-4. A request without an
// answer misses it too, unless an expectation about errors is there to judge it. Where
// the prediction was made in doubt, missing it is inconclusive.
func JudgePrediction(t *Tally, p Prediction, members []Known, errorsJudged bool) Check {
	c := judgePrediction(t, p, members, errorsJudged)
	if c.Verdict == Fail && p.Doubt != "" {
		return c.end(Inconclusive, c.Reason+"; the prediction was in doubt: "+p.Doubt)
	}
	return c
}

func judgePrediction(t *Tally, p Prediction, members []Known, errorsJudged bool) Check {
	c := Check{Expr: "prediction"}
	if p.Shares == nil {
		return c.end(Inconclusive, p.Why)
	}
	if t.Requests == 0 {
		return c.end(Inconclusive, "no request was counted")
	}
	var observed []int
	var shares []float64
	var parts []string
	answered, smallest := 0, 1.0
	for _, r := range t.Rows(members) {
		answered += r.Requests
		share := p.Shares[r.Name]
		if share == 0 {
			if r.Requests > 0 {
				c.Observed = fmt.Sprintf("%s by %s", ratio(r.Requests, t.Requests), r.Name)
				return c.end(Fail, "nothing should be answered by "+r.Name)
			}
			continue
		}
		observed, shares = append(observed, r.Requests), append(shares, share)
		smallest = min(smallest, share)
		parts = append(parts, fmt.Sprintf("%s %s of %s", r.Name, percent(float64(r.Requests)/float64(t.Requests)), percent(share)))
	}
	c.Observed = strings.Join(parts, ", ")
	switch {
	case t.Unknown > 0:
		return c.end(Inconclusive, fmt.Sprintf("%d replies could not be attributed; use --identify", t.Unknown))
	case p.None:
		c.Observed = fmt.Sprintf("%d of %d requests without an answer", t.NoAnswer, t.Requests)
		return c.end(Pass, "there is no backend")
	case t.NoAnswer > 0 && !errorsJudged:
		return c.end(Fail, fmt.Sprintf("%d requests got no answer; --expect 'errors<1%%' allows some", t.NoAnswer))
	case len(observed) == 1 && answered > 0:
		return c.end(Pass, "")
	case float64(answered)*smallest < 5:
		return c.end(Inconclusive, fmt.Sprintf("too few requests for a test; use --count %d or more", int(5/smallest)+1))
	}
	chi2, df, prob := stats.ChiSquare(observed, shares)
	c.Observed += fmt.Sprintf("; chi-square %.2f, df %d, p %.3g", chi2, df, prob)
	if prob < significance {
		return c.end(Fail, fmt.Sprintf("so large a deviation occurs by chance in fewer than 1 of %d runs", int(1/significance)))
	}
	return c.end(Pass, "")
}

func (c Check) end(v Verdict, reason string) Check {
	c.Verdict, c.Reason = v, reason
	return c
}

// interval shows an interval in percent.
func interval(i stats.Interval) string { return percent(i.Low) + " - " + percent(i.High) }

func ratio(k, n int) string {
	return fmt.Sprintf("%s (%d of %d)", percent(float64(k)/float64(n)), k, n)
}

func percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) + "%" }

// AboutErrors reports whether the expectation judges requests without an answer.
func (e Expectation) AboutErrors() bool { return e.kind == "errors" || e.kind == "noerrors" }
