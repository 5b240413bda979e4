package judge

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// percentileForm is p99, p99.9 or p99(eu).
var percentileForm = regexp.MustCompile(`^p(\d{1,2}(?:\.\d{1,2})?)(?:\((.+)\))?$`)

func isDuration(s string) bool {
	_, err := time.ParseDuration(s)
	return err == nil && !strings.HasSuffix(s, "%")
}

// parseLimit reads p99<250ms, p99(eu)<400ms and failover<2s, cut at the operator.
func parseLimit(left, right string) (Expectation, error) {
	limit, err := time.ParseDuration(right)
	if err != nil || limit <= 0 {
		return Expectation{}, fmt.Errorf("%q is not a duration above 0", right)
	}
	if left == "failover" {
		return Expectation{kind: kindFailover, limit: limit}, nil
	}
	m := percentileForm.FindStringSubmatch(left)
	if m == nil {
		return Expectation{}, errors.New(forms)
	}
	p, err := strconv.ParseFloat(m[1], 64)
	if err != nil || p <= 0 {
		return Expectation{}, fmt.Errorf("p%s is not a percentile above 0", m[1])
	}
	return Expectation{kind: kindPercentile, name: m[2], value: 1 - p/100, limit: limit}, nil
}

// judgePercentile judges p99<250ms as what it means: fewer than 1 % of the requests take 250 ms or longer. So a percentile has an interval
// like any other share. A request without an answer did not end within the limit. The unattributed requests may be those of the cluster, and so
// may those that were not sent, which may have been slow.
func (e Expectation) judgePercentile(t *tally.Tally, ev Evidence, c Check) Check {
	var own, other slowness // of the answers that count, and of those that may count
	for r := range ev.requests() {
		switch {
		case r.Cluster == e.name || e.name == "":
			own.add(r, e.limit)
		case r.Cluster == "":
			other.add(r, e.limit)
		}
	}
	switch sole := ev.Prediction.sole(); {
	case e.name != "" && sole == e.name:
		own.join(other)
		other = slowness{}
	case sole != "":
		other = slowness{}
	}
	switch {
	case own.unmeasured > 0:
		return c.end(Inconclusive, fmt.Sprintf("the tool did not measure %d of the requests; use a client pod with curl, or --rate (bodies above 32 KiB require --rate)", own.unmeasured))
	case own.requests == 0:
		return c.end(Inconclusive, cmp.Or(e.name, "nobody")+" answered no request")
	}
	slow, n, openSlow := own.slow, own.requests, other.slow
	z := quantile(ev.Looks)
	ci := stats.Interval{Low: stats.WilsonAt(slow, n+other.requests-openSlow, z).Low, High: stats.WilsonAt(slow+openSlow, n+openSlow, z).High}
	c.Observed = fmt.Sprintf("%s took %s or longer, 95%% CI %s", ratio(slow, n), e.limit, interval(ci))
	switch {
	case ci.High < e.value:
		return ev.needAll(c.end(Pass, ""), stats.WilsonAt(slow+openSlow+ev.Dropped, n+openSlow+ev.Dropped, z).High < e.value)
	case ci.Low >= e.value:
		return c.end(Fail, "")
	case openSlow > 0:
		return c.end(Inconclusive, fmt.Sprintf("%d slow requests could not be attributed, and may be those of %s", openSlow, e.name))
	}
	share := float64(slow) / float64(n)
	needs := stats.SampleSize(max(share, e.value/10), max(e.value-share, e.value/10), z)
	if e.name != "" { // only a part of the requests is answered by the cluster
		needs = int(float64(needs) * float64(t.Requests) / float64(n))
	}
	c.Needs = max(needs, t.Requests+1)
	return c.tooFew(ev)
}

// slowness counts requests that took a limit or longer.
type slowness struct{ slow, requests, unmeasured int }

func (s *slowness) add(r history.Request, limit time.Duration) {
	s.requests++
	switch {
	case !r.Answered(), r.Measured && r.Latency() >= limit:
		s.slow++
	case !r.Measured:
		s.unmeasured++
	}
}

func (s *slowness) join(o slowness) {
	s.slow, s.requests, s.unmeasured = s.slow+o.slow, s.requests+o.requests, s.unmeasured+o.unmeasured
}

// requests are those of the client, none if they were not kept.
func (ev Evidence) requests() iter.Seq[history.Request] {
	if ev.Requests == nil {
		return func(func(history.Request) bool) {}
	}
	return ev.Requests
}

// judgeFailover judges failover<2s: the longest time without a successful answer, counted from the mark. The gap is never shorter than that.
func (e Expectation) judgeFailover(ev Evidence, c Check) Check {
	all := slices.Collect(ev.requests())
	if len(all) == 0 {
		return c.end(Inconclusive, "the times of the requests are unknown")
	}
	mark, since := ev.Mark, "the mark"
	if mark.IsZero() {
		mark, since = all[0].From(), "the first request"
	}
	o := history.FindOutage(all, mark, "")
	c.Observed = fmt.Sprintf("no successful answer for %s ± %s, counted from %s", o.Gap.Round(time.Millisecond), o.Resolution.Round(time.Millisecond), since)
	switch {
	case o.Requests == 0:
		return c.end(Inconclusive, "no request ended after the mark")
	case o.Gap-o.Resolution >= e.limit:
		return c.end(Fail, "")
	case !o.Recovered, endsFailing(all):
		return c.end(Inconclusive, "the last requests failed, so the failover may take longer than the run; raise "+ev.longer("--count"))
	case o.Gap < e.limit: // the true interruption is not longer than the gap
		return c.end(Pass, "")
	}
	advice := "raise --rate"
	if slices.ContainsFunc(all, func(r history.Request) bool { return r.OK() && !r.Measured }) {
		advice = "the tool did not measure the requests; use a client pod with curl (bodies above 32 KiB require --rate)"
	}
	return c.end(Inconclusive, fmt.Sprintf("the failover is only known to ± %s, and the limit is within that; %s", o.Resolution.Round(time.Millisecond), advice))
}

// endsFailing reports whether the request that ended last failed.
func endsFailing(all []history.Request) bool {
	last := slices.MaxFunc(all, func(a, b history.Request) int { return a.End().Compare(b.End()) })
	return !last.OK()
}
