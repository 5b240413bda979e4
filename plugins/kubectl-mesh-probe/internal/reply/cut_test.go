package reply

import (
	"strings"
	"testing"
	"time"
)

const (
	bbHeader = "  HTTP/1.1 200 OK\n  X-C: us\n  Content-Length: 5\n  \n"
	bbReply  = "  HTTP/1.1 200 OK\n  X-C: us\n  Content-Length: 5\n  \nhello"
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
		"chunked together":            {data: strings.Repeat(chunked, 3), n: 3, unclear: true},
		"chunked, count wrong":        {data: strings.Repeat(chunked, 3), n: 4, unclear: true},
		"body that looks like a head": {data: "  HTTP/1.1 200 OK\n  Content-Length: 53\n  \n  HTTP/1.1 200 OK\n  Transfer-Encoding: chunked\n  \n123" + bbReply, n: 2, classes: ","},
		"redirect":                    {data: "  HTTP/1.1 302 Found\n  Location: /\n" + bbReply + bbReply, n: 2, classes: ","},
		"no output":                   {n: 3, rc: 127, classes: "tool", unsent: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkCut(t, CutBusybox(Block{Data: []byte(tc.data), Size: len(tc.data), Requests: tc.n, Code: tc.rc, Killed: tc.killed, BodyLimit: 100}), tc.classes, tc.unsent, tc.unclear)
		})
	}
}

// gnuSays is what GNU wget prints on standard error about one request.
func gnuSays(header, end string) string {
	return "--2026-11-23 05:59:30--  http://127.0.0.1:18099/\nConnecting to 127.0.0.1:18099... connected.\nHTTP request sent, awaiting response... \n" + header + end
}

const (
	gnuOKSays = "--2026-11-23 05:59:30--  http://x/\nResolving x (x)... 10.0.0.1\nConnecting to x (x)|10.0.0.1|:80... connected.\nHTTP request sent, awaiting response... \n" +
		"  HTTP/1.1 200 OK\n  X-C: us\n  Content-Length: 5\nLength: 5\nSaving to: 'STDOUT'\n\n     0K                                    100%  816K=0s\n\n" +
		"2026-11-23 05:59:30 (816 KB/s) - written to stdout [5/5]\n\n"
	gnuOK = "HTTP/1.1 200 OK\r\nX-C: us\r\nContent-Length: 5\r\n\r\nhello"
)

func TestCutGNU(t *testing.T) {
	t.Parallel()
	saving := "Saving to: 'STDOUT'\n\n     0K                                    100%  279K=0s\n\n"
	failed := func(text string) string {
		return "--2026-11-23 05:59:30--  http://10.0.0.1/\n" + text
	}
	awaiting := "Connecting to 10.0.0.1:80... connected.\nHTTP request sent, awaiting response... "
	e503 := gnuSays("  HTTP/1.1 503 Service Unavailable\n  X: y\n", saving+"2026-11-23 05:59:30 ERROR 503: Service Unavailable.\n\n")
	o503 := "HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\nsorry\n"
	ec503, oc503 := strings.ReplaceAll(e503, "X: y", "Content-Length: 50"), strings.ReplaceAll(o503, "X: y", "Content-Length: 50")
	nolength := gnuSays("  HTTP/1.1 200 OK\n  Connection: close\n", "Length: unspecified\n"+saving+"2026-11-23 05:58:34 (1 KB/s) - written to stdout [5]\n\n")
	onolength := "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
	short := gnuSays("  HTTP/1.1 200 OK\n  Content-Length: 100\n", saving+"2026-11-28 17:18:36 (171 KB/s) - Connection closed at byte 4. Giving up.\n\n")
	oshort := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"
	tests := map[string]struct {
		out, errs string
		n, rc     int
		killed    bool
		cancelled bool
		classes   string
		unsent    int
		unclear   bool
	}{
		"two":               {out: gnuOK + gnuOK, errs: gnuOKSays + gnuOKSays + "FINISHED --2026-11-23 05:59:30--\nTotal wall clock time: 0.003s\n", n: 2, classes: ","},
		"missing":           {out: gnuOK, errs: gnuOKSays, n: 2, unclear: true},
		"too many":          {out: gnuOK + gnuOK, errs: gnuOKSays + gnuOKSays, n: 1, unclear: true},
		"refused":           {errs: failed("Connecting to 10.0.0.1:80... failed: Connection refused.\n"), n: 1, rc: 4, classes: "refused"},
		"refused twice":     {errs: failed("Connecting to x|::1|:80... failed: Connection refused.\nConnecting to x|10.0.0.1|:80... failed: Connection refused.\n"), n: 1, rc: 4, classes: "refused"},
		"second address":    {out: gnuOK, errs: strings.Replace(gnuOKSays, "Connecting", "Connecting to x|::1|:80... failed: Connection refused.\nConnecting", 1), n: 1, classes: ""},
		"unknown host":      {errs: failed("Resolving nobody (nobody)... failed: Name or service not known.\nwget: unable to resolve host address 'nobody'\n"), n: 1, rc: 4, classes: "dns"},
		"resolver is away":  {errs: failed("Resolving nobody (nobody)... failed: Temporary failure in name resolution.\n"), n: 1, rc: 4, classes: "dns"},
		"hang":              {out: gnuOK, errs: failed(awaiting+"Read error (Connection timed out) in headers.\nGiving up.\n\n") + gnuOKSays, n: 2, rc: 4, classes: "read-timeout,"},
		"connect timeout":   {errs: failed("Connecting to 10.0.0.1:80... failed: Connection timed out.\n"), n: 1, rc: 4, classes: "connect-timeout"},
		"no route":          {errs: failed("Connecting to 10.0.0.1:80... failed: No route to host.\n"), n: 1, rc: 4, classes: "unreachable"},
		"reset":             {errs: failed(awaiting + "Read error (Connection reset by peer) in headers.\nGiving up.\n\n"), n: 1, rc: 4, classes: "reset"},
		"empty":             {errs: failed(awaiting + "No data received.\nGiving up.\n\n"), n: 1, rc: 4, classes: "empty-reply"},
		"not trusted":       {errs: failed("Connecting to 10.0.0.1:443... connected.\nERROR: The certificate of '10.0.0.1' is not trusted.\n"), n: 1, rc: 5, classes: "tls"},
		"503":               {out: o503 + gnuOK, errs: e503 + gnuOKSays, n: 2, rc: 8, classes: "http-5xx,"},
		"503 of no length":  {out: o503 + o503 + gnuOK, errs: e503 + e503 + gnuOKSays, n: 3, rc: 8, classes: "http-5xx,http-5xx,"},
		"503 that is cut":   {out: oc503 + oc503 + gnuOK, errs: ec503 + ec503 + gnuOKSays, n: 3, rc: 8, classes: "http-5xx,http-5xx,"},
		"503 with a header": {out: o503 + gnuOK + gnuOK, errs: e503 + gnuOKSays, n: 2, rc: 8, unclear: true},
		"204":               {out: gnuOK, errs: gnuSays("  HTTP/1.1 204 No Content\n", "2026-11-23 05:59:30 (0.00 B/s) - written to stdout [0]\n\n") + gnuOKSays, n: 2, classes: ","},
		"302":               {out: gnuOK, errs: gnuSays("  HTTP/1.1 302 Found\n  Location: /\n", "Location: / [following]\n0 redirections exceeded.\n") + gnuOKSays, n: 2, rc: 8, classes: ","},
		"304":               {out: "HTTP/1.1 304 Not Modified\r\n\r\n" + gnuOK, errs: gnuSays("  HTTP/1.1 304 Not Modified\n", saving+"2026-11-23 05:59:30 ERROR 304: Not Modified.\n\n") + gnuOKSays, n: 2, rc: 8, classes: ","},
		"302, no Location":  {out: gnuOK, errs: gnuSays("  HTTP/1.1 302 Found\n  Content-Length: 3\n", "Location: unspecified\nERROR: Redirection (302) without location.\n") + gnuOKSays, n: 2, rc: 8, classes: ","},
		"401":               {out: gnuOK, errs: gnuSays("  HTTP/1.1 401 Unauthorized\n  WWW-Authenticate: Bearer\n", "\nUsername/Password Authentication Failed.\n") + gnuOKSays, n: 2, rc: 6, classes: "http-4xx,"},
		"401 at the end":    {out: gnuOK, errs: gnuOKSays + gnuSays("  HTTP/1.1 401 Unauthorized\n", "\nUsername/Password Authentication Failed.\n"), n: 2, rc: 6, classes: ",http-4xx"},
		"401 of old wgets":  {out: gnuOK, errs: gnuSays("  HTTP/1.1 401 Unauthorized\n", "Unknown authentication scheme.\n\nUsername/Password Authentication Failed.\n") + gnuOKSays, n: 2, rc: 6, classes: "http-4xx,"},
		"416":               {out: gnuOK, errs: gnuSays("  HTTP/1.1 416 Range Not Satisfiable\n", "\n    The file is already fully retrieved; nothing to do.\n\n") + gnuOKSays, n: 2, classes: "http-4xx,"},
		"no length":         {out: onolength + gnuOK, errs: nolength + gnuOKSays, n: 2, classes: ","},
		"truncated":         {out: oshort + gnuOK, errs: short + gnuOKSays, n: 2, rc: 4, classes: "truncated,"},
		"killed":            {out: gnuOK, errs: gnuOKSays + failed(awaiting), n: 4, rc: 143, killed: true, classes: ",read-timeout", unsent: 2},
		"interrupted":       {out: gnuOK, errs: gnuOKSays + failed(awaiting), n: 4, rc: 143, cancelled: true, classes: "", unsent: 3},
		"killed, says sh":   {out: gnuOK, errs: gnuOKSays + failed(awaiting+"Terminated\n"), n: 4, rc: 143, killed: true, classes: ",read-timeout", unsent: 2},
		"interrupted, says": {out: gnuOK, errs: gnuOKSays + failed(awaiting+"Terminated\n"), n: 4, rc: 143, cancelled: true, classes: "", unsent: 3},
		"no memory":         {out: gnuOK, errs: gnuOKSays + failed(awaiting+"bash: line 9: 4711 Killed    batch 4\n"), n: 4, rc: 137, classes: ",tool", unsent: 2},
		"no memory, DNS":    {out: gnuOK, errs: gnuOKSays + failed("Resolving x (x)... Killed\n"), n: 4, rc: 137, classes: ",tool", unsent: 2},
		"reset, then ended": {errs: failed(awaiting + "Read error (Connection reset by peer) in headers.\nTerminated\n"), n: 2, rc: 143, cancelled: true, classes: "reset", unsent: 1},
		"killed by another": {out: gnuOK, errs: gnuOKSays + failed(awaiting), n: 4, rc: 137, classes: ",tool", unsent: 2},
		"crash at the end":  {out: gnuOK + gnuOK, errs: gnuOKSays + gnuOKSays, n: 2, rc: 139, classes: ",tool"},
		"code for nothing":  {out: gnuOK + gnuOK, errs: gnuOKSays + gnuOKSays, n: 2, rc: 3, unclear: true},
		"code, one request": {out: gnuOK, errs: gnuOKSays, n: 1, rc: 3, classes: "tool"},
		"does not start":    {errs: "sh: 3: exec: wget: not found\n", n: 3, rc: 127, classes: "tool", unsent: 2},
		"unknown option":    {errs: "wget: unrecognized option '--foo'\nUsage: wget [OPTION]... [URL]...\n", n: 1, rc: 2, classes: "tool"},
		"banner":            {out: "wrapper v1\n" + gnuOK, errs: "wrapper starts\n" + gnuOKSays, n: 1, classes: ""},
		"not HTTP":          {out: "SSH-2.0-x\r\n" + gnuOK, errs: gnuSays("", "Length: unspecified\n"+saving+"2026-11-23 05:59:30 (1 B/s) - written to stdout [11]\n\n") + gnuOKSays, n: 2, classes: "unknown,"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Block{Data: []byte(tc.out), Size: len(tc.out), Errs: []byte(tc.errs), Requests: tc.n, Code: tc.rc, Killed: tc.killed, Cancelled: tc.cancelled, BodyLimit: 100}
			checkCut(t, CutGNU(b), tc.classes, tc.unsent, tc.unclear)
		})
	}
}

func checkCut(t *testing.T, got Cut, classes string, unsent int, unclear bool) {
	t.Helper()
	var cs []string
	for _, r := range got.Replies {
		cs = append(cs, string(r.Class))
		if r.Class == "" && r.Status == 200 && !strings.Contains(string(r.Body), "1") && string(r.Body) != "hello" {
			t.Errorf("body %q", r.Body)
		}
	}
	if s := strings.Join(cs, ","); s != classes || got.Unsent != unsent || got.Unclear != unclear || unclear && len(got.Replies) > 0 {
		t.Errorf("classes %q unsent %d unclear %v, want %q %d %v", s, got.Unsent, got.Unclear, classes, unsent, unclear)
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{"HTTP/2 200 ": 200, "HTTP/1.1 503 No": 503, "HTTP/1.1 20": 0, "ICY 200 OK": 0} {
		if got := statusOf(line); got != want {
			t.Errorf("%q: status %d, want %d", line, got, want)
		}
	}
}

// For any output there are no more replies than requests, all requests are accounted for, and there is no success if the tool has failed
// without an explanation.
func FuzzCut(f *testing.F) {
	f.Add([]byte(bbReply+bbReply), []byte{}, 2, 0, 0)
	f.Add([]byte("hellohello"), []byte(bbHeader+bbHeader), 2, 0, 0)
	f.Add([]byte("hello"), []byte("wget: note: TLS\n"+bbHeader+"  HTTP/1.1 503 No\nwget: server returned error: HTTP/1.1 503 No\n"), 5, 1, 0)
	f.Add([]byte(gnuOK), []byte(gnuOKSays+"--2026-11-23 05:59:30--  http://x/\nConnecting to x... failed: Connection refused.\n"), 3, 4, 1)
	f.Add([]byte(gnuOK+gnuOK), []byte(gnuOKSays+gnuOKSays), 2, 139, 2)
	f.Add([]byte{}, []byte("  HTTP/1.1 302 Found\n  Location: /\n"), 1, 1, 3)
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nx"), []byte{}, 1, 0, 4)
	f.Fuzz(func(t *testing.T, data, errs []byte, n, rc, how int) {
		n = 1 + (n&0xff)%20
		b := Block{Data: data, Size: len(data), Errs: errs, Requests: n, Code: rc & 0xff, BodyLimit: 50}
		b.Killed, b.Cancelled = how&3 == 1 && b.Code != 0, how&3 == 2 && b.Code >= 128
		b.Bare, b.Verifies = how&4 != 0, how&8 != 0
		if how&16 != 0 {
			b.Size += 10
		}
		for name, f := range map[string]func(Block) Cut{"busybox": CutBusybox, "gnu": CutGNU} {
			c := f(b)
			if c.Unclear {
				continue
			}
			if len(c.Replies)+c.Unsent != n || c.Unsent < 0 {
				t.Fatalf("%s: %d replies and %d unsent of %d", name, len(c.Replies), c.Unsent, n)
			}
			answered := 0
			for _, r := range c.Replies {
				if r.Class == "" && r.Status < 300 {
					answered++
				}
				if len(r.Body) > b.BodyLimit || r.Size < len(r.Body) {
					t.Fatalf("%s: %d bytes of a body of %d", name, len(r.Body), r.Size)
				}
			}
			if answered == n && b.Code != 0 && !b.Killed && !b.Cancelled && b.Code != 124 && b.Code != 143 {
				t.Fatalf("%s: code %d, and all %d answered", name, b.Code, n)
			}
		}
		b.Requests = 1
		if c := CutRaw(b); len(c.Replies)+c.Unsent != 1 {
			t.Fatalf("raw: %d replies", len(c.Replies))
		}
	})
}

// curl fails to write the rest of a reply if the plugin limits its output. That is a failure only if the plugin did not.
func TestCutCurlTrimmed(t *testing.T) {
	t.Parallel()
	const data = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello"
	for name, tc := range map[string]struct {
		record  string
		trimmed bool
		classes string
	}{
		"limited":              {"200 1 43 98000 0.001 0.005 23 Failure writing output to destination", true, ""},
		"limited, chunked":     {"200 1 43 0 0.001 0.005 23 Failure writing output to destination", true, ""},
		"limited, 503":         {"503 1 43 98000 0.001 0.005 23 Failure writing output to destination", true, "http-5xx"},
		"not limited":          {"200 1 43 98000 0.001 0.005 23 Failure writing output to destination", false, "tool"},
		"limited, reset":       {"200 1 43 98000 0.001 0.005 56 Recv failure: Connection reset by peer", true, "reset"},
		"limited, all written": {"200 1 43 100000 0.001 0.005 0 ", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := Record{Text: tc.record, Data: []byte(data), Size: 1 << 30}
			got, err := CutCurl(Block{Requests: 1, Records: 1, Record: &rec, Trimmed: tc.trimmed, BodyLimit: 5}, true)
			if err != nil {
				t.Fatal(err)
			}
			checkCut(t, got, tc.classes, 0, false)
			if r := got.Replies[0]; !r.Measured || r.Latency != 5*time.Millisecond || r.Message == "Failure writing output to destination" && r.Class != ClassTool {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A look-up of a name that took too long is not a Service that does not answer. Before 7.75, curl says it on standard error only.
func TestCurlTimeouts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		connect, message string
		want             Class
	}{
		{"0.000000", "Resolving timed out after 5000 milliseconds", ClassDNS},
		{"0.000000", "name lookup timed out", ClassDNS},
		{"0.000", "Failed to resolve host 'nginx' with timeout after 5000 ms", ClassDNS},
		{"0.000000", "Connection timed out after 5000 milliseconds", ClassConnectTimeout},
		{"0.000000", "Failed to connect to resolver port 80 after 5001 ms: Timeout was reached", ClassConnectTimeout},
		{"0.001000", "Operation timed out after 5000 milliseconds with 0 bytes received", ClassReadTimeout},
		{"0.001000", "", ClassReadTimeout},
		{"0.000000", "Timeout was reached", ClassTool},
		{"0.000000", "", ClassTool},
	} {
		text := "000 0 0 0 " + tc.connect + " 5.000"
		one, err := ReadCurl(Record{Text: text + " 28 " + tc.message}, 100, 0)
		if err != nil || one.Class != tc.want || tc.message != "" && one.Message != tc.message {
			t.Errorf("%s, %q: %+v, %v, want %q", tc.connect, tc.message, one, err, tc.want)
		}
		b := Block{Requests: 1, Records: 1, Record: &Record{Text: text}, Code: 28, BodyLimit: 100}
		if tc.message != "" {
			b.Errs = []byte("curl: (28) " + tc.message + "\n")
		}
		old, err := CutCurl(b, false)
		if err != nil || len(old.Replies) != 1 || old.Replies[0].Class != tc.want || tc.message != "" && old.Replies[0].Message != "(28) "+tc.message {
			t.Errorf("old curl, %s, %q: %+v, %v, want %q", tc.connect, tc.message, old, err, tc.want)
		}
	}
}

func FuzzCurlRecord(f *testing.F) {
	f.Add("200 1 10 5 0.001 0.002 0 ", []byte("HTTP/1.1 2\nhello"))
	f.Add("000 0 0 0 0.0 1.0 28 timed out", []byte{})
	f.Fuzz(func(t *testing.T, rest string, data []byte) {
		r, err := ReadCurl(Record{Text: rest, Data: data, Size: len(data)}, 10, 0)
		if err == nil && (len(r.Body) > 10 || r.Status < 0) {
			t.Fatalf("reply %+v", r)
		}
	})
}

// TestField02HostnameMismatch: GNU wget reports a certificate of another name without the word ERROR.
func TestField02HostnameMismatch(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"The certificate's owner does not match hostname 'tls.pt.svc'", "The certificate has expired", "The certificate has not yet been activated"} {
		if text := gnuFailure(line); text != line || gnuClass(text) != ClassTLS {
			t.Errorf("%q: %q, %s", line, text, gnuClass(text))
		}
	}
}
