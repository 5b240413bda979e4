package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteThenRead(t *testing.T) {
	t.Parallel()
	want := &Lab{
		PropagationDelay: Duration(1500 * time.Millisecond),
		Clusters: []Cluster{{
			Name: "us", ID: 1, Context: "kind-us", PodCIDR: "10.1.0.0/16",
			Nodes: []Node{{Name: "us-worker", PodCIDR: "10.1.1.0/24", Address: "127.0.1.1", KubeletPort: 20001}},
		}},
	}
	dir := Dir(t.TempDir())
	if err := dir.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := dir.Read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lab.json (-written +read):\n%s", diff)
	}
	entries, err := os.ReadDir(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("want lab.json alone, got %v", entries)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	if _, err := Dir(t.TempDir()).Read(); !errors.Is(err, ErrNoLab) {
		t.Errorf("want ErrNoLab in an empty directory, got %v", err)
	}
	for name, content := range map[string]string{
		"not JSON":       "{",
		"not a duration": `{"propagationDelay":"soon"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "lab.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Dir(dir).Read(); err == nil || errors.Is(err, ErrNoLab) {
				t.Errorf("want an error other than ErrNoLab, got %v", err)
			}
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	lab := &Lab{Clusters: []Cluster{{Name: "us"}, {Name: "eu"}}}
	if c, ok := lab.Cluster("eu"); !ok || c != &lab.Clusters[1] {
		t.Errorf("cluster eu: got %v, %v", c, ok)
	}
	if _, ok := lab.Cluster("kind-eu"); ok {
		t.Error("a context name was taken for a cluster name")
	}
}
