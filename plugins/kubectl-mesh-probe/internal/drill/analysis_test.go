package drill

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

var zero = time.Unix(1_700_000_000, 0)

func at(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }

// seen makes requests every 20 ms, one for each letter: u and e are answers of us and eu after 2 ms, x is a failure after 1 s, - is a reply
// of which nobody knows who sent it, and s is an answer of eu after 1 s.
func seen(letters string) []history.Request {
	var out []history.Request
	for i, letter := range letters {
		r := history.Request{Client: "us", Pod: "client", Start: at(20 * i), Duration: 2 * time.Millisecond, Measured: true, Status: 200}
		switch letter {
		case 'u':
			r.Cluster, r.Member = "us", true
		case 'e':
			r.Cluster, r.Member = "eu", true
		case 's':
			r.Cluster, r.Member, r.Duration = "eu", true, time.Second
		case 'x':
			r.Class, r.Status, r.Duration = reply.ClassConnectTimeout, 0, time.Second
		}
		out = append(out, r)
	}
	// Requests are observed when they end.
	slices.SortStableFunc(out, func(a, b history.Request) int { return a.End().Compare(b.End()) })
	return out
}

func value(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}

func TestAnalyse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		letters        string
		write, restore int // in ms; restore 0 is never
		failover       float64
		moved, last    float64
		first          float64
		errors         int
		back           float64
	}{
		"nobody notices":           {"uuuuuuuuuuee" + "eeeeeeeeuuuu", 200, 400, 20, 200, -1, 2, 0, 2},
		"a pause of 100 ms":        {"uuuuuxxxxxeeeeeeeeeeeuuuuu", 100, 420, 102, 200, -1, 102, 5, 2},
		"us answers for a while":   {"uuuuuuuuuuueeeeeeeeeeuuuuu", 100, 420, 20, 220, 102, 122, 0, 2},
		"errors at first":          {"uuuuuxuxuxeeeeeeeeeeeuuuuu", 100, 420, 40, 200, 62, 102, 3, 2},
		"never moves":              {"uuuuuuuuuuuuuuuuuuuuuuuuuu", 100, 420, 20, -1, 302, -1, 0, 2},
		"never comes back":         {"uuuuueeeeeeeeeeeeeeeeeeeee", 100, 420, 20, 100, -1, 2, 0, -1},
		"unknown at the end":       {"uuuuueeeeeeeeeeeeeee-uuuuu", 100, 420, 20, -1, -1, 2, 0, 2},
		"a request in flight dies": {"uuuuxeeeeeeeeeeeeeeeeuuuuu", 100, 420, 20, 100, -1, 2, 1, 2},
	} {
		m := marks{cluster: "us", with: drillrecord.Scale, write: at(c.write), end: at(5000)}
		if c.restore > 0 {
			m.restore = at(c.restore)
		}
		got := analyse(seen(c.letters), m, true)
		moved, back := value(got.FollowedMs), value(got.Return.FirstAnswerMs)
		if moved >= 0 {
			moved += float64(c.write)
		}
		if value(got.FailoverMs) != c.failover || moved != c.moved || got.During.Errors != c.errors || back != c.back {
			t.Errorf("%s: failover %v, moved at %v, errors %d, back %v", name, value(got.FailoverMs), moved, got.During.Errors, back)
		}
		if value(got.LastAnswerMs) != c.last || value(got.FirstOtherMs) != c.first {
			t.Errorf("%s: last answer %v, first of another %v", name, value(got.LastAnswerMs), value(got.FirstOtherMs))
		}
		failed := 0
		for _, e := range got.Errors {
			failed += e.Count
		}
		if failed != got.During.Errors {
			t.Errorf("%s: %d errors by class, %d in the phase that the checks judge", name, failed, got.During.Errors)
		}
		if total := got.Before.Requests + got.During.Requests + got.After.Requests; total != len(c.letters) {
			t.Errorf("%s: %d of %d requests are in a phase", name, total, len(c.letters))
		}
	}
}

// A client that still uses a cluster for a part of its requests may by chance end with answers of others: these do not count as moved.
func TestMovedIsNotChance(t *testing.T) {
	t.Parallel()
	m := marks{cluster: "us", with: drillrecord.Scale, write: at(400), restore: at(2000), end: at(5000)}
	half := strings.Repeat("ue", 10)
	for _, c := range []struct {
		during string
		moved  bool
	}{{strings.Repeat("ue", 20) + strings.Repeat("e", 12), false}, {strings.Repeat("ue", 20) + strings.Repeat("e", 24), true}, {strings.Repeat("ue", 30), false}} {
		if got := analyse(seen(half+c.during), m, true); (got.FollowedMs != nil) != c.moved {
			t.Errorf("%s: moved after %v", c.during, value(got.FollowedMs))
		}
	}
	for _, c := range []struct{ us, eu, want int }{{1, 0, 30}, {10, 0, 6}, {150, 0, 3}, {10, 10, 24}, {75, 75, 17}, {1, 9, 403}, {0, 10, neverEnough}} {
		if got := streak(v1alpha1.DrillPhase{Answers: map[string]int{"us": c.us, "eu": c.eu}}, "us"); got != c.want {
			t.Errorf("%d of us, %d of eu: %d, want %d", c.us, c.eu, got, c.want)
		}
	}
}

// An outage that has not ended is at least as long as it was watched, and does not count as recovered.
func TestNotRecovered(t *testing.T) {
	t.Parallel()
	got := analyse(seen("uuuuuxxxxxxxxxxxxxxx"), marks{cluster: "us", with: drillrecord.Scale, write: at(100), end: at(2000)}, true)
	if got.Recovered == nil || *got.Recovered || *got.FailoverMs < 280 || got.FollowedMs != nil {
		t.Errorf("%+v", got)
	}
	if got.Return != nil {
		t.Errorf("there was no return: %+v", got.Return)
	}
}

// A drill that was stopped before its first write has no failover.
func TestNothingWritten(t *testing.T) {
	t.Parallel()
	got := analyse(seen("uuuue"), marks{cluster: "us", with: drillrecord.Scale, end: at(2000)}, true)
	if got.FailoverMs != nil || got.LastAnswerMs != nil || got.FollowedMs != nil || got.Return != nil || got.Before.Requests != 5 {
		t.Errorf("%+v", got)
	}
}

// Evicted pods may answer until they end. The return begins after the longest silence.
func TestReturnAfterEviction(t *testing.T) {
	t.Parallel()
	m := marks{cluster: "us", with: drillrecord.Evict, write: at(100), restore: at(2000), end: at(5000)}
	silent := "uuuuu" + "ueueu" + "xxxxxxxxxxeeeeeeeeeeeeeeeeeeee" + "ueueueueue"
	got := analyse(seen(silent), m, true)
	if got.Return == nil || got.Return.FirstAnswerMs == nil || *got.Return.FirstAnswerMs != 702 {
		t.Errorf("%+v", got.Return)
	}
	got = analyse(seen("uuuuuueueueueueueueueueueue"), m, true)
	if got.Return.FirstAnswerMs != nil {
		t.Errorf("us was never silent: %v", *got.Return.FirstAnswerMs)
	}
}

// The silence of evicted pods may begin with the write. At a low rate, or where a client uses the cluster for a small share only, a gap is natural.
func TestSilenceAfterEviction(t *testing.T) {
	t.Parallel()
	rare := strings.Repeat("u"+strings.Repeat("e", 19), 4) // us answers every 400 ms
	for name, c := range map[string]struct {
		letters string
		write   int
		back    float64
	}{
		"silent at once":          {"uuuuu" + strings.Repeat("e", 30) + "ueue", 100, 602},
		"a small share":           {rare + rare, 1600, -1},
		"a small share, and back": {rare + strings.Repeat("e", 500) + rare, 1600, 10002},
	} {
		m := marks{cluster: "us", with: drillrecord.Evict, write: at(c.write), restore: at(20000), end: at(20000)}
		if got := analyse(seen(c.letters), m, true); value(got.Return.FirstAnswerMs) != c.back {
			t.Errorf("%s: back after %v, want %v", name, value(got.Return.FirstAnswerMs), c.back)
		}
	}
}

// A client fails to move only if something shows that it still uses the cluster near the end. One that has a small share there may have moved long ago.
func TestMoveVerdicts(t *testing.T) {
	t.Parallel()
	half, rare := strings.Repeat("ue", 50), strings.Repeat("u"+strings.Repeat("e", 49), 3)
	for name, c := range map[string]struct{ before, during, want string }{
		"still used":                         {half, strings.Repeat("ue", 100), "FAIL"},
		"still used, a few":                  {half, "ue", "FAIL"},
		"moved":                              {half, "uuu" + strings.Repeat("e", 100), "PASS"},
		"moved too late to tell":             {half, strings.Repeat("ue", 40) + strings.Repeat("e", 8), "INCONCLUSIVE"},
		"fails at the end":                   {half, strings.Repeat("e", 100) + "xxx", "FAIL"},
		"unknown at the end":                 {half, strings.Repeat("u", 100) + "-", "INCONCLUSIVE"},
		"unknown before that":                {half, strings.Repeat("-", 100) + "u", "FAIL"},
		"a small share, moved after a while": {rare, "u" + strings.Repeat("e", 49) + strings.Repeat("e", 200), "INCONCLUSIVE"},
		"a small share, still used":          {rare, rare + "ue", "FAIL"},
		"all of us, one answer of another":   {strings.Repeat("u", 10), strings.Repeat("u", 10) + "e", "INCONCLUSIVE"},
		"all of us, moved":                   {strings.Repeat("u", 10), strings.Repeat("e", 10), "PASS"},
	} {
		write := 20 * len(c.before)
		m := marks{cluster: "us", with: drillrecord.Scale, write: at(write), restore: at(write + 20*len(c.during)), end: at(60000)}
		o := analyse(seen(c.before+c.during), m, true)
		o.Complete = true
		if got := checks([]observation{o}, nil, m); len(got) != 1 || got[0].Result != c.want {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// The result does not depend on the order in which requests are observed.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	m := marks{cluster: "us", with: drillrecord.Scale, write: at(100), restore: at(460), end: at(5000)}
	requests := seen("uuuuuxxsxxeexeeeeeeeeeeuuuuu")
	want := analyse(requests, m, true)
	if value(want.FollowedMs) != 160 {
		t.Errorf("moved after %v", value(want.FollowedMs))
	}
	for range 50 {
		rand.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		if got := analyse(requests, m, true); value(got.FailoverMs) != value(want.FailoverMs) || value(got.FollowedMs) != value(want.FollowedMs) || value(got.OutageMs) != value(want.OutageMs) {
			t.Fatalf("%+v, then %+v", want, got)
		}
	}
}

// A simulated outage of 1.5 s at any moment is measured within one interval, by an open loop of 50 requests in a second.
func TestTrueOutage(t *testing.T) {
	t.Parallel()
	const interval, outage = 20 * time.Millisecond, 1500 * time.Millisecond
	for range 200 {
		begin := 3*time.Second + time.Duration(rand.Int64N(int64(time.Second)))
		var requests []history.Request
		for start := time.Duration(0); start < 8*time.Second; start += interval {
			r := history.Request{Start: zero.Add(start), Due: zero.Add(start), Duration: time.Millisecond, Status: 200, Cluster: "us"}
			if start >= begin {
				r.Cluster = "eu"
			}
			if start >= begin && start < begin+outage {
				r.Class, r.Status, r.Cluster, r.Duration = reply.ClassConnectTimeout, 0, "", time.Second
			}
			requests = append(requests, r)
		}
		got := analyse(requests, marks{cluster: "us", with: drillrecord.Scale, write: zero.Add(begin), end: zero.Add(8 * time.Second)}, true)
		if d := *got.FailoverMs - summary.Milliseconds(outage); d < -2 || d > summary.Milliseconds(interval)+2 {
			t.Fatalf("begun at %s: %v ms", begin, *got.FailoverMs)
		}
		if d := *got.OutageMs - summary.Milliseconds(outage); d < -summary.Milliseconds(interval) || d > summary.Milliseconds(interval) {
			t.Fatalf("begun at %s: errors over %v ms", begin, *got.OutageMs)
		}
	}
}

func TestPropagation(t *testing.T) {
	t.Parallel()
	ms := func(v float64) *float64 { return &v }
	of := func(c v1alpha1.DrillClient) *float64 { return c.FollowedMs }
	clients := []v1alpha1.DrillClient{
		{Name: "us/n1", Cluster: "us", Affected: true, FollowedMs: ms(40)}, {Name: "eu/n2", Cluster: "eu", Affected: true, FollowedMs: ms(130)},
		{Cluster: "ap", Node: "n3", FollowedMs: ms(1)}, {Cluster: "sa", Node: "n4", Affected: true},
	}
	p := propagation(clients, of)
	if *p.FirstMs != 40 || p.FirstClient != "us/n1" || *p.LastMs != 130 || p.LastClient != "eu/n2" || p.Clients != 2 || p.Missing != 1 {
		t.Errorf("%+v", p)
	}
	if p := propagation(clients[2:3], of); p != nil {
		t.Errorf("no client is affected: %+v", p)
	}
}

// Under load a request starts later than it should. One that was due while the backends were away and started after the restoration shows the state
// after it.
func TestAnalyseLateRequests(t *testing.T) {
	t.Parallel()
	requests := seen("uuuuueeeeeeeeeeeeeeee" + "uuuuu")
	for i := range requests {
		requests[i].Due = requests[i].Start
		if requests[i].Cluster == "us" && requests[i].Start.After(at(300)) {
			requests[i].Due = at(300) // due before the restoration at 420 ms
		}
	}
	c := analyse(requests, marks{cluster: "us", with: drillrecord.Scale, write: at(100), restore: at(420), end: at(5000)}, true)
	if c.During.Answers["us"] != 0 || c.FollowedMs == nil || c.After.Answers["us"] != 5 || c.Return == nil || c.Return.FirstAnswerMs == nil {
		t.Errorf("%+v", c)
	}
}

// Each class of errors has its own first and last request, by the cluster that sent it, and one message.
func TestErrorsByClass(t *testing.T) {
	t.Parallel()
	requests := seen("uuuuuxxeeee" + "eeeeeeeeeeuuuuu")
	for i := range requests {
		switch r := &requests[i]; r.Start {
		case at(120):
			r.Message = "timed out"
		case at(160), at(200):
			r.Class, r.Status, r.Message = reply.Class5xx, 503, "no healthy upstream"
		}
	}
	got := analyse(requests, marks{cluster: "us", with: drillrecord.Scale, write: at(100), restore: at(420), end: at(5000)}, true)
	moment := func(ms int) *time.Time { m := at(ms).UTC(); return &m }
	want := []v1alpha1.ProbeError{
		{Class: "connect-timeout", Count: 2, FirstTime: moment(100), LastTime: moment(120), Message: "timed out"},
		{Class: "http-5xx", Cluster: "eu", Count: 2, FirstTime: moment(160), LastTime: moment(200), Message: "no healthy upstream"},
	}
	if d := cmp.Diff(want, got.Errors); d != "" {
		t.Error(d)
	}
}
