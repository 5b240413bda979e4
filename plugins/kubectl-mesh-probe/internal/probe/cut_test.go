package probe

import (
	"strings"
	"testing"
)

const (
	bbReply      = "  HTTP/1.1 200 OK\n  X-C: us\n  Content-Length: 5\n  \nhello"
	gnuReplyText = "  HTTP/1.1 200 OK\n  X-C: us\n  Content-Length: 5\nHTTP/1.1 200 OK\r\nX-C: us\r\nContent-Length: 5\r\n\r\nhello" +
		"2026-11-23 05:59:30 URL:http://127.0.0.1:18099/ [5/5] -> \"-\" [1]\n"
)

func TestCutBusybox(t *testing.T) {
	t.Parallel()
	chunked := "  HTTP/1.1 200 OK\n  Transfer-Encoding: chunked\n  \nhello"
	tests := map[string]struct {
		data    string
		n, rc   int
		killed  bool
		classes string
		unsent  int
		unclear bool
	}{
		"three":                       {data: strings.Repeat(bbReply, 3), n: 3, classes: ",,"},
		"missing reply":               {data: strings.Repeat(bbReply, 2), n: 3, unclear: true},
		"one too many":                {data: strings.Repeat(bbReply, 3), n: 2, unclear: true},
		"refused first":               {data: "wget: can't connect to remote host (10.0.0.1): Connection refused\n", n: 5, rc: 1, classes: "refused", unsent: 4},
		"refused third":               {data: strings.Repeat(bbReply, 2) + "wget: can't connect to remote host (10.0.0.1): Connection refused\n", n: 5, rc: 1, classes: ",,refused", unsent: 2},
		"unknown host":                {data: "wget: bad address 'nobody'\n", n: 1, rc: 1, classes: "dns"},
		"503 second":                  {data: bbReply + "  HTTP/1.1 503 Service Unavailable\nwget: server returned error: HTTP/1.1 503 Service Unavailable\n", n: 4, rc: 1, classes: ",http-5xx", unsent: 2},
		"truncated":                   {data: "  HTTP/1.1 200 OK\n  Content-Length: 100\n  \npartwget: connection closed prematurely\n", n: 2, rc: 1, classes: "truncated", unsent: 1},
		"timeout applet":              {data: bbReply, n: 2, rc: 143, classes: ",read-timeout"},
		"killed between":              {data: bbReply, n: 4, rc: 143, killed: true, classes: ",read-timeout", unsent: 2},
		"killed inside":               {data: bbReply + "  HTTP/1.1 200 OK\n  Content-Length: 100\n  \npa", n: 4, rc: 143, killed: true, classes: ",read-timeout", unsent: 2},
		"chunked together":            {data: strings.Repeat(chunked, 3), n: 3, classes: ",,"},
		"chunked, count wrong":        {data: strings.Repeat(chunked, 3), n: 4, unclear: true},
		"body that looks like a head": {data: "  HTTP/1.1 200 OK\n  Content-Length: 53\n  \n  HTTP/1.1 200 OK\n  Transfer-Encoding: chunked\n  \n123" + bbReply, n: 2, classes: ","},
		"redirect":                    {data: "  HTTP/1.1 302 Found\n  Location: /\n" + bbReply + bbReply, n: 2, classes: ","},
		"no output":                   {n: 3, rc: 127, classes: "tool", unsent: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkCut(t, cutBusybox(block{data: []byte(tc.data), size: len(tc.data), n: tc.n, rc: tc.rc, killed: tc.killed, single: tc.n == 1, limit: 100}), tc.classes, tc.unsent, tc.unclear)
		})
	}
}

func TestCutGNU(t *testing.T) {
	t.Parallel()
	end := "FINISHED --2026-11-23 05:59:30--\nTotal wall clock time: 0.003s\nDownloaded: 2 files, 26 in 0s (102 KB/s)\n"
	nolength := "  HTTP/1.1 200 OK\n  Connection: close\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello2026-11-23 05:58:34 URL:http://x/ [5] -> \"-\" [1]\n"
	fake := "2026-11-23 05:58:34 URL:http://x/ [9] -> \"-\" [1]\n" // in a body: its size does not fit
	tests := map[string]struct {
		data    string
		n, rc   int
		killed  bool
		classes string
		unsent  int
		unclear bool
	}{
		"two":              {data: strings.Repeat(gnuReplyText, 2) + end, n: 2, classes: ","},
		"missing":          {data: gnuReplyText + end, n: 2, unclear: true},
		"refused between":  {data: gnuReplyText + "failed: Connection refused.\n" + gnuReplyText, n: 3, rc: 4, classes: ",,refused"},
		"two addresses":    {data: "failed: Connection refused.\nfailed: Connection refused.\n", n: 1, rc: 4, classes: "refused"},
		"unknown host":     {data: "wget: unable to resolve host address 'nobody'\n", n: 1, rc: 4, classes: "dns"},
		"hang":             {data: "Read error (Connection timed out) in headers.\n" + gnuReplyText, n: 2, rc: 4, classes: ",read-timeout"},
		"connect timeout":  {data: "failed: Connection timed out.\n", n: 1, rc: 4, classes: "connect-timeout"},
		"reset":            {data: "Read error (Connection reset by peer) in headers.\n", n: 1, rc: 4, classes: "reset"},
		"empty":            {data: "No data received.\n", n: 1, rc: 4, classes: "empty-reply"},
		"503":              {data: "  HTTP/1.1 503 Service Unavailable\n  Content-Length: 6\nHTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\n\r\nsorry\nhttp://x/:\n2026-11-23 05:59:30 ERROR 503: Service Unavailable.\n" + gnuReplyText, n: 2, rc: 8, classes: "http-5xx,"},
		"204":              {data: "  HTTP/1.1 204 No Content\n2026-11-23 05:59:30 URL:http://x/ [0] -> \"-\" [1]\n" + gnuReplyText, n: 2, classes: ","},
		"302":              {data: "  HTTP/1.1 302 Found\n  Location: /\n0 redirections exceeded.\n" + gnuReplyText, n: 2, rc: 8, classes: ","},
		"no length":        {data: nolength + gnuReplyText, n: 2, classes: ","},
		"line in the body": {data: "  HTTP/1.1 200 OK\n  Connection: close\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + fake + "x2026-11-23 05:58:34 URL:http://x/ [50] -> \"-\" [1]\n", n: 1, classes: ""},
		"truncated":        {data: "  HTTP/1.1 200 OK\n  Content-Length: 100\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart" + gnuReplyText, n: 2, rc: 4, classes: "truncated,"},
		"killed":           {data: gnuReplyText, n: 4, rc: 143, killed: true, classes: ",read-timeout", unsent: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkCut(t, cutGNU(block{data: []byte(tc.data), size: len(tc.data), n: tc.n, rc: tc.rc, killed: tc.killed, single: tc.n == 1, limit: 100}), tc.classes, tc.unsent, tc.unclear)
		})
	}
}

func checkCut(t *testing.T, got cut, classes string, unsent int, unclear bool) {
	t.Helper()
	var cs []string
	for _, r := range got.replies {
		cs = append(cs, string(r.Class))
		if r.Class == "" && r.Status == 200 && !strings.Contains(string(r.Body), "1") && string(r.Body) != "hello" {
			t.Errorf("body %q", r.Body)
		}
	}
	if s := strings.Join(cs, ","); s != classes || got.unsent != unsent || got.unclear != unclear || unclear && len(got.replies) > 0 {
		t.Errorf("classes %q unsent %d unclear %v, want %q %d %v", s, got.unsent, got.unclear, classes, unsent, unclear)
	}
}

// Whatever a pod prints: no more replies than requests, and all requests accounted for.
func FuzzCut(f *testing.F) {
	f.Add([]byte(bbReply+bbReply), 2, 0, false)
	f.Add([]byte(gnuReplyText+"failed: Connection refused.\n"), 3, 4, true)
	f.Add([]byte("  HTTP/1.1 302 Found\n  Location: /\n"), 1, 1, false)
	f.Add([]byte("  HTTP/1.1 200 OK\n"), 1, 0, false)
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nx"), 1, 0, false)
	f.Fuzz(func(t *testing.T, data []byte, n, rc int, killed bool) {
		n = 1 + (n&0xff)%20
		b := block{data: data, size: len(data), n: n, rc: rc & 0xff, killed: killed && rc != 0, single: n == 1, limit: 50}
		for name, f := range map[string]func(block) cut{"busybox": cutBusybox, "gnu": cutGNU} {
			c := f(b)
			if c.unclear {
				continue
			}
			if len(c.replies)+c.unsent != n || c.unsent < 0 {
				t.Fatalf("%s: %d replies and %d unsent of %d", name, len(c.replies), c.unsent, n)
			}
		}
		b.n = 1
		if c := cutRaw(b); len(c.replies) != 1 {
			t.Fatalf("raw: %d replies", len(c.replies))
		}
	})
}

func FuzzCurlRecord(f *testing.F) {
	f.Add("200 1 10 5 0.001 0.002 0 ", []byte("HTTP/1.1 2\nhello"))
	f.Add("000 0 0 0 0.0 1.0 28 timed out", []byte{})
	f.Fuzz(func(t *testing.T, rest string, data []byte) {
		r, err := cutCurl(frame{verb: 'C', rest: rest, args: strings.Fields(rest), data: data, size: len(data)}, 10, 0)
		if err == nil && (len(r.Body) > 10 || r.Status < 0) {
			t.Fatalf("reply %+v", r)
		}
	})
}
