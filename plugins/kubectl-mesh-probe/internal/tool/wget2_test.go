package tool

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// wget2 prefers HTTP/2 and asks for compressed bodies, whose headers do not fit what it prints.
func TestWget2AsksForPlainReplies(t *testing.T) {
	t.Parallel()
	const help = "GNU Wget2 2.1.0 - multithreaded metalink/file/website downloader\n"
	const http2 = "      --http2               Use HTTP/2 protocol if possible. (default: on)\n"
	target, err := request.ParseTarget("https://nginx/")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		help    string
		headers []string
		want    string // the last words
		noHTTP2 bool
	}{
		"wget2":           {help + http2, nil, "--header Accept-Encoding: identity", true},
		"without HTTP/2":  {help, nil, "--header Accept-Encoding: identity", false},
		"another header":  {help, []string{"Accept: a"}, "--header Accept-Encoding: identity --header Accept: a", false},
		"the user's own":  {help + http2, []string{"accept-encoding: gzip"}, "UA --no-http2 --header accept-encoding: gzip", true},
		"the user's none": {help, []string{"Accept-Encoding: identity"}, "UA --header Accept-Encoding: identity", false},
	} {
		one, ok := newWget2(tc.help, "wget")
		if !ok {
			t.Fatal(name)
		}
		words := one.Program(request.Request{Method: "GET", Target: target, Timeout: time.Second, UserAgent: "UA", Headers: tc.headers}, "").Words
		all := strings.Join(words, " ")
		if !strings.HasSuffix(all, tc.want) || strings.Count(all, "ncoding: ") != 1 || slices.Contains(words, "--no-http2") != tc.noHTTP2 {
			t.Errorf("%s: %s", name, all)
		}
	}
}
