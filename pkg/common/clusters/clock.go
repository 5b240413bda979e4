package clusters

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Skew bounds how far the clock of a cluster's API server is ahead of this machine's. Both bounds are negative if it is behind.
type Skew struct{ Low, High time.Duration }

// Certain returns how far the clock is ahead at least, a negative duration if it is behind, and 0 if the two clocks may agree.
func (s Skew) Certain() time.Duration {
	switch {
	case s.Low > 0:
		return s.Low
	case s.High < 0:
		return s.High
	}
	return 0
}

// Skew returns how far the clock of the member's API server is ahead, according to the Date headers of the answers so far. It reports false if no answer had one.
func (m *Member) Skew() (Skew, bool) {
	if m.clock == nil {
		return Skew{}, false
	}
	m.clock.mu.Lock()
	defer m.clock.mu.Unlock()
	return m.clock.skew, m.clock.known
}

// Earliest returns the earliest time that the member's API server can have at the time t of this machine. It returns t if its clock is not known.
func (m *Member) Earliest(t time.Time) time.Time {
	skew, _ := m.Skew()
	return t.Add(skew.Low)
}

// Latest returns the latest time that the member's API server can have at the time t of this machine. It returns t if its clock is not known.
func (m *Member) Latest(t time.Time) time.Time {
	skew, _ := m.Skew()
	return t.Add(skew.High)
}

// WithSkew returns a copy of the member whose clock is known. Members of tests do not have an API server that could tell it.
func (m *Member) WithSkew(s Skew) *Member {
	out := *m
	out.clock = &clock{known: true, skew: s}
	return &out
}

// clock learns from an API server's answers how far its clock is ahead. It is safe for concurrent use.
type clock struct {
	mu    sync.Mutex
	known bool
	skew  Skew
	// apart: two answers contradicted each other, because replicas of the API server have different clocks or this machine's clock was set.
	apart bool
}

// note takes in one answer. The server wrote its time, without the part of a second, between the moments at which the request was sent and the answer received.
func (c *clock) note(sent, received, date time.Time) {
	one := Skew{Low: date.Sub(received), High: date.Add(time.Second).Sub(sent)}
	c.mu.Lock()
	defer c.mu.Unlock()
	both := Skew{Low: max(c.skew.Low, one.Low), High: min(c.skew.High, one.High)}
	switch {
	case !c.known:
		c.known, c.skew = true, one
	case both.Low > both.High:
		c.apart, c.skew = true, Skew{Low: min(c.skew.Low, one.Low), High: max(c.skew.High, one.High)}
	case !c.apart:
		c.skew = both
	}
}

// watch returns a round tripper that notes the date of each answer.
func (c *clock) watch(base http.RoundTripper) http.RoundTripper { return &dated{base, c} }

type dated struct {
	http.RoundTripper

	clock *clock
}

// WrappedRoundTripper returns what is wrapped, for client-go.
func (d *dated) WrappedRoundTripper() http.RoundTripper { return d.RoundTripper }

// RoundTrip notes the date of the answer. An answer 5xx, a redirect or a web page may be that of a proxy, whose clock does not matter.
func (d *dated) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := d.RoundTripper.RoundTrip(r)
	if err != nil || resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode/100 == 3 || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return resp, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		d.clock.note(sent, time.Now(), date)
	}
	return resp, nil
}
