package sender

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
)

// A schedule of which hanging replies would keep a part from being sent is known before the run.
func TestOverload(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate     float64
		timeout  time.Duration
		open     bool
		requests int
		want     string // "" for no overload
	}{
		"a drill with the default flags": {50, time.Second, true, math.MaxInt, ""},
		"a longer timeout":               {50, 5 * time.Second, true, math.MaxInt, "--rate 50 --timeout 5s: if replies hang, 250 requests are under way at once, and at most 128 can be"},
		"just at the limit":              {64, 2 * time.Second, true, math.MaxInt, ""},
		"just above it":                  {64.5, 2 * time.Second, true, math.MaxInt, "129 requests"},
		"a run that is shorter":          {50, 5 * time.Second, true, 128, ""},
		"a run that ends meanwhile":      {50, 5 * time.Second, true, 200, "200 requests"},
		"no schedule":                    {200, 5 * time.Second, false, 10000, ""},
		"as fast as possible":            {0, 5 * time.Second, false, 10000, ""},
		"a huge rate":                    {1e300, 5 * time.Second, true, math.MaxInt, "9223372036854775808 requests"},
	} {
		got := Config{Request: request.Request{Timeout: c.timeout}, Rate: c.rate, Schedule: c.open}.Overload(c.requests)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// If a tool rounds its time limit up, the plugin ends requests at the limit: an answer after it does not count.
func TestPatience(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		traits        tool.Traits
		timeout, want time.Duration
	}{
		"no limit":                    {tool.Traits{}, 500 * time.Millisecond, 500 * time.Millisecond},
		"its own limit":               {tool.Traits{LimitsTime: true}, 500 * time.Millisecond, 3 * time.Second},
		"rounded up":                  {tool.Traits{LimitsTime: true, WholeSeconds: true}, 500 * time.Millisecond, 500 * time.Millisecond},
		"rounded up, above a second":  {tool.Traits{LimitsTime: true, WholeSeconds: true}, 1500 * time.Millisecond, 1500 * time.Millisecond},
		"whole seconds":               {tool.Traits{LimitsTime: true, WholeSeconds: true}, 5 * time.Second, 12 * time.Second},
		"no limit, whole seconds too": {tool.Traits{WholeSeconds: true}, 5 * time.Second, 5 * time.Second},
	} {
		if got := (job{Config: Config{Request: request.Request{Timeout: tc.timeout}}, traits: tc.traits}).patience(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
