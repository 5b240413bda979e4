package summary

import (
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
)

// outages fills in what each client saw after each mark of its run, until the next one.
func outages(doc *v1alpha1.ProbeReport, log *history.Log) {
	if len(doc.Marks) == 0 {
		return
	}
	byClient := map[history.Client][]history.Request{}
	for r := range log.All() {
		byClient[r.By()] = append(byClient[r.By()], r)
	}
	for i := range doc.Clients {
		c := &doc.Clients[i]
		requests := byClient[Client(*c)]
		if len(requests) == 0 {
			continue
		}
		for n, m := range doc.Marks {
			if len(m.RunClients) > 0 && !slices.Contains(m.RunClients, v1alpha1.ProbeRunClient(Client(*c))) {
				continue
			}
			if o := outage(m, ofMark(requests, m, until(doc.Marks[n:]))); o.Requests > 0 { // a mark at the end of the run shows nothing
				c.Outages = append(c.Outages, o)
			}
		}
	}
}

// until is the time of the next mark of the first one's run. It is zero if there is none.
func until(marks []v1alpha1.ProbeMark) time.Time {
	for _, next := range marks[1:] {
		if isSameRun(marks[0], next) {
			return next.Time
		}
	}
	return time.Time{}
}

// isSameRun reports whether two marks are of one run. Those of a report that does not join runs are.
func isSameRun(a, b v1alpha1.ProbeMark) bool {
	equal := func(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }
	return equal(a.RunStartTime, b.RunStartTime) && equal(a.RunEndTime, b.RunEndTime) && slices.Equal(a.RunClients, b.RunClients)
}

// ofMark returns the requests to which a mark applies: those of its run that count from a moment before until. If until is zero, there is no later mark.
func ofMark(requests []history.Request, m v1alpha1.ProbeMark, until time.Time) []history.Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r history.Request) bool {
		from := r.From()
		return !until.IsZero() && !from.Before(until) || m.RunStartTime != nil && from.Before(*m.RunStartTime) || m.RunEndTime != nil && from.After(*m.RunEndTime)
	})
}

func outage(m v1alpha1.ProbeMark, requests []history.Request) v1alpha1.ProbeOutage {
	o := history.FindOutage(requests, m.Time, "")
	if from := stopped(requests, o); from != "" {
		o = history.FindOutage(requests, m.Time, from)
	}
	out := v1alpha1.ProbeOutage{
		Mark: m.Text, Time: m.Time, ToCluster: o.ToCluster, FirstAnswerTime: moment(o.FirstTo),
		GapMs: Milliseconds(o.Gap), GapStartTime: o.GapStart.UTC(), GapEndTime: o.GapEnd.UTC(), Recovered: o.Recovered,
		Requests: o.Requests, Failed: o.Failed, ResolutionMs: Milliseconds(o.Resolution),
	}
	if !o.LastFrom.IsZero() {
		out.Cluster, out.LastAnswerTime = stopped(requests, o), moment(o.LastFrom)
	}
	if o.Failed > 0 {
		out.ErrorsMs = ptr.To(Milliseconds(o.Outage))
		out.Errors = map[string]int{}
		for class, n := range o.Errors {
			out.Errors[string(class)] = n
		}
	}
	return out
}

// stopped is the cluster that answered before the mark and no longer after the gap. It is empty if that is not true of one cluster only.
func stopped(requests []history.Request, o history.Outage) string {
	earlier, later := map[string]bool{}, map[string]bool{}
	for _, r := range requests {
		switch end := r.End(); {
		case !r.OK() || r.Cluster == "":
		case end.Before(o.Mark):
			earlier[r.Cluster] = true
		case !end.Before(o.GapEnd):
			later[r.Cluster] = true
		}
	}
	name := ""
	for cluster := range earlier {
		if later[cluster] {
			continue
		}
		if name != "" {
			return ""
		}
		name = cluster
	}
	return name
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return ptr.To(t.UTC())
}
