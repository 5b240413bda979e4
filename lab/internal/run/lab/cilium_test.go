package lab

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

func TestHelmScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// It prints its arguments, one a line.
	helm := filepath.Join(dir, "it's helm")
	program.Write(t, helm, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
	script := filepath.Join(dir, "helm")
	const chart = "/modules/cilium's chart"
	program.Write(t, script, helmScript(chart, helm))
	for name, tc := range map[string]struct{ args, want []string }{
		"the repository by name": {
			[]string{"upgrade", "cilium", "cilium/cilium", "--version", "1.20.2", "-n", "kube-system"},
			[]string{"upgrade", "cilium", chart, "--version", "1.20.2", "-n", "kube-system"},
		},
		"the chart comes last":       {[]string{"upgrade", "cilium", "cilium/cilium"}, []string{"upgrade", "cilium", chart}},
		"the repository by URL":      {[]string{"upgrade", "cilium", "cilium", "--repo", "https://helm.cilium.io", "--wait"}, []string{"upgrade", "cilium", chart, "--wait"}},
		"with a slash, at the end":   {[]string{"upgrade", "cilium", "cilium", "--repo", "https://helm.cilium.io/"}, []string{"upgrade", "cilium", chart}},
		"with an equals sign":        {[]string{"upgrade", "cilium", "cilium", "--repo=https://helm.cilium.io", "--wait"}, []string{"upgrade", "cilium", chart, "--wait"}},
		"another repository":         {[]string{"upgrade", "cilium", "cilium", "--repo", "https://example.com"}, []string{"upgrade", "cilium", "cilium", "--repo", "https://example.com"}},
		"another chart":              {[]string{"upgrade", "x", "cilium/tetragon"}, []string{"upgrade", "x", "cilium/tetragon"}},
		"the repository comes first": {[]string{"--repo", "https://helm.cilium.io", "list", "cilium"}, []string{"--repo", "https://helm.cilium.io", "list", "cilium"}},
		"words with spaces stay":     {[]string{"upgrade", "--set", "a=b c  d"}, []string{"upgrade", "--set", "a=b c  d"}},
		"an empty word stays":        {[]string{"upgrade", "", "x"}, []string{"upgrade", "", "x"}},
		"the release alone":          {[]string{"get", "values", "cilium"}, []string{"get", "values", "cilium"}},
	} {
		out, err := exec.CommandContext(t.Context(), script, tc.args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHelmEnvironment(t *testing.T) {
	t.Parallel()
	got := helmEnvironment([]string{"PATH=/bin", "HELM_DRIVER=memory", "KUBECONFIG=/mine", "HELM_KUBECONTEXT=prod", "HOME=/root"}, "/lab/us/helm")
	want := []string{"PATH=/bin", "HOME=/root", "HELM_CACHE_HOME=/lab/us/helm", "HELM_CONFIG_HOME=/lab/us/helm", "HELM_DATA_HOME=/lab/us/helm"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
