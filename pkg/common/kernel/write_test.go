package kernel

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// TestRetryFlags: a command that goes on after this one has the flags without which it would be refused, and neither --yes nor --dry-run.
func TestRetryFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, want []string }{
		{},
		{args: []string{"--yes", "--dry-run=server", "--preflight=full", "--field-manager=mesh", "-o=json"}},
		{args: []string{"--force-conflicts", "--allow-partial", "--preflight", "access", "--field-manager=ci"}, want: []string{"--allow-partial", "--force-conflicts", "--preflight=access", "--field-manager=ci"}},
	} {
		f, fs := NewWriteFlags("mesh"), pflag.NewFlagSet("", pflag.ContinueOnError)
		f.AddFlags(fs, WriteUsages{AllowPartial: "x", ForceConflicts: "x"})
		if err := fs.Parse(tc.args); err != nil {
			t.Fatal(err)
		}
		if got := f.retryFlags(); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q", tc.args, got)
		}
	}
}
