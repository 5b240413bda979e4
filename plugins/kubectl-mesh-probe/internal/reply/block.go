package reply

import (
	"bytes"
	"cmp"
	"fmt"
)

// Block is what the process of one order printed, standard output and standard error apart.
type Block struct {
	Data     []byte // standard output
	Size     int    // more than len(data) if some was dropped
	Errs     []byte // standard error
	Requests int    // requests that were ordered
	Code     int
	// killed says that the plugin ended the process because a request took too long.
	Killed bool
	// cancelled says that the plugin ended the process because the run was interrupted.
	Cancelled bool
	// trimmed says that the plugin limited the output: what is missing at its end is not the server's fault.
	Trimmed bool
	// bare says that the tool cannot show a reply's header.
	Bare bool
	// verifies says that the tool was told to verify the server's certificate.
	Verifies  bool
	BodyLimit int // of a body
}

// Cut is what a block holds.
type Cut struct {
	Replies []Reply
	// unsent requests were not sent, because the tool ended before them.
	Unsent int
	// unclear says that the output could not be cut for certain; replies is then empty.
	Unclear bool
}

// died reports whether a signal ended the process; 126 and 127 mean that it did not start.
func (b Block) died() bool { return b.Code >= 126 }

// body keeps the beginning of a body.
func (b Block) body(data []byte) ([]byte, int) {
	return bytes.Clone(data[:min(len(data), b.BodyLimit)]), len(data)
}

// InFlight adds the request during which the process ended. Those after it were not sent.
// Nobody saw how a request ended that the user interrupted, so it is not counted.
func (c Cut) InFlight(b Block, r Reply) Cut {
	switch {
	case b.Cancelled:
		c.Unsent = b.Requests - len(c.Replies)
		return c
	case b.Killed:
		r = timedOut(r)
	case r.Class == "":
		r.Class, r.Message = ClassTool, cmp.Or(r.Message, toolEnded(b.Code))
	}
	c.Replies = append(c.Replies, r)
	c.Unsent = b.Requests - len(c.Replies)
	return c
}

// Crashed takes the last reply back as an answer: the process ended in a way that no reply explains.
func (c Cut) Crashed(b Block) Cut {
	if n := len(c.Replies); n > 0 && c.Replies[n-1].Class == "" && !b.Cancelled && !b.Killed {
		c.Replies[n-1].Class, c.Replies[n-1].Message = ClassTool, toolEnded(b.Code)
	}
	c.Unsent = b.Requests - len(c.Replies)
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
