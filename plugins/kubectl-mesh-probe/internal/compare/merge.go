package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// Merge joins runs of the same target. The requests of a client pod count together. Checks keep their results, with the file of their run: they
// were judged for that run. A request that two of the runs have is an error: it would count twice.
func Merge(runs []Run) (*record.Record, error) {
	first := runs[0].Report
	out := &record.Record{Report: first, Log: &history.Log{}}
	doc := &out.Report
	doc.Members, doc.Clients, doc.Checks, doc.Marks, doc.Witnesses = slices.Clone(first.Members), nil, nil, nil, nil
	seen := seenRequests{}
	for i, r := range runs {
		if !slices.Equal(targets(r.Report), targets(first)) {
			return nil, fmt.Errorf("the runs have different targets: %s in %s, %s in %s", listTargets(first), runs[0].File, listTargets(r.Report), r.File)
		}
		if other := seen.add(i, r.Log); other >= 0 {
			return nil, fmt.Errorf("%s and %s have the same requests, which would count twice; leave one of them out", runs[other].File, r.File)
		}
		join(doc, r)
		for one := range r.Log.All() {
			out.Log.Add(one)
		}
	}
	nameClients(doc.Clients)
	slices.SortStableFunc(doc.Marks, func(a, b v1alpha1.ProbeMark) int { return a.Time.Compare(b.Time) })
	summary.Fill(doc, out.Log)
	return out, nil
}

// listTargets shows what a run called.
func listTargets(r v1alpha1.ProbeReport) string {
	var out []string
	for _, t := range targets(r) {
		out = append(out, strings.TrimSpace(t.Method+" "+t.URL))
	}
	return strings.Join(out, ", ")
}

// seenRequests are the requests of the runs before: by client and by start and duration, the number of their run. No two requests of a client
// have both in common, unless they are the same one.
type seenRequests map[history.Client]map[[2]int64]int

// add adds the requests of a run. It returns the number of an earlier run that has one of them too, -1 if there is none.
func (s seenRequests) add(run int, log *history.Log) int {
	for r := range log.All() {
		by := r.By()
		if s[by] == nil {
			s[by] = map[[2]int64]int{}
		}
		key := [2]int64{r.Start.UnixNano(), int64(r.Duration)}
		if other, known := s[by][key]; known && other != run {
			return other
		}
		s[by][key] = run
	}
	return -1
}

// join adds what is known about one run, except for its requests.
func join(doc *v1alpha1.ProbeReport, r Run) {
	doc.Complete = doc.Complete && r.Report.Complete
	if t := r.Report.StartTime; t != nil && (doc.StartTime == nil || t.Before(*doc.StartTime)) {
		doc.StartTime = t
	}
	if t := r.Report.EndTime; t != nil && (doc.EndTime == nil || t.After(*doc.EndTime)) {
		doc.EndTime = t
	}
	for _, m := range r.Report.Members {
		if !slices.ContainsFunc(doc.Members, func(o v1alpha1.Member) bool { return o.Name == m.Name }) {
			doc.Members = append(doc.Members, m)
		}
	}
	for _, c := range r.Report.Clients {
		at := slices.IndexFunc(doc.Clients, func(o v1alpha1.ProbeClient) bool { return summary.Client(o) == summary.Client(c) })
		if at < 0 {
			doc.Clients = append(doc.Clients, c)
		} else {
			joinClient(&doc.Clients[at], c)
		}
	}
	for _, k := range r.Report.Checks {
		k.Expectation = fmt.Sprintf("%s (%s)", k.Expectation, r.File)
		doc.Checks = append(doc.Checks, k)
	}
	for _, m := range r.Report.Marks {
		doc.Marks = append(doc.Marks, ofRun(m, r))
	}
	doc.Witnesses = append(doc.Witnesses, r.Report.Witnesses...)
}

// ofRun sets to which requests a mark applies: those of its run. Otherwise the time between two runs would count as an outage, and so would the time
// until a client of another run starts.
func ofRun(m v1alpha1.ProbeMark, r Run) v1alpha1.ProbeMark {
	if m.RunStartTime != nil && m.RunEndTime != nil {
		return m // the run was joined before
	}
	first, last := r.Log.Span()
	if r.Log.Len() == 0 {
		first, last = m.Time, m.Time
	}
	m.RunStartTime, m.RunEndTime = &first, &last
	for _, c := range r.Report.Clients {
		m.RunClients = append(m.RunClients, v1alpha1.ProbeRunClient(summary.Client(c)))
	}
	return m
}

// nameClients makes the names unambiguous, as those of a run are: two runs may have had different pods of a cluster.
func nameClients(clients []v1alpha1.ProbeClient) {
	pods := map[group]int{}
	for _, c := range clients {
		pods[group{c.Cluster, c.URL}]++
	}
	for i := range clients {
		if c := &clients[i]; pods[group{c.Cluster, c.URL}] > 1 && c.Name == c.Cluster && c.Pod != "" {
			c.Name = c.Cluster + "/" + c.Pod
		}
	}
}

// joinClient adds another run of the same pod. The prediction stays only if both runs had the same.
func joinClient(to *v1alpha1.ProbeClient, c v1alpha1.ProbeClient) {
	to.Complete = to.Complete && c.Complete
	if to.Reason == "" {
		to.Reason = c.Reason
	}
	if c.DurationMs != nil {
		sum := *c.DurationMs
		if to.DurationMs != nil {
			sum += *to.DurationMs
		}
		to.DurationMs = &sum
	}
	if c.Tool != to.Tool && c.Tool != "" {
		if to.Tool != "" {
			to.Tool += ", "
		}
		to.Tool += c.Tool
	}
	for _, w := range c.Warnings {
		if !slices.Contains(to.Warnings, w) {
			to.Warnings = append(to.Warnings, w)
		}
	}
	to.Schedule = joinSchedules(to.Schedule, c.Schedule)
	to.UnknownSamples = append(slices.Clone(to.UnknownSamples), c.UnknownSamples...)
	if to.UnknownSample == "" {
		to.UnknownSample = c.UnknownSample
	}
	if to.OnlyCluster != c.OnlyCluster {
		to.OnlyCluster = ""
	}
	if !maps.Equal(expected(*to), expected(c)) {
		to.Answers = slices.Clone(to.Answers)
		for i := range to.Answers {
			to.Answers[i].ExpectedShare = nil
		}
		to.PredictionMessage = "the predictions of the joined runs differ"
	}
}

// joinSchedules adds the counts of another run. How much later than planned the requests started follows from the requests.
func joinSchedules(a, b *v1alpha1.ProbeSchedule) *v1alpha1.ProbeSchedule {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &v1alpha1.ProbeSchedule{Planned: a.Planned + b.Planned, Late: a.Late + b.Late, Dropped: a.Dropped + b.Dropped}
}

// expected are the predicted shares of a client.
func expected(c v1alpha1.ProbeClient) map[string]float64 {
	out := map[string]float64{}
	for _, a := range c.Answers {
		if a.ExpectedShare != nil {
			out[a.Name] = *a.ExpectedShare
		}
	}
	return out
}
