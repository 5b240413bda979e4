package judge

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

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
	expr string
	kind kind
	// name is the cluster. It is empty if the expectation concerns all requests.
	name      string
	value     float64 // a share, from 0 to 1; of a percentile, the part of the requests that may take longer
	tolerance float64
	limit     time.Duration
}

// kind is which quantity an expectation concerns.
type kind string

const (
	kindShare      kind = "share"      // us=50%
	kindAbove      kind = "above"      // us>40%
	kindBelow      kind = "below"      // us<60%
	kindOnly       kind = "only"       // only=us
	kindErrors     kind = "errors"     // errors<1%
	kindNoErrors   kind = "noerrors"   // errors=0%
	kindPercentile kind = "percentile" // p99<250ms, p99(eu)<400ms
	kindFailover   kind = "failover"   // failover<2s
)

// ParseExpectations reads expressions such as us=50%, us>40%, only=us, errors<1% and p99<250ms, separated by commas.
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
			if e.kind == kindShare {
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
		return nil, fmt.Errorf("--expect: the shares add up to %s; they must not exceed 100%%", stats.Percent(sum))
	}
	return out, nil
}

// forms are the expectations that can be written, for an error.
const forms = "must be CLUSTER=PERCENT%, CLUSTER=PERCENT%±POINTS, CLUSTER>PERCENT%, CLUSTER<PERCENT%, only=CLUSTER, errors<PERCENT%, errors=0%, p99<DURATION, p99(CLUSTER)<DURATION or failover<DURATION"

func parseExpectation(expr string, members []origin.Member, anyName bool) (Expectation, error) {
	at := strings.LastIndexAny(expr, "=<>")
	if at < 1 || at == len(expr)-1 {
		return Expectation{}, errors.New(forms + "; quote < and > for the shell")
	}
	e, err := parseParts(expr[:at], expr[at:at+1], expr[at+1:])
	e.expr = expr
	if err != nil || e.name == "" {
		return e, err
	}
	if name, ok := origin.FindMember(members, e.name); ok {
		e.name = name
	} else if !anyName {
		return e, fmt.Errorf("cluster %q is not among the clusters that are read: %s", e.name, origin.MemberNames(members))
	}
	return e, nil
}

// parseParts reads an expectation that is cut at its operator.
func parseParts(left, operator, right string) (Expectation, error) {
	switch {
	case left == "errors":
		return parseErrors(operator, right)
	case operator == "<" && isDuration(right):
		return parseLimit(left, right)
	case left == "only" && operator == "=":
		return Expectation{kind: kindOnly, name: right}, nil
	case operator == "=":
		value, tol, err := parseShare(right)
		return Expectation{kind: kindShare, name: left, value: value, tolerance: tol}, err
	}
	value, err := parsePercent(right)
	e := Expectation{kind: kindAbove, name: left, value: value}
	if operator == "<" {
		e.kind = kindBelow
	}
	switch {
	case err != nil:
		return e, err
	case e.kind == kindBelow && value == 0:
		return e, fmt.Errorf("nothing is below 0%%; use %s=0%%", left)
	case e.kind == kindAbove && value == 1:
		return e, fmt.Errorf("nothing is above 100%%; use %s=100%%", left)
	}
	return e, nil
}

// parseErrors reads errors<1% and errors=0%.
func parseErrors(operator, right string) (Expectation, error) {
	v, err := parsePercent(right)
	switch {
	case operator == "=" && (err != nil || v != 0), operator == ">":
		return Expectation{}, errors.New("must be errors=0% or errors<PERCENT%")
	case operator == "=":
		return Expectation{kind: kindNoErrors}, nil
	case err == nil && v == 0:
		err = errors.New("nothing is below 0%; use errors=0%")
	}
	return Expectation{kind: kindErrors, value: v}, err
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
func (e Expectation) AboutErrors() bool { return e.kind == kindErrors || e.kind == kindNoErrors }

// Expr returns the expectation as it was typed.
func (e Expectation) Expr() string { return e.expr }

// Needs is about how many requests it takes to see that the expectation is met. It is 0 if any number may be enough.
func (e Expectation) Needs(looks int) int {
	switch {
	case e.kind == kindErrors, e.kind == kindPercentile:
		return stats.NoneSize(e.value, quantile(looks))
	case e.kind != kindShare || e.value == 0 || e.value == 1:
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
func interval(i stats.Interval) string { return stats.Percent(i.Low) + " - " + stats.Percent(i.High) }

func ratio(k, n int) string {
	return fmt.Sprintf("%s (%d of %d)", stats.Percent(float64(k)/float64(n)), k, n)
}
