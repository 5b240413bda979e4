// Package judge decides what a tally proves: it compares the tally with expectations and with the predicted shares.
//
// It is pure. A check has three results, because few requests prove little.
package judge

import (
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// significance is the probability below which a deviation from the prediction does not count as chance.
const significance = 1e-4

// Evidence is what is known besides the tally when it is judged.
type Evidence struct {
	Prediction Prediction
	Members    []origin.Member
	// ErrorsJudged says that another expectation judges the requests that failed.
	ErrorsJudged bool
	// Looks is how often the tally may be judged before the run ends. Each time is a chance to be wrong.
	Looks int
	// Requests are those of the client. Percentiles and failover need them. It may be nil.
	Requests iter.Seq[history.Request]
	// Dropped counts the requests that were planned and not sent. During an outage they are most of those that would have failed.
	Dropped int
	// Mark is the moment from which a failover counts. It is zero if there is none.
	Mark time.Time
	// Drift says how the shares changed during the run. It is empty if they did not.
	Drift string
	// Reused is a name or an address by which replies were attributed, and which a second cluster had from some moment of the run on. It is
	// empty if there is none.
	Reused string
	// Connections says that the requests only open connections: --identify has nothing to read.
	Connections bool
	// Timed says that the run has a duration, not a number of requests.
	Timed bool
}

const noneAnswered = "no request was answered"

// Judge compares the tally with the expectation. While a single request is unattributed, no expectation about who answers passes.
// If the prediction leaves only one cluster that can have answered, the unattributed requests count for that cluster.
func (e Expectation) Judge(t *tally.Tally, ev Evidence) Check {
	c := Check{Expr: e.expr}
	if t.Requests == 0 {
		return c.end(Inconclusive, "no request was counted")
	}
	switch e.kind {
	case kindPercentile:
		if c = e.judgePercentile(t, ev, c); e.name == "" {
			return c
		}
		return ev.doubtNames(t, c)
	case kindFailover:
		return e.judgeFailover(ev, c)
	case kindNoErrors:
		return judgeNoErrors(t, ev, c)
	case kindErrors:
		return e.judgeErrors(t, ev, c)
	}
	c.Observed = fmt.Sprintf("%s answered %s, others %d, unattributed %d", e.name, ratio(t.Count(e.name), t.Requests), t.Requests-t.Unattributed()-t.Count(e.name), t.Unattributed())
	if t.Answered() == 0 {
		return c.end(Inconclusive, noneAnswered)
	}
	switch {
	case e.kind == kindOnly, e.kind == kindShare && e.value == 1:
		c = e.judgeOnly(t, ev, c)
	case e.kind == kindShare && e.value == 0:
		c = e.judgeNever(t, ev, c)
	case e.kind == kindShare:
		c = e.judgeShare(t, ev, c)
	default:
		c = e.judgeBound(t, ev, c)
	}
	if c = ev.doubtDrift(ev.doubtNames(t, c)); c.Verdict == Pass && t.Weak > 0 && !e.predicted(ev.Prediction) {
		return c.end(Inconclusive, "the tally relies on cluster names in the replies, and the prediction differs from the expectation; "+useIdentify)
	}
	return c
}

// predicted reports whether the prediction confirms that one cluster answers all requests, or none. After a few requests, a tally may fit
// many predictions.
func (e Expectation) predicted(p Prediction) bool {
	switch {
	case e.kind == kindOnly, e.kind == kindShare && e.value == 1:
		return p.Shares[e.name] == 1
	case e.kind == kindShare && e.value == 0:
		return p.Shares[e.name] == 0
	case e.kind == kindAbove:
		return p.Shares[e.name] > e.value
	case e.kind == kindBelow:
		return p.Shares[e.name] < e.value
	}
	return true
}

// useIdentify is the advice for a tally that relies on weak names.
const useIdentify = "use --identify to select the part of the reply that identifies the cluster"

// judgeOnly judges only=NAME and NAME=100%.
func (e Expectation) judgeOnly(t *tally.Tally, ev Evidence, c Check) Check {
	u, sole := t.Unattributed(), ev.Prediction.sole()
	switch {
	case t.Requests-u-t.Count(e.name) > 0:
		return c.end(Fail, "another cluster answered")
	case u == 0:
		return c.end(Pass, "")
	case sole != "" && sole != e.name:
		return c.end(Fail, fmt.Sprintf("only %s can have answered the %d unattributed requests", sole, u))
	case t.UnattributedErrors() > 0 && !ev.ErrorsJudged && (sole == e.name || e.kind == kindShare && t.NoAnswer > 0):
		return c.end(Fail, fmt.Sprintf("%d requests failed, and only %s should have answered them", t.UnattributedErrors(), e.name))
	}
	return c.unattributed(t, ev)
}

// judgeNever judges NAME=0%.
func (e Expectation) judgeNever(t *tally.Tally, ev Evidence, c Check) Check {
	switch u := t.Unattributed(); {
	case t.Count(e.name) > 0:
		return c.end(Fail, "")
	case u == 0:
		return c.end(Pass, "")
	case ev.Prediction.sole() == e.name:
		return c.end(Fail, fmt.Sprintf("only %s can have answered the %d unattributed requests", e.name, u))
	}
	return c.unattributed(t, ev)
}

func (e Expectation) judgeShare(t *tally.Tally, ev Evidence, c Check) Check {
	n := t.Requests
	low, high, ci := e.bounds(t, ev)
	c.Observed = fmt.Sprintf("%s, 95%% CI %s", ratio(t.Count(e.name), n), interval(ci))
	switch {
	case ci.High < e.value-e.tolerance, ci.Low > e.value+e.tolerance:
		return c.end(Fail, fmt.Sprintf("more than %s points away from the expected share", strings.TrimSuffix(stats.Percent(e.tolerance), "%")))
	case high == 0 && ci.High < e.value:
		return c.end(Fail, e.name+" never answered")
	case low == n && ci.Low > e.value:
		return c.end(Fail, "no other cluster answered")
	case t.Unattributed() > 0:
		return c.unattributed(t, ev)
	case low > 0 && low < n && ci.Low >= e.value-e.tolerance && ci.High <= e.value+e.tolerance:
		return c.end(Pass, "")
	}
	c.Needs = max(e.Needs(ev.Looks), n+1)
	return c.tooFew(ev)
}

// bounds returns how many requests the cluster answered at least and at most, and the interval of its share. An unattributed request may
// belong to any cluster, unless the prediction leaves only one.
func (e Expectation) bounds(t *tally.Tally, ev Evidence) (low, high int, ci stats.Interval) {
	low = t.Count(e.name)
	high = low + t.Unattributed()
	if sole := ev.Prediction.sole(); sole == e.name {
		low = high
	} else if sole != "" {
		high = low
	}
	z := quantile(ev.Looks)
	return low, high, stats.Interval{Low: stats.WilsonAt(low, t.Requests, z).Low, High: stats.WilsonAt(high, t.Requests, z).High}
}

// judgeBound judges NAME>40% and NAME<60%. A single answer is above 0 %, and a single answer of another cluster below 100 %.
func (e Expectation) judgeBound(t *tally.Tally, ev Evidence, c Check) Check {
	n := t.Requests
	low, high, ci := e.bounds(t, ev)
	c.Observed = fmt.Sprintf("%s, 95%% CI %s", ratio(t.Count(e.name), n), interval(ci))
	met, missed := ci.Low > e.value || e.value == 0 && low > 0, ci.High <= e.value
	if e.kind == kindBelow {
		met, missed = ci.High < e.value || e.value == 1 && high < n, ci.Low >= e.value
	}
	switch {
	case met:
		return c.end(Pass, "")
	case missed:
		return c.end(Fail, "")
	case t.Unattributed() > 0:
		return c.unattributed(t, ev)
	}
	share := float64(t.Count(e.name)) / float64(n)
	c.Needs = max(n+1, stats.SampleSize(share, max(math.Abs(share-e.value), 0.005), quantile(ev.Looks)))
	return c.tooFew(ev)
}

func (c Check) tooFew(ev Evidence) Check {
	return c.end(Inconclusive, fmt.Sprintf("too few requests for a verdict; about %d are needed: raise %s", c.Needs, ev.longer("--max-count")))
}

// longer is the flag that makes the run longer: --duration, or else the given one. They cannot be used together.
func (ev Evidence) longer(count string) string {
	if ev.Timed {
		return "--duration"
	}
	return count
}

// unattributed is the verdict if some requests may belong to any cluster.
func (c Check) unattributed(t *tally.Tally, ev Evidence) Check {
	what, fix := "replies", "; use --identify"
	if ev.Connections {
		what, fix = "connections", "" // a warning of the run says why
	}
	switch failed := t.UnattributedErrors(); {
	case failed == t.Unattributed():
		return c.end(Inconclusive, fmt.Sprintf("%d requests failed, and it is unknown which cluster should have answered them", failed))
	case failed > 0:
		return c.end(Inconclusive, fmt.Sprintf("%d requests could not be attributed, %d of them failed%s", t.Unattributed(), failed, fix))
	}
	return c.end(Inconclusive, fmt.Sprintf("%d %s could not be attributed%s", t.Unknown, what, fix))
}

// doubtNames withdraws a verdict that relies on names which a second cluster had during the run, or which may be in the replies by chance,
// unless the prediction confirms them.
func (ev Evidence) doubtNames(t *tally.Tally, c Check) Check {
	switch {
	case c.Verdict == Inconclusive:
		return c
	case ev.Reused != "":
		return c.end(Inconclusive, fmt.Sprintf("during the run, a second cluster had the same %s, so some requests may be counted for the wrong cluster; run the command again", ev.Reused))
	case t.Weak == 0:
		return c
	case Contradicts(t, ev.Prediction, ev.Members):
		return c.end(Inconclusive, "the tally relies on cluster names in the replies and contradicts the prediction; "+useIdentify)
	case ev.Prediction.Shares == nil && c.Verdict == Pass:
		return c.end(Inconclusive, "the tally relies on cluster names in the replies, and no prediction confirms it; "+useIdentify)
	case ev.Prediction.Doubt != "" && c.Verdict == Pass:
		return c.end(Inconclusive, "the tally relies on cluster names in the replies, and the prediction is not certain: "+ev.Prediction.Doubt+"; "+useIdentify)
	}
	return c
}

// Contradicts reports whether the attributed replies differ from the prediction by more than chance.
func Contradicts(t *tally.Tally, p Prediction, members []origin.Member) bool {
	if p.Shares == nil {
		return false
	}
	var observed []int
	var shares []float64
	for _, r := range t.Rows(members) {
		switch share := p.Shares[r.Name]; {
		case share > 0:
			observed, shares = append(observed, r.Requests), append(shares, share)
		case r.Requests > 0:
			return true
		}
	}
	if len(observed) < 2 {
		return false
	}
	_, _, prob := stats.ChiSquare(observed, shares)
	return prob < significance
}

// CheckPrediction compares the tally with the predicted shares. A share of 0 must be exactly 0, and the others must fit by a
// chi-square test at 1e-4. A request that failed fails the check, unless an expectation about errors judges it; then it is
// unattributed. Where a request that failed fails the check, one that was not sent keeps it from passing. If the prediction has a caveat, a tally that does not fit is inconclusive.
func CheckPrediction(t *tally.Tally, ev Evidence) Check {
	c := ev.doubtDrift(ev.doubtNames(t, judgePrediction(t, ev)))
	caveat := ev.Prediction.caveat()
	switch {
	case caveat == "":
	case c.Verdict == Fail:
		return c.end(Inconclusive, c.Reason+"; the prediction has a caveat: "+caveat)
	case c.Verdict == Pass:
		c.Reason = strings.TrimPrefix(c.Reason+"; caveat: "+caveat, "; ")
	}
	return c
}

func judgePrediction(t *tally.Tally, ev Evidence) Check {
	c, p := Check{Expr: "prediction"}, ev.Prediction
	if t.Requests == 0 {
		return c.end(Inconclusive, "no request was counted")
	}
	c.Observed = fmt.Sprintf("%d of %d requests were answered", t.Answered(), t.Requests)
	if p.Shares == nil {
		return c.end(Inconclusive, p.Why)
	}
	var observed []int
	var shares []float64
	attributed, smallest := 0, 1.0
	for _, r := range t.Rows(ev.Members) {
		attributed += r.Requests
		share := p.Shares[r.Name]
		if share == 0 {
			if r.Requests > 0 {
				c.Observed += fmt.Sprintf(": %s by %s", ratio(r.Requests, t.Requests), r.Name)
				return c.end(Fail, r.Name+" should answer no request")
			}
			continue
		}
		observed, shares = append(observed, r.Requests), append(shares, share)
		smallest = min(smallest, share)
		c.Observed += fmt.Sprintf("%s%s %s (predicted %s)", separator(len(observed)), r.Name, stats.Percent(float64(r.Requests)/float64(t.Requests)), stats.Percent(share))
	}
	switch {
	case p.None && t.Answered() == 0 && t.OnlyUnreachable():
		return c.end(Pass, "there is no backend")
	case t.Answered() == 0:
		return c.end(Inconclusive, noneAnswered)
	case p.None:
		return c.end(Inconclusive, "no backend was expected, but requests were answered")
	case t.UnattributedErrors() > 0 && !ev.ErrorsJudged:
		return c.end(Fail, fmt.Sprintf("%d requests failed", t.UnattributedErrors()))
	case t.Unattributed() > 0:
		return c.unattributed(t, ev)
	case len(observed) == 1:
		return ev.needAll(c.end(Pass, ""), ev.ErrorsJudged || ev.Dropped == 0)
	case float64(attributed)*smallest < 5:
		c.Needs = int(5/smallest) + 1
		return c.tooFew(ev)
	}
	chi2, df, prob := stats.ChiSquare(observed, shares)
	c.Observed += fmt.Sprintf("; chi-square %.2f, df %d, p %.3g", chi2, df, prob)
	if prob < significance {
		return c.end(Fail, fmt.Sprintf("by chance, such a deviation occurs in fewer than 1 of %d runs", int(1/significance)))
	}
	return ev.needAll(c.end(Pass, ""), ev.ErrorsJudged || ev.Dropped == 0)
}

func separator(n int) string {
	if n == 1 {
		return ": "
	}
	return ", "
}
