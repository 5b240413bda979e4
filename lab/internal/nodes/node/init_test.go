package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

func TestOpenWithin(t *testing.T) {
	t.Parallel()
	machine := t.TempDir()
	disk := filepath.Join(machine, "disk")
	for _, dir := range []string{"disk/var/lib", "secret", "disk/secret"} {
		if err := os.MkdirAll(filepath.Join(machine, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"up": "../secret", "absolute": filepath.Join(machine, "secret"), "inside": "var/lib", "top": "/secret",
	} {
		if err := os.Symlink(target, filepath.Join(disk, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		path   string
		create bool
		want   string // below the machine; empty is an error
	}{
		"a directory":                {"var/lib", false, "disk/var/lib"},
		"the top":                    {"", false, "disk"},
		"one that is made":           {"var/new/deep", true, "disk/var/new/deep"},
		"one that is not there":      {"var/other", false, ""},
		"a link inside":              {"inside", false, "disk/var/lib"},
		"a link to the outside":      {"up", false, "disk/secret"}, // as on a machine whose root is there
		"an absolute link":           {"absolute", false, ""},
		"an absolute link inside":    {"top", false, "disk/secret"},
		"made through an absolute":   {"absolute/new", true, ""},
		"dots do not lead out of it": {"../secret", false, "disk/secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := openWithin(podwire.Bind{Source: disk + "/" + tc.path, Within: disk, Create: tc.create})
			if err != nil {
				if tc.want != "" {
					t.Error(err)
				}
				return
			}
			defer func() { _ = f.Close() }()
			got, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.Stat(filepath.Join(machine, tc.want))
			if err != nil || tc.want == "" || !os.SameFile(got, want) {
				t.Errorf("it opens another directory than %q", tc.want)
			}
		})
	}
	if entries, err := os.ReadDir(filepath.Join(machine, "secret")); err != nil || len(entries) > 0 {
		t.Errorf("something was made outside: %v, %v", entries, err)
	}
}
