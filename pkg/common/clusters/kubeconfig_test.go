package clusters

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// writeConfig writes a kubeconfig with contexts NAME=SERVER; each has a cluster of the same name and a user of its own token.
func writeConfig(t *testing.T, dir, file, current string, contexts ...string) string {
	t.Helper()
	var cs, us, xs strings.Builder
	for _, c := range contexts {
		name, server, _ := strings.Cut(c, "=")
		fmt.Fprintf(&cs, "- {name: %s, cluster: {server: %q}}\n", name, server)
		fmt.Fprintf(&us, "- {name: %s, user: {token: %q}}\n", name, "t-"+server)
		fmt.Fprintf(&xs, "- {name: %s, context: {cluster: %s, user: %s}}\n", name, name, name)
	}
	path := filepath.Join(dir, file)
	body := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: %s\nclusters:\n%susers:\n%scontexts:\n%s", current, cs.String(), us.String(), xs.String())
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func names(cs []candidate) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.name)
	}
	return out
}

func TestLoadKeepsFilesApart(t *testing.T) {
	dir := t.TempDir()
	a := writeConfig(t, dir, "a.yaml", "kind-us", "kind-us=https://127.0.0.1:1", "same=https://127.0.0.1:3")
	b := writeConfig(t, dir, "b.yaml", "kind-eu", "kind-eu=https://127.0.0.1:2", "kind-us=https://127.0.0.1:9", "same=https://127.0.0.1:3")
	t.Setenv("KUBECONFIG", a+string(filepath.ListSeparator)+b)
	f := NewFlags()
	kc, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{a + "::kind-us", "same", "kind-eu", b + "::kind-us"}
	if d := cmp.Diff(want, names(kc.candidates)); d != "" {
		t.Error(d)
	}
	if kc.current != a+"::kind-us" {
		t.Errorf("current is %q", kc.current)
	}
	for _, c := range kc.candidates {
		cfg, _, err := f.restConfig(c, false)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.BearerToken != "t-"+cfg.Host {
			t.Errorf("%s: server %s with credentials %s", c.name, cfg.Host, cfg.BearerToken)
		}
	}
	if _, err := kc.find("kind-us"); err == nil || !strings.Contains(err.Error(), "more than one kubeconfig file") {
		t.Errorf("an ambiguous name: %v", err)
	}
	found, err := kc.find("b.yaml::kind-us")
	if err != nil || len(found) != 1 || found[0].file != b {
		t.Errorf("FILE::NAME: %v, %v", names(found), err)
	}
}

// TestEmptyElementsOfKUBECONFIG: kubectl skips them, and so must the plugins, which would otherwise read the working directory as a file.
func TestEmptyElementsOfKUBECONFIG(t *testing.T) {
	dir := t.TempDir()
	a := writeConfig(t, dir, "a.yaml", "a", "a=https://127.0.0.1:1")
	b := writeConfig(t, dir, "b.yaml", "b", "b=https://127.0.0.1:2")
	for _, tc := range []struct{ elements, want []string }{
		{elements: []string{a, ""}, want: []string{a}},
		{elements: []string{"", a}, want: []string{a}},
		{elements: []string{a, "", b}, want: []string{a, b}},
	} {
		t.Setenv("KUBECONFIG", strings.Join(tc.elements, string(filepath.ListSeparator)))
		kc, err := NewFlags().load()
		if err != nil {
			t.Errorf("%q: %v", tc.elements, err)
			continue
		}
		if d := cmp.Diff(commandline.Kubeconfig(tc.want), kc.files); d != "" {
			t.Errorf("%q: files of printed commands: %s", tc.elements, d)
		}
	}
	t.Setenv("KUBECONFIG", string(filepath.ListSeparator))
	if _, err := NewFlags().load(); err == nil || !strings.Contains(err.Error(), "KUBECONFIG does not contain the name of a file") {
		t.Errorf("only empty elements: %v", err)
	}
}

func TestLoadTakesTheMergeForReferencesToOtherFiles(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(a, []byte("apiVersion: v1\nkind: Config\ncontexts:\n- {name: x, context: {cluster: far, user: far}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := writeConfig(t, dir, "b.yaml", "", "far=https://127.0.0.1:5")
	t.Setenv("KUBECONFIG", a+string(filepath.ListSeparator)+b)
	f := NewFlags()
	kc, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	found, err := kc.find("x")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := f.restConfig(found[0], false)
	if err != nil || cfg.Host != "https://127.0.0.1:5" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestMergeKeepsTheOwnFilesEntries: the fallback to the merge is for what the own file lacks, and for nothing else.
func TestMergeKeepsTheOwnFilesEntries(t *testing.T) {
	dir := t.TempDir()
	a := writeConfig(t, dir, "a.yaml", "", "prod=https://127.0.0.1:1", "admin=https://127.0.0.1:7")
	b := filepath.Join(dir, "b.yaml")
	if err := os.WriteFile(b, []byte("apiVersion: v1\nkind: Config\nclusters:\n- {name: prod, cluster: {server: \"https://127.0.0.1:2\"}}\ncontexts:\n- {name: c, context: {cluster: prod, user: admin}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", a+string(filepath.ListSeparator)+b)
	f := NewFlags()
	kc, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	found, err := kc.find("c")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := f.restConfig(found[0], false)
	if err != nil || cfg.Host != "https://127.0.0.1:2" || cfg.BearerToken != "t-https://127.0.0.1:7" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestEveryFlagReachesTheConfig: what kubectl takes and we do not heed would act as somebody else or somewhere else.
func TestEveryFlagReachesTheConfig(t *testing.T) {
	t.Setenv("KUBECONFIG", writeConfig(t, t.TempDir(), "c", "a", "a=https://127.0.0.1:1"))
	f := NewFlags()
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	f.AddFlags(fs)
	args := []string{"--as=u", "--as-group=g", "--as-uid=7", "--as-user-extra=tenant=a", "--proxy-url=http://127.0.0.1:9", "--disable-compression", "--request-timeout=3s", "--insecure-skip-tls-verify"}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	kc, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := f.restConfig(kc.candidates[0], false)
	if err != nil {
		t.Fatal(err)
	}
	want := rest.ImpersonationConfig{UserName: "u", Groups: []string{"g"}, UID: "7", Extra: map[string][]string{"tenant": {"a"}}}
	if d := cmp.Diff(want, cfg.Impersonate); d != "" {
		t.Error(d)
	}
	if cfg.Proxy == nil || !cfg.DisableCompression || cfg.Timeout != 3*time.Second || !cfg.Insecure {
		t.Errorf("proxy %v, compression off %v, timeout %v, insecure %v", cfg.Proxy != nil, cfg.DisableCompression, cfg.Timeout, cfg.Insecure)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	f := NewFlags()
	if _, err := f.load(); err == nil || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("no kubeconfig: %v", err)
	}
	f.Config.KubeConfig = ptr.To(filepath.Join(dir, "none"))
	if _, err := f.load(); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("--kubeconfig of a missing file: %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	kc := &kubeconfig{}
	for _, n := range []string{"kind-us", "kind-eu", "arn:aws:eks:eu/prod", "admin@x/ns"} {
		kc.candidates = append(kc.candidates, candidate{name: n, context: n, file: "f"})
	}
	cases := map[string]struct {
		pattern string
		want    []string
		err     string
	}{
		"exact":              {"kind-us", []string{"kind-us"}, ""},
		"glob":               {"kind-*", []string{"kind-us", "kind-eu"}, ""},
		"star crosses slash": {"arn:*", []string{"arn:aws:eks:eu/prod"}, ""},
		"question mark":      {"kind-?u", []string{"kind-eu"}, ""},
		"unknown":            {"kind-ap", nil, `context "kind-ap" not found`},
		"glob without match": {"gke-*", nil, "no context matches"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := kc.find(c.pattern)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if d := cmp.Diff(c.want, names(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("kind-*", "kind-us")
	f.Add("*a*b?", "xaybz")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		got := globMatch(pattern, name)
		if !isGlob(pattern) && got != (pattern == name) {
			t.Errorf("%q without wildcards against %q: %v", pattern, name, got)
		}
		if !globMatch("*"+pattern+"*", name) && got {
			t.Errorf("%q matches %q, but not with stars around it", pattern, name)
		}
	})
}
