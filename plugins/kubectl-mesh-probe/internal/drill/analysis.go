package drill

import (
	"cmp"
	"math"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// marks are the moments of a drill, by the plugin's clock as history.Steady returns it. A moment that was not reached is zero.
type marks struct {
	cluster string // the drilled cluster
	with    drillrecord.With
	// write is when the first write was sent that takes backends away, and restore when the first one was that restores them.
	write, restore time.Time
	end            time.Time // when the requests ended
}

// back is the moment from which the return counts. An evicted pod is replaced without a write of the drill.
func (m marks) back() time.Time {
	if m.with == drillrecord.Evict {
		return m.write
	}
	return m.restore
}

// observation is what one client saw, with what its checks need besides the document.
type observation struct {
	v1alpha1.DrillClient

	tail tail
	// dropped counts the requests of the whole run that were not sent, because too many others were under way.
	dropped int
}

// analyse describes what one client saw. It is pure; the order of the requests does not matter.
func analyse(requests []history.Request, m marks, affected bool) observation {
	byStart := slices.Clone(requests)
	slices.SortStableFunc(byStart, func(a, b history.Request) int { return a.From().Compare(b.From()) })
	out := observation{DrillClient: v1alpha1.DrillClient{Affected: affected}}
	var during, since []history.Request
	before, meanwhile, after := newTally(), newTally(), newTally()
	var failures history.Failures // without a prediction: the drill changes who can answer
	for _, r := range byStart {
		// A request may start later than it should, and then it shows the state at its start: one that was due before the restoration and
		// started after it says nothing about the time before.
		away := m.restore.IsZero() || r.Start.Add(r.Uncertain).Before(m.restore)
		switch {
		case m.write.IsZero() || r.Start.Before(m.write) && (r.OK() || r.End().Before(m.write)):
			before.count(r)
		case away:
			meanwhile.count(r)
			failures.Add(r)
		default:
			after.count(r)
		}
		// What began before the write may end after it, and shows what the write did.
		if away {
			during = append(during, r)
		}
		if back := m.back(); !back.IsZero() && !r.Start.Before(back) {
			since = append(since, r)
		}
	}
	out.Before, out.During, out.After = before.describe(), meanwhile.describe(), after.describe()
	out.Errors = summary.Errors(&failures)
	if m.write.IsZero() || len(byStart) == 0 {
		return out
	}
	latest := byStart[len(byStart)-1].From()
	until := latest
	if !m.restore.IsZero() && m.restore.Before(latest) {
		until = m.restore
	}
	describeOutage(&out.DrillClient, history.FindOutage(clip(during, until), m.write, m.cluster))
	needed := streak(out.Before, m.cluster)
	out.tail = tailOf(during, m)
	if out.tail.needed = needed; out.tail.answers >= needed {
		out.FollowedMs = since0(m.write, out.tail.at)
	}
	if !m.back().IsZero() {
		out.Return = describeReturn(clip(since, latest), m, time.Duration(needed)*spacing(byStart))
	}
	return out
}

// spacing is the mean time between the starts of two requests, which are in this order.
func spacing(byStart []history.Request) time.Duration {
	return byStart[len(byStart)-1].From().Sub(byStart[0].From()) / time.Duration(max(1, len(byStart)-1))
}

// clip lets requests that failed end at a moment at the latest. One that waits for its time limit proves nothing about the time after the last
// request that is looked at: later ones may have been answered at once.
func clip(requests []history.Request, until time.Time) []history.Request {
	out := slices.Clone(requests)
	for i := range out {
		if r := &out[i]; !r.OK() && r.End().After(until) {
			r.Duration = max(0, until.Sub(r.Start))
		}
	}
	return out
}

// tally counts the requests of one phase.
type tally struct {
	v1alpha1.DrillPhase

	times []time.Duration
}

func newTally() *tally { return &tally{DrillPhase: v1alpha1.DrillPhase{Answers: map[string]int{}}} }

// describe returns the phase with its latency.
func (p *tally) describe() v1alpha1.DrillPhase {
	p.LatencyMs = summary.Latency(p.times)
	return p.DrillPhase
}

func (p *tally) count(r history.Request) {
	p.Requests++
	if r.Measured && r.Answered() {
		p.times = append(p.times, r.Latency())
	}
	switch {
	case !r.OK():
		p.Errors++
	case r.Cluster == "":
		p.Unknown++
	default:
		p.Answers[r.Cluster]++
	}
}

// describeOutage fills in what happened between the write and the restoration.
func describeOutage(out *v1alpha1.DrillClient, o history.Outage) {
	if o.LastFrom.After(o.Mark) {
		out.LastAnswerMs = since0(o.Mark, o.LastFrom)
	}
	out.FirstOtherMs, out.FirstOtherCluster = since0(o.Mark, o.FirstTo), o.ToCluster
	if o.Requests == 0 {
		return
	}
	out.FailoverMs, out.Recovered, out.ResolutionMs = ptr.To(summary.Milliseconds(o.Gap)), ptr.To(o.Recovered), ptr.To(summary.Milliseconds(o.Resolution))
	if o.Failed == 0 {
		return
	}
	out.OutageMs = ptr.To(summary.Milliseconds(o.Outage))
	out.FirstErrorMs, out.LastErrorMs = since0(o.Mark, o.FirstError), since0(o.Mark, o.LastError)
}

// tail is how the requests ended while the backends were away: with this many answers of other clusters in a row, of which none failed. As many as
// needed show that it is not chance.
type tail struct {
	answers, needed int
	at              time.Time // the start of the first of them
	before          ending
}

// ending is the request before the last answers of other clusters.
type ending string

// The requests that end such a row. nothing is none: all requests since the write are in the row.
const (
	endNothing ending = ""
	endOwn     ending = "an answer of the drilled cluster"
	endFailed  ending = "a request that failed"
	endUnknown ending = "an answer of which nobody knows who sent it"
)

// tailOf looks at the requests in the order of their starts.
func tailOf(during []history.Request, m marks) tail {
	var out tail
	for _, r := range slices.Backward(during) {
		switch {
		case r.From().Before(m.write):
			return out
		case !r.OK():
			out.before = endFailed
			return out
		case r.Cluster == "":
			out.before = endUnknown
			return out
		case r.Cluster == m.cluster:
			out.before = endOwn
			return out
		}
		out.at = r.From()
		out.answers++
	}
	return out
}

const (
	// chance is the probability below which it does not count as chance that a cluster has not answered.
	chance = 1e-4
	// likely is the minimum probability of what happens often.
	likely = 0.2
)

// ofBefore counts the answers of other clusters before the write, and all of them.
func ofBefore(before v1alpha1.DrillPhase, cluster string) (others, all int) {
	for _, n := range before.Answers {
		all += n
	}
	return all - before.Answers[cluster], all
}

// neverEnough is a number of answers that no drill has.
const neverEnough = math.MaxInt32

// streak is how many answers of other clusters in a row show that a client no longer uses a cluster. The share that the others had before is known
// from some answers only, so it is the highest one that fits them.
func streak(before v1alpha1.DrillPhase, cluster string) int {
	others, all := ofBefore(before, cluster)
	if others == all {
		return neverEnough
	}
	share := stats.WilsonAt(others, all, stats.Z(0.1)).High
	return int(math.Ceil(math.Log(chance) / math.Log(share)))
}

// still reports whether a client that goes on using the cluster would often send this many requests in a row to others.
func still(answers int, before v1alpha1.DrillPhase, cluster string) bool {
	others, all := ofBefore(before, cluster)
	return math.Pow(float64(others)/float64(max(1, all)), float64(answers)) >= likely
}

// describeReturn describes the return. natural is how long the drilled cluster may be silent towards a client that uses it.
func describeReturn(since []history.Request, m marks, natural time.Duration) *v1alpha1.DrillReturn {
	out := &v1alpha1.DrillReturn{}
	o := history.FindOutage(since, m.back(), m.cluster)
	out.Errors = o.Failed
	if o.Requests > 0 && m.with != drillrecord.Evict { // the gap of an eviction is that of the failover
		out.LongestGapMs = ptr.To(summary.Milliseconds(o.Gap))
	}
	out.FirstAnswerMs = since0(m.back(), returned(since, m, natural))
	return out
}

// returned is when the first answer of the drilled cluster arrived on the return; zero if none did. After an eviction the first answer is one
// that follows a silence: pods may answer until they end.
func returned(since []history.Request, m marks, natural time.Duration) time.Time {
	byEnd := slices.Clone(since)
	slices.SortStableFunc(byEnd, func(a, b history.Request) int { return a.End().Compare(b.End()) })
	if m.with == drillrecord.Evict {
		byEnd = byEnd[afterEviction(byEnd, m, natural):]
	}
	for _, r := range byEnd {
		if r.OK() && r.Cluster == m.cluster {
			return r.End()
		}
	}
	return time.Time{}
}

// quiet is how long a cluster with evicted pods must be silent, at least, before its next answer counts as the return.
const quiet = 300 * time.Millisecond

// afterEviction is the index of the first request after the longest silence of the evicted cluster, which may begin with the write. A silence that
// is natural for a client that uses the cluster is none. The requests are in the order of their ends.
func afterEviction(byEnd []history.Request, m marks, natural time.Duration) int {
	longest, at := max(quiet, natural), len(byEnd)
	last := m.write
	for i, r := range byEnd {
		if !r.OK() || r.Cluster != m.cluster {
			continue
		}
		if silence := r.End().Sub(last); silence > longest {
			longest, at = silence, i
		}
		last = r.End()
	}
	return at
}

// propagation sums up how long the clients took: of, from each, is the time of one client that is affected.
func propagation(clients []v1alpha1.DrillClient, of func(v1alpha1.DrillClient) *float64) *v1alpha1.DrillPropagation {
	out := &v1alpha1.DrillPropagation{}
	for _, c := range clients {
		if !c.Affected {
			continue
		}
		ms := of(c)
		if ms == nil {
			out.Missing++
			continue
		}
		out.Clients++
		if out.FirstMs == nil || *ms < *out.FirstMs {
			out.FirstMs, out.FirstClient = ms, c.Name
		}
		if out.LastMs == nil || *ms > *out.LastMs {
			out.LastMs, out.LastClient = ms, c.Name
		}
	}
	if out.Clients+out.Missing == 0 {
		return nil
	}
	return out
}

// nameClients names the client pods by their cluster and their node, and by their own name where several are on one node.
func nameClients(clients []observation) {
	onNode := map[[2]string]int{}
	for _, c := range clients {
		onNode[[2]string{c.Cluster, c.Node}]++
	}
	for i := range clients {
		c := &clients[i]
		c.Name = c.Cluster + "/" + cmp.Or(c.Node, c.Pod)
		if onNode[[2]string{c.Cluster, c.Node}] > 1 {
			c.Name = c.Cluster + "/" + c.Pod
		}
	}
}

// since0 is the time between two moments in milliseconds, nil if the second one is zero, and 0 if it is earlier.
func since0(from, to time.Time) *float64 {
	if to.IsZero() {
		return nil
	}
	return ptr.To(summary.Milliseconds(max(0, to.Sub(from))))
}
