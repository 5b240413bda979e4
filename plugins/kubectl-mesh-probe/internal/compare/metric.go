package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// The kinds of metrics.
const (
	share     = "share"
	errorRate = "errors"
	p50       = "p50"
	p95       = "p95"
)

// smallest is the difference of latencies, in milliseconds, below which they count as the same.
const smallest = 1.0

// Latencies, in milliseconds, that no request is outside of.
const fastest, slowest = 0.001, 1e9

// metric is one value of both runs.
type metric struct {
	clients        group
	kind, cluster  string
	k1, n1, k2, n2 int       // of a share
	a, b           []float64 // latencies, sorted
	quantile       float64
	d1, d2         int // requests that were not sent
}

// percentiles are those that are compared. One needs ten values above it in both runs.
var percentiles = []struct {
	kind     string
	quantile float64
	needs    int
}{{p50, 0.5, 20}, {p95, 0.95, 200}}

// missing is a percentile that cannot be compared. Cluster is who answered, empty for all answers. A and b are how many answers were measured.
type missing struct {
	kind, cluster string
	needs, a, b   int
}

// describe says what was not compared, and the way out. The names are those of the files.
func (m missing) describe(a, b string) string {
	of, advice := "all answers", ""
	if m.cluster != "" {
		of = "the answers of " + m.cluster
	}
	if m.cluster == "" && (m.a == 0 || m.b == 0) {
		advice = "; use a client pod with curl, or --rate (bodies above 32 KiB require --rate)"
	}
	return fmt.Sprintf("%s of %s was not compared: it requires %d measured answers in each run, and %s has %d, %s has %d%s", m.kind, of, m.needs, a, m.a, b, m.b, advice)
}

// metricsOf lists what can be compared, and the percentiles that cannot: of all answers, and of the clusters for which one run has enough answers.
func metricsOf(clients group, a, b *sample) (out []metric, without []missing) {
	add := func(m metric) {
		m.clients, m.d1, m.d2 = clients, a.dropped, b.dropped
		out = append(out, m)
	}
	add(metric{kind: errorRate, k1: a.errors, n1: a.requests, k2: b.errors, n2: b.requests})
	names := map[string]bool{}
	for _, s := range []*sample{a, b} {
		for name := range s.answers {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		add(metric{kind: share, cluster: name, k1: a.answers[name], n1: a.requests, k2: b.answers[name], n2: b.requests})
	}
	timed := len(a.latency[""]) > 0 && len(b.latency[""]) > 0
	for _, name := range append([]string{""}, slices.Sorted(maps.Keys(names))...) {
		if name != "" && (len(names) == 1 || !timed) {
			continue // the same as all answers
		}
		for _, q := range percentiles {
			x, y := a.latency[name], b.latency[name]
			switch {
			case min(len(x), len(y)) >= q.needs:
				add(metric{kind: q.kind, cluster: name, a: x, b: y, quantile: q.quantile})
			case name == "" || max(len(x), len(y)) >= q.needs:
				without = append(without, missing{q.kind, name, q.needs, len(x), len(y)})
			}
		}
	}
	return out, without
}

// judge compares one of so many metrics. Nobody knows how the requests that were not sent would have ended, so a result must hold in both extreme cases.
func (m metric) judge(opts Options, metrics int) v1alpha1.ProbeMetric {
	out := m.judgeSent(opts, metrics)
	if m.d1+m.d2 == 0 || out.Result == Inconclusive {
		return out
	}
	for _, c := range m.extremes() {
		if got := c.judgeSent(opts, metrics); got.Result != out.Result || out.Result == Different && (got.Change > c.equal()) != (out.Change > m.equal()) {
			out.Result, out.Reason = Inconclusive, "it depends on the requests that were not sent"
		}
	}
	return out
}

// extremes are the metric as it could be if all requests had been sent: the second run as much above the first one as possible, and as much below it.
func (m metric) extremes() []metric {
	above, below := m, m
	if m.a == nil {
		above.n1, above.n2 = m.n1+m.d1, m.n2+m.d2
		below.n1, below.n2 = above.n1, above.n2
		above.k2, below.k1 = m.k2+m.d2, m.k1+m.d1
		return []metric{above, below}
	}
	fast := func(sorted []float64, n int) []float64 {
		return slices.Concat(slices.Repeat([]float64{fastest}, n), sorted)
	}
	slow := func(sorted []float64, n int) []float64 {
		return slices.Concat(sorted, slices.Repeat([]float64{slowest}, n))
	}
	above.a, above.b = fast(m.a, m.d1), slow(m.b, m.d2)
	below.a, below.b = slow(m.a, m.d1), fast(m.b, m.d2)
	return []metric{above, below}
}

// equal is the change between two equal values.
func (m metric) equal() float64 {
	if m.a == nil {
		return 0 // a difference
	}
	return 1 // a quotient
}

// judgeSent compares the requests that were sent. The chance of an error is divided by the number of metrics (Bonferroni).
func (m metric) judgeSent(opts Options, metrics int) v1alpha1.ProbeMetric {
	alpha := (1 - opts.Confidence) / float64(metrics)
	if m.a != nil {
		return m.judgeLatency(opts, alpha)
	}
	tolerance := opts.Share
	if m.kind == errorRate {
		tolerance = opts.Errors
	}
	out := v1alpha1.ProbeMetric{Client: m.clients.cluster, URL: m.clients.url, Metric: m.kind, Cluster: m.cluster, A: ratio(m.k1, m.n1), B: ratio(m.k2, m.n2), Tolerance: tolerance}
	z := stats.Z(alpha)
	ci := stats.Difference(m.k1, m.n1, m.k2, m.n2, z)
	p := stats.TwoProportions(m.k1, m.n1, m.k2, m.n2)
	out.Change, out.ConfidenceInterval, out.PValue = out.B-out.A, v1alpha1.ProbeInterval{Low: ci.Low, High: ci.High}, &p
	certain := ci.Low > 0 || ci.High < 0
	switch {
	case m.kind == share && certain && (m.k1 == 0) != (m.k2 == 0):
		out.Result, out.Reason = Different, "it answered in one of the runs only"
	case certain && math.Abs(out.Change) > tolerance:
		out.Result = Different
	case ci.Low >= -tolerance && ci.High <= tolerance:
		out.Result = Same
	default:
		v := max(out.A*(1-out.A)+out.B*(1-out.B), 2*tolerance*(1-tolerance))
		width := (z + 2) / tolerance
		need := int(math.Ceil(width * width * v))
		out.Result, out.Reason = Inconclusive, fmt.Sprintf("too few requests; about %d in each run are needed", max(need, min(m.n1, m.n2)+1))
	}
	return out
}

func (m metric) judgeLatency(opts Options, alpha float64) v1alpha1.ProbeMetric {
	at := func(sorted []float64) float64 { return sorted[int(math.Ceil(m.quantile*float64(len(sorted))))-1] }
	ci := stats.QuantileRatio(m.a, m.b, m.quantile, alpha)
	out := v1alpha1.ProbeMetric{
		Client: m.clients.cluster, URL: m.clients.url, Metric: m.kind, Cluster: m.cluster, A: at(m.a), B: at(m.b), ConfidenceInterval: v1alpha1.ProbeInterval{Low: ci.Low, High: ci.High}, Tolerance: opts.Latency,
	}
	out.Change = out.B / out.A
	if m.kind == p50 {
		p := stats.MannWhitney(m.a, m.b)
		out.PValue = &p
	}
	most := 1 + opts.Latency
	within := func(ratio float64) bool {
		return ratio <= most && ratio >= 1/most || math.Abs(ratio-1)*out.A <= smallest
	}
	switch {
	case within(ci.Low) && within(ci.High):
		out.Result = Same
	case (ci.Low > 1 || ci.High < 1) && !within(out.Change):
		out.Result = Different
	default:
		out.Result, out.Reason = Inconclusive, "the latencies vary too much for this number of requests"
	}
	return out
}

func ratio(k, n int) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}
