package probe

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// curlRecord is curl's --write-out: one framing line "C" behind each reply, with sizes by which header and body are
// told apart. Up to 7.74 there can be no exit code in it; then each request is a process of its own and E carries the code.
const (
	curlRecord    = `C %{http_code} %{num_connects} %{size_header} %{size_download} %{time_connect} %{time_total}`
	curlRecordNew = curlRecord + ` %{exitcode} %{errormsg}`
)

// cutCurl reads one record and the bytes before it. rc is the process's exit code, or -1 while it still runs.
func cutCurl(f frame, limit, rc int) (Reply, error) {
	if len(f.args) < 6 {
		return Reply{}, fmt.Errorf("the pod's output is broken: curl's record %q", f.rest)
	}
	var n [4]int
	for i := range n {
		v, err := strconv.Atoi(f.args[i])
		if err != nil || v < 0 {
			return Reply{}, fmt.Errorf("the pod's output is broken: curl's record %q", f.rest)
		}
		n[i] = v
	}
	connect, err1 := strconv.ParseFloat(f.args[4], 64)
	total, err2 := strconv.ParseFloat(f.args[5], 64)
	if err1 != nil || err2 != nil {
		return Reply{}, fmt.Errorf("the pod's output is broken: curl's record %q", f.rest)
	}
	r := Reply{Status: n[0], Measured: true, Latency: time.Duration(total * float64(time.Second))}
	head, size := n[2], n[3]
	if head+size != f.size {
		return Reply{}, fmt.Errorf("the pod's output is broken: curl says %d + %d bytes, %d came", head, size, f.size)
	}
	kept := min(head, len(f.data))
	_, r.Header = parseHeader(f.data[:kept])
	body := f.data[kept:]
	r.Body, r.Size = append([]byte(nil), body[:min(len(body), limit)]...), size

	message := ""
	if len(f.args) > 6 {
		if v, err := strconv.Atoi(f.args[6]); err == nil {
			rc = v
		}
		message = strings.Join(f.args[7:], " ")
	}
	if rc > 0 {
		r.Class, r.Message = curlClass(rc, connect, message), message
		if message == "" {
			r.Message = "curl exit code " + strconv.Itoa(rc)
		}
	} else if r.Reused = n[1] == 0; r.Status == 0 {
		r.Class, r.Message = ClassUnknown, "no HTTP status"
	}
	r.classify()
	return r, nil
}

// curlClass sorts curl's exit codes. Source: curl 8 docs/libcurl/libcurl-errors.
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
		if connect == 0 {
			return ClassConnectTimeout
		}
		return ClassReadTimeout
	case 35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98:
		return ClassTLS
	case 52:
		return ClassEmpty
	case 55, 56:
		return ClassReset
	}
	return ClassTool
}
