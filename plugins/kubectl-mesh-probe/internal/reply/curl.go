package reply

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CurlRecord is the format of curl's --write-out: a framing line "C" behind each reply, with the sizes of header and body. Before 7.75, a record
// cannot contain the exit code. Then each request has its own process.
const (
	CurlRecord     = `C %{http_code} %{num_connects} %{size_header} %{size_download} %{time_connect} %{time_total}`
	CurlRecordExit = CurlRecord + ` %{exitcode} %{errormsg}`
)

// Record is what curl prints behind a reply, and the output before it.
type Record struct {
	Text string // the values of the format, separated by spaces
	Data []byte
	Size int // of the output in the stream; more than len(Data) if some was dropped
	// Trimmed says that the plugin limited the output. If curl could not write all of it, that is not an error.
	Trimmed bool
}

// curlWriteError is curl's exit code if nobody reads its output any more. curl ignores SIGPIPE.
const curlWriteError = 23

// ReadCurl reads a record and the output before it. code is the exit code of the process, which counts if the record contains none.
func ReadCurl(f Record, limit, code int) (Reply, error) { return readCurl(f, limit, code, "") }

// readCurl does what ReadCurl does. message is what curl printed on standard error, which counts if the record contains no exit code.
func readCurl(f Record, limit, code int, message string) (Reply, error) {
	args := strings.Fields(f.Text)
	if len(args) < 6 {
		return Reply{}, fmt.Errorf("the pod's output is broken: curl's record %q", f.Text)
	}
	var n [4]int
	for i := range n {
		v, err := strconv.Atoi(args[i])
		if err != nil || v < 0 {
			return Reply{}, fmt.Errorf("the pod's output is broken: curl's record %q", f.Text)
		}
		n[i] = v
	}
	connect, err1 := strconv.ParseFloat(args[4], 64)
	total, err2 := strconv.ParseFloat(args[5], 64)
	if err1 != nil || err2 != nil {
		return Reply{}, fmt.Errorf("the pod's output is broken: curl's record %q", f.Text)
	}
	if len(args) > 6 {
		if v, err := strconv.Atoi(args[6]); err == nil {
			code = v
		}
		message = strings.Join(args[7:], " ")
	}
	if f.Trimmed = f.Trimmed && code == curlWriteError; f.Trimmed {
		code = 0 // curl failed only because nobody read the rest
	}

	r := Reply{Status: n[0], Measured: true, Latency: inSeconds(total), Connect: inSeconds(connect)}
	fits := r.takeCurl(f, n[2], n[3], limit)
	if code > 0 {
		r.Class, r.Message = curlClass(code, connect, message), message
		if message == "" {
			r.Message = "curl exit code " + strconv.Itoa(code)
		}
	} else if r.Status == 0 {
		r.Class, r.Message = ClassUnknown, "no HTTP status"
	}
	r.Reused = n[1] == 0 && (code == 0 || r.Status != 0) // without a reply, curl may have failed to connect
	switch {
	case r.Status >= 400:
		r.Class = "" // the status says more than the fate of the body
	case r.Class == "" && fits != "":
		r.Class, r.Message = ClassTruncated, fits
	}
	r.Classify()
	return r, nil
}

func inSeconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// takeCurl takes header and body from the output before a record, which contains their sizes. Output before the header is that of another program,
// such as a wrapper. Output after the body are trailers. It returns what is wrong with the reply, or "".
func (r *Reply) takeCurl(f Record, head, size, limit int) string {
	if head == 0 && size == 0 {
		return ""
	}
	at := firstHeader(f.Data)
	if at < 0 || at > f.Size-head-size {
		return fmt.Sprintf("curl read %d bytes, but its output of %d bytes does not contain them", head+size, f.Size)
	}
	data := f.Data[at:]
	_, header, body := rawHeader(data)
	r.Header = header
	if body < 0 || body > head {
		return "the header has no end"
	}
	data = data[body:]
	if f.Trimmed {
		size = max(size, len(data)) // after a failure to write, curl does not count what it has written of a chunked body
	}
	r.Body, r.Size = append([]byte(nil), data[:min(len(data), size, limit)]...), size
	return ""
}

// CutCurl cuts the output of a batch of which all records but the last have been read. exitCodes says that records contain exit codes.
func CutCurl(b Block, exitCodes bool) (Cut, error) {
	var c Cut
	missing := b.Requests - b.Records
	if b.Record != nil {
		code, message := b.Code, curlMessage(b.Errs)
		if exitCodes {
			code, message = 0, ""
		}
		rec := *b.Record
		rec.Trimmed = b.Trimmed
		r, err := readCurl(rec, b.BodyLimit, code, message)
		if err != nil {
			return Cut{}, err
		}
		if !exitCodes {
			r.Message = cmp.Or(message, r.Message)
			return Cut{Replies: []Reply{r}}, nil
		}
		c.Replies = []Reply{r}
		if missing <= 0 && b.Code != 0 {
			// The exit code belongs to the last request, whose record contains it. Any other code is a crash, or that of a wrapper.
			c = c.crashed(b)
		}
		c.Unsent = 0
	}
	if missing <= 0 {
		return c, nil
	}
	// Nothing, or the request at which curl was stopped.
	last := b
	last.Requests = missing
	var end Cut
	if b.Trimmed {
		last.Requests = 1
		end = CutRaw(last)
		end.Unsent = missing - len(end.Replies)
	} else {
		end = end.inFlight(last, Reply{Message: curlMessage(b.Errs)})
	}
	c.Replies, c.Unsent = append(c.Replies, end.Replies...), end.Unsent
	return c, nil
}

// curlMessage is the error that curl printed on standard error: "curl: (7) Failed to connect".
func curlMessage(errs []byte) string {
	for line := range strings.Lines(string(errs)) {
		if text, ok := strings.CutPrefix(line, "curl: "); ok {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

// curlClass returns the class of an exit code of curl. Source: curl 8 docs/libcurl/libcurl-errors.
func curlClass(rc int, connect float64, message string) Class {
	switch rc {
	case 5, 6:
		return ClassDNS
	case 7:
		if c := classOf(message); c == ClassUnreachable {
			return c
		}
		return ClassRefused
	case 18:
		return ClassTruncated
	case 28:
		return curlTimeout(connect, message)
	case 35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98:
		return ClassTLS
	case 52:
		return ClassEmpty
	case 55, 56:
		return ClassReset
	case 1, 8:
		if rc == 8 || strings.Contains(message, "HTTP/0.9") {
			return ClassUnknown // the server's reply is not HTTP
		}
	}
	return ClassTool
}

// curlTimeout returns the class of exit code 28. curl also ends with it if the look-up of the name took too long, and only the message says so: the
// time of a look-up does not show it, because curl before 7.61 rounds it to milliseconds. Source: multi_handle_timeout in lib/multi.c and
// resolve_server in lib/url.c, up to curl 8.
func curlTimeout(connect float64, message string) Class {
	text := strings.TrimPrefix(message, "(28) ")
	for _, part := range []string{"Resolving timed out", "name lookup timed out", "Failed to resolve"} {
		if strings.Contains(text, part) {
			return ClassDNS
		}
	}
	switch {
	case connect > 0:
		return ClassReadTimeout
	case text == "" || text == "Timeout was reached":
		return ClassTool // either of the two: it must not count as a Service that does not answer
	}
	return ClassConnectTimeout
}
