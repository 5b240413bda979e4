package judge

import (
	"fmt"
	"math"
	"strings"
)

// abortError is the probability with which a run is ended although no more requests fail than --abort-on allows.
const abortError = 1e-3

// AbortOn ends a run as soon as too many requests fail. It is a sequential test: it may look after every request, and still ends a run that
// is within the limit with a probability of at most 0.1 %.
//
// The test statistic is the mean of two likelihood ratios, against twice the limit (found soon if slightly too many fail) and against half of
// all (found at once if everything fails). While the limit holds, each is a supermartingale, and so is their mean; it exceeds 1/alpha at any
// time with a probability of at most alpha. Source: J. Ville, 1939; A. Wald, Sequential Analysis, 1947.
type AbortOn struct {
	expr  string
	limit float64
	rates [2]float64
	// requests and failed are what was counted so far.
	requests, failed int
}

// ParseAbortOn reads errors>5%. It returns nil for an empty expression.
func ParseAbortOn(expr string) (*AbortOn, error) {
	if expr == "" {
		return nil, nil
	}
	value, ok := strings.CutPrefix(strings.ReplaceAll(expr, " ", ""), "errors>")
	if !ok {
		return nil, fmt.Errorf("--abort-on %q: must be errors>PERCENT%%; quote > for the shell", expr)
	}
	limit, err := parsePercent(value)
	if err == nil && (limit == 0 || limit == 1) {
		err = fmt.Errorf("%s: must be above 0%% and below 100%%", value)
	}
	if err != nil {
		return nil, fmt.Errorf("--abort-on %q: %w", expr, err)
	}
	return &AbortOn{expr: expr, limit: limit, rates: [2]float64{min(2*limit, (1+limit)/2), (1 + limit) / 2}}, nil
}

// New returns the same test for another client, with nothing counted.
func (a *AbortOn) New() *AbortOn {
	if a == nil {
		return nil
	}
	fresh := *a
	fresh.requests, fresh.failed = 0, 0
	return &fresh
}

// Add counts one request, and reports whether the run should end.
func (a *AbortOn) Add(failed bool) bool {
	a.requests++
	if failed {
		a.failed++
	}
	return a.exceeded()
}

func (a *AbortOn) exceeded() bool {
	k, rest := float64(a.failed), float64(a.requests-a.failed)
	ratio := 0.0
	for _, p := range a.rates {
		ratio += math.Exp(min(500, k*math.Log(p/a.limit)+rest*math.Log((1-p)/(1-a.limit)))) / float64(len(a.rates))
	}
	return ratio >= 1/abortError
}

// Check is the result. A run that was not ended early passes no check by that: --expect judges the errors.
func (a *AbortOn) Check() Check {
	return Check{
		Expr: "abort-on " + a.expr, Verdict: Fail, Observed: ratio(a.failed, a.requests), Reason: "the run was ended early",
	}
}
