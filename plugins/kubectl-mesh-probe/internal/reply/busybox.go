package reply

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	// A line of wget, or of a program that some builds run for TLS. The text follows the name.
	busyboxLine = regexp.MustCompile(`^(?:wget|ssl_client|busybox): (.*)$`)
	// A header as `busybox wget -S` prints it: every line indented by two spaces, the empty line included.
	busyboxHeader = regexp.MustCompile(`(?m)^  HTTP/[\d.]+ \d{3}\b[^\n]*\n(?:  [^ \n][^\n]*\n)*(  \n)?`)
	busyboxLast   = regexp.MustCompile(`wget: [^\n]*\n(?:[^\n]*\n?)$`)
)

const (
	busyboxNote     = "note: "
	busyboxReturned = "server returned error: "
)

// busyboxOutput is what busybox wget printed on standard error: the headers of its replies, one after the other, and why it failed.
type busyboxOutput struct {
	replies  []Reply // headers that have an end
	open     *Reply  // the header at which it failed
	failures []string
	note     bool // it reported that it does not verify certificates
	junk     bool // there was an indented line outside a header
}

// CutBusybox cuts the output of `busybox wget -q -S -O - URL...`. Headers go to standard error, bodies to standard
// output, where nothing separates them: the length of a body is its Content-Length. busybox stops at the first URL
// that fails, and prints no body if the status is 400 or higher. Source: busybox 1.24 to 1.36 networking/wget.c; tested with 1.35.
func CutBusybox(b Block) Cut {
	b = b.separated()
	printed := readBusyboxOutput(b.Errs)
	done := len(printed.replies)
	if done > b.Requests {
		return Cut{Unclear: true}
	}
	if b.Code != 0 && !b.Trimmed {
		return cutBusyboxFailed(b, printed)
	}
	switch {
	case b.Bare && done == 0 && b.Requests == 1:
		r := Reply{Status: http.StatusOK} // if a build without -S exits with 0, the status was 2xx
		r.Body, _ = b.body(b.Data)
		r.Size = b.Size
		return Cut{Replies: []Reply{r}}
	case done < b.Requests && b.Requests == 1:
		r := Reply{Class: ClassUnknown, Message: "the tool printed no HTTP reply"}
		return Cut{Replies: []Reply{r}}
	case done < b.Requests || !b.bodies(printed.replies, b.Data, b.Size):
		return Cut{Unclear: true}
	}
	for i := range printed.replies {
		printed.replies[i].Classify()
	}
	return Cut{Replies: printed.replies}
}

// cutBusyboxFailed cuts the output of a process that failed. The error belongs to the request after the last complete reply.
func cutBusyboxFailed(b Block, printed busyboxOutput) Cut {
	if b.Code == 124 || b.Code == 143 {
		b.Killed = true // `timeout` ended it: 124 in coreutils, 143 in busybox
	}
	var failing Reply
	done := printed.replies
	before := bodyLengths(done)
	inBody := false
	if n := len(done); printed.open != nil {
		failing = *printed.open
	} else if n > 0 && (len(printed.failures) > 0 || b.died()) {
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
	silent := printed.open == nil && !inBody && len(printed.failures) == 0
	switch {
	case len(done) == b.Requests && b.Requests > 1 && !b.died():
		return Cut{Unclear: true} // no reply explains the exit code
	case len(done) == b.Requests, len(done) > 0 && silent && b.died() && !b.Killed && !b.Cancelled:
		return c.crashed(b)
	}
	if answered := b.explain(&failing, printed); answered && !b.Cancelled {
		c.Replies = append(c.Replies, failing)
		c.Unsent = b.Requests - len(c.Replies)
		return c
	}
	return c.inFlight(b, failing)
}

// explain sets the class of the request at which busybox stopped. It reports whether the server sent a reply.
func (b Block) explain(r *Reply, printed busyboxOutput) bool {
	text := ""
	for _, f := range printed.failures {
		// The first line about TLS is the cause. The following lines are its effects.
		if text = f; classOf(f) == ClassTLS {
			break
		}
	}
	switch {
	case strings.HasPrefix(text, busyboxReturned):
		// A reply of which the tool shows only the status. busybox does not understand interim replies.
		r.Status = statusOf(strings.TrimPrefix(text, busyboxReturned))
		if r.Classify(); r.Status < 200 {
			r.Status, r.Class, r.Message = 0, ClassTool, text
		}
		return r.Status != 0
	case r.Status >= 400:
		r.Classify()
		return true
	case b.Verifies && !printed.note && r.Status == 0 && strings.HasPrefix(text, "error getting response"):
		// This build runs openssl, which reports nothing. Without the note, it verifies certificates.
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
		r.Class = ClassTruncated // busybox prints the same message for a chunked body that ends early
	}
	if r.Class == ClassEmpty && printed.junk {
		r.Class, r.Message = ClassUnknown, "the server's reply is not HTTP"
	}
	return false
}

// bodies assigns standard output to replies. At most one of them may have an unknown length.
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
			data = data[spare:] // a wrapper around the tool has printed something
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

// bodyLengths returns the total length of the replies' bodies, or -1 if one is unknown.
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

// readBusyboxOutput reads standard error. It ignores the lines of other programs, such as the dynamic linker.
func readBusyboxOutput(text []byte) busyboxOutput {
	var t busyboxOutput
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
			// busybox prints the header of a redirect up to Location, and then follows it.
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

// separated separates the two streams again if a wrapper around the tool has merged them.
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
		printed := readBusyboxOutput(errs)
		if len(printed.replies) == 0 {
			continue // an interim reply
		}
		want, known := printed.replies[len(printed.replies)-1].Length()
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
