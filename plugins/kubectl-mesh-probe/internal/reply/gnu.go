package reply

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Lines of `wget -v`, GNU wget 1.12 to 1.25 in the C locale.
var (
	gnuStart  = regexp.MustCompile(`^--\d{4}-\d\d-\d\d \d\d:\d\d:\d\d--  `)
	gnuDate   = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)$`)
	gnuDone   = regexp.MustCompile(`^\([^)]*\) - .*\[(\d+)(?:/\d+)?\]$`)
	gnuError  = regexp.MustCompile(`^ERROR \d{3}: `)
	gnuSaving = regexp.MustCompile(`(?m)^Saving to: .*$`)
	gnuLast   = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:\([^)]*\) - |ERROR \d{3}: )[^\n]*\n`)
	gnuShort  = regexp.MustCompile(`^\([^)]*\) - (.* at byte (\d+).*)$`)
)

// gnuDropped are the beginnings of the lines that end a request whose reply wget does not write to standard output: one to HEAD, 401, and a redirect
// without a Location.
var gnuDropped = []string{"Remote file ", "Username/Password Authentication Failed.", "Unknown authentication scheme.", "ERROR: Redirection ("}

// gnuReply is what wget printed on standard error about one request.
type gnuReply struct {
	Reply
	saved bool // header and body are on standard output
	ended bool // the tool has finished this request
	size  int  // of the body; -1 if wget did not print it
}

// CutGNU cuts the output of `wget -v -S --save-headers --content-on-error -O - URL...`. On standard error, each request
// begins with a line that contains the time and the URL. The header follows, indented by two spaces, and a line with the size
// of the body or an error. Standard output contains header and body as the server sent them, except for 204, redirects and
// HEAD. wget continues after a failure.
func CutGNU(b Block) Cut {
	starts := gnuStarts(b.Errs)
	if len(starts) == 0 && len(gnuStarts(b.Data)) > 0 {
		if b.Requests > 1 {
			return Cut{Unclear: true}
		}
		b = b.gnuSeparated()
		starts = gnuStarts(b.Errs)
	}
	if len(starts) > b.Requests || len(starts) < b.Requests && b.Code == 0 && b.Requests > 1 {
		return Cut{Unclear: true}
	}
	if len(starts) == 0 {
		return Cut{}.inFlight(b, gnuNothing(b))
	}
	requests := make([]gnuReply, len(starts))
	for i, s := range starts {
		end := len(b.Errs)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		requests[i] = readGNU(b.Errs[s[1]:end], b.died() && i == len(starts)-1)
	}
	if !b.gnuBodies(requests) {
		return Cut{Unclear: true}
	}
	return gnuCut(b, requests)
}

// gnuNothing is the result of a process that did not begin a request.
func gnuNothing(b Block) Reply {
	text := lastLine(b.Errs)
	if b.Code != 0 && text != "" {
		return Reply{Class: ClassTool, Message: text}
	}
	return Reply{Class: ClassTool, Message: toolEnded(b.Code)}
}

// gnuCut turns requests into replies.
func gnuCut(b Block, requests []gnuReply) Cut {
	var c Cut
	explained := b.Code == 0
	for i, q := range requests {
		if q.Classify(); q.Class != "" || q.Status >= 300 {
			explained = true
		}
		switch last := i == len(requests)-1; {
		case q.ended:
			c.Replies = append(c.Replies, q.Reply)
		case last && (b.died() || b.Trimmed):
			if b.Trimmed {
				c.Replies = append(c.Replies, q.Reply)
				return c
			}
			return c.inFlight(b, q.Reply)
		default:
			// It neither ended nor failed with a known message. A status that is an error says enough.
			if explained = true; q.Class == "" {
				q.Class, q.Message = ClassTool, "cannot parse the tool's output"
			}
			c.Replies = append(c.Replies, q.Reply)
		}
	}
	switch {
	case b.died():
		return c.crashed(b)
	case !explained && b.Requests > 1:
		return Cut{Unclear: true}
	case !explained:
		return c.crashed(b)
	}
	c.Unsent = b.Requests - len(c.Replies)
	return c
}

// readGNU reads what wget printed about one request. died says that wget ended during it: what follows on wget's last line may be the shell's, such
// as "Terminated".
func readGNU(text []byte, died bool) gnuReply {
	q := gnuReply{size: -1}
	header, failure := false, ""
	for raw := range bytes.Lines(text) {
		line := strings.TrimRight(string(raw), "\r\n")
		field, indented := strings.CutPrefix(line, "  ")
		if status := statusOf(field); indented && status > 0 && !q.saved {
			q.Status, q.Header, header = status, nil, true
			continue
		}
		if header = header && indented; header {
			q.Header = append(q.Header, strings.TrimSpace(field))
			continue
		}
		if strings.HasPrefix(line, "Saving to: ") {
			q.saved = true
		}
		if q.end(line) {
			continue
		}
		if f := gnuFailure(line); f != "" && (failure == "" || classOf(failure) != ClassTLS) {
			failure = f
		}
	}
	if !q.ended && failure != "" && (!died || gnuClass(failure) != ClassUnknown) {
		q.ended, q.Class, q.Message = true, gnuClass(failure), failure
	}
	if q.ended && q.Class == "" && q.Status == 0 {
		q.Class, q.Message = ClassUnknown, "the server's reply is not HTTP"
	}
	return q
}

// end reads the line that ends a request.
func (q *gnuReply) end(line string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(line, prefix) }
	switch {
	case strings.HasSuffix(line, "redirections exceeded."), q.Status != 0 && slices.ContainsFunc(gnuDropped, begins):
		q.ended = true
		return true
	}
	m := gnuDate.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	if done := gnuDone.FindStringSubmatch(m[1]); done != nil {
		q.ended = true
		q.size, _ = strconv.Atoi(done[1])
		return true
	}
	if gnuError.MatchString(m[1]) {
		q.ended = true
		return true
	}
	if short := gnuShort.FindStringSubmatch(m[1]); short != nil {
		q.ended, q.Message = true, short[1]
		q.size, _ = strconv.Atoi(short[2])
		if q.Class = classOf(short[1]); q.Class != ClassReadTimeout && q.Class != ClassReset {
			q.Class = ClassTruncated
		}
		if q.Status >= 400 {
			q.Class = "" // the status determines it
		}
		return true
	}
	return false
}

// gnuFailure returns the text of a line that says why a request failed. It returns "" for any other line.
func gnuFailure(line string) string {
	for _, p := range []string{"Resolving ", "Connecting to ", "HTTP request sent, "} {
		if !strings.HasPrefix(line, p) {
			continue
		}
		_, text, _ := strings.Cut(line, "... ")
		if p != "HTTP request sent, " && !strings.HasPrefix(text, "failed: ") {
			return ""
		}
		if p == "Resolving " && text != "" {
			return strings.TrimSuffix(p, " ") + " " + text
		}
		return text
	}
	if text, ok := strings.CutPrefix(line, "wget: "); ok {
		return text
	}
	for _, p := range []string{"ERROR: ", "OpenSSL: ", "GnuTLS: ", "Unable to establish SSL", "The certificate", "Read error ", "failed: "} {
		if strings.HasPrefix(line, p) {
			return line
		}
	}
	return ""
}

func gnuClass(text string) Class {
	switch {
	case strings.HasPrefix(text, "Resolving failed: "):
		return ClassDNS
	case strings.HasPrefix(text, "The certificate"): // owner does not match hostname, has expired, is not trusted
		return ClassTLS
	case strings.HasPrefix(text, "Malformed status line"):
		return ClassUnknown
	case strings.HasPrefix(text, "ERROR: "):
		if c := classOf(text); c != ClassUnknown {
			return c
		}
		return ClassTLS // wget prints ERROR only for certificates
	}
	return classOf(text)
}

// gnuBodies finds the replies on standard output. It returns false if they cannot be told apart with certainty.
func (b Block) gnuBodies(requests []gnuReply) bool {
	rest, first := b.Data, true
	for i := range requests {
		q := &requests[i]
		if !q.saved {
			continue
		}
		if q.Status == 0 { // not HTTP
			if q.size < 0 || q.size > len(rest) {
				return b.Requests == 1
			}
			rest = rest[q.size:]
			continue
		}
		at := firstHeader(rest)
		if !first {
			at = min(at, 0)
		}
		first = false
		body := -1
		if at >= 0 {
			_, _, body = rawHeader(rest[at:])
		}
		if body < 0 {
			if q.Class == "" && q.ended {
				q.Class, q.Message = ClassTruncated, "the header has no end"
			}
			rest = nil
			if !lastSaved(requests[i+1:]) {
				return false
			}
			continue
		}
		rest = rest[at+body:]
		size, ok := q.bodySize(rest, requests[i+1:])
		if !ok || size > len(rest) {
			if b.Requests > 1 {
				return false
			}
			size = len(rest)
		}
		q.Body, q.Size = b.body(rest[:size])
		if size == len(rest) {
			q.Size += b.Size - len(b.Data)
		}
		rest = rest[size:]
	}
	return true
}

// bodySize returns how many bytes after the header belong to the body.
func (q *gnuReply) bodySize(rest []byte, others []gnuReply) (int, bool) {
	if q.size >= 0 {
		return q.size, true
	}
	// wget does not print how long the body of an error is. It ends where the header of the next reply begins.
	want, known := q.Length()
	if lastSaved(others) {
		return len(rest), true
	}
	var next *gnuReply
	for i := range others {
		if next = &others[i]; next.saved {
			break
		}
	}
	if next.Status == 0 {
		return 0, false
	}
	if known && want <= len(rest) && next.beginsAt(rest[want:]) {
		return want, true
	}
	found := -1
	for i := range rest {
		switch {
		case !next.beginsAt(rest[i:]):
		case found >= 0:
			return 0, false
		default:
			found = i
		}
	}
	return found, found >= 0
}

// beginsAt reports whether data begins with this reply's header, as wget printed it on standard error.
func (q *gnuReply) beginsAt(data []byte) bool {
	if !bytes.HasPrefix(data, []byte("HTTP/")) {
		return false
	}
	status, header, body := rawHeader(data)
	return body >= 0 && status == q.Status && slices.Equal(header, q.Header)
}

// lastSaved reports whether none of the requests has a reply on standard output.
func lastSaved(requests []gnuReply) bool {
	for i := range requests {
		if requests[i].saved {
			return false
		}
	}
	return true
}

// lastLine is the last line that is not empty.
func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
