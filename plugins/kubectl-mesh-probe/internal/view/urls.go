package view

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// from names a client outside tables: its name, and its URL if the run has several.
func from(c v1alpha1.ProbeClient) string { return fromParts(c.Name, c.URL) }

func fromParts(name, url string) string {
	if url == "" {
		return name
	}
	return name + ", " + output.Clean(url)
}

// urls are the URLs of a run that has several. It is empty for any other run.
func urls(r v1alpha1.ProbeReport) []string {
	var out []string
	for _, t := range r.Targets {
		out = append(out, t.URL)
	}
	return out
}

// urlOf is what a client called.
func urlOf(r v1alpha1.ProbeReport, c v1alpha1.ProbeClient) string {
	if c.URL == "" {
		return r.Target.URL
	}
	return c.URL
}

// targetOf is the target with a URL, or the only one of the run.
func targetOf(r v1alpha1.ProbeReport, url string) v1alpha1.ProbeTarget {
	for _, t := range r.Targets {
		if t.URL == url {
			return t
		}
	}
	return r.Target
}

// withURL inserts a cell into a row, if the run has several URLs.
func withURL(r v1alpha1.ProbeReport, at int, cell string, row ...string) []string {
	if len(r.Targets) == 0 {
		return row
	}
	return slices.Insert(row, at, output.Clean(cell))
}

// intervalsOf are the intervals of all clients of a URL. They have no latencies.
func intervalsOf(r v1alpha1.ProbeReport, url string) []v1alpha1.ProbeTimeInterval {
	out := make([]v1alpha1.ProbeTimeInterval, len(r.Intervals))
	for n, i := range r.Intervals {
		out[n] = v1alpha1.ProbeTimeInterval{StartTime: i.StartTime, Answers: map[string]int{}}
	}
	for _, c := range r.Clients {
		if c.URL != url {
			continue
		}
		for n, i := range c.Intervals[:min(len(c.Intervals), len(out))] {
			to := &out[n]
			to.Requests += i.Requests
			to.Unknown += i.Unknown
			to.NoAnswer += i.NoAnswer
			to.Errors += i.Errors
			for name, count := range i.Answers {
				to.Answers[name] += count
			}
		}
	}
	return out
}
