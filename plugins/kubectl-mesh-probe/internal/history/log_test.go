package history

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// What goes in comes out again, across the end of a chunk.
func TestLogKeepsRequests(t *testing.T) {
	t.Parallel()
	want := make([]Request, 0, chunkSize+3)
	for n := range chunkSize + 3 {
		r := sent(n, n%7, []string{"us", "eu", ""}[n%3], []reply.Class{"", reply.Class5xx}[n%2])
		r.Pod, r.Status, r.Connect, r.Uncertain = fmt.Sprint("client-", n%5), 200+n%3, time.Duration(n)*time.Microsecond, time.Duration(n%4)*time.Millisecond
		r.Message, r.Evidence, r.Weak, r.Measured = fmt.Sprint("message ", n%10), origin.ByPod, n%11 == 0, n%2 == 0
		if n%4 == 0 {
			r.Due, r.Lag = r.Start.Add(-time.Millisecond), 1500*time.Microsecond
		}
		want = append(want, r)
	}
	var log Log
	for _, r := range want {
		log.Add(r)
	}
	if d := cmp.Diff(want, slices.Collect(log.All())); d != "" || log.Len() != len(want) {
		t.Errorf("%d requests: %s", log.Len(), d)
	}
	if first, last := log.Span(); first != want[0].From() || last != want[len(want)-1].From() {
		t.Errorf("from %s to %s", first, last)
	}
}

// A reply is attributed for all requests of its client, and for no other client with a reply of the same number.
func TestLogAttributesLate(t *testing.T) {
	t.Parallel()
	var log Log
	for n := range 6 {
		r := sent(n, 1, "", "")
		r.Client, r.Reply = []string{"us", "eu"}[n%2], 1+n/4
		log.Add(r)
	}
	log.Attribute(Client{Cluster: "us"}, 1, origin.Match{Name: "ap", Member: true, By: origin.ByPod})
	log.Attribute(Client{Cluster: "us"}, 7, origin.Match{Name: "never"})
	log.Attribute(Client{Cluster: "ap"}, 1, origin.Match{Name: "never"})
	var got []string
	for r := range log.All() {
		got = append(got, r.Client+":"+r.Cluster)
	}
	if want := []string{"us:ap", "eu:", "us:ap", "eu:", "us:", "eu:"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Messages that differ from request to request must not fill the memory. Their classes stay.
func TestLogLimitsMessages(t *testing.T) {
	t.Parallel()
	var log Log
	for n := range maxTexts + 100 {
		r := sent(n, 1, "", reply.ClassReset)
		r.Message = fmt.Sprint("reset ", n)
		log.Add(r)
	}
	last := sent(maxTexts+100, 1, "", reply.ClassDNS) // the first one of its class
	last.Message = "new"
	log.Add(last)
	all := slices.Collect(log.All())
	if len(log.texts.values) != maxTexts || all[0].Message != "reset 0" || all[len(all)-1].Message != "" || all[len(all)-2].Class != reply.ClassReset || all[len(all)-1].Class != reply.ClassDNS {
		t.Errorf("%d texts, the last request %+v", len(log.texts.values), all[len(all)-1])
	}
}

// A million requests must be no burden.
func TestLogIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var log Log
	r := sent(0, 1, "us", "")
	for n := range 1_000_000 {
		r.Start = at(n)
		log.Add(r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perRequest := float64(after.HeapAlloc-before.HeapAlloc) / float64(log.Len())
	t.Logf("%.1f bytes for each request", perRequest)
	if perRequest > 64 {
		t.Errorf("%.1f bytes for each of %d requests", perRequest, log.Len())
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	values := make([]time.Duration, 1000)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	for p, want := range map[int]time.Duration{50: 500, 95: 950, 99: 990} {
		if got := percentile(values, p); got == nil || *got != want {
			t.Errorf("p%d = %v, want %v", p, got, want)
		}
	}
	for _, tc := range []struct{ n, p int }{{999, 99}, {199, 95}, {19, 50}} {
		if got := percentile(values[:tc.n], tc.p); got != nil {
			t.Errorf("p%d of %d = %v, too few for one", tc.p, tc.n, *got)
		}
	}
}

func TestHistogramCountsEverything(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	times := []time.Duration{0, 50 * time.Microsecond, ms, ms + 1, 2 * ms, 5 * ms, 5 * ms, time.Second, time.Hour}
	want := []Bucket{{100 * time.Microsecond, 2}, {ms, 1}, {ms * 3 / 2, 1}, {2 * ms, 1}, {5 * ms, 2}, {time.Second, 1}, {time.Hour, 1}}
	if d := cmp.Diff(want, Summarize(times).Histogram); d != "" {
		t.Error(d)
	}
	if b := bounds; !slices.IsSorted(b) || b[0] != 100*time.Microsecond || b[len(b)-1] != 700*time.Second {
		t.Errorf("bounds %s", b)
	}
}

// A run has at most 60 intervals, and at least 20 unless they would be shorter than 100 ms.
func TestWidth(t *testing.T) {
	t.Parallel()
	for run := time.Duration(0); run < 400*time.Hour; run += 1 + run/50 {
		w := Width(run)
		n := int(run/w) + 1
		if n > maxIntervals || w < minWidth || n < 20 && w > minWidth {
			t.Fatalf("%s: %d intervals of %s", run, n, w)
		}
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	line := NewTimeline(at(0), 100*time.Millisecond)
	late := sent(130, 1, "", reply.ClassReset) // it should have started in the first interval
	late.Due, late.Status = at(99), 0
	for _, r := range []Request{sent(0, 4, "us", ""), sent(10, 2, "us", reply.Class5xx), late, sent(305, 7, "", "")} {
		line.Add(r)
	}
	line.Extend(at(450))
	got := line.Intervals()
	if len(got) != 5 || got[4].Start != at(400) {
		t.Fatalf("%d intervals", len(got))
	}
	if i := got[0]; i.Requests != 3 || i.Answers["us"] != 2 || i.Errors != 2 || i.NoAnswer != 1 || i.Median() != 2*time.Millisecond || i.Max() != 4*time.Millisecond {
		t.Errorf("%+v", i)
	}
	if i := got[3]; i.Requests != 1 || i.Unknown != 1 || i.Errors != 0 || i.Max() != 7*time.Millisecond {
		t.Errorf("%+v", i)
	}
	line.Keep(2)
	if got := line.Intervals(); len(got) != 2 || got[0].Start != at(300) || got[0].Requests != 1 {
		t.Errorf("%+v", got)
	}
}

// Latency counts from the moment at which the request should have started.
func TestLatencyOfASchedule(t *testing.T) {
	t.Parallel()
	r := sent(150, 10, "us", "")
	r.Due, r.Lag = at(100), 50*time.Millisecond
	if r.Latency() != 60*time.Millisecond {
		t.Errorf("latency %s", r.Latency())
	}
	r.Due, r.Lag = time.Time{}, 0
	if r.Latency() != 10*time.Millisecond {
		t.Errorf("latency %s", r.Latency())
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	noReply := func(start int, message string) Request {
		r := sent(start, 10, "", reply.ClassRefused)
		r.Status, r.Message = 0, message
		return r
	}
	all := []Request{noReply(20, ""), noReply(10, "refused"), sent(5, 1, "us", ""), sent(30, 1, "us", reply.Class5xx), noReply(40, "later")}
	for only, want := range map[string][]Failure{
		"": {
			{Class: reply.ClassRefused, Count: 3, First: at(10), Last: at(40), Sample: "refused"},
			{Class: reply.Class5xx, Cluster: "us", Count: 1, First: at(30), Last: at(30)},
		},
		"eu": {
			{Class: reply.ClassRefused, Cluster: "eu", Predicted: true, Count: 3, First: at(10), Last: at(40), Sample: "refused"},
			{Class: reply.Class5xx, Cluster: "us", Count: 1, First: at(30), Last: at(30)},
		},
	} {
		f := Failures{Only: only}
		for _, r := range all {
			f.Add(r)
		}
		if d := cmp.Diff(want, f.Rows()); d != "" {
			t.Errorf("only %q: %s", only, d)
		}
	}
}
