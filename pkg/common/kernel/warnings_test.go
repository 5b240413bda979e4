package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// TestWarningsOfAPIServers: what an API server warns of after the selection, such as about a write, is printed once, at the end of every command. A command that fails
// prints it too.
func TestWarningsOfAPIServers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.Header().Set("Warning", `299 - "the webhook is not amused"`)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "config")
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: us\ncontexts:\n- {name: us, context: {cluster: us}}\nclusters:\n- {name: us, cluster: {server: %q}}\n", server.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	failure := errors.New("it failed")
	for name, tc := range map[string]struct {
		deletes int
		err     error
		want    int
	}{
		"no write": {}, "a write": {deletes: 1, want: 1}, "two writes, one warning": {deletes: 2, want: 1}, "a write and a failure": {deletes: 1, err: failure, want: 1},
	} {
		var out bytes.Buffer
		e := New(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &bytes.Buffer{}, ErrOut: &out})
		root := cli.NewRoot(cli.Plugin{Binary: "kubectl-mesh_x", Display: "kubectl mesh-x"}, e.IOStreams)
		e.Attach(root)
		root.AddCommand(cli.Writes(&cobra.Command{Use: "write", RunE: func(cmd *cobra.Command, _ []string) error {
			sel, err := e.SelectIn(cmd.Context(), []string{"us"})
			if err != nil {
				return err
			}
			for range tc.deletes {
				if err := sel.Members[0].Client.CoreV1().ConfigMaps("x").Delete(cmd.Context(), "y", metav1.DeleteOptions{}); err == nil {
					t.Error("it was deleted")
				}
			}
			return tc.err
		}}))
		e.Complete(root)
		root.SetArgs([]string{"write"})
		if _, err := cli.Execute(t.Context(), root, e.IOStreams); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Count(out.String(), "Warning: the webhook is not amused\n"); got != tc.want {
			t.Errorf("%s: printed %d times, want %d:\n%s", name, got, tc.want, out.String())
		}
	}
}
