package cmd

import (
	"errors"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

func TestFieldDProgressFits(t *testing.T) {
	t.Parallel()
	members := []string{"us 1000", "eu 1000", "a-cluster-with-a-long-name 1000"}
	for columns, want := range map[int]string{
		200: "probing http://web/  3000/10000  us 1000  eu 1000  a-cluster-with-a-long-name 1000  errors 0",
		80:  "3000/10000  us 1000  eu 1000  a-cluster-with-a-long-name 1000  errors 0",
		60:  "3000/10000  us 1000  eu 1000  +1 more  errors 0",
		40:  "3000/10000  us 1000  +2 more  errors 0",
		32:  "3000/10000  +3 more  errors 0",
		12:  "3000/10000",
		5:   "3000",
		1:   "",
	} {
		if got := fitted(columns, "probing http://web/", "3000/10000", members, "errors 0"); got != want || len(got) >= columns {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
}

func TestFieldDMaxCount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		f           flags
		count, most int
	}{
		"by default":               {flags{count: 400}, 400, 10000},
		"--count":                  {flags{count: 500, countGiven: true}, 500, 500},
		"--count above":            {flags{count: 50000, countGiven: true}, 50000, 50000},
		"--max-count":              {flags{count: 400, maxCount: 3000}, 400, 3000},
		"--max-count below":        {flags{count: 400, maxCount: 100}, 100, 100},
		"both":                     {flags{count: 500, countGiven: true, maxCount: 900}, 500, 900},
		"--duration":               {flags{count: 400, duration: time.Second}, 400, 0},
		"--duration and --count":   {flags{count: 400, countGiven: true, duration: time.Second}, -1, 0},
		"--duration and max-count": {flags{count: 400, duration: time.Second, maxCount: 1}, -1, 0},
		"--max-count below 0":      {flags{count: 400, maxCount: -1}, -1, 0},
		"--max-count below count":  {flags{count: 400, countGiven: true, maxCount: 399}, -1, 0},
	} {
		f := newFlags()
		f.count, f.countGiven, f.maxCount, f.duration = tc.f.count, tc.f.countGiven, tc.f.maxCount, tc.f.duration
		f.from = "deploy/client"
		c, err := f.checked("http://web")
		if (err != nil) != (tc.count < 0) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (c.MaxCount != tc.most || f.duration == 0 && c.Send.Count != tc.count) {
			t.Errorf("%s: count %d, at most %d", name, c.Send.Count, c.MaxCount)
		}
	}
}

// A failure has the exit code of its kind. Any other error keeps the default.
func TestExitError(t *testing.T) {
	t.Parallel()
	cause := errors.New("x")
	for code, err := range map[int]error{
		cli.ExitFailure: &probe.ResultError{Missed: true, Err: cause}, cli.ExitNoAnswer: &probe.ResultError{Err: cause}, cli.ExitInterrupted: &probe.ResultError{Interrupted: true, Err: cause},
	} {
		var exit *cli.ExitError
		if got := exitError(err); !errors.As(got, &exit) || exit.Code != code || !errors.Is(got, cause) {
			t.Errorf("%v, want exit code %d", got, code)
		}
	}
	if got := exitError(nil); got != nil {
		t.Errorf("no failure: %v", got)
	}
}

// What stands for a connection: --tcp with a host and a port, with a Service, or the URL.
func TestTCPTargets(t *testing.T) {
	t.Parallel()
	for typed, tc := range map[string]struct {
		tcp bool
		url string // "" for a Service whose port is looked up
	}{
		"db:5432": {true, "tcp://db:5432"}, "svc/db:5432": {true, "tcp://db:5432"}, "10.0.0.1:80": {true, "tcp://10.0.0.1:80"}, "[fd00::1]:80": {true, "tcp://[fd00::1]:80"},
		"tcp://db:5432": {false, "tcp://db:5432"}, "db": {true, ""}, "db.shop:pg": {true, ""},
	} {
		f := newFlags()
		f.from, f.tcp = "deploy/client", tc.tcp
		c, err := f.checked(typed)
		if err != nil || !c.TCP || c.Send.Method != "" || (c.Targets[0].URL != nil) != (tc.url != "") || c.Targets[0].URL != nil && (c.Targets[0].URL.String() != tc.url || !c.Targets[0].URL.TCP()) {
			t.Errorf("%s: %+v %v", typed, c, err)
		}
	}
	f := newFlags()
	f.from = "deploy/client"
	if c, err := f.checked("db:5432"); err != nil || c.TCP || c.Targets[0].URL != nil || c.Send.Method != "GET" {
		t.Errorf("without --tcp: %+v %v", c, err)
	}
}
