package cmd

import (
	"bytes"
	"os"
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
	clitest.CheckSchema(t, NewRoot, "ChangeReport", "ClusterList", "DrainReport", "FindingList", "MeshGraph", "ServiceList", "ServiceReport")
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

// TestUndoAsksNothing: --yes is taken as by the other writes, and its help does not promise a question.
func TestUndoAsksNothing(t *testing.T) {
	t.Parallel()
	out, _, _ := run(t, "undo", "--help")
	if text := strings.Join(strings.Fields(out), " "); !strings.Contains(text, "undo does not ask.") || strings.Contains(text, "do not ask.") {
		t.Error(out)
	}
}

// TestBadInput: one clear line on stderr, nothing on stdout, the documented exit code. None of these reaches a cluster.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)
	empty := filepath.Join(dir, "undo.json")
	if err := os.WriteFile(empty, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown command":        {[]string{"lst"}, 2, `unknown command "lst"`},
		"list of no Service":     {[]string{"list", "pod/nginx"}, 2, `"pod/nginx" is not a Service`},
		"list, name and -A":      {[]string{"list", "nginx", "-A"}, 2, "names cannot be used together"},
		"list, sorted watch":     {[]string{"list", "-w", "--sort-by=.name"}, 2, "--sort-by and --watch cannot be used together"},
		"list, bad columns":      {[]string{"list", "-o", "custom-columns=NAME"}, 2, "--output: unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>"},
		"list, bad path":         {[]string{"list", "--sort-by={.a"}, 2, "--sort-by: unexpected path string"},
		"list, colour":           {[]string{"list", "--color", "blue"}, 2, "--color"},
		"clusters of a name":     {[]string{"clusters", "us"}, 2, `clusters accepts no arguments; got "us"; --contexts says which clusters are read`},
		"rbac of a name":         {[]string{"rbac", "sre"}, 2, `rbac accepts no arguments; got "sre"; --user, --group and --serviceaccount say for whom`},
		"version of a name":      {[]string{"version", "x"}, 2, `version accepts no arguments; got "x"`},
		"no kubeconfig":          {[]string{"list"}, 2, "no kubeconfig with a context was found"},
		"no kubeconfig, write":   {[]string{"globalize", "nginx"}, 1, "no kubeconfig with a context was found"},
		"nothing named":          {[]string{"globalize"}, 1, "give names, --selector or --all"},
		"names and all":          {[]string{"globalize", "nginx", "--all"}, 1, "names and --all"},
		"all and selector":       {[]string{"globalize", "--all", "-l", "a=b"}, 1, "--all and --selector"},
		"-A with a name":         {[]string{"globalize", "nginx", "-A"}, 1, "--all-namespaces needs"},
		"share without --in":     {[]string{"share", "nginx"}, 1, "share requires --in"},
		"unshare without --in":   {[]string{"unshare", "nginx"}, 1, "unshare requires --in"},
		"globalized, unshared":   {[]string{"globalize", "nginx", "--shared=false", "--contexts", "us,eu"}, 1, "globalize --shared=false requires --in"},
		"globalized, remote":     {[]string{"globalize", "nginx", "--affinity", "remote"}, 1, "globalize --affinity remote requires --in"},
		"remote without --in":    {[]string{"affinity", "remote", "nginx"}, 1, "requires --in"},
		"affinity missing":       {[]string{"affinity"}, 1, "local, remote or none"},
		"affinity with a blank":  {[]string{"affinity", "Local ", "nginx"}, 1, "did you mean local?"},
		"affinity of a cluster":  {[]string{"affinity", "cluster-a", "nginx"}, 1, "must be one of: local, remote, none"},
		"affinity after a name":  {[]string{"affinity", "nginx", "local", "web"}, 1, "comes before the names: affinity local nginx web"},
		"globalize --affinity":   {[]string{"globalize", "nginx", "--affinity", "x"}, 1, "--affinity:"},
		"dry-run":                {[]string{"globalize", "nginx", "--dry-run=maybe"}, 1, "--dry-run"},
		"output":                 {[]string{"list", "-o", "xml"}, 2, "--output"},
		"output name of a list":  {[]string{"clusters", "-o", "name"}, 2, "--output"},
		"contexts twice":         {[]string{"clusters", "--contexts", "a", "--all-contexts"}, 2, "cannot be used together"},
		"unknown flag":           {[]string{"list", "--frobnicate"}, 2, "unknown flag"},
		"describe without name":  {[]string{"describe"}, 2, "NAME is missing"},
		"describe two":           {[]string{"describe", "a", "b"}, 2, "one NAME is expected"},
		"no Service name":        {[]string{"describe", "pod/x"}, 2, "is not a Service"},
		"a name with an option":  {[]string{"globalize", "--", "-x"}, 1, `"-x" is not a Service name: it must consist of lower case letters`},
		"a name with _":          {[]string{"describe", "svc/a_b"}, 2, `"svc/a_b" is not a Service name`},
		"an upper case name":     {[]string{"check", "Nginx"}, 2, `"Nginx" is not a Service name`},
		"a long name":            {[]string{"graph", strings.Repeat("a", 64)}, 2, "at most 63"},
		"an empty name, locally": {[]string{"globalize", "--local", "-f", "x", "service/"}, 1, `"service/" is not a Service name`},
		"check, unknown id":      {[]string{"check", "--ignore", "X1"}, 2, "--ignore"},
		"check, fail-on":         {[]string{"check", "--fail-on", "bad"}, 2, "--fail-on"},
		"check, name and -A":     {[]string{"check", "nginx", "-A"}, 2, "names cannot be used together"},
		"--in is empty":          {[]string{"globalize", "nginx", "--in", ""}, 1, "--in is empty"},
		"--contexts is empty":    {[]string{"globalize", "nginx", "--contexts", ""}, 1, "--contexts is empty"},
		"selector":               {[]string{"check", "-l", "a=="}, 2, "no kubeconfig"},
		"bad selector":           {[]string{"check", "-l", "a in b"}, 2, "--selector:"},
		"drain without cluster":  {[]string{"drain"}, 1, "CLUSTER is missing"},
		"drain two":              {[]string{"drain", "us", "eu"}, 1, "one CLUSTER is expected"},
		"drain --in":             {[]string{"drain", "us", "--in", "us"}, 1, "unknown flag: --in"},
		"drain, dry-run":         {[]string{"drain", "us", "--dry-run=maybe"}, 1, "--dry-run"},
		"undrain, no kubeconfig": {[]string{"undrain", "us"}, 1, "no kubeconfig with a context"},
		"rbac, both":             {[]string{"rbac", "--read-only", "--write"}, 2, "cannot be used together"},
		"rbac, drain, read only": {[]string{"rbac", "--drain", "us"}, 2, "--drain needs --write"},
		"rbac, drain, one ns":    {[]string{"rbac", "--write", "--drain", "us", "-n", "shop"}, 2, "works on all namespaces"},
		"rbac, account":          {[]string{"rbac", "--serviceaccount", "ci"}, 2, "NAMESPACE:NAME"},
		"graph, output":          {[]string{"graph", "-o", "png"}, 2, "--output"},
		"graph, name and -A":     {[]string{"graph", "nginx", "-A"}, 2, "names cannot be used together"},
		"drain of a namespace":   {[]string{"drain", "us", "-n", "shop"}, 1, "--namespace (-n) cannot be used with drain, which works on all namespaces; to take the Services of one out of service, run: kubectl mesh-svc unshare -n shop --all --in us"},
		"drain, -n is empty":     {[]string{"drain", "us", "--namespace="}, 1, "--namespace (-n) cannot be used with drain"},
		"undrain of a namespace": {[]string{"undrain", "us", "-n", "shop"}, 1, "--namespace (-n) cannot be used with undrain, which works on all namespaces"},
		"undo without file":      {[]string{"undo"}, 1, "FILE is missing"},
		"undo of a missing file": {[]string{"undo", filepath.Join(dir, "x")}, 1, "no such file"},
		"undo of another file":   {[]string{"undo", empty}, 1, "UndoRecord"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := run(t, c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) || !strings.HasPrefix(stderr, "error: ") {
				t.Errorf("exit %d (want %d), stderr %q (want %q)", code, c.code, stderr, c.want)
			}
			if stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}
