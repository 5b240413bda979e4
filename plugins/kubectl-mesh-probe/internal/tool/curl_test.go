package tool

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// curl before 7.32 takes no fractions of a second, and before 7.57 no IPv6 address in brackets: it silently ignores both. No version needs them.
func TestCurlSettingsThatOldVersionsIgnore(t *testing.T) {
	t.Parallel()
	target, err := request.ParseTarget("http://nginx:80/")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		help    string
		timeout time.Duration
		want    string
	}{
		{"curl 7.29.0 (x86_64-redhat-linux-gnu)\n", 500 * time.Millisecond, "1"},
		{"curl 7.31.0 (x86_64)\n", 1500 * time.Millisecond, "2"},
		{"curl 7.29.0 (x86_64-redhat-linux-gnu)\n", 5 * time.Second, "5"},
		{"curl 7.32.0 (x86_64)\n", 500 * time.Millisecond, "0.5"},
		{"curl 8.5.0 (x86_64)\n", 1500 * time.Millisecond, "1.5"},
	} {
		one, ok := newCurl(tc.help)
		if !ok {
			t.Fatal(tc.help)
		}
		r := request.Request{Method: "GET", Target: target, Timeout: tc.timeout, Resolve: request.Resolve{Host: "nginx", Port: 80, Address: netip.MustParseAddr("fd00::5")}}
		conf := one.Program(r, "nonce").Config
		for _, line := range []string{`max-time = "` + tc.want + `"`, `resolve = "nginx:80:fd00::5"`} {
			if !slices.Contains(conf, line) {
				t.Errorf("%s: no line %s in\n%s", one.Traits(), line, strings.Join(conf, "\n"))
			}
		}
	}
}
