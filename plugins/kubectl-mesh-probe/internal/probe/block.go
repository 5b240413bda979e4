package probe

import (
	"bytes"
	"cmp"
	"fmt"
)

// block is what the process of one order printed, standard output and standard error apart.
type block struct {
	data []byte // standard output
	size int    // more than len(data) if some was dropped
	errs []byte // standard error
	n    int    // requests that were ordered
	rc   int
	// killed says that the plugin ended the process because a request took too long.
	killed bool
	// cancelled says that the plugin ended the process because the run was interrupted.
	cancelled bool
	// trimmed says that the plugin limited the output: what is missing at its end is not the server's fault.
	trimmed bool
	// bare says that the tool cannot show a reply's header.
	bare bool
	// verifies says that the tool was told to verify the server's certificate.
	verifies bool
	limit    int // of a body
}

// cut is what a block holds.
type cut struct {
	replies []Reply
	// unsent requests were not sent, because the tool ended before them.
	unsent int
	// unclear says that the output could not be cut for certain; replies is then empty.
	unclear bool
}

// died reports whether a signal ended the process; 126 and 127 mean that it did not start.
func (b block) died() bool { return b.rc >= 126 }

// body keeps the beginning of a body.
func (b block) body(data []byte) ([]byte, int) {
	return bytes.Clone(data[:min(len(data), b.limit)]), len(data)
}

// inFlight adds the request during which the process ended. Those after it were not sent.
// Nobody saw how a request ended that the user interrupted, so it is not counted.
func (c cut) inFlight(b block, r Reply) cut {
	switch {
	case b.cancelled:
		c.unsent = b.n - len(c.replies)
		return c
	case b.killed:
		r = timedOut(r)
	case r.Class == "":
		r.Class, r.Message = ClassTool, cmp.Or(r.Message, toolEnded(b.rc))
	}
	c.replies = append(c.replies, r)
	c.unsent = b.n - len(c.replies)
	return c
}

// crashed takes the last reply back as an answer: the process ended in a way that no reply explains.
func (c cut) crashed(b block) cut {
	if n := len(c.replies); n > 0 && c.replies[n-1].Class == "" && !b.cancelled && !b.killed {
		c.replies[n-1].Class, c.replies[n-1].Message = ClassTool, toolEnded(b.rc)
	}
	c.unsent = b.n - len(c.replies)
	return c
}

// timedOut is the reply to a request whose process was ended by us.
func timedOut(r Reply) Reply {
	r.Class, r.Message = ClassReadTimeout, "no answer in time"
	return r
}

// toolEnded is the message for a tool that failed without an explanation.
func toolEnded(rc int) string {
	if rc > 128 {
		return fmt.Sprintf("the tool ended with code %d (signal %d)", rc, rc-128)
	}
	return fmt.Sprintf("the tool ended with code %d", rc)
}

// headerEnd returns the index behind a header's empty line, -1 if there is none.
func headerEnd(data []byte) int {
	end := -1
	for _, sep := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(data, []byte(sep)); i >= 0 && (end < 0 || i+len(sep) < end) {
			end = i + len(sep)
		}
	}
	return end
}

// rawHeader reads the header that stands at the beginning of data as the server sent it, interim replies (1xx) included,
// and returns the index of the body; -1 if the header has no end.
func rawHeader(data []byte) (status int, header []string, body int) {
	for bytes.HasPrefix(data[body:], []byte("HTTP/")) {
		end := headerEnd(data[body:])
		if end < 0 {
			status, header = parseHeader(data[body:])
			return status, header, -1
		}
		status, header = parseHeader(data[body : body+end])
		body += end
		if status/100 != 1 {
			return status, header, body
		}
	}
	return status, header, -1
}

// firstHeader returns the index of the first status line that begins a line: a wrapper around the tool may have printed something before it.
func firstHeader(data []byte) int {
	if bytes.HasPrefix(data, []byte("HTTP/")) {
		return 0
	}
	if i := bytes.Index(data, []byte("\nHTTP/")); i >= 0 {
		return i + 1
	}
	return -1
}
