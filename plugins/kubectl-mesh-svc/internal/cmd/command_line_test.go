package cmd

import (
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandLine holds what is printed to be run again to what was typed, less credentials and the output's flags.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	var got string
	c := &cobra.Command{Use: "share NAME", RunE: func(cmd *cobra.Command, args []string) error {
		got = commandLine(cmd, args)
		return nil
	}}
	fs := c.Flags()
	for _, name := range []string{"token", "password", "output", "kubeconfig", "context"} {
		fs.String(name, "", "")
	}
	fs.StringSlice("in", nil, "")
	fs.StringArray("as-group", nil, "")
	fs.String("proxy-url", "", "")
	fs.Bool("yes", false, "")
	c.SetArgs([]string{"a b", "--token=SECRET", "--password", "SECRET", "--output=json", "--kubeconfig=/x y", "--in=us", "--in=eu", "--yes", "--as-group=a", "--as-group=b", "--proxy-url=http://me:SECRET@x"})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	if want := "kubectl mesh-svc share 'a b' --as-group=a --as-group=b --in=us,eu --kubeconfig='/x y' --yes"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
