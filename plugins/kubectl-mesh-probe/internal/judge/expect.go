package judge

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
)

// Verdict is the result of a check. It has three values because a small sample proves nothing.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "PASS"
	Fail         Verdict = "FAIL"
	Inconclusive Verdict = "INCONCLUSIVE"
)

// tolerance is how far a share may be from the expected one: us=50% means 45 % to 55 %. Near 0 % and 100 % it is smaller: half of the
// distance to there, so that 0 % and 100 % themselves are never within it.
const tolerance = 0.05

// Check is one expectation and its result.
type Check struct {
	Expr     string
	Verdict  Verdict
	Observed string
	Reason   string
	// Needs is about how many requests a verdict requires. It is 0 if more requests would not help.
	Needs int
}

// Expectation is one parsed --expect.
type Expectation struct {
	expr      string
	kind      string // share, only, errors, noerrors
	name      string
	value     float64
	tolerance float64
}

// ParseExpectations reads expressions such as us=50%, us=50%±3, only=us and errors<1%, separated by commas.
// With a rule that captures values, any name is allowed (anyName); otherwise it must be a cluster or a context of a member.
func ParseExpectations(exprs []string, members []origin.Member, anyName bool) ([]Expectation, error) {
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
					return nil, fmt.Errorf("--expect %q: %s already has an expected share", expr, e.name)
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

func parseExpectation(expr string, members []origin.Member, anyName bool) (Expectation, error) {
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
	left, right, ok := origin.CutLast(expr, "=")
	if !ok || left == "" || right == "" {
		return e, errors.New("must be CLUSTER=PERCENT%, CLUSTER=PERCENT%±POINTS, only=CLUSTER or errors<PERCENT%")
	}
	switch left {
	case "errors":
		v, err := parsePercent(right)
		if err != nil || v != 0 {
			return e, errors.New("must be errors=0% or errors<PERCENT%")
		}
		e.kind = "noerrors"
		return e, nil
	case "only":
		e.kind, e.name = "only", right
	default:
		var err error
		if e.value, e.tolerance, err = parseShare(right); err != nil {
			return e, err
		}
		e.kind, e.name = "share", left
	}
	if name, ok := origin.FindMember(members, e.name); ok {
		e.name = name
	} else if !anyName {
		return e, fmt.Errorf("cluster %q is not among the clusters that are read: %s", e.name, origin.MemberNames(members))
	}
	return e, nil
}

// parseShare reads 50%, 50%±3 and 50%+-3.
func parseShare(s string) (value, tol float64, err error) {
	share, points, given := strings.Cut(strings.Replace(s, "+-", "±", 1), "±")
	if value, err = parsePercent(share); err != nil {
		return 0, 0, err
	}
	if !given {
		return value, min(tolerance, value/2, (1-value)/2), nil
	}
	if tol, err = strconv.ParseFloat(strings.TrimSuffix(points, "%"), 64); err != nil || !(tol > 0 && tol < 100) {
		return 0, 0, fmt.Errorf("%q is not a tolerance in percentage points above 0", points)
	}
	if value == 0 || value == 1 {
		return 0, 0, fmt.Errorf("%s is exact; a tolerance is not allowed", share)
	}
	return value, tol / 100, nil
}

func parsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) || !strings.HasSuffix(s, "%") {
		return 0, fmt.Errorf("%q is not a percentage from 0%% to 100%%", s)
	}
	return v / 100, nil
}

// AboutErrors reports whether the expectation judges requests that failed.
func (e Expectation) AboutErrors() bool { return e.kind == "errors" || e.kind == "noerrors" }

// Expr returns the expectation as it was typed.
func (e Expectation) Expr() string { return e.expr }

// Needs is about how many requests it takes to see that the expectation is met. It is 0 if any number may be enough.
func (e Expectation) Needs(looks int) int {
	if e.kind != "share" || e.value == 0 || e.value == 1 {
		return 0
	}
	return stats.SampleSize(e.value, e.tolerance, quantile(looks))
}

// quantile is the one for an interval that holds in 95 % of all runs, although a run is judged several times.
func quantile(looks int) float64 { return stats.Z(0.05 / float64(max(1, looks))) }

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
