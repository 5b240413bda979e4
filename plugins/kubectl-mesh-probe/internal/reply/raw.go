package reply

import "strings"

// CutRaw cuts the output of one request by a tool that prints header and body as the server sent them: wget2, and a curl
// with limited output.
func CutRaw(b Block) Cut {
	var r Reply
	at, body := firstHeader(b.Data), -1
	if at >= 0 {
		r.Status, r.Header, body = rawHeader(b.Data[at:])
	}
	if body >= 0 {
		r.Body, r.Size = b.body(b.Data[at+body:])
		r.Size += b.Size - len(b.Data)
	}
	switch {
	case b.Killed, b.Cancelled:
		return Cut{}.inFlight(b, r)
	case r.Status == 0:
		text, _, _ := strings.Cut(strings.TrimSpace(string(b.Errs)), "\n")
		r.Class, r.Message = classOf(text), text
		if r.Class == ClassUnknown && b.Code != 0 {
			r.Class = ClassTool
		}
		if text == "" {
			r.Message = toolEnded(b.Code)
		}
	case body < 0 && !b.Trimmed:
		r.Class, r.Message = ClassTruncated, "the header has no end"
	default:
		r.Classify()
		// Both GNU wgets exit with 8 if the status is not a success.
		if r.Class == "" && b.Code != 0 && (b.Code != 8 || r.Status < 300) {
			r.Class, r.Message = ClassTool, toolEnded(b.Code)
		}
		// wget2 decompresses a body and keeps the header, whose Content-Length is the length before.
		encoding, encoded := r.Get("Content-Encoding")
		encoded = encoded && !strings.EqualFold(encoding, "identity")
		if want, known := r.Length(); r.Class == "" && known && r.Size < want && !b.Trimmed && !encoded {
			r.Class, r.Message = ClassTruncated, "the body ended early"
		}
	}
	return Cut{Replies: []Reply{r}}
}
