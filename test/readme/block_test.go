package readme

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlock(t *testing.T) {
	t.Parallel()
	const page = "# A\n\n```sh\nfirst\n```\n\n## Use\n\nSome text.\n\n```sh\nsecond   # why\n\nthird\n```\n\n```sh\nfourth\n```\n"
	got, err := Block(page, "## Use")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"second   # why", "third"}, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "## Used\n```sh\nx\n```\n", "## Use\nno block\n", "## Use\n\n```sh\nopen\n"} {
		if _, err := Block(bad, "## Use"); err == nil {
			t.Errorf("Block(%q) found a block", bad)
		}
	}
}
