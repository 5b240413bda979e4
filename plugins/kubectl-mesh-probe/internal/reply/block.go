package reply

import (
	"bytes"
	"cmp"
	"fmt"
)

// Block is what the process of one batch printed.
type Block struct {
	Data []byte // standard output, since the last record of a tool that prints records
	Size int    // of standard output; more than len(Data) if some was dropped
	Errs []byte // standard error
	// Requests is how many were ordered.
	Requests int
	Code     int // exit code
	// Records is how many records the tool printed, and Record the last of them. The replies of the others have been read already.
	Records int
	Record  *Record
	// Killed says that the plugin ended the process because a request took too long.
	Killed bool
	// Cancelled says that the plugin ended the process because the run was interrupted.
	Cancelled bool
	// Trimmed says that the plugin limited the output. If the end is missing, it is not the server's fault.
	Trimmed bool
	// Bare says that the tool cannot show the header of a reply.
	Bare bool
	// Verifies says that the tool was told to verify the server's certificate.
	Verifies bool
	// BodyLimit is how much of a body is kept.
	BodyLimit int
}

// Cut is the result of cutting a block.
type Cut struct {
	Replies []Reply
	// Unsent is how many requests were not sent, because the tool ended before them.
	Unsent int
	// Unclear says that the replies cannot be told apart with certainty. Then there are none.
	Unclear bool
}

// died reports whether a signal ended the process, or whether it did not start (126, 127).
func (b Block) died() bool { return b.Code >= 126 }

// body keeps the beginning of a body.
func (b Block) body(data []byte) ([]byte, int) {
	return bytes.Clone(data[:min(len(data), b.BodyLimit)]), len(data)
}

// inFlight adds the request during which the process ended. The requests after it were not sent. If the user interrupted the run, the
// result of that request is unknown, so it is not counted.
func (c Cut) inFlight(b Block, r Reply) Cut {
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

// crashed turns the last reply into an error, because the process ended in a way that no reply explains.
func (c Cut) crashed(b Block) Cut {
	if n := len(c.Replies); n > 0 && c.Replies[n-1].Class == "" && !b.Cancelled && !b.Killed {
		c.Replies[n-1].Class, c.Replies[n-1].Message = ClassTool, toolEnded(b.Code)
	}
	c.Unsent = b.Requests - len(c.Replies)
	return c
}

// timedOut is the result of a request whose process the plugin ended.
func timedOut(r Reply) Reply {
	r.Class, r.Message = ClassReadTimeout, "no answer within the time limit"
	return r
}

// toolEnded is the message for a tool that failed and did not say why.
func toolEnded(rc int) string {
	if rc > 128 {
		return fmt.Sprintf("the tool ended with code %d (signal %d)", rc, rc-128)
	}
	return fmt.Sprintf("the tool ended with code %d", rc)
}

// headerEnd returns the index after the empty line of a header, or -1 if there is none.
func headerEnd(data []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		rest := data[at:]
		switch {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' && at > 1 && data[at-2] == '\r':
			return at + 2
		}
	}
}

// rawHeader reads the header at the beginning of data, as the server sent it, interim replies (1xx) included. It returns the index of the
// body, or -1 if the header has no end.
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

// firstHeader returns the index of the first status line. A wrapper around the tool may have printed lines before it.
func firstHeader(data []byte) int {
	if bytes.HasPrefix(data, []byte("HTTP/")) {
		return 0
	}
	if i := bytes.Index(data, []byte("\nHTTP/")); i >= 0 {
		return i + 1
	}
	return -1
}
