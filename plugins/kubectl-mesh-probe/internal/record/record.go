// Package record stores the requests of a run as lines of JSON, compressed with gzip, and reads them again.
//
// The first line is a header: the version, and what is known before the first request. The last line is a trailer with the counts and the final
// report. Without it the record was cut short. The lines in between are requests in the order of arrival, attributions of replies whose sender
// was unknown when they arrived, and marks. Bodies are not stored. The package knows neither files nor the command
// line.
package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// Version is the version of the format that is written and read.
const Version = 1

// kind marks a record in its first line.
const kind = "ProbeRecord"

// What the lines of a record hold.
type (
	line        = v1alpha1.ProbeRecordLine
	header      = v1alpha1.ProbeRecordHeader
	attribution = v1alpha1.ProbeRecordAttribution
	trailer     = v1alpha1.ProbeRecordTrailer
)

// Describe returns a request as documents show it.
func Describe(r history.Request) v1alpha1.ProbeRequest {
	out := v1alpha1.ProbeRequest{
		Client: r.Client, Pod: r.Pod, URL: r.URL, StartTime: r.Start.UTC(), UncertainMs: summary.Milliseconds(r.Uncertain), Status: r.Status, Class: string(r.Class),
		Message: r.Message, Cluster: r.Cluster, Member: r.Member, Evidence: r.Evidence, Weak: r.Weak, Reply: r.Reply,
	}
	if !r.Due.IsZero() {
		due := r.Due.UTC()
		out.DueTime, out.LagMs = &due, summary.Milliseconds(r.Lag)
	}
	if took := summary.Milliseconds(r.Duration); r.Measured {
		out.DurationMs = &took
	} else {
		out.AtMostMs = &took
	}
	if r.Connect > 0 {
		ms := summary.Milliseconds(r.Connect)
		out.ConnectMs = &ms
	}
	return out
}

// parse returns the request that a line describes.
func parse(p v1alpha1.ProbeRequest) (history.Request, error) {
	r := history.Request{
		Client: p.Client, Pod: p.Pod, URL: p.URL, Start: p.StartTime, Uncertain: duration(p.UncertainMs), Status: p.Status, Class: reply.Class(p.Class),
		Message: p.Message, Cluster: p.Cluster, Member: p.Member, Evidence: p.Evidence, Weak: p.Weak, Reply: p.Reply,
	}
	if p.DueTime != nil {
		r.Due, r.Lag = *p.DueTime, duration(p.LagMs)
	}
	switch {
	case p.DurationMs != nil:
		r.Duration, r.Measured = duration(*p.DurationMs), true
	case p.AtMostMs != nil:
		r.Duration = duration(*p.AtMostMs)
	}
	if p.ConnectMs != nil {
		r.Connect = duration(*p.ConnectMs)
	}
	for _, at := range []time.Time{r.From(), r.Start} {
		if at.Year() < 1970 || at.Year() > 2200 {
			return r, fmt.Errorf("a request of the year %d", at.Year())
		}
	}
	if p.DurationMs == nil && p.AtMostMs == nil {
		return r, errors.New("a request without durationMs and atMostMs")
	}
	if r.Status < 0 || r.Status > 999 || r.Reply < 0 || r.Duration < 0 || r.Connect < 0 || r.Uncertain < 0 || r.Lag < 0 {
		return r, fmt.Errorf("a request with a value that cannot be: status %d, %s", r.Status, r.Duration)
	}
	return r, nil
}

// duration reads milliseconds with microseconds. What no request can take is cut off.
func duration(ms float64) time.Duration {
	const most = 100 * 24 * time.Hour
	if ms > float64(most.Milliseconds()) {
		return most
	}
	return time.Duration(ms*1000+0.5) * time.Microsecond
}

// clientOf is the client whose reply is attributed.
func clientOf(a attribution) history.Client {
	return history.Client{Cluster: a.Client, Pod: a.Pod, URL: a.URL}
}

// matchOf is who sent the reply.
func matchOf(a attribution) origin.Match {
	return origin.Match{Name: a.Cluster, Member: a.Member, By: a.Evidence, Weak: a.Weak}
}
