// Package compare decides whether two recorded runs differ: in the shares of the clusters, in errors, and in latency.
//
// It is pure. As with checks, a comparison has three results, because few requests prove little.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// The results of a comparison and of its metrics.
const (
	Same         = "SAME"
	Different    = "DIFFERENT"
	Inconclusive = "INCONCLUSIVE"
)

// Options are what counts as the same.
type Options struct {
	// Share and Errors are differences of parts of all requests, from 0 to 1.
	Share, Errors float64
	// Latency is a relative difference: 0.2 means from 1/1.2 to 1.2 times. A difference below one millisecond is always the same.
	Latency float64
	// Confidence is the probability with which all metrics together are right, from 0 to 1.
	Confidence float64
}

// Run is one of the two runs.
type Run struct {
	File string
	*record.Record
}

// Compare compares two runs, client by client and URL by URL. The pods of a cluster count together.
func Compare(a, b Run, opts Options) (v1alpha1.ProbeComparison, error) {
	doc := v1alpha1.ProbeComparison{
		Document:   v1alpha1.Document{APIVersion: v1alpha1.APIVersion, Kind: "ProbeComparison", Complete: a.Report.Complete && b.Report.Complete, Members: a.Report.Members},
		Confidence: opts.Confidence, A: describe(a), B: describe(b), Metrics: []v1alpha1.ProbeMetric{},
	}
	byURL := len(a.Report.Targets)+len(b.Report.Targets) > 0
	left, right := samples(a, byURL), samples(b, byURL)
	compareTargets(a.Report, b.Report, &doc)
	names, err := clients(left, right, &doc)
	if err != nil {
		return doc, err
	}
	var metrics []metric
	for _, n := range names {
		found, missing := metricsOf(n[0], left[n[0]], right[n[1]])
		metrics = append(metrics, found...)
		for _, m := range missing {
			doc.Warnings = append(doc.Warnings, fmt.Sprintf("clients in %s: %s", n[0].text(), m.describe(a.File, b.File)))
		}
	}
	for _, m := range metrics {
		doc.Metrics = append(doc.Metrics, m.judge(opts, len(metrics)))
	}
	doc.Result = result(doc)
	// The metrics allow for these requests, so the result does not depend on these warnings.
	for n, all := range []map[group]*sample{left, right} {
		if dropped := notSent(all); dropped > 0 {
			doc.Warnings = append(doc.Warnings, fmt.Sprintf("%s: %s", []Run{a, b}[n].File, sender.NotSent(dropped)))
		}
	}
	return doc, nil
}

func describe(r Run) v1alpha1.ProbeComparedRun {
	out := v1alpha1.ProbeComparedRun{File: r.File, URL: r.Report.Target.URL, StartTime: r.Report.StartTime, Requests: r.Log.Len(), Complete: r.Report.Complete}
	for _, t := range r.Report.Targets {
		out.URLs = append(out.URLs, t.URL)
	}
	return out
}

// notSent counts the requests of a run that were planned and not sent.
func notSent(all map[group]*sample) int {
	n := 0
	for _, s := range all {
		n += s.dropped
	}
	return n
}

// group are the clients of a cluster that call a URL. The URL is empty if both runs have only one.
type group struct{ cluster, url string }

func (g group) text() string {
	if g.url == "" {
		return g.cluster
	}
	return g.cluster + ", " + g.url
}

func compareGroups(a, b group) int {
	return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.url, b.url))
}

// sample is what the clients of one group saw.
type sample struct {
	requests, errors int
	dropped          int // planned and not sent
	answers          map[string]int
	latency          map[string][]float64 // in milliseconds, by who answered; "" has all answers
}

// samples returns what the clients of each group saw. A client that sent nothing has an empty sample.
func samples(r Run, byURL bool) map[group]*sample {
	out := map[group]*sample{}
	of := func(cluster, url string) *sample {
		g := group{cluster, url}
		if byURL && url == "" {
			g.url = r.Report.Target.URL // the only one of this run
		}
		if out[g] == nil {
			out[g] = &sample{answers: map[string]int{}, latency: map[string][]float64{}}
		}
		return out[g]
	}
	for _, c := range r.Report.Clients {
		s := of(c.Cluster, c.URL)
		if c.Schedule != nil {
			s.dropped += c.Schedule.Dropped
		}
	}
	for r := range r.Log.All() {
		s := of(r.Client, r.URL)
		s.requests++
		if !r.OK() {
			s.errors++
		}
		if r.Cluster != "" {
			s.answers[r.Cluster]++
		}
		if r.Measured && r.Answered() {
			ms := max(fastest, float64(r.Latency())/float64(time.Millisecond))
			s.latency[""] = append(s.latency[""], ms)
			if r.Cluster != "" {
				s.latency[r.Cluster] = append(s.latency[r.Cluster], ms)
			}
		}
	}
	for _, s := range out {
		for _, times := range s.latency {
			slices.Sort(times)
		}
	}
	return out
}

// compareTargets warns about runs that did not call the same. Of runs with several URLs, it compares the targets with the same URL; the others are
// clients in one run only.
func compareTargets(a, b v1alpha1.ProbeReport, doc *v1alpha1.ProbeComparison) {
	warn := func(format string, args ...any) { doc.Warnings = append(doc.Warnings, fmt.Sprintf(format, args...)) }
	left, right := targets(a), targets(b)
	if len(left) == 1 && len(right) == 1 && left[0].URL != right[0].URL {
		warn("the runs call different URLs: %s and %s", left[0].URL, right[0].URL)
		return
	}
	for _, x := range left {
		for _, y := range right {
			if x.URL == y.URL && x != y {
				warn("the runs call different targets: %s and %s", describeTarget(x), describeTarget(y))
			}
		}
	}
}

// targets are all targets of a run.
func targets(r v1alpha1.ProbeReport) []v1alpha1.ProbeTarget {
	if len(r.Targets) > 0 {
		return r.Targets
	}
	return []v1alpha1.ProbeTarget{r.Target}
}

func describeTarget(t v1alpha1.ProbeTarget) string {
	if t.Service == "" {
		return t.Method + " of no Service"
	}
	return fmt.Sprintf("%s of Service %s port %d", t.Method, t.Service, t.Port)
}

// clients pairs the clients of both runs: those of the same cluster with the same URL, or the only ones.
func clients(a, b map[group]*sample, doc *v1alpha1.ProbeComparison) ([][2]group, error) {
	warn := func(format string, args ...any) { doc.Warnings = append(doc.Warnings, fmt.Sprintf(format, args...)) }
	for _, r := range []v1alpha1.ProbeComparedRun{doc.A, doc.B} {
		if !r.Complete {
			warn("the run of %s was not complete", r.File)
		}
	}
	var out [][2]group
	if one, other := senders(a), senders(b); len(one) == 1 && len(other) == 1 && one[0] != other[0] && one[0].url == other[0].url {
		warn("the clients are in different clusters: %s and %s", one[0].cluster, other[0].cluster)
		return append(out, [2]group{one[0], other[0]}), nil
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, g := range slices.SortedFunc(maps.Keys(all), compareGroups) {
		switch left, right := a[g].sent(), b[g].sent(); {
		case left && right:
			out = append(out, [2]group{g, g})
		case left:
			warn("only %s has requests of clients in cluster %s", doc.A.File, g.text())
		case right:
			warn("only %s has requests of clients in cluster %s", doc.B.File, g.text())
		default:
			warn("no client in cluster %s sent a request", g.text())
		}
	}
	if len(out) == 0 {
		if len(doc.A.URLs)+len(doc.B.URLs) > 0 {
			return nil, errors.New("the runs have nothing in common: no cluster has clients with requests to the same URL in both")
		}
		return nil, errors.New("the runs have nothing in common: no cluster has clients with requests in both")
	}
	return out, nil
}

// sent reports whether the clients sent anything. A run without them has no sample.
func (s *sample) sent() bool { return s != nil && s.requests > 0 }

// senders are the groups whose clients sent something.
func senders(all map[group]*sample) []group {
	return slices.DeleteFunc(slices.SortedFunc(maps.Keys(all), compareGroups), func(g group) bool { return !all[g].sent() })
}

// result is that of all metrics. Each warning says what is not the same in both runs, or was not compared: with one, the runs are never the same.
func result(doc v1alpha1.ProbeComparison) string {
	out := Same
	if !doc.Complete || len(doc.Warnings) > 0 {
		out = Inconclusive
	}
	for _, m := range doc.Metrics {
		switch m.Result {
		case Different:
			return Different
		case Inconclusive:
			out = Inconclusive
		}
	}
	return out
}
