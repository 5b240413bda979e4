// Package summary fills in what a report says about its requests: counts, shares, latency, errors and intervals.
//
// It is pure. A live run and a record both use it, so that the report of a record is the report of the run. What it does not know is where the
// requests came from: the members, the clients and the prediction are in the report before.
package summary

import (
	"maps"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
)

// Fill replaces everything in a report that follows from its requests. The report has the members and the clients. The answers of a client
// have the expected shares. Requests of other clients are ignored.
func Fill(doc *v1alpha1.ProbeReport, log *history.Log) {
	first, last := log.Span()
	width := history.Width(last.Sub(first))
	all := newPart(first, width)
	parts := map[history.Client]*part{}
	for _, c := range doc.Clients {
		p := newPart(first, width)
		p.failures.Only = c.OnlyCluster
		parts[Client(c)] = p
	}
	for r := range log.All() {
		if p := parts[r.By()]; p != nil {
			p.add(r)
			all.add(r)
		}
	}
	doc.LatencyMs, doc.ConnectMs, doc.IntervalMs, doc.Intervals = nil, nil, nil, nil
	if log.Len() > 0 {
		doc.LatencyMs, doc.ConnectMs = latency(all.latency), latency(all.connect)
		doc.IntervalMs, doc.Intervals = ptr.To(Milliseconds(width)), all.intervals(last)
	}
	for i := range doc.Clients {
		c := &doc.Clients[i]
		parts[Client(*c)].describe(c, doc.Members, last)
		c.Outages = nil
	}
	outages(doc, log)
}

// Client returns what identifies the requests of a client.
func Client(c v1alpha1.ProbeClient) history.Client {
	return history.Client{Cluster: c.Cluster, Pod: c.Pod, URL: c.URL}
}

// part counts some of the requests of a run.
type part struct {
	rows                                        map[string]*row
	requests, unknown, unknownErrors, noAnswers int
	recognized                                  map[string]int
	weak                                        int
	latency, connect, lags                      []time.Duration
	timeline                                    *history.Timeline
	failures                                    history.Failures
}

// row counts the replies of one sender.
type row struct {
	member           bool
	requests, errors int
	latency, connect []time.Duration
}

func newPart(first time.Time, width time.Duration) *part {
	return &part{rows: map[string]*row{}, recognized: map[string]int{}, timeline: history.NewTimeline(first, width)}
}

func (p *part) add(r history.Request) {
	p.requests++
	p.timeline.Add(r)
	p.failures.Add(r)
	var from *row
	switch {
	case r.Cluster != "":
		from = p.answered(r)
	case r.Answered():
		p.unknown++
		if !r.OK() {
			p.unknownErrors++
		}
	default:
		p.noAnswers++
	}
	if r.Measured && r.Answered() {
		p.latency = append(p.latency, r.Latency())
		if from != nil {
			from.latency = append(from.latency, r.Latency())
		}
	}
	if !r.Due.IsZero() {
		p.lags = append(p.lags, r.Lag)
	}
	if r.Connect > 0 {
		p.connect = append(p.connect, r.Connect)
		if from != nil {
			from.connect = append(from.connect, r.Connect)
		}
	}
}

// answered counts a reply for its sender.
func (p *part) answered(r history.Request) *row {
	from := p.rows[r.Cluster]
	if from == nil {
		from = &row{member: r.Member}
		p.rows[r.Cluster] = from
	}
	from.requests++
	if !r.OK() {
		from.errors++
	}
	p.recognized[r.Evidence]++
	if r.Weak {
		p.weak++
	}
	return from
}

// describe fills in one client.
func (p *part) describe(c *v1alpha1.ProbeClient, members []v1alpha1.Member, last time.Time) {
	c.Requests, c.Answered, c.Unknown, c.UnknownErrors, c.NoAnswer = p.requests, p.requests-p.noAnswers, p.unknown, p.unknownErrors, p.noAnswers
	c.IdentifiedBy, c.WeakEvidence = p.recognized, p.weak
	c.LatencyMs, c.ConnectMs = latency(p.latency), latency(p.connect)
	c.Answers, c.Errors, c.Intervals, c.RequestsPerSecond = p.answers(c.Answers, members), p.errors(), nil, nil
	if p.requests > 0 {
		c.Intervals = p.intervals(last)
	}
	if c.Schedule != nil {
		schedule := *c.Schedule
		schedule.LagMs = lag(p.lags)
		c.Schedule = &schedule
	}
	if c.DurationMs != nil && *c.DurationMs > 0 {
		c.RequestsPerSecond = ptr.To(float64(p.requests) / *c.DurationMs * 1000)
	}
}

// answers returns the rows: the members in their order, then other values sorted by name.
func (p *part) answers(before []v1alpha1.ProbeAnswer, members []v1alpha1.Member) []v1alpha1.ProbeAnswer {
	expected := map[string]*float64{}
	for _, a := range before {
		expected[a.Name] = a.ExpectedShare
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.rows)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	out := []v1alpha1.ProbeAnswer{}
	for i, name := range names {
		from := p.rows[name]
		if from == nil {
			from = &row{}
		}
		ci := stats.Wilson(from.requests, p.requests)
		a := v1alpha1.ProbeAnswer{
			Name: name, Member: from.member || i < len(members), Requests: from.requests, Errors: from.errors, ExpectedShare: expected[name],
			ConfidenceInterval: v1alpha1.ProbeInterval{Low: ci.Low, High: ci.High}, LatencyMs: latency(from.latency), ConnectMs: latency(from.connect),
		}
		if p.requests > 0 {
			a.Share = float64(from.requests) / float64(p.requests)
		}
		out = append(out, a)
	}
	return out
}

func (p *part) errors() []v1alpha1.ProbeError { return Errors(&p.failures) }

// Errors describes a table of errors.
func Errors(failures *history.Failures) []v1alpha1.ProbeError {
	var out []v1alpha1.ProbeError
	for _, f := range failures.Rows() {
		out = append(out, v1alpha1.ProbeError{
			Class: string(f.Class), Cluster: f.Cluster, Predicted: f.Predicted, Count: f.Count, FirstTime: ptr.To(f.First.UTC()), LastTime: ptr.To(f.Last.UTC()), Message: f.Sample,
		})
	}
	return out
}

// intervals returns the parts of the run, up to its end.
func (p *part) intervals(last time.Time) []v1alpha1.ProbeTimeInterval {
	p.timeline.Extend(last)
	return Intervals(p.timeline)
}

// Intervals describes the intervals of a timeline.
func Intervals(t *history.Timeline) []v1alpha1.ProbeTimeInterval {
	var out []v1alpha1.ProbeTimeInterval
	for _, i := range t.Intervals() {
		x := v1alpha1.ProbeTimeInterval{StartTime: i.Start, Requests: i.Requests, Answers: i.Answers, Unknown: i.Unknown, NoAnswer: i.NoAnswer, Errors: i.Errors}
		if d := i.Max(); d > 0 {
			x.MedianMs, x.MaxMs = ptr.To(Milliseconds(i.Median())), ptr.To(Milliseconds(d))
		}
		out = append(out, x)
	}
	return out
}

// Latency describes times, without their histogram. It is nil without any, and sorts them.
func Latency(times []time.Duration) *v1alpha1.ProbeLatency {
	out := latency(times)
	if out != nil {
		out.Histogram = nil
	}
	return out
}

func latency(times []time.Duration) *v1alpha1.ProbeLatency {
	l := history.Summarize(times)
	if l == nil {
		return nil
	}
	out := &v1alpha1.ProbeLatency{Count: l.N, Min: Milliseconds(l.Min), Mean: Milliseconds(l.Mean), Max: Milliseconds(l.Max)}
	for _, p := range []struct {
		from *time.Duration
		to   **float64
	}{{l.P50, &out.P50}, {l.P95, &out.P95}, {l.P99, &out.P99}} {
		if p.from != nil {
			*p.to = ptr.To(Milliseconds(*p.from))
		}
	}
	for _, b := range l.Histogram {
		out.Histogram = append(out.Histogram, v1alpha1.ProbeBucket{UpperBoundMs: Milliseconds(b.Le), Count: b.Count})
	}
	return out
}

// lag is how much later than planned requests started. It sorts the times, and is nil without any.
func lag(times []time.Duration) *v1alpha1.ProbeLag {
	n := len(times)
	if n == 0 {
		return nil
	}
	slices.Sort(times)
	return &v1alpha1.ProbeLag{P99: Milliseconds(times[(n*99+99)/100-1]), Max: Milliseconds(times[n-1])}
}

// Milliseconds is a duration as documents show it, with microseconds.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
