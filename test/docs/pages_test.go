package docs

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

// pages reads every Markdown page of the repository.
func pages(t *testing.T) map[string]Page {
	t.Helper()
	out := map[string]Page{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "dist" || name == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out[rel] = Parse(rel, string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d pages were found", len(out))
	}
	return out
}

// sorted returns the pages by path.
func sorted(all map[string]Page) []Page {
	var out []Page
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// TestLinks: links within the repository lead to a file, and to a heading of it. Nothing is fetched.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	checked := 0
	for _, p := range sorted(all) {
		for _, l := range p.Links {
			if problem := follow(all, p, l); problem != "" {
				t.Errorf("%s:%d: %s: %s", p.Path, l.Line, l.Target, problem)
			}
			checked++
		}
	}
	t.Logf("%d links of %d pages", checked, len(all))
}

// follow says what is wrong with a link, "" if nothing is.
func follow(all map[string]Page, p Page, l Link) string {
	if strings.Contains(l.Target, "://") || strings.HasPrefix(l.Target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(l.Target, "#")
	target := p.Path
	if file != "" {
		target = path.Join(path.Dir(p.Path), file)
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
			return "there is no such file"
		}
	}
	if page, ok := all[target]; anchor != "" && (!ok || !page.Anchors[anchor]) {
		return "there is no such heading in " + target
	}
	return ""
}

// TestReachable: a reader gets from the README to every page of docs.
func TestReachable(t *testing.T) {
	t.Parallel()
	all := pages(t)
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, l := range all[name].Links {
			file, _, _ := strings.Cut(l.Target, "#")
			visit(path.Join(path.Dir(name), file))
		}
	}
	visit("README.md")
	for name := range all {
		if strings.HasPrefix(name, "docs/") && !seen[name] {
			t.Errorf("no link leads from the README to %s", name)
		}
	}
}

// isDocumentation reports whether the blocks of a page are run: those of the README and of docs.
func isDocumentation(p Page) bool { return p.Path == "README.md" || strings.HasPrefix(p.Path, "docs/") }

// TestYAML: a manifest that a reader copies can be read, and no key is in it twice.
func TestYAML(t *testing.T) {
	t.Parallel()
	found := 0
	for _, p := range sorted(pages(t)) {
		for _, b := range p.Blocks {
			if b.Language() != "yaml" {
				continue
			}
			found++
			var manifest map[string]any
			if err := yaml.UnmarshalStrict([]byte(strings.Join(b.Lines, "\n")), &manifest); err != nil || len(manifest) == 0 {
				t.Errorf("%s:%d: %d keys, %v", p.Path, b.Line, len(manifest), err)
			}
		}
	}
	if found == 0 {
		t.Error("no page has a block of YAML")
	}
}

// shown are the languages of blocks that are not commands, or not of this platform.
var shown = []string{"", "text", "yaml", "powershell"}

// TestBlocks: a block with commands is marked as such, so that none is left out by mistake. It prints what is not run, and why.
func TestBlocks(t *testing.T) {
	t.Parallel()
	notRun := map[string][]string{}
	run := 0
	for _, p := range sorted(pages(t)) {
		if !isDocumentation(p) {
			continue
		}
		for _, b := range p.Blocks {
			switch b.Language() {
			case "sh", "console":
				reason := b.NotRun()
				if reason != "" && reasons[reason] == "" {
					t.Errorf("%s:%d: %q is not a known reason", p.Path, b.Line, reason)
				}
				if reason == "" {
					run += len(b.Commands())
					continue
				}
				notRun[reason] = append(notRun[reason], p.Path)
			default:
				if !slices.Contains(shown, b.Language()) {
					t.Errorf("%s:%d: is a block of %q to be run? Call it sh or console; else add the language to those that are shown only", p.Path, b.Line, b.Language())
				}
				for i, line := range b.Lines {
					if word, _, _ := strings.Cut(strings.TrimPrefix(line, "$ "), " "); b.Language() != "text" && (word == "kubectl" || word == "make") {
						t.Errorf("%s:%d: this is a command; call the block sh or console", p.Path, b.Line+1+i)
					}
				}
			}
		}
	}
	t.Logf("%d commands are run against the lab", run)
	for _, reason := range slices.Sorted(maps.Keys(notRun)) {
		files := slices.Compact(slices.Clone(notRun[reason]))
		t.Logf("%d blocks are not run, %s: %s (%s)", len(notRun[reason]), reason, reasons[reason], strings.Join(files, ", "))
	}
}
