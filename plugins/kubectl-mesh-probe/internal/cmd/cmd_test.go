package cmd

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli/clitest"
)

// TestFieldDHelpFits: help is read in terminals of 100 columns.
func TestFieldDHelpFits(t *testing.T) {
	t.Parallel()
	clitest.CheckWidth(t, NewRoot)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	clitest.CheckHelp(t, NewRoot(genericiooptions.NewTestIOStreamsDiscard()))
}

// run runs the command line without any cluster and returns what it printed.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut}
	cmd := NewRoot(streams)
	cmd.SetArgs(args)
	code = cli.Main(t.Context(), cmd, streams)
	return out.String(), errOut.String(), code
}

// TestBadInput: one clear line on stderr, nothing on stdout, exit code 2. None of these reaches a cluster.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)
	from := func(args ...string) []string { return append([]string{"--from", "deploy/client"}, args...) }
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no kubeconfig":         {from("http://nginx"), "no kubeconfig with a context was found"},
		"no target":             {from(), "a URL or SERVICE[:PORT] is required; got 0 arguments"},
		"two targets":           {from("a", "b"), "a URL or SERVICE[:PORT] is required; got 2 arguments: a b"},
		"no client":             {[]string{"http://nginx"}, "--from is required"},
		"client of no type":     {[]string{"http://nginx", "--from", "cm/x"}, `"cm" is not a type with pods`},
		"client without a name": {[]string{"http://nginx", "--from", "deploy/"}, "must be TYPE/NAME"},
		"substitution":          {from("http://nginx/$(id)"), "shell substitution"},
		"brackets":              {from("http://nginx/[1-3]"), "%5B"},
		"newline":               {from("http://nginx/a\nb"), "line break"},
		"newline in a Service":  {from("nginx\nb"), "line break"},
		"no URL":                {from("http://ngi nx"), "cannot be parsed"},
		"no Service":            {from("nginx/path"), "a URL starts with http://"},
		"Service, bad port":     {from("nginx:"), "neither a URL nor"},
		"count":                 {from("nginx", "--count", "0"), "--count"},
		"duration":              {from("nginx", "--duration", "-1s"), "--duration"},
		"rate":                  {from("nginx", "--rate", "201"), "--max-rate"},
		"concurrency":           {from("nginx", "--concurrency", "9"), "--concurrency"},
		"timeout":               {from("nginx", "--timeout", "1ms"), "--timeout"},
		"method":                {from("nginx", "--method", "post"), "must be GET or HEAD"},
		"tool":                  {from("nginx", "--tool", "telnet"), "--tool"},
		"settle":                {from("nginx", "--settle", "-1s"), "--settle"},
		"header":                {from("nginx", "-H", "a\nb: c"), "--header"},
		"header, newline":       {from("nginx", "-H", "a: b\nc: d"), "line break"},
		"identify, no group":    {from("nginx", "--identify", "body=x"), "0 groups"},
		"identify, no regex":    {from("nginx", "--identify", "body=("), "cannot parse the expression"},
		"map without a rule":    {from("nginx", "--map", "3=ap"), "--map requires a rule"},
		"map, no cluster":       {from("nginx", "--identify", "header=x", "--map", "3"), `--map "3": must be VALUE=CLUSTER`},
		"map, empty value":      {from("nginx", "--identify", "header=x", "--map", "=us"), `--map "=us": must be VALUE=CLUSTER`},
		"expect":                {from("nginx", "--expect", "us=x"), "not a percentage"},
		"from-clusters":         {from("nginx", "--from-clusters", "all,us"), "all cannot be combined"},
		"output":                {from("nginx", "-o", "xml"), "--output"},
		"insecure, http":        {from("http://nginx", "--insecure"), "--insecure requires an https URL"},
		"insecure, a Service":   {from("nginx:443", "--insecure"), "such as https://SERVICE"},
		"cacert and insecure":   {from("https://nginx", "--insecure", "--cacert", "ca.pem"), "cannot be used together"},
		"cacert, no file":       {from("https://nginx", "--cacert", filepath.Join(dir, "none.pem")), "--cacert: open"},
		"cacert, no PEM":        {from("https://nginx", "--cacert", "cmd_test.go"), "does not contain a certificate in PEM form"},
		"unknown flag":          {from("nginx", "--frobnicate"), "unknown flag"},
		"contexts twice":        {from("nginx", "--contexts", "a", "--all-contexts"), "cannot be used together"},
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

// --as is kubectl's own flag: it takes any user name and maps nothing.
func TestImpersonationIsKubectls(t *testing.T) {
	t.Parallel()
	root := NewRoot(genericiooptions.NewTestIOStreamsDiscard())
	if f := root.LocalNonPersistentFlags().Lookup("as"); f != nil {
		t.Errorf("mesh-probe has an --as of its own: %s", f.Usage)
	}
	if err := root.ParseFlags([]string{"--as", "system:serviceaccount:ci:probe", "--map", "3=ap", "--map", "a=b=eu"}); err != nil {
		t.Fatal(err)
	}
	if user := root.Flag("as").Value.String(); user != "system:serviceaccount:ci:probe" {
		t.Errorf("user %q", user)
	}
	if mapped := root.Flag("map").Value.String(); mapped != "[3=ap,a=b=eu]" {
		t.Errorf("mapped %s", mapped)
	}
}
