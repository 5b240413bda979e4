package cmd

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

// TestField11CommandWords holds what is printed to be run again to what was typed, less credentials, the output's flags, and the flags of the
// connection, for which the clusters stand that were read.
func TestField11CommandWords(t *testing.T) {
	t.Parallel()
	e := kernel.New(genericiooptions.NewTestIOStreamsDiscard())
	mesh := commandline.Mesh{Selection: commandline.Contexts("kind-us"), Kubeconfig: commandline.Kubeconfig{"/x y"}}
	root := &cobra.Command{Use: "root"}
	e.Flags.AddFlags(root.PersistentFlags())
	var got []string
	c := &cobra.Command{Use: "share NAME", RunE: func(cmd *cobra.Command, args []string) error {
		got = commandWords(e, cmd, args)
		return nil
	}}
	c.Flags().String("output", "", "")
	c.Flags().StringSlice("in", nil, "")
	c.Flags().String("selector", "", "")
	c.Flags().Bool("yes", false, "")
	root.AddCommand(c)
	root.SetArgs([]string{"share", "a b", "--token=SECRET", "--output=json", "--kubeconfig=x", "--in=us", "--in=e,u", "--in=\"a,b\"", "--selector=a=b,c", "--yes", "--as-group=a", "--proxy-url=http://me:SECRET@x", "-nshop", "--context=eu"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"share", "a b", `--in=us,e,u,"a,b"`, "--selector=a=b,c", "--yes"}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	if got, want := plugin.Command(mesh, "shop", got...), `kubectl mesh-svc share 'a b' -n shop '--in=us,e,u,"a,b"' --selector=a=b,c --yes --contexts kind-us --kubeconfig '/x y'`; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
