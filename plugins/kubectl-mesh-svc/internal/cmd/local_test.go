package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLocalSaysThatNothingDiffers: silence would not tell a file that is right from one that was not looked at.
func TestLocalSaysThatNothingDiffers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "svc.yaml")
	one := func(name string) string {
		return "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: " + name + "\n  annotations:\n    service.cilium.io/global: \"true\"\n"
	}
	for text, want := range map[string]string{
		one("web"):              "The Service has the values already; nothing is changed.\n",
		one("web") + one("api"): "All 2 Services have the values already; nothing is changed.\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []string{"--in-place", "--recursive"} { // the second one prints
			if out, errOut, code := run(t, "globalize", "--local", "-f", file, flag); code != 0 || errOut != want || (out == "") != (flag == "--in-place") {
				t.Errorf("%s: exit code %d, %q, %q", flag, code, out, errOut)
			}
		}
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(one("web"), "true", "false")+one("api")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errOut, _ := run(t, "globalize", "--local", "-f", file, "--in-place"); strings.Contains(errOut, "already") || !strings.Contains(errOut, "service web") {
		t.Error(errOut)
	}
}
