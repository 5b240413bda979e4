package cmd

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli/clitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
)

// TestFieldDHelpFits: help is read in terminals of 100 columns.
func TestFieldDHelpFits(t *testing.T) {
	t.Parallel()
	clitest.CheckWidth(t, NewRoot)
}

// TestExitCodes: behaviour, help and docs/exit-codes.md agree.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	clitest.CheckExits(t, NewRoot, filepath.Join("..", "..", "..", "..", "docs", "exit-codes.md"))
}

func TestHelp(t *testing.T) {
	t.Parallel()
	clitest.CheckHelp(t, NewRoot(genericiooptions.NewTestIOStreamsDiscard()))
}

func TestSchema(t *testing.T) {
	t.Parallel()
	clitest.CheckSchema(t, NewRoot, "DrillReport", "ProbeCleanupReport", "ProbeComparison", "ProbeRecordLine", "ProbeReport", "ProbeRequest")
}

// run runs the command line without any cluster and returns what it printed.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut}
	cmd := NewRoot(streams)
	cmd.SetArgs(args)
	code = cli.Main(t.Context(), cmd, streams)
	documents.Check(t, out.String())
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
		"the same URL twice":    {from("http://nginx", "http://nginx/"), "http://nginx/ was given twice; a run calls each URL once"},
		"the default port":      {from("http://nginx/a", "http://nginx:80/a"), "http://nginx:80/a was given twice"},
		"a Service twice":       {from("nginx", "web", "nginx"), "nginx was given twice"},
		"too many URLs":         {from("a", "b", "c", "d", "e", "f", "g", "h", "i"), "a run has at most 8 URLs"},
		"HTTP and TCP":          {from("http://nginx", "tcp://db:5432"), "http://nginx and tcp://db:5432 cannot be combined"},
		"a Service and TCP":     {from("tcp://db:5432", "nginx"), "tcp://db:5432 and nginx cannot be combined"},
		"resolve, two hosts":    {from("http://nginx/a", "http://web/b", "--resolve", "nginx:80:10.0.0.1"), "--resolve "},
		"insecure, one http":    {from("https://nginx", "http://web", "--insecure"), "--insecure requires an https URL; http://web/ is http"},
		"expect of no URL":      {from("a", "b", "--expect", "3:us=50%"), "there is no URL number 3; the run has 2 URLs"},
		"expect, by URL":        {from("a", "b", "--expect", "1:us=60%,us=50%"), "us already has an expected share"},
		"a drill of two":        {[]string{"drill", "a", "b", "--in", "us", "--from", "deploy/client"}, "got 2"},
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
		"method":                {from("nginx", "--method", "trace"), "--method TRACE: must be one of: GET, HEAD"},
		"data with GET":         {from("nginx", "--data", "a"), "--data: a GET request has no data"},
		"data, no file":         {from("nginx", "--method", "POST", "--data", "@"+filepath.Join(dir, "none")), "--data: open"},
		"resolve":               {from("http://nginx", "--resolve", "nginx:80:eu"), "is not an IP address"},
		"tool":                  {from("nginx", "--tool", "telnet"), "--tool"},
		"tcp and a method":      {from("db:5432", "--tcp", "--method", "POST"), "--method cannot be used with --tcp"},
		"tcp and HTTP flags":    {from("tcp://db:5432", "-H", "a: b", "--insecure", "--data", "x"), "--data, --header, --insecure cannot be used with --tcp, which opens a connection and sends nothing"},
		"tcp and identify":      {from("db", "--tcp", "--identify", "header=x", "--map", "a=b"), "--identify, --map cannot be used with --tcp"},
		"tcp and a URL":         {from("http://db:5432", "--tcp"), `"http://db:5432" cannot be used with --tcp, which opens a connection and sends nothing; use HOST:PORT`},
		"tcp, no port":          {from("tcp://db"), "must be tcp://HOST:PORT"},
		"tcp, a bad port":       {from("db:70000", "--tcp"), "port 70000 is not between 1 and 65535"},
		"tcp, a path":           {from("db/x", "--tcp"), `"db/x" is neither HOST:PORT nor SERVICE[:PORT]`},
		"tcp, brackets":         {from("[::1]", "--tcp"), "must be tcp://HOST:PORT"},
		"tcp, wget":             {from("db:5432", "--tcp", "--tool", "wget"), `--tool "wget": must be auto, bash, nc or curl with --tcp`},
		"nc without tcp":        {from("nginx", "--tool", "nc"), `--tool "nc": must be auto, curl or wget`},
		"a drill with tcp":      {[]string{"drill", "tcp://db:5432", "--in", "us", "--from", "deploy/client"}, `a drill sends HTTP requests`},
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
		"mark, no time":         {from("nginx", "--mark", "soon=x"), `"soon" is not a time; write TIME=TEXT`},
		"mark, negative":        {from("nginx", "--mark", "-1s=x"), "must not be negative"},
		"mark, no text":         {from("nginx", "--mark", "3s="), "the text is empty"},
		"mark-on, empty":        {from("nginx", "--mark-on", ""), "the command is empty"},
		"mark-after alone":      {from("nginx", "--mark-after", "1s"), "--mark-after requires --mark-on"},
		"mark-after too late":   {from("nginx", "--mark-on", "true", "--mark-after", "9s", "--duration", "9s"), "must be less than --duration 9s"},
		"record, no directory":  {from("nginx", "--record", filepath.Join(dir, "no", "file")), "no does not exist"},
		"record, it exists":     {from("nginx", "--record", "cmd_test.go"), "the file exists; choose another name"},
		"report, a directory":   {from("nginx", "--report", dir), "is a directory"},
		"report, no directory":  {from("nginx", "--report", filepath.Join(dir, "no", "page.html")), "no does not exist"},
		"report of nothing":     {[]string{"report"}, "the FILE of a record is required"},
		"report of no record":   {[]string{"report", "cmd_test.go"}, "cmd_test.go: not a record of mesh-probe"},
		"report of no file":     {[]string{"report", "none"}, "open none: no such file"},
		"compare one":           {[]string{"compare", "a"}, "the files of two records are required; got 1"},
		"compare, tolerance":    {[]string{"compare", "a", "b", "--share-tolerance", "0"}, "--share-tolerance must be above 0"},
		"compare, confidence":   {[]string{"compare", "a", "b", "--confidence", "100"}, "--confidence must be from 50 to 99.9"},
		"merge one":             {[]string{"merge", "a"}, "at least two records are required; got 1"},
		"image, no client":      {from("nginx", "--image", "x"), "--image requires --client=ephemeral or --client=pod"},
		"client, no image":      {from("nginx", "--client", "pod"), "--client=pod requires --image"},
		"client of no kind":     {from("nginx", "--client", "vm", "--image", "x"), `--client "vm": must be ephemeral or pod`},
		"image with a space":    {from("nginx", "--client", "pod", "--image", "a b"), "contains a space"},
		"client and container":  {from("nginx", "--client", "pod", "--image", "x", "-c", "main"), "--container and --client cannot be used together"},
		"labels of ephemeral":   {from("nginx", "--client", "ephemeral", "--image", "x", "--copy-labels"), "require --client=pod"},
		"labels, no client":     {from("nginx", "--copy-labels"), "require --client=pod"},
		"node, no client":       {from("nginx", "--same-node"), "require --client=pod"},
		"start, no client":      {from("nginx", "--start-timeout", "3s"), "--start-timeout requires --client"},
		"start too short":       {from("nginx", "--client", "pod", "--image", "x", "--start-timeout", "0"), "--start-timeout must be"},
		"all and per node":      {from("nginx", "--all-clients", "--per-node"), "cannot be used together"},
		"all of a pod":          {[]string{"nginx", "--from", "client-1", "--all-clients"}, "--all-clients requires a workload in --from"},
		"per node of a pod":     {[]string{"nginx", "--from", "pod/client-1", "--per-node"}, "--per-node requires a workload in --from"},
		"per node, any node":    {from("nginx", "--per-node", "--client", "pod", "--image", "x"), "requires --same-node"},
		"rbac of no kind":       {[]string{"rbac", "--client", "vm"}, `--client "vm": must be ephemeral or pod`},
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
