package judge

import (
	"strings"
	"testing"
	"time"
)

// Requests that were not sent may have failed. A check passes only if that does not matter. What was sent can still fail it.
func TestRequestsThatWereNotSent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		expr                  string
		fast, failed, dropped int
		want                  Verdict
	}{
		{"errors=0%", 1000, 0, 0, Pass},
		{"errors=0%", 1000, 0, 1, Inconclusive},
		{"errors=0%", 1000, 1, 1, Fail},
		{"errors<1%", 54_000, 384, 0, Pass},
		{"errors<1%", 54_000, 384, 5616, Inconclusive}, // an outage of 30 s in 5 min
		{"errors<1%", 54_000, 384, 20, Pass},
		{"errors<1%", 900, 100, 1000, Fail},
		{"p99<250ms", 54_000, 384, 0, Pass},
		{"p99<250ms", 54_000, 384, 5616, Inconclusive},
		{"p99<250ms", 54_000, 384, 20, Pass},
		{"p99<250ms", 900, 100, 1000, Fail},
		{"p99(us)<250ms", 2000, 0, 0, Pass},
		{"p99(us)<250ms", 2000, 0, 100, Inconclusive},
	} {
		x := newSample()
		x.timed(tc.fast, "us", 10*time.Millisecond)
		x.refused(tc.failed)
		c := expectation(t, tc.expr).Judge(x.Tally, Evidence{Members: mesh, Requests: x.history.All(), Dropped: tc.dropped})
		if c.Verdict != tc.want || c.Verdict == Inconclusive && !strings.Contains(c.Reason, "requests were not sent, and it is unknown how they would have ended; use a shorter --timeout") {
			t.Errorf("%+v: %+v", tc, c)
		}
	}
}
