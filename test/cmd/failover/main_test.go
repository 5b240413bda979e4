//go:build unix

package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// seen makes a result of attempts that begin every 10 ms, one for each letter: u and e are answers of us and eu, x is a failure. The event comes
// with the third one.
func seen(letters string) *result {
	const begin, every = 1_000_000, 10
	r := &result{event: time.UnixMilli(begin + 2*every), requests: 1}
	for i, letter := range letters {
		a := attempt{Start: begin + int64(i)*every, Took: 1}
		switch letter {
		case 'u':
			a.Cluster = "us"
		case 'e':
			a.Cluster = "eu"
		case 'x':
			a.Error = "refused"
		}
		r.attempts = append(r.attempts, a)
	}
	return r
}

func TestResult(t *testing.T) {
	t.Parallel()
	for letters, tc := range map[string]struct {
		gap, last time.Duration
		other     string
		finally   []string
	}{
		"uuuuu":  {10 * time.Millisecond, 0, "never", []string{"us"}},
		"uuxxee": {30 * time.Millisecond, 10 * time.Millisecond, "after 21ms", []string{"eu", "us"}},
		"uuxxx":  {30 * time.Millisecond, 20 * time.Millisecond, "never", []string{"us"}}, // nobody answers any more
		"eueee":  {10 * time.Millisecond, 0, "after 1ms", []string{"eu", "us"}},
	} {
		r := seen(letters)
		gap, last := r.longest()
		if gap != tc.gap || last != tc.last || r.firstOther() != tc.other || !slices.Equal(r.finally(), tc.finally) {
			t.Errorf("%s: longest time without an answer %s, last failure %s, another cluster %s, finally %v", letters, gap, last, r.firstOther(), r.finally())
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		letters string
		failed  int // of mesh-probe
		after   string
		want    string
	}{
		"both see nothing":            {"uuuu", 0, "", ""},
		"both see failures":           {"uxxu", 3, "", ""},
		"only mesh-probe does":        {"uuuu", 3, "", "the observer none"},
		"a short one falls between":   {"uxu", 0, "", ""},
		"mesh-probe misses a failure": {"uxxxxxxu", 0, "", "mesh-probe none"},
		"the right cluster":           {"eee", 0, "eu", ""},
		"the wrong cluster":           {"uuu", 0, "eu", "want eu"},
		"nothing was observed":        {"", 0, "", "saw nothing"},
	} {
		r := seen(tc.letters)
		r.failed = tc.failed
		got := strings.Join(r.problems(scenario{after: tc.after}), "; ")
		if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestGap(t *testing.T) {
	t.Parallel()
	for letters, want := range map[string]time.Duration{
		"uuuuuuuu":   10 * time.Millisecond,
		"uuuxxxuuuu": 40 * time.Millisecond,
		"uuuxxxxxxx": 69 * time.Millisecond, // it has not ended
		"xxuuuuuuuu": 10 * time.Millisecond, // it ended before the write
	} {
		r := seen(letters)
		if got := r.gap(r.event.UnixMilli(), r.event.UnixMilli()+70); got.gap != want || got.hole != 10*time.Millisecond {
			t.Errorf("%s: %s, want %s", letters, got, want)
		}
	}
}

// What the observer did not look at proves nothing about mesh-probe.
func TestDiffer(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tc := range map[string]struct {
		printed    time.Duration
		o          observed
		resolution time.Duration
		equal      bool
		want       bool
	}{
		"the same":                          {300 * ms, observed{gap: 300 * ms, hole: 10 * ms}, 100 * ms, true, false},
		"mesh-probe prints less":            {100 * ms, observed{gap: 300 * ms, hole: 10 * ms}, 100 * ms, false, true},
		"mesh-probe prints more":            {500 * ms, observed{gap: 300 * ms, hole: 10 * ms}, 100 * ms, false, false},
		"more, where both must be equal":    {500 * ms, observed{gap: 300 * ms, hole: 10 * ms}, 100 * ms, true, true},
		"the observer stood still":          {100 * ms, observed{gap: 300 * ms, hole: 100 * ms}, 100 * ms, false, false},
		"the observer stood still for long": {100 * ms, observed{gap: 3000 * ms, hole: 900 * ms}, 100 * ms, false, false},
		"mesh-probe is not exact":           {100 * ms, observed{gap: 300 * ms, hole: 10 * ms}, 200 * ms, false, false},
	} {
		if got := differ(tc.printed, tc.o, tc.resolution, tc.equal); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	r := seen("uuuuuuuuu")
	r.attempts = slices.Delete(r.attempts, 4, 7)
	if got := r.gap(r.event.UnixMilli(), r.event.UnixMilli()+70); got.hole != 40*ms {
		t.Errorf("an observer that stood still for 40 ms: %s", got)
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	for results, want := range map[string]string{".": "", "d.": "", "dd.": "", "ddd": "d", "ddd.": "d", "w.": "w", "dw.": "w"} {
		n := 0
		got, err := again(io.Discard, func() (differs, wrong []string, err error) {
			n++
			switch results[n-1] {
			case 'd':
				differs = []string{"d"}
			case 'w': // a drill that did not restore is not tried again
				wrong = []string{"w"}
			}
			return differs, wrong, nil
		})
		if err != nil || strings.Join(got, "") != want || n > 3 {
			t.Errorf("%s: %v, %v, after %d", results, got, err, n)
		}
	}
}
