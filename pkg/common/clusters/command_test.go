package clusters

import (
	"testing"

	"github.com/spf13/pflag"
)

// TestAgain: a command that is printed to be run later reaches the same clusters, and holds no credential.
func TestAgain(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"": {"--context=us", "--namespace=shop", "--token=SECRET", "--proxy-url=http://me:SEC%RET@proxy:3128"},
		" --as=alice --as-group='a, b' --as-group=c --as-uid=7 --as-user-extra=k=v": {"--as=alice", "--as-group=a, b", "--as-group", "c", "--as-uid=7", "--as-user-extra=k=v"},
		" --cilium-namespace=cilium --cluster-timeout=1m0s --kubeconfig='/x y/it'\\''s' --request-timeout=3s": {"--request-timeout=3s", "--kubeconfig", "/x y/it's", "--cluster-timeout=60s",
			"--cilium-namespace=cilium", "--contexts=us,eu"},
		" --insecure-skip-tls-verify --proxy-url=http://proxy:3128": {"--all-contexts", "--insecure-skip-tls-verify", "--proxy-url=http://proxy:3128"},
	} {
		f := NewFlags()
		root, cmd := pflag.NewFlagSet("root", pflag.ContinueOnError), pflag.NewFlagSet("undo", pflag.ContinueOnError)
		f.AddFlags(root)
		cmd.AddFlagSet(root) // as cobra hands down persistent flags
		if err := cmd.Parse(args); err != nil {
			t.Fatal(err)
		}
		if got := f.Again(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	if got := NewFlags().Again(); got != "" {
		t.Error(got)
	}
}
