package history

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

var epoch = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// at is a moment of a test run.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// sent is a request that started at a moment and took a time; who answered, or the class of its error.
func sent(start, took int, who string, class reply.Class) Request {
	return Request{Client: "us", Start: at(start), Duration: time.Duration(took) * time.Millisecond, Measured: true, Status: 200, Cluster: who, Member: who != "", Class: class}
}

// every sends a request each 20 ms, as an open loop does. Its result is that of the function.
func every(until int, f func(start int) Request) []Request {
	var out []Request
	for ms := 0; ms < until; ms += 20 {
		out = append(out, f(ms))
	}
	return out
}

// Cluster us is silent from 3.0 s to 4.5 s, then eu answers.
func TestOutageOfAnOpenLoop(t *testing.T) {
	t.Parallel()
	requests := every(8000, func(ms int) Request {
		switch {
		case ms < 3000:
			return sent(ms, 2, "us", "")
		case ms < 4500:
			return sent(ms, 1000, "", reply.ClassConnectTimeout)
		}
		return sent(ms, 10, "eu", "")
	})
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	o := FindOutage(requests, at(2995), "us")
	if o.LastFrom != at(2982) || o.FirstTo != at(4510) || o.ToCluster != "eu" {
		t.Errorf("last %s, first %s by %q", o.LastFrom, o.FirstTo, o.ToCluster)
	}
	if o.Gap != 1515*time.Millisecond || o.GapStart != at(2995) || o.GapEnd != at(4510) || !o.Recovered {
		t.Errorf("gap %s from %s to %s, recovered %v", o.Gap, o.GapStart, o.GapEnd, o.Recovered)
	}
	if o.Outage != 1500*time.Millisecond || o.Failed != 75 || !maps.Equal(o.Errors, map[reply.Class]int{reply.ClassConnectTimeout: 75}) {
		t.Errorf("outage %s, %d failed: %v", o.Outage, o.Failed, o.Errors)
	}
	if o.FirstError != at(3000) || o.LastError != at(4480) || o.Resolution != 20*time.Millisecond {
		t.Errorf("errors from %s to %s, resolution %s", o.FirstError, o.LastError, o.Resolution)
	}
}

// A request that is sent to a dead backend and answered by another one after a second did not succeed before that.
func TestOutageEndsWhenAnAnswerArrives(t *testing.T) {
	t.Parallel()
	requests := []Request{sent(0, 2, "us", ""), sent(500, 1000, "eu", ""), sent(1000, 700, "", reply.ClassReset), sent(1520, 3, "eu", "")}
	if o := FindOutage(requests, at(100), "us"); o.Gap != 1400*time.Millisecond || o.GapEnd != at(1500) {
		t.Errorf("%+v", o)
	}
}

// A closed loop waits for the timeout, and says how coarse it is.
func TestOutageOfAClosedLoop(t *testing.T) {
	t.Parallel()
	requests := []Request{sent(2990, 5, "us", ""), sent(2995, 1000, "", reply.ClassReadTimeout), sent(3995, 1000, "", reply.ClassReadTimeout), sent(4995, 5, "eu", ""), sent(5000, 5, "eu", "")}
	o := FindOutage(requests, at(3000), "us")
	if o.Gap != 2*time.Second || o.Resolution != time.Second || o.Outage != 2*time.Second {
		t.Errorf("gap %s, outage %s, resolution %s", o.Gap, o.Outage, o.Resolution)
	}
}

func TestOutageWithoutEnd(t *testing.T) {
	t.Parallel()
	requests := []Request{sent(0, 5, "us", ""), sent(100, 50, "", reply.ClassRefused), sent(200, 50, "", reply.ClassRefused)}
	o := FindOutage(requests, at(90), "us")
	if o.Recovered || o.Gap != 160*time.Millisecond || o.Outage != 150*time.Millisecond || !o.FirstTo.IsZero() || o.LastFrom != at(5) {
		t.Errorf("%+v", o)
	}
	if o := FindOutage(nil, at(0), "us"); o.Recovered || o.Gap != 0 || o.Requests != 0 {
		t.Errorf("without requests: %+v", o)
	}
}

// Without an outage, the gap is the usual time between two answers.
func TestOutageThatNobodyNotices(t *testing.T) {
	t.Parallel()
	requests := every(1000, func(ms int) Request { return sent(ms, 2, "us", "") })
	o := FindOutage(requests, at(500), "")
	if o.Gap != 20*time.Millisecond || o.Failed != 0 || o.Outage != 0 || !o.Recovered || o.ToCluster != "us" || !o.LastFrom.IsZero() {
		t.Errorf("%+v", o)
	}
}

// untimed is a request that was not measured: its result arrived a time after its start.
func untimed(start, most int, who string, class reply.Class) Request {
	r := sent(start, most, who, class)
	r.Measured = false
	return r
}

// A tool that measures nothing, in a shell without a clock: an answer counts when its result arrives, never when its request started.
func TestOutageOfAToolWithoutMeasures(t *testing.T) {
	t.Parallel()
	requests := []Request{untimed(0, 3, "us", ""), untimed(50, 1000, "eu", ""), untimed(1000, 8, "eu", "")}
	o := FindOutage(requests, at(20), "us")
	if o.Gap != 988*time.Millisecond || o.FirstTo != at(1008) || !o.Recovered {
		t.Errorf("%+v", o)
	}
	if o := FindOutage(requests[:2], at(20), "us"); o.Gap != 1030*time.Millisecond || o.FirstTo != at(1050) || o.LastFrom != at(3) || o.Gap-o.Resolution > 30*time.Millisecond {
		t.Errorf("one answer that waited: %+v", o)
	}
}

// The requests of a batch that was not measured are spread over its time. Those that were answered may all have been at its beginning, before the
// one that failed.
func TestOutageOfABatchWithoutMeasures(t *testing.T) {
	t.Parallel()
	var requests []Request
	for i := range 10 {
		r := untimed(100*i, 1000-100*i, "us", "")
		r.Uncertain = max(r.Duration, r.Start.Sub(at(0)))
		if i == 9 {
			r.Cluster, r.Member, r.Class = "", false, reply.ClassReadTimeout
		}
		requests = append(requests, r)
	}
	requests = append(requests, untimed(1000, 5, "eu", ""))
	if o := FindOutage(requests, at(0), ""); o.Gap != 1005*time.Millisecond || o.Resolution < time.Second {
		t.Errorf("gap %s, resolution %s", o.Gap, o.Resolution)
	}
}

// A request that started somewhere between two moments ended at the latest after the later one.
func TestOutageOfAnUncertainStart(t *testing.T) {
	t.Parallel()
	late := sent(100, 10, "eu", "")
	late.Uncertain = 300 * time.Millisecond
	if o := FindOutage([]Request{sent(0, 2, "us", ""), late}, at(50), "us"); o.Gap != 360*time.Millisecond || o.Resolution < 300*time.Millisecond {
		t.Errorf("gap %s, resolution %s", o.Gap, o.Resolution)
	}
}

// The results of a batch may arrive together: the answer that ends the outage and the error before it then end at the same moment.
func TestOutageThatEndsWithItsError(t *testing.T) {
	t.Parallel()
	for name, requests := range map[string][]Request{
		"error first":  {sent(0, 2, "us", ""), sent(100, 5000, "", reply.ClassConnectTimeout), sent(5098, 2, "us", ""), sent(5200, 2, "us", "")},
		"answer first": {sent(0, 2, "us", ""), sent(5098, 2, "us", ""), sent(100, 5000, "", reply.ClassConnectTimeout), sent(5200, 2, "us", "")},
	} {
		if o := FindOutage(requests, at(50), ""); o.Gap != 5050*time.Millisecond || !o.Recovered || o.Failed != 1 {
			t.Errorf("%s: %+v", name, o)
		}
	}
}
