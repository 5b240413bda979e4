package reply

import (
	"bytes"
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

// CutBusybox cuts the output of `busybox wget -q -S -O - URL...`. Headers go to standard error, bodies to standard
// output, where nothing separates them: a body ends where its Content-Length says. busybox stops at the first URL that
// fails and prints no body for statuses from 400 on. Source: busybox 1.24 to 1.36 networking/wget.c; tried with 1.35.
func CutBusybox(b Block) Cut {
	b = b.separated()
	talk := readBusyboxTalk(b.Errs)
	done := len(talk.replies)
	if done > b.Requests {
		return Cut{Unclear: true}
	}
	if b.Code != 0 && !b.Trimmed {
		return cutBusyboxFailed(b, talk)
	}
	switch {
	case b.Bare && done == 0 && b.Requests == 1:
		var r Reply // a build without -S says with its exit code that the status was 2xx
		r.Body, _ = b.body(b.Data)
		r.Size = b.Size
		return Cut{Replies: []Reply{r}}
	case done < b.Requests && b.Requests == 1:
		r := Reply{Class: ClassUnknown, Message: "the tool showed no HTTP reply"}
		return Cut{Replies: []Reply{r}}
	case done < b.Requests || !b.bodies(talk.replies, b.Data, b.Size):
		return Cut{Unclear: true}
	}
	for i := range talk.replies {
		talk.replies[i].Classify()
	}
	return Cut{Replies: talk.replies}
}

// cutBusyboxFailed cuts the output of a process that ended with an error: it belongs to the request after the last complete reply.
func cutBusyboxFailed(b Block, talk busyboxTalk) Cut {
	if b.Code == 124 || b.Code == 143 {
		b.Killed = true // `timeout` ended it: 124 in coreutils, 143 in busybox
	}
	var failing Reply
	done := talk.replies
	before := bodyLengths(done)
	inBody := false
	if n := len(done); talk.open != nil {
		failing = *talk.open
	} else if n > 0 && (len(talk.failures) > 0 || b.died()) {
		// Was the last reply complete, or did the tool fail in its body?
		want, known := done[n-1].Length()
		start := bodyLengths(done[:n-1])
		if start >= 0 && (!known && b.Requests == 1 || known && len(b.Data) < start+want) {
			inBody, before = true, start
			failing, done = done[n-1], done[:n-1]
			failing.Body, failing.Size = b.body(b.Data[min(start, len(b.Data)):])
		}
	}
	if b.Requests > 1 && len(done) > 0 {
		if before < 0 || len(b.Data) < before || !inBody && b.Size != before || !b.bodies(done, b.Data[:before], before) {
			return Cut{Unclear: true}
		}
	} else if len(done) == 1 {
		b.bodies(done, b.Data, b.Size)
	}
	c := Cut{Replies: done}
	for i := range c.Replies {
		c.Replies[i].Classify()
	}
	silent := talk.open == nil && !inBody && len(talk.failures) == 0
	switch {
	case len(done) == b.Requests && b.Requests > 1 && !b.died():
		return Cut{Unclear: true} // no reply explains the exit code
	case len(done) == b.Requests, len(done) > 0 && silent && b.died() && !b.Killed && !b.Cancelled:
		return c.crashed(b)
	}
	if answered := b.explain(&failing, talk); answered && !b.Cancelled {
		c.Replies = append(c.Replies, failing)
		c.Unsent = b.Requests - len(c.Replies)
		return c
	}
	return c.inFlight(b, failing)
}

// explain sets the class of the request at which busybox gave up. It reports whether the server had answered all the same.
func (b Block) explain(r *Reply, talk busyboxTalk) bool {
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
		if r.Classify(); r.Status < 200 {
			r.Status, r.Class, r.Message = 0, ClassTool, text
		}
		return r.Status != 0
	case r.Status >= 400:
		r.Classify()
		return true
	case b.Verifies && !talk.note && r.Status == 0 && strings.HasPrefix(text, "error getting response"):
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
func (b Block) bodies(replies []Reply, data []byte, size int) bool {
	total, unknown := 0, -1
	for i := range replies {
		want, known := replies[i].Length()
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
	if b.Requests == 1 {
		r := &replies[0]
		if unknown < 0 && spare > 0 && size == len(data) {
			data = data[spare:] // a wrapper around the tool has printed something of its own
		}
		r.Body, r.Size = b.body(data)
		r.Size += max(0, size-len(b.Data))
		return spare >= 0 || b.Trimmed
	}
	if size > len(data) || spare < 0 || spare > 0 && unknown < 0 {
		return false
	}
	for i := range replies {
		want, _ := replies[i].Length()
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
		want, known := replies[i].Length()
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
func (b Block) separated() Block {
	if busyboxHeader.Match(b.Errs) || b.Size > len(b.Data) || !busyboxHeader.Match(b.Data) {
		if len(b.Errs) == 0 && b.Code != 0 && busyboxLast.Match(b.Data) {
			b.Errs, b.Data, b.Size = b.Data, nil, 0 // a failure before the first reply
		}
		return b
	}
	var data, errs []byte
	rest := b.Data
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
		want, known := talk.replies[len(talk.replies)-1].Length()
		if known && want <= len(rest) {
			data, rest = append(data, rest[:want]...), rest[want:]
			continue
		}
		end := len(rest)
		if i := busyboxLast.FindIndex(rest); i != nil && b.Code != 0 {
			end = i[0]
		}
		data, rest = append(data, rest[:end]...), rest[end:]
	}
	b.Data, b.Size, b.Errs = data, len(data), slices.Concat(errs, rest)
	return b
}
