package probe

import "strings"

// cutRaw cuts the output of one request by a tool that prints the header as it came and then the body: wget2, and a curl
// whose output was limited.
func cutRaw(b block) cut {
	var r Reply
	at, body := firstHeader(b.data), -1
	if at >= 0 {
		r.Status, r.Header, body = rawHeader(b.data[at:])
	}
	if body >= 0 {
		r.Body, r.Size = b.body(b.data[at+body:])
		r.Size += b.size - len(b.data)
	}
	switch {
	case b.killed, b.cancelled:
		return cut{}.inFlight(b, r)
	case r.Status == 0:
		text, _, _ := strings.Cut(strings.TrimSpace(string(b.errs)), "\n")
		r.Class, r.Message = classOf(text), text
		if r.Class == ClassUnknown && b.rc != 0 {
			r.Class = ClassTool
		}
		if text == "" {
			r.Message = toolEnded(b.rc)
		}
	case body < 0 && !b.trimmed:
		r.Class, r.Message = ClassTruncated, "the header has no end"
	default:
		r.classify()
		// 8 is the code of both GNU wgets for a status of the server that is no success.
		if r.Class == "" && b.rc != 0 && (b.rc != 8 || r.Status < 300) {
			r.Class, r.Message = ClassTool, toolEnded(b.rc)
		}
		if want, known := r.length(); r.Class == "" && known && r.Size < want && !b.trimmed {
			r.Class, r.Message = ClassTruncated, "the body ended early"
		}
	}
	return cut{replies: []Reply{r}}
}
