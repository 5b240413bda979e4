package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsNameWhatIsTested compares the krew commands in the docs with those that krew-check runs.
func TestDocsNameWhatIsTested(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	for _, page := range []string{"README.md", "docs/install.md"} {
		text, err := os.ReadFile(filepath.Join(repository, page))
		if err != nil {
			t.Fatal(err)
		}
		pages[page] = string(text)
	}
	inReadme := 0
	for _, step := range (&check{tag: "v1.2.3", olderTag: "v1.2.2"}).user(t.Context()) {
		command, isCommand := strings.CutSuffix(step.name, "file://index")
		switch {
		case !strings.HasPrefix(command, "kubectl krew "):
			continue
		case isCommand: // the docs have the address of our index instead
			command += "https://github.com/kubectl-mesh/"
		}
		if !strings.Contains(pages["docs/install.md"], command) {
			t.Errorf("docs/install.md does not have the command %q", command)
		}
		if strings.Contains(pages["README.md"], command) {
			inReadme++
		}
	}
	if inReadme != 2 {
		t.Errorf("README.md has %d of the krew commands, want 2: index add and install", inReadme)
	}
}
