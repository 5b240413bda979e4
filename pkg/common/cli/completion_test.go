package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompletionOf compares the script with which kubectl completes a plugin, its name, and the command that writes it, for each platform.
func TestCompletionOf(t *testing.T) {
	t.Parallel()
	type completion struct{ script, file, install string }
	unix := completion{
		"#!/usr/bin/env sh\nexec kubectl mesh-svc __complete \"$@\"\n", "kubectl_complete-mesh_svc",
		"kubectl mesh-svc completion kubectl > ~/.local/bin/kubectl_complete-mesh_svc && chmod +x ~/.local/bin/kubectl_complete-mesh_svc",
	}
	p := Plugin{Binary: "kubectl-mesh_svc", Display: "kubectl mesh-svc"}
	for goos, want := range map[string]completion{"linux": unix, "darwin": unix, "windows": {
		"@kubectl mesh-svc __complete %*\r\n", "kubectl_complete-mesh_svc.cmd",
		`kubectl mesh-svc completion kubectl | Set-Content -Encoding ascii DIRECTORY\kubectl_complete-mesh_svc.cmd`,
	}} {
		got := completion{CompletionScript(goos, p.Display), CompletionFile(goos, p.Binary), installCompletion(goos, p)}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(completion{})); d != "" {
			t.Errorf("%s: %s", goos, d)
		}
	}
}
