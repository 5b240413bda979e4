package drill

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// Expectation is what is expected of each client that a drill affects: a limit for the failover, or one for the share of requests that fail
// while the backends are away.
type Expectation struct {
	expr     string
	failover time.Duration // 0 if it limits errors
	errors   float64       // from 0 to 1
	none     bool          // errors=0%
}

// ParseExpectations reads expressions such as failover<2s, errors<1% and errors=0%, separated by commas.
func ParseExpectations(exprs []string) ([]Expectation, error) {
	var out []Expectation
	for _, all := range exprs {
		for expr := range strings.SplitSeq(all, ",") {
			e, err := parseExpectation(strings.TrimSpace(expr))
			if err != nil {
				return nil, fmt.Errorf("--expect %q: %w", expr, err)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

func parseExpectation(expr string) (Expectation, error) {
	e := Expectation{expr: expr}
	if rest, ok := strings.CutPrefix(expr, "failover<"); ok {
		d, err := time.ParseDuration(rest)
		if err != nil || d <= 0 {
			return e, fmt.Errorf("%q is not a duration above 0, such as 2s or 500ms", rest)
		}
		e.failover = d
		return e, nil
	}
	if expr == "errors=0%" {
		e.none = true
		return e, nil
	}
	rest, ok := strings.CutPrefix(expr, "errors<")
	if !ok {
		return e, errors.New("must be failover<DURATION, errors<PERCENT% or errors=0%; quote < for the shell")
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(rest, "%"), 64)
	if err != nil || !strings.HasSuffix(rest, "%") || !(v > 0 && v <= 100) {
		return e, fmt.Errorf("%q is not a percentage above 0%% and up to 100%%", rest)
	}
	e.errors = v / 100
	return e, nil
}

// checks judges every client that is affected. That a client no longer uses the drilled cluster is always expected, except of an eviction, where
// the pods may be back before it has to.
func checks(clients []observation, expect []Expectation, m marks) []v1alpha1.ProbeCheck {
	var out []v1alpha1.ProbeCheck
	for _, c := range clients {
		if !c.Affected {
			continue
		}
		if m.with != drillrecord.Evict {
			out = append(out, judged(c, checkFollowed(c, m.cluster)))
		}
		for _, e := range expect {
			out = append(out, judged(c, e.check(c)))
		}
	}
	return out
}

// judged names the client, and keeps an incomplete one from passing.
func judged(c observation, k v1alpha1.ProbeCheck) v1alpha1.ProbeCheck {
	k.Client = c.Name
	if !c.Complete && k.Result == string(judge.Pass) {
		k.Result, k.Reason = string(judge.Inconclusive), "the requests of this client are not complete"
	}
	return k
}

// checkFollowed expects that only other clusters answer at the end. A client that may have moved too late to show it did not fail.
func checkFollowed(c observation, cluster string) v1alpha1.ProbeCheck {
	k := v1alpha1.ProbeCheck{Expectation: "moves away from " + cluster, Result: string(judge.Pass)}
	switch {
	case c.FollowedMs != nil:
		k.Observed = "after " + duration(*c.FollowedMs)
	case c.During.Requests == 0:
		k.Result, k.Reason = string(judge.Inconclusive), "no request was sent while the backends were away"
	case c.tail.before == endUnknown:
		k.Result, k.Reason = string(judge.Inconclusive), "it is unknown which cluster sent the last answers; use --identify"
	case c.tail.before != endNothing && still(c.tail.answers, c.Before, cluster):
		k.Result, k.Reason = string(judge.Fail), fmt.Sprintf("it still used %s, or requests failed, when the backends were restored", cluster)
	case c.tail.needed == neverEnough:
		k.Result, k.Reason = string(judge.Inconclusive), fmt.Sprintf("%s did not answer it before the drill", cluster)
	default:
		k.Result, k.Reason = string(judge.Inconclusive), fmt.Sprintf("the last %d answers came from other clusters; %d in a row are needed to exclude chance; raise --hold or --rate", c.tail.answers, c.tail.needed)
	}
	return k
}

// check judges one client. A failover is known up to its resolution.
func (e Expectation) check(c observation) v1alpha1.ProbeCheck {
	k := v1alpha1.ProbeCheck{Expectation: e.expr}
	verdict := func(v judge.Verdict, reason string) v1alpha1.ProbeCheck {
		k.Result, k.Reason = string(v), reason
		return k
	}
	if c.FailoverMs == nil || c.During.Requests == 0 {
		return verdict(judge.Inconclusive, "no request was sent while the backends were away")
	}
	if e.failover == 0 {
		return e.checkErrors(c, verdict, &k)
	}
	// The time between two answers bounds the true interruption from above, and is too long by at most the resolution.
	limit, slack := summary.Milliseconds(e.failover), *c.ResolutionMs
	k.Observed = fmt.Sprintf("%s, exact to %s", duration(*c.FailoverMs), duration(slack))
	switch {
	case *c.FailoverMs-slack >= limit:
		return verdict(judge.Fail, "")
	case !*c.Recovered, c.tail.before == endFailed && c.tail.answers == 0: // the longest gap has ended, but a later one has not
		return verdict(judge.Inconclusive, "requests still failed at the end of --hold; raise --hold")
	case *c.FailoverMs < limit:
		return verdict(judge.Pass, "")
	}
	return verdict(judge.Inconclusive, "the limit is within what this rate can measure; raise --rate")
}

// checkErrors judges the requests that failed while the backends were away. A drill is one event: the share of all of its requests is exact, but for
// those that were not sent, of which nobody knows how they would have ended.
func (e Expectation) checkErrors(c observation, verdict func(judge.Verdict, string) v1alpha1.ProbeCheck, k *v1alpha1.ProbeCheck) v1alpha1.ProbeCheck {
	share := float64(c.During.Errors) / float64(c.During.Requests)
	k.Observed = fmt.Sprintf("%.1f%% (%d of %d)", 100*share, c.During.Errors, c.During.Requests)
	met := func(failed int) bool {
		return e.none && failed == 0 || !e.none && float64(failed)/float64(c.During.Requests+c.dropped) < e.errors
	}
	switch {
	case !met(c.During.Errors):
		return verdict(judge.Fail, "")
	case !met(c.During.Errors + c.dropped):
		return verdict(judge.Inconclusive, sender.NotSent(c.dropped))
	}
	return verdict(judge.Pass, "")
}

// duration shows milliseconds.
func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
