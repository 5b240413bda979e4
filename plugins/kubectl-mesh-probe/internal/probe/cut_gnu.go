package probe

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Lines of `wget -nv`, GNU wget 1.12 to 1.25 in the C locale.
var (
	gnuDone = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d URL: ?\S+ \[(\d+)(?:/\d+)?\] -> "[^"\n]*" \[\d+\]\n`)
	gnuHead = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d URL: ?\S+ \d{3} [^\n]*\n`)
	gnuFail = regexp.MustCompile(`[^\n]*:\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ERROR \d{3}: [^\n]*\n`)
	gnuNext = regexp.MustCompile(`  HTTP/1\.[01] \d{3}\b[^\n]*\n`)
)

// cutGNU cuts the output of `wget -nv -S --save-headers --content-on-error -O - URL...`. Each reply is: the header
// indented by two spaces (-S), the header again as it came (--save-headers, not for 204 and redirects), the body, and a
// line with the body's size (-nv) or an error. It goes on after a failure.
func cutGNU(b block) cut {
	var c cut
	var failures []Reply
	rest := b.data
	for len(rest) > 0 {
		if !bytes.HasPrefix(rest, []byte("  HTTP/")) {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found && b.size > len(b.data) {
				break
			}
			rest = after
			if r, ok := gnuFailure(string(line)); ok {
				failures = append(failures, r)
			}
			continue
		}
		r, after := gnuReply(b, rest)
		if after == nil {
			return cut{unclear: true}
		}
		rest = after
		r.classify()
		c.replies = append(c.replies, r)
	}
	missing := b.n - len(c.replies)
	switch {
	case missing < 0 || missing > 0 && b.rc == 0:
		return cut{unclear: true}
	case b.killed && missing > 0:
		c.replies = append(c.replies, timedOut(Reply{}))
		c.unsent = missing - 1
		return c
	case b.killed && b.single && len(c.replies) == 1:
		c.replies[0] = timedOut(c.replies[0])
	}
	// With several addresses of one name there may be more failures than failed requests.
	for i := range missing {
		r := Reply{Class: ClassTool, Message: toolEnded(b.rc)}
		if len(failures) > 0 {
			r = failures[min(i, len(failures)-1)]
		}
		c.replies = append(c.replies, r)
	}
	return c
}

// gnuReply reads one reply and returns what follows it; nil if that cannot be told.
func gnuReply(b block, data []byte) (Reply, []byte) {
	var r Reply
	shown := 0
	for bytes.HasPrefix(data[shown:], []byte("  ")) {
		if shown > 0 && bytes.HasPrefix(data[shown:], []byte("  HTTP/")) {
			break // the next reply: this one had no more to show
		}
		n := bytes.IndexByte(data[shown:], '\n')
		if n < 0 {
			n = len(data) - shown - 1
		}
		line := strings.TrimSpace(string(data[shown : shown+n]))
		if shown == 0 {
			r.Status = statusOf(line)
		} else if line != "" {
			r.Header = append(r.Header, line)
		}
		shown += n + 1
	}
	rest := data[shown:]
	if r.Status == 0 {
		return r, nil
	}
	if !bytes.HasPrefix(rest, []byte("HTTP/")) {
		// No body was saved: 204, a redirect, HEAD. One or two lines end it.
		return r, skipEnd(rest)
	}
	head := bytes.Index(rest, []byte("\r\n\r\n"))
	if head < 0 {
		r.Class, r.Message = ClassTruncated, "the header has no end"
		return r, nil
	}
	rest = rest[head+4:]
	n, after := gnuBody(&r, rest)
	r.Body, r.Size = b.body(rest[:n])
	return r, after
}

// gnuBody finds the body's length and what follows the reply.
func gnuBody(r *Reply, rest []byte) (int, []byte) {
	if want, known := r.length(); known && want <= len(rest) {
		if after, ok := endOfReply(rest[want:], want); ok {
			return want, after
		}
	}
	for _, m := range gnuDone.FindAllSubmatchIndex(rest, -1) {
		if size, err := strconv.Atoi(string(rest[m[2]:m[3]])); err == nil && size == m[0] {
			return m[0], rest[m[1]:]
		}
	}
	if r.Status >= 400 {
		if m := gnuFail.FindIndex(rest); m != nil {
			return m[0], rest[m[1]:]
		}
	}
	// wget says nothing about a body that ended early: it goes on with the next reply, or ends.
	r.Class, r.Message = ClassTruncated, "the body ended early"
	if m := gnuNext.FindIndex(rest); m != nil {
		return m[0], rest[m[0]:]
	}
	return len(rest), rest[len(rest):]
}

// endOfReply reports whether a reply with a body of this size ends here.
func endOfReply(rest []byte, size int) ([]byte, bool) {
	if m := gnuDone.FindSubmatchIndex(rest); m != nil && m[0] == 0 && string(rest[m[2]:m[3]]) == strconv.Itoa(size) {
		return rest[m[1]:], true
	}
	if m := gnuFail.FindIndex(rest); m != nil && m[0] == 0 {
		return rest[m[1]:], true
	}
	return nil, false
}

// skipEnd leaves out the line that ends a reply without a body.
func skipEnd(rest []byte) []byte {
	for _, re := range []*regexp.Regexp{gnuDone, gnuHead, gnuFail} {
		if m := re.FindIndex(rest); m != nil && m[0] == 0 {
			return rest[m[1]:]
		}
	}
	return rest // "0 redirections exceeded." is read as a line of its own
}

// gnuFailure reads a line that stands outside a reply.
func gnuFailure(line string) (Reply, bool) {
	line = strings.TrimPrefix(strings.TrimSpace(line), "wget: ")
	class := classOf(line)
	if class == ClassUnknown && !strings.HasPrefix(line, "failed: ") && !strings.Contains(line, "error") {
		return Reply{}, false
	}
	return Reply{Class: class, Message: line}, true
}

// cutRaw cuts the output of one request by a tool that prints the header as it came and then the body.
func cutRaw(b block) cut {
	var r Reply
	if i := bytes.Index(b.data, []byte("\r\n\r\n")); i >= 0 && bytes.HasPrefix(b.data, []byte("HTTP/")) {
		r.Status, r.Header = parseHeader(b.data[:i])
		r.Body, r.Size = b.body(b.data[i+4:])
		r.Size += b.size - len(b.data)
	}
	switch {
	case b.killed:
		r = timedOut(r)
	case r.Status == 0:
		text := strings.TrimSpace(string(b.data[:min(len(b.data), 200)]))
		r.Class, r.Message = classOf(text), text
		if text == "" {
			r.Class, r.Message = ClassTool, toolEnded(b.rc)
		}
	default:
		r.classify()
	}
	return cut{replies: []Reply{r}}
}

// toolEnded is the message for a tool that failed without a word.
func toolEnded(rc int) string { return fmt.Sprintf("the tool ended with code %d", rc) }
