package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
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

// TestCompleteChoices: what the usage of a flag says it must be one of, without explanations and templates.
func TestCompleteChoices(t *testing.T) {
	t.Parallel()
	for usage, want := range map[string]string{
		"Output format. Must be one of: table, jsonpath=, name.":                                                    "table jsonpath= name",
		"How. Must be one of: ephemeral (adds one; it cannot be removed. Never), pod (creates one). Needs --image.": "ephemeral pod",
		"Must be one of: auto, curl; with --tcp: auto, bash.":                                                       "auto curl",
		"Must be one of: auto (names), body=REGEX with one group, json=PATH.":                                       "auto body= json=",
		"TYPE/NAME. TYPE must be one of: deploy, pod.":                                                              "",
	} {
		cmd := &cobra.Command{Use: "x", Run: func(*cobra.Command, []string) {}}
		cmd.Flags().String("flag", "", usage)
		CompleteChoices(cmd)
		var got []string
		if complete, ok := cmd.GetFlagCompletionFunc("flag"); ok {
			got, _ = complete(cmd, nil, "")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", usage, got, want)
		}
	}
}
