package check

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// TestNameThatIsAContextToo: a command with a name that two clusters answer to would be refused.
func TestNameThatIsAContextToo(t *testing.T) {
	t.Parallel()
	c := commands{mesh: commandline.MeshOf([]commandline.Origin{{Context: "kind-us", Ambiguous: "us"}, {Context: "kind-eu"}, {Context: "us"}})}
	for want, got := range map[string]string{
		"kubectl mesh-svc share nginx -n default --in kind-us,eu --contexts kind-us,kind-eu,us": c.change("share", meshtest.Nginx, []string{"us", "eu"}),
		"kubectl mesh-svc undrain kind-us --contexts kind-us,kind-eu,us":                        c.undrain("us"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
