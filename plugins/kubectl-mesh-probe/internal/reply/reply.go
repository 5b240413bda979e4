// Package reply contains the replies to HTTP requests, and the cutters that find them in what a tool printed. A connection to which nothing was
// sent is a Reply, too.
//
// It knows how curl, GNU wget and busybox wget print replies and errors, and what the script prints for a connection. It does not know how they are started,
// nor who sent a reply.
package reply

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Class says how a request failed. It is empty for a reply with a status below 400.
type Class string

// The classes. Documents contain them, so they must not change.
const (
	ClassDNS            Class = "dns"
	ClassRefused        Class = "refused"
	ClassUnreachable    Class = "unreachable"
	ClassConnectTimeout Class = "connect-timeout"
	ClassReadTimeout    Class = "read-timeout"
	ClassReset          Class = "reset"
	ClassTLS            Class = "tls"
	ClassEmpty          Class = "empty-reply"
	ClassTruncated      Class = "truncated"
	Class4xx            Class = "http-4xx"
	Class5xx            Class = "http-5xx"
	ClassTool           Class = "tool"
	ClassUnknown        Class = "unknown"
)

// Reply is the result of one request, as the tool in the pod reported it.
type Reply struct {
	// Status is the HTTP status, or 0 if there was no reply.
	Status int
	// Connected says that a connection was opened, and that nothing was to be sent. Peer is the address that the socket in the pod is connected to;
	// it is invalid if it is unknown.
	Connected bool
	Peer      netip.AddrPort
	// Header contains the header lines as "Name: value".
	Header []string
	// Body is the beginning of the body. Size is its length in the stream.
	Body []byte
	Size int
	// Class and Message say how the request failed.
	Class   Class
	Message string
	// Latency is how long the request took, if Measured is true. Not every tool measures it. Otherwise it is the longest time that the request
	// can have taken, from Start until the plugin had its result.
	Latency  time.Duration
	Measured bool
	// Connect is how long name and connection took, 0 if it was not measured.
	Connect time.Duration
	// Start is when the request started, by the plugin's clock, wrong by up to Uncertain. If Measured is true, it is the earliest moment at
	// which it can have started. Due is when it should have started, zero if the run keeps no schedule.
	Start     time.Time
	Uncertain time.Duration
	Due       time.Time
	// Lag is how much later than Due it started.
	Lag time.Duration
	// Redirected says that the tool followed a redirect. This is the last reply. For each hop Cilium picked a backend.
	Redirected bool
	// Reused says that the request used an earlier connection, so Cilium did not pick a backend for it.
	Reused bool
}

// Answered reports whether there was a reply, or else a connection to which nothing was to be sent.
func (r *Reply) Answered() bool { return r.Status != 0 || r.Connected }

// Get returns the value of a header field.
func (r *Reply) Get(name string) (string, bool) {
	for _, line := range r.Header {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// Length returns the length of the body if the header contains it.
func (r *Reply) Length() (int, bool) {
	if r.Status == 204 || r.Status == 304 || r.Status/100 == 1 {
		return 0, true
	}
	if _, chunked := r.Get("Transfer-Encoding"); chunked {
		return 0, false
	}
	v, ok := r.Get("Content-Length")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(v)
	return n, err == nil && n >= 0
}

// Classify sets the class that follows from the status.
func (r *Reply) Classify() {
	switch {
	case r.Class != "":
	case r.Status >= 500:
		r.Class, r.Message = Class5xx, "HTTP status "+strconv.Itoa(r.Status)
	case r.Status >= 400:
		r.Class, r.Message = Class4xx, "HTTP status "+strconv.Itoa(r.Status)
	}
}

// statusOf reads the number in "HTTP/1.1 200 OK".
func statusOf(line string) int {
	if !strings.Contains(line, "HTTP/") {
		return 0
	}
	f := strings.Fields(line)
	if len(f) < 2 || !strings.HasPrefix(f[0], "HTTP/") || len(f[1]) != 3 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 100 || n > 999 {
		return 0
	}
	return n
}

// parseHeader reads a header with its status line.
func parseHeader(block []byte) (status int, header []string) {
	header = make([]string, 0, bytes.Count(block, []byte("\n")))
	for line := range strings.Lines(string(block)) {
		s := strings.TrimRight(line, "\r\n")
		if s == "" {
			continue
		}
		if n := statusOf(s); n > 0 {
			status, header = n, header[:0] // the last status line counts: a 100, or that of a proxy, may come first
			continue
		}
		header = append(header, s)
	}
	return status, header
}

// classOf returns the class of an error message of a tool.
func classOf(text string) Class {
	t := strings.ToLower(text)
	for _, m := range []struct {
		part  string
		class Class
	}{
		{"bad address", ClassDNS}, {"unable to resolve", ClassDNS}, {"could not resolve", ClassDNS}, {"name or service not known", ClassDNS},
		{"name resolution", ClassDNS}, {"host lookup failed", ClassDNS}, {"getaddrinfo", ClassDNS}, {"no address associated", ClassDNS},
		{"connection refused", ClassRefused},
		{"no route to host", ClassUnreachable}, {"network is unreachable", ClassUnreachable}, {"network unreachable", ClassUnreachable}, {"host is unreachable", ClassUnreachable},
		{"in headers", ClassReadTimeout}, // GNU wget: "Read error (Connection timed out) in headers."; a reset is found before
		{"failed: connection timed out", ClassConnectTimeout}, {"can't connect", ClassConnectTimeout},
		{"timed out", ClassReadTimeout}, {"timeout", ClassReadTimeout},
		{"certificate", ClassTLS}, {"ssl", ClassTLS}, {"tls", ClassTLS}, {"handshake", ClassTLS},
		{"no data received", ClassEmpty}, {"error getting response", ClassEmpty}, {"empty reply", ClassEmpty},
		{"prematurely", ClassTruncated}, {"connection closed", ClassTruncated},
	} {
		if strings.Contains(t, m.part) {
			if m.part == "in headers" && strings.Contains(t, "reset") {
				return ClassReset
			}
			return m.class
		}
	}
	if strings.Contains(t, "reset by peer") || strings.Contains(t, "broken pipe") {
		return ClassReset
	}
	return ClassUnknown
}

// SplitHeader splits a header line into name and value.
func SplitHeader(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}
