package probe

import (
	"bytes"
	"regexp"
	"strings"
)

// A header block as `busybox wget -S` prints it: every line indented by two spaces, the empty line included.
var (
	busyboxBlock = regexp.MustCompile(`  HTTP/1\.[01] \d{3}\b[^\n]*\n(?:  [^\n]+\n)*  \n`)
	busyboxError = regexp.MustCompile(`wget: ([^\n]*)\n$`)
)

// cutBusybox cuts the output of `busybox wget -q -S -O - URL...`. It has no
// separator between replies: a body ends where its Content-Length says. busybox
// stops at the first URL that fails and prints no body for statuses from 400 on.
// Source: busybox 1.24 to 1.36 networking/wget.c; tried with 1.35.
func cutBusybox(b block) cut {
	c := cutBusyboxStrict(b)
	if c.unclear && !b.single && b.size == len(b.data) {
		c = cutBusyboxByHeads(b)
	}
	return c
}

func cutBusyboxStrict(b block) cut {
	var c cut
	rest, failure := b.data, ""
	if b.rc != 0 {
		if m := busyboxError.FindSubmatchIndex(rest); m != nil {
			failure = string(rest[m[2]:m[3]])
			rest = rest[:m[2]-len("wget: ")]
		}
	}
	for len(c.replies) < b.n && len(rest) > 0 {
		r, body, open := busyboxReply(rest)
		if r.Status == 0 {
			if b.single { // a build without -S: the output is the body
				r.Body, r.Size = b.body(rest)
				r.Size = b.size
				rest = nil
				c.replies = append(c.replies, r)
				continue
			}
			return cut{unclear: true}
		}
		want, known := r.length()
		switch {
		case open || b.rc != 0 && known && len(body) < want:
			// The tool failed inside this reply.
			r.Body, r.Size = b.body(body)
			return c.failed(b, r, failure)
		case b.single:
			r.Body, r.Size = b.body(body)
			r.Size += b.size - len(b.data)
			rest = nil
		case !known || len(body) < want:
			return cut{unclear: true}
		default:
			r.Body, r.Size = b.body(body[:want])
			rest = body[want:]
		}
		if b.single && b.rc != 0 {
			return c.failed(b, r, failure)
		}
		r.classify()
		c.replies = append(c.replies, r)
	}
	if len(rest) > 0 || b.rc == 0 && len(c.replies) < b.n {
		return cut{unclear: true}
	}
	if len(c.replies) < b.n {
		return c.failed(b, Reply{}, failure)
	}
	return c
}

// cutBusyboxByHeads is for replies of unknown length: it takes every header block
// as the beginning of a reply, and believes the result only if the count is right.
func cutBusyboxByHeads(b block) cut {
	if b.rc != 0 {
		return cut{unclear: true}
	}
	var starts []int
	for _, m := range busyboxBlock.FindAllIndex(b.data, -1) {
		starts = append(starts, m[0])
	}
	if len(starts) != b.n || starts[0] != 0 {
		return cut{unclear: true}
	}
	var c cut
	for i, from := range starts {
		to := len(b.data)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		r, body, _ := busyboxReply(b.data[from:to])
		if want, known := r.length(); known && want != len(body) {
			return cut{unclear: true}
		}
		r.Body, r.Size = b.body(body)
		r.classify()
		c.replies = append(c.replies, r)
	}
	return c
}

// failed adds the request at which the tool gave up; those after it were not sent.
func (c cut) failed(b block, r Reply, text string) cut {
	switch {
	case b.killed:
		r = timedOut(r)
	case strings.HasPrefix(text, "server returned error: HTTP/"):
		r.Status = statusOf(strings.TrimPrefix(text, "server returned error: "))
		r.classify()
		if r.Class == "" {
			r.Class, r.Message = ClassTool, text
		}
	case text != "":
		r.Class, r.Message = classOf(text), text
	case b.rc == 124 || b.rc == 143:
		// `timeout` ended it: 124 in coreutils, 143 in busybox.
		r = timedOut(r)
	case r.Status >= 400:
		r.classify()
	default:
		r.Class, r.Message = ClassTool, toolEnded(b.rc)
	}
	c.replies = append(c.replies, r)
	c.unsent = b.n - len(c.replies)
	return c
}

// busyboxReply reads the header at the beginning of data and returns what follows. open says that the header has no end.
func busyboxReply(data []byte) (r Reply, body []byte, open bool) {
	for bytes.HasPrefix(data, []byte("  HTTP/")) {
		r.Redirected = r.Status != 0
		line, after, _ := bytes.Cut(data, []byte("\n"))
		r.Status, r.Header = statusOf(string(line)), nil
		if r.Status == 0 {
			return Reply{}, data, false
		}
		data, open = after, true
		for bytes.HasPrefix(data, []byte("  ")) && !bytes.HasPrefix(data, []byte("  HTTP/")) {
			line, after, found := bytes.Cut(data, []byte("\n"))
			data = after
			field := strings.TrimSpace(string(line))
			if field == "" {
				open = !found
				break
			}
			r.Header = append(r.Header, field)
		}
		if !open {
			break
		}
		// It prints a redirect's header up to Location and goes on to the next one.
	}
	return r, data, open
}
