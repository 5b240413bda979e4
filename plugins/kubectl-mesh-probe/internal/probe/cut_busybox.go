package probe

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	// A line of a program that takes part in the request: wget, or what some builds run for TLS. The text follows.
	busyboxLine = regexp.MustCompile(`^(?:wget|ssl_client|busybox): (.*)$`)
	// A header as `busybox wget -S` prints it: every line indented by two spaces, the empty line included.
	busyboxHeader = regexp.MustCompile(`(?m)^  HTTP/[\d.]+ \d{3}\b[^\n]*\n(?:  [^ \n][^\n]*\n)*(  \n)?`)
	busyboxLast   = regexp.MustCompile(`wget: [^\n]*\n(?:[^\n]*\n?)$`)
)

const (
	busyboxNote     = "note: "
	busyboxReturned = "server returned error: "
)

// busyboxTalk is what busybox wget said on standard error: the headers of its replies, one after the other, and why it failed.
type busyboxTalk struct {
	replies  []Reply // headers that have an end
	open     *Reply  // the header in which it failed
	failures []string
	note     bool // it said that it does not verify certificates
	junk     bool // there was an indented line outside a header
}

// cutBusybox cuts the output of `busybox wget -q -S -O - URL...`. Headers go to standard error, bodies to standard
// output, where nothing separates them: a body ends where its Content-Length says. busybox stops at the first URL that
// fails and prints no body for statuses from 400 on. Source: busybox 1.24 to 1.36 networking/wget.c; tried with 1.35.
func cutBusybox(b block) cut {
	b = b.separated()
	talk := readBusyboxTalk(b.errs)
	done := len(talk.replies)
	if done > b.n {
		return cut{unclear: true}
	}
	if b.rc != 0 && !b.trimmed {
		return cutBusyboxFailed(b, talk)
	}
	switch {
	case b.bare && done == 0 && b.n == 1:
		r := Reply{Status: http.StatusOK} // a build without -S says with its exit code that the status was 2xx
		r.Body, _ = b.body(b.data)
		r.Size = b.size
		return cut{replies: []Reply{r}}
	case done < b.n && b.n == 1:
		r := Reply{Class: ClassUnknown, Message: "the tool showed no HTTP reply"}
		return cut{replies: []Reply{r}}
	case done < b.n || !b.bodies(talk.replies, b.data, b.size):
		return cut{unclear: true}
	}
	for i := range talk.replies {
		talk.replies[i].classify()
	}
	return cut{replies: talk.replies}
}

// cutBusyboxFailed cuts the output of a process that ended with an error: it belongs to the request after the last complete reply.
func cutBusyboxFailed(b block, talk busyboxTalk) cut {
	if b.rc == 124 || b.rc == 143 {
		b.killed = true // `timeout` ended it: 124 in coreutils, 143 in busybox
	}
	var failing Reply
	done := talk.replies
	before := bodyLengths(done)
	inBody := false
	if n := len(done); talk.open != nil {
		failing = *talk.open
	} else if n > 0 && (len(talk.failures) > 0 || b.died()) {
		// Was the last reply complete, or did the tool fail in its body?
		want, known := done[n-1].length()
		start := bodyLengths(done[:n-1])
		if start >= 0 && (!known && b.n == 1 || known && len(b.data) < start+want) {
			inBody, before = true, start
			failing, done = done[n-1], done[:n-1]
			failing.Body, failing.Size = b.body(b.data[min(start, len(b.data)):])
		}
	}
	if b.n > 1 && len(done) > 0 {
		if before < 0 || len(b.data) < before || !inBody && b.size != before || !b.bodies(done, b.data[:before], before) {
			return cut{unclear: true}
		}
	} else if len(done) == 1 {
		b.bodies(done, b.data, b.size)
	}
	c := cut{replies: done}
	for i := range c.replies {
		c.replies[i].classify()
	}
	silent := talk.open == nil && !inBody && len(talk.failures) == 0
	switch {
	case len(done) == b.n && b.n > 1 && !b.died():
		return cut{unclear: true} // no reply explains the exit code
	case len(done) == b.n, len(done) > 0 && silent && b.died() && !b.killed && !b.cancelled:
		return c.crashed(b)
	}
	if answered := b.explain(&failing, talk); answered && !b.cancelled {
		c.replies = append(c.replies, failing)
		c.unsent = b.n - len(c.replies)
		return c
	}
	return c.inFlight(b, failing)
}

// explain sets the class of the request at which busybox gave up. It reports whether the server had answered all the same.
func (b block) explain(r *Reply, talk busyboxTalk) bool {
	text := ""
	for _, f := range talk.failures {
		// The first line about TLS is the cause; what follows is its effect.
		if text = f; classOf(f) == ClassTLS {
			break
		}
	}
	switch {
	case strings.HasPrefix(text, busyboxReturned):
		// An answer, of which the tool shows no more than the status. An interim one it does not understand.
		r.Status = statusOf(strings.TrimPrefix(text, busyboxReturned))
		if r.classify(); r.Status < 200 {
			r.Status, r.Class, r.Message = 0, ClassTool, text
		}
		return r.Status != 0
	case r.Status >= 400:
		r.classify()
		return true
	case b.verifies && !talk.note && r.Status == 0 && strings.HasPrefix(text, "error getting response"):
		// This build runs openssl, which says nothing, and without a note it verifies.
		r.Class, r.Message = ClassTLS, text+" (openssl ended: the certificate is not trusted, or the server closed the connection)"
	case text != "":
		r.Class, r.Message = classOf(text), text
	}
	if line, bad := strings.CutPrefix(text, "bad header line: "); bad {
		r.Class = ClassTruncated
		if r.Status == 0 || strings.HasPrefix(line, "http/") {
			r.Status, r.Class = 0, ClassUnknown // something else came before the status line
		}
	}
	if r.Class == ClassEmpty && r.Status != 0 {
		r.Class = ClassTruncated // inside a chunked body it uses the same words
	}
	if r.Class == ClassEmpty && talk.junk {
		r.Class, r.Message = ClassUnknown, "the server's answer is not HTTP"
	}
	return false
}

// bodies deals standard output out to replies. At most one of them may be of unknown length.
func (b block) bodies(replies []Reply, data []byte, size int) bool {
	total, unknown := 0, -1
	for i := range replies {
		want, known := replies[i].length()
		switch {
		case known:
			total += want
		case unknown >= 0:
			return false
		default:
			unknown = i
		}
	}
	spare := size - total
	if b.n == 1 {
		r := &replies[0]
		if unknown < 0 && spare > 0 && size == len(data) {
			data = data[spare:] // a wrapper around the tool has printed something of its own
		}
		r.Body, r.Size = b.body(data)
		r.Size += max(0, size-len(b.data))
		return spare >= 0 || b.trimmed
	}
	if size > len(data) || spare < 0 || spare > 0 && unknown < 0 {
		return false
	}
	for i := range replies {
		want, _ := replies[i].length()
		if i == unknown {
			want = spare
		}
		replies[i].Body, replies[i].Size = b.body(data[:want])
		data = data[want:]
	}
	return true
}

// bodyLengths sums up the lengths of the replies' bodies, -1 if one is unknown.
func bodyLengths(replies []Reply) int {
	total := 0
	for i := range replies {
		want, known := replies[i].length()
		if !known {
			return -1
		}
		total += want
	}
	return total
}

// readBusyboxTalk reads standard error. Lines of anybody else, such as the dynamic linker, are left out.
func readBusyboxTalk(text []byte) busyboxTalk {
	var t busyboxTalk
	for raw := range bytes.Lines(text) {
		line := strings.TrimRight(string(raw), "\r\n")
		if m := busyboxLine.FindStringSubmatch(line); m != nil {
			if strings.HasPrefix(m[1], busyboxNote) {
				t.note = true
			} else {
				t.failures = append(t.failures, m[1])
			}
			continue
		}
		field, indented := strings.CutPrefix(line, "  ")
		if !indented {
			continue
		}
		switch status := statusOf(field); {
		case status > 0:
			// It prints a redirect's header up to Location and goes on to the next one.
			t.open = &Reply{Status: status, Redirected: t.open != nil && t.open.Status/100 == 3}
		case field == "":
			if t.open != nil && t.open.Status >= 200 {
				t.replies = append(t.replies, *t.open)
			}
			t.open = nil
		case t.open != nil:
			t.open.Header = append(t.open.Header, field)
		default:
			t.junk = true
		}
	}
	return t
}

// separated undoes a wrapper around the tool that puts both streams into one.
func (b block) separated() block {
	if busyboxHeader.Match(b.errs) || b.size > len(b.data) || !busyboxHeader.Match(b.data) {
		if len(b.errs) == 0 && b.rc != 0 && busyboxLast.Match(b.data) {
			b.errs, b.data, b.size = b.data, nil, 0 // a failure before the first reply
		}
		return b
	}
	var data, errs []byte
	rest := b.data
	for len(rest) > 0 {
		m := busyboxHeader.FindSubmatchIndex(rest)
		if m == nil {
			break
		}
		errs, rest = append(errs, rest[:m[1]]...), rest[m[1]:]
		if m[2] < 0 {
			continue // a redirect, or an error without a body
		}
		talk := readBusyboxTalk(errs)
		if len(talk.replies) == 0 {
			continue // an interim reply
		}
		want, known := talk.replies[len(talk.replies)-1].length()
		if known && want <= len(rest) {
			data, rest = append(data, rest[:want]...), rest[want:]
			continue
		}
		end := len(rest)
		if i := busyboxLast.FindIndex(rest); i != nil && b.rc != 0 {
			end = i[0]
		}
		data, rest = append(data, rest[:end]...), rest[end:]
	}
	b.data, b.size, b.errs = data, len(data), slices.Concat(errs, rest)
	return b
}
