package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/lab"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

func TestValues(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text  string
		want  map[string]string
		fails bool
	}{
		"nothing":        {text: ""},
		"one for all":    {text: "1.18.11", want: map[string]string{"": "1.18.11"}},
		"by name":        {text: "us=helm,eu=certgen", want: map[string]string{"us": "helm", "eu": "certgen"}},
		"both":           {text: "1.19.5,eu=1.20.2", want: map[string]string{"": "1.19.5", "eu": "1.20.2"}},
		"twice":          {text: "us=helm,us=certgen", fails: true},
		"two for all":    {text: "helm,certgen", fails: true},
		"no value":       {text: "us=", fails: true},
		"no name":        {text: "=helm", fails: true},
		"trailing comma": {text: "us=helm,", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := values("--install", tc.text)
			if (err != nil) != tc.fails {
				t.Fatalf("error %v, want one: %v", err, tc.fails)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "--install: ") {
				t.Errorf("the error does not name the flag: %v", err)
			}
			if diff := cmp.Diff(tc.want, got); err == nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		dir  state.Dir
		want string
	}{
		"plain": {"/home/me/lab", "export KUBECONFIG=/home/me/lab/kubeconfig\nexport MESHLAB_KUBECONFIG=/home/me/lab/kubeconfig\nexport MESHLAB_STATE=/home/me/lab\n"},
		"shell characters": {"/my lab/$(id)'s", `export KUBECONFIG='/my lab/$(id)'\''s/kubeconfig'
export MESHLAB_KUBECONFIG='/my lab/$(id)'\''s/kubeconfig'
export MESHLAB_STATE='/my lab/$(id)'\''s'
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, exports(tc.dir)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExportsOfALabWithPrograms(t *testing.T) {
	t.Parallel()
	dir := state.Dir(filepath.Join(t.TempDir(), "my lab"))
	var out bytes.Buffer
	if err := printExports(&out, dir); err != nil || out.String() != exports(dir) {
		t.Errorf("without programs: %v\n%s", err, out.String())
	}
	if err := os.MkdirAll(dir.BinDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	want := exports(dir) + "export PATH='" + dir.BinDir() + "':$PATH\n"
	if err := printExports(&out, dir); err != nil || out.String() != want {
		t.Errorf("with programs: %v\ngot  %s\nwant %s", err, out.String(), want)
	}
}

func TestFindState(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		flag, variable, want string
	}{
		"the flag wins":            {"/flag", "/variable", "/flag"},
		"the variable is next":     {"", "/variable", "/variable"},
		"beside the sources, else": {"", "", "/.lab"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := findState(tc.flag, tc.variable)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(got), tc.want) || !strings.HasPrefix(string(got), "/") {
				t.Errorf("got %s, want an absolute path that ends with %s", got, tc.want)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no such command":        {[]string{"upp"}, "unknown command"},
		"cluster is missing":     {[]string{"stop"}, "accepts 1 arg"},
		"no lab":                 {[]string{"env"}, `start one with "meshlab up"`},
		"stop without a lab":     {[]string{"stop", "us"}, "no lab in the state directory"},
		"both ways":              {[]string{"up", "--connect", "--no-connect"}, "none of the others can be"},
		"cut without a lab":      {[]string{"cut", "us", "eu"}, `start one with "meshlab up"`},
		"heal one cluster":       {[]string{"heal", "us"}, "want two clusters, or none"},
		"no such datapath":       {[]string{"up", "--datapath", "me"}, `--datapath is "me"; want lab or cilium`},
		"datapath without nodes": {[]string{"up", "--datapath", "cilium", "--no-net"}, "cannot be used together"},
		"another Cilium":         {[]string{"up", "--datapath", "cilium", "--cilium-version", "1.19.5"}, "is built from Cilium 1.19.7 or 1.20.2 only"},
		"check for no datapath":  {[]string{"check", "--datapath", "me"}, `--datapath is "me"; want lab or cilium`},
		"build for no datapath":  {[]string{"build", "--datapath", "me"}, `--datapath is "me"; want lab or cilium`},
		"faults without a lab":   {[]string{"chaos-services"}, `start one with "meshlab up"`},
		"seed of a removal":      {[]string{"chaos-services", "--remove", "--seed=1"}, "none of the others can be"},
		"negative delay":         {[]string{"up", "--propagation-delay=-1s"}, "want 0 or more"},
		"bad version":            {[]string{"up", "--cilium-version", "1.2"}, "--cilium-version: want one from 1.16"},
		"version of nobody":      {[]string{"up", "--cilium-version", "mars=1.18.11"}, "the lab's clusters are us, eu, ap"},
		"unknown way to install": {[]string{"up", "--install", "operator"}, "--install: want helm"},
		"no such chooser":        {[]string{"up", "--chooser", "me"}, `--chooser is "me"; want rules or cilium`},
		"chooser's version":      {[]string{"up", "--chooser", "cilium", "--cilium-version", "1.19.5"}, "want 1.20.x or no --cilium-version"},
		"chooser without nodes":  {[]string{"up", "--chooser", "cilium", "--no-net"}, "cannot be used together"},
		"build for nobody":       {[]string{"build", "--chooser", "me"}, `--chooser is "me"; want rules or cilium`},
		"bad name":               {[]string{"up", "--clusters", "us,EU"}, "cluster name \"EU\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			cmd := NewCommand(&out, &errOut)
			cmd.SetArgs(append(tc.args, "--state", t.TempDir()))
			// Should a check be missing, the command must not start a lab that nobody takes down.
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := cmd.ExecuteContext(ctx)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
			if out.Len() != 0 {
				t.Errorf("an error must leave stdout empty, got %q", out.String())
			}
		})
	}
}

func TestPrintStatus(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := printStatus(&out, &lab.Status{
		Clusters: []lab.ClusterStatus{
			{Cluster: state.Cluster{Name: "us", ID: 1, Context: "kind-us", KubernetesVersion: "1.37.2", CiliumVersion: "1.18.11", Install: "helm", APIServer: "https://127.0.0.1:20001"}, PartStatus: lab.PartStatus{PID: 42, Condition: lab.Ready}},
			{Cluster: state.Cluster{Name: "eu", ID: 2, Context: "kind-eu", KubernetesVersion: "1.34.4", CiliumVersion: "1.20.2", Install: "certgen", APIServer: "https://127.0.0.1:20002"}, PartStatus: lab.PartStatus{Condition: lab.Stopped}},
		},
		Net:            &lab.PartStatus{PID: 43, Condition: lab.Ready},
		Chooser:        state.ChooserCilium,
		ChooserProcess: &lab.PartStatus{PID: 44, Condition: lab.Ready},
		ChooserVersion: "1.20.2",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `CLUSTER     ID   CONTEXT   KUBERNETES   CILIUM    INSTALL   SERVER                    PID   CONDITION
us          1    kind-us   1.37.2       1.18.11   helm      https://127.0.0.1:20001   42    ready
eu          2    kind-eu   1.34.4       1.20.2    certgen   https://127.0.0.1:20002   -     stopped
(nodes)                                                                               43    ready
(chooser)                               1.20.2                                        44    ready

Backends are chosen by Cilium's own code (--chooser=cilium).
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
