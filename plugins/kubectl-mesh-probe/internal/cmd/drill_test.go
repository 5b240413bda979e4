package cmd

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDrillBadInput: one clear line on stderr, nothing on stdout, exit code 2. None of these reaches a cluster.
func TestDrillBadInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)
	drill := func(args ...string) []string {
		return append([]string{"drill", "nginx", "--in", "us", "--from", "deploy/client"}, args...)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no kubeconfig":           {drill(), "no kubeconfig with a context was found"},
		"no Service":              {[]string{"drill", "--in", "us", "--from", "deploy/client"}, "a URL or SERVICE[:PORT] is required; got 0 arguments"},
		"two Services":            {drill("web"), "got 2 arguments"},
		"no cluster":              {[]string{"drill", "nginx", "--from", "deploy/client"}, "--in is required"},
		"no client":               {[]string{"drill", "nginx", "--in", "us"}, "--from is required"},
		"another way":             {drill("--with", "delete"), "must be scale, evict or shared"},
		"a short hold":            {drill("--hold", "999ms"), "--hold must be at least 1s"},
		"a short baseline":        {drill("--baseline", "0s"), "--baseline must be at least 1s"},
		"no return":               {drill("--return-timeout", "0s"), "--return-timeout must be greater than 0"},
		"no restoration":          {drill("--restore-timeout", "0s"), "--restore-timeout must be greater than 0"},
		"no rate":                 {drill("--rate", "0"), "--rate must be greater than 0"},
		"too high a rate":         {drill("--rate", "500"), "--max-rate"},
		"requests not sent":       {drill("--timeout", "5s"), "--rate 50 --timeout 5s: if replies hang, 250 requests are under way at once, and at most 128 can be; the others are not sent, so the drill could not tell how they would have ended; use a shorter --timeout or a lower --rate"},
		"just few enough":         {drill("--timeout", "2560ms"), "no kubeconfig with a context was found"},
		"record, no name":         {drill("--record", ""), "--record: the name of the file is empty"},
		"record and page":         {drill("--record", "x", "--report", "x"), "--report x is the file of --record"},
		"page, another file":      {drill("--report", "drill_test.go"), "the file exists and is not a page of mesh-probe"},
		"junit, dry run":          {drill("--dry-run=client", "-o", "junit"), "-o junit cannot be used with --dry-run: a plan is not the result of a drill"},
		"record, dry run":         {drill("--dry-run=client", "--record", "x"), "--record and --report cannot be used with --dry-run, which sends no requests"},
		"repair with a record":    {[]string{"drill", "--repair", "--record", "x"}, "--record cannot be used with --repair"},
		"repair with junit":       {[]string{"drill", "--repair", "-o", "junit"}, "-o junit cannot be used with --repair"},
		"requests as lines":       {drill("-o", "jsonl"), "--output"},
		"an expectation":          {drill("--expect", "us=50%"), "must be failover<DURATION, errors<PERCENT% or errors=0%"},
		"a count":                 {drill("--count", "5"), "unknown flag: --count"},
		"all namespaces":          {drill("-A"), "--all-namespaces (-A) requires --repair"},
		"dry run":                 {drill("--dry-run", "maybe"), `got 2 arguments`},
		"dry run, value":          {drill("--dry-run=maybe"), "must be"},
		"output":                  {drill("-o", "xml"), "--output"},
		"repair with --from":      {drill("--repair"), "--from cannot be used with --repair"},
		"repair with --with":      {[]string{"drill", "--repair", "--with", "scale"}, "--with cannot be used with --repair"},
		"repair with a port":      {[]string{"drill", "nginx:80", "--repair"}, "is not the name of a Service"},
		"repair without clusters": {[]string{"drill", "nginx", "--repair"}, "no kubeconfig with a context was found"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := run(t, c.args...)
			if code != 2 || !strings.Contains(stderr, c.want) || !strings.HasPrefix(stderr, "error: ") {
				t.Errorf("exit %d, stderr %q (want %q)", code, stderr, c.want)
			}
			if stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}

// A probe says before the first request that a schedule cannot be kept if replies hang. With replies in time, that does no harm, so it goes on.
func TestOverloadNote(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)
	for note, args := range map[string][]string{
		"Note: --rate 50 --timeout 5s: if replies hang, 250 requests are under way at once, and at most 128 can be; the others are not sent; use a shorter --timeout or a lower --rate.\n": {"--rate", "50"},
		"Note: --rate 50 --timeout 5s: if replies hang, 150 ": {"--rate", "50", "--duration", "3s"},
		"error: ":  {"--rate", "50", "--timeout", "1s"},
		"error: n": {"--rate", "50", "--count", "100"},
	} {
		_, stderr, code := run(t, append([]string{"http://nginx", "--from", "deploy/client"}, args...)...)
		if code != 2 || !strings.HasPrefix(stderr, note) || !strings.Contains(stderr, "error: no kubeconfig with a context was found") {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, note)
		}
	}
}

// The permissions for drills and witnesses are granted on request only.
func TestRBACOnRequest(t *testing.T) {
	t.Parallel()
	plain, _, _ := run(t, "rbac", "-n", "shop")
	drills, _, _ := run(t, "rbac", "-n", "shop", "--drill")
	witnesses, _, code := run(t, "rbac", "-n", "shop", "--witness")
	if strings.Contains(plain, "pods/eviction") || !strings.Contains(drills, "pods/eviction") || !strings.Contains(drills, "scaledobjects") {
		t.Errorf("--drill:\n%s", drills)
	}
	execs := func(s string) int { return strings.Count(s, "pods/exec") }
	if code != 0 || execs(witnesses) != execs(plain)+1 {
		t.Errorf("--witness:\n%s", witnesses)
	}
}
