//go:build unix

package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
)

// run runs the command line without any cluster and returns what it printed.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	r := testkit.Command{New: cmd.New}.Run(t.Context(), t, args...)
	return r.Out, r.ErrOut, r.Code
}

const localService = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n"

// files writes manifests below a new directory and returns what each now holds, temporary files among them.
func files(t *testing.T, names ...string) (dir string, now func() map[string]string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(localService), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() map[string]string {
		found := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			found[strings.TrimPrefix(path, dir+"/")] = string(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

const localGlobal = localService + "  annotations:\n    service.cilium.io/global: \"true\"\n"

// TestInPlace: all files or none, and nothing is announced that does not happen.
func TestInPlace(t *testing.T) {
	t.Parallel()
	dir, now := files(t, "a.yaml", "b/b.yaml")
	_, stderr, code := run(t, "globalize", "--local", "-f", dir, "-R", "--in-place")
	if d := cmp.Diff(map[string]string{"a.yaml": localGlobal, "b/b.yaml": localGlobal}, now()); d != "" || code != 0 || strings.Count(stderr, `<absent> -> "true"`) != 2 {
		t.Errorf("exit code %d: %s\n%s", code, stderr, d)
	}

	// No file can be made beside one with a name of this length; unlike a mode, that stops root too.
	long := "ro/" + strings.Repeat("x", 245) + ".yaml"
	dir, now = files(t, "rw/a.yaml", long)
	_, stderr, code = run(t, "globalize", "--local", "-f", filepath.Join(dir, "rw"), "-f", filepath.Join(dir, "ro"), "--in-place")
	if d := cmp.Diff(map[string]string{"rw/a.yaml": localService, long: localService}, now()); d != "" || code != 1 {
		t.Errorf("exit code %d: %s", code, d)
	}
	want := fmt.Sprintf("error: --in-place: %s cannot be written: file name too long; nothing was changed\n", filepath.Join(dir, long))
	if d := cmp.Diff(want, stderr); d != "" {
		t.Error(d)
	}
}

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

// TestLocalNamespace: a Service without a namespace is of the one that -n names; only in default is kubernetes the API server.
func TestLocalNamespace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "svc.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(localService, "web", "kubernetes")), 0o600); err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]string{
		"":             "service default/kubernetes is refused: it is the API server",
		"--namespace=": "service default/kubernetes is refused",
		"-n=default":   "service default/kubernetes is refused",
		"-n=shop":      "service kubernetes: service.cilium.io/global: <absent>",
	} {
		args := []string{"globalize", "kubernetes", "--local", "-f", file}
		if namespace != "" {
			args = append(args, namespace)
		}
		if _, stderr, code := run(t, args...); !strings.Contains(stderr, want) || (code == 0) != (namespace == "-n=shop") {
			t.Errorf("%q: exit code %d, %s", namespace, code, stderr)
		}
	}
}

const helmTemplate = "{{- if .Values.enabled }}\napiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\n{{- end }}\n"

// tree is a repository as people have them: manifests, a chart, links that lead nowhere, and worse.
func tree(t *testing.T) (dir string, now func() map[string]string) {
	t.Helper()
	dir, now = files(t, "a.yaml", "apps/web.yaml")
	for name, text := range map[string]string{
		"chart/templates/svc.yaml": helmTemplate,
		"chart/templates/b.yaml":   "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n",
		"chart/templates/c.yaml":   "apiVersion: v1\nkind: Service\nmetadata:\n  name: '{{ .Release.Name }}-x'\n",
		"notes/broken.yaml":        "a: b\n  c: d\n",
		"utf16.yaml":               "\xff\xfea\x00",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"gone.yaml": "no/such/file", "loop.yaml": "loop.yaml", "dir.yaml": "apps"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, now
}

// TestFieldDTreeWithTemplates: files of a tree that are not manifests are skipped, with one note for each kind; --strict refuses the tree.
func TestFieldDTreeWithTemplates(t *testing.T) {
	t.Parallel()
	dir, _ := tree(t)
	stdout, stderr, code := run(t, "globalize", "--local", "-R", "-f", dir)
	if want := localGlobal + "---\n" + localGlobal; stdout != want || code != 0 {
		t.Errorf("exit code %d, %s\n%s", code, stdout, stderr)
	}
	notes := 0
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "Note: ") {
			notes++
		}
	}
	for _, want := range []string{
		"Note: skipped 3 files that are templates: " + dir + "/chart/templates/b.yaml, ",
		"Note: skipped 2 files that are not YAML: " + dir + "/notes/broken.yaml:2: ",
		"Note: skipped 4 paths that cannot be read: " + dir + "/dir.yaml (is not a regular file), " + dir + "/gone.yaml (no such file or directory), " + dir + "/loop.yaml (too many levels of symbolic links) and 1 more",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	if notes != 3 {
		t.Errorf("%d notes\n%s", notes, stderr)
	}

	stdout, stderr, code = run(t, "globalize", "--local", "-R", "-f", dir, "--strict", "--in-place")
	if raw, err := os.ReadFile(filepath.Join(dir, "a.yaml")); code != 1 || stdout != "" || !strings.Contains(stderr, "nothing was changed (--strict)") || err != nil || string(raw) != localService {
		t.Errorf("exit code %d, %s%s%s %v", code, stdout, stderr, raw, err)
	}
	// A file that is named is never skipped.
	if _, stderr, code = run(t, "globalize", "--local", "-f", filepath.Join(dir, "chart/templates/svc.yaml")); code != 1 || !strings.Contains(stderr, "looks like a template") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	// Nor does a skipped file hide that a Service was not found.
	if _, stderr, code = run(t, "globalize", "api", "--local", "-R", "-f", dir); code != 1 || !strings.Contains(stderr, "error: service api is not in the files that could be read (9 were skipped)") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	// A manifest that cannot be edited safely is refused, and not skipped: its Service is meant.
	if err := os.WriteFile(filepath.Join(dir, "z.yaml"), []byte("apiVersion: v1\nkind: Service\nmetadata: &m\n  name: z\nspec: *m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code = run(t, "globalize", "--local", "-R", "-f", dir); code != 1 || !strings.Contains(stderr, "z.yaml:") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestOneOfATree: whatever else is in a tree does not prevent the edit of the Service that is named, and templates of other objects hide no refusal.
func TestOneOfATree(t *testing.T) {
	t.Parallel()
	const api = "apiVersion: v1\nkind: Service\nmetadata: {name: api, labels: &l {app: api}, annotations: {a: b, a: c}}\n"
	for name, c := range map[string]struct {
		other string
		args  []string
		says  string
		code  int
	}{
		"the other is named":     {api, []string{"api"}, "z.yaml:3: annotations contains a twice\n", 1},
		"this one is named":      {api, []string{"web"}, "a.yaml:1: service web: service.cilium.io/global: <absent>", 0},
		"the other is selected":  {api + "spec: {selector: *l}\n", []string{"-l", "app=api"}, "z.yaml:3: annotations contains a twice\n", 1},
		"this one is selected":   {api + "spec: {selector: *l}\n", []string{"-l", "app!=api"}, "a.yaml:1: service web: ", 0},
		"all":                    {api, nil, "z.yaml:3: annotations contains a twice\n", 1},
		"all, beside an alert":   {"kind: ConfigMap\ndata: {a: '{{ $labels.instance }}'}\n---\n" + api, nil, "z.yaml:6: annotations contains a twice\n", 1},
		"all, and a template":    {api + "spec: {type: '{{ .Values.type }}'}\n", nil, "Note: skipped 1 file that is a template: ", 0},
		"all, and ytt":           {"apiVersion: v1\nkind: Service\nmetadata:\n  name: #@ data.values.name\n", nil, "Note: skipped 1 file that is a template: ", 0},
		"another namespace":      {"x: &ns prod\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: *ns}\n", []string{"-n=shop", "--all"}, "a.yaml:1: service web: ", 0},
		"kube-system, as a link": {"x: &ns kube-system\napiVersion: v1\nkind: Service\nmetadata: {name: dns, namespace: *ns}\n", nil, "z.yaml) is left out: it is in kube-system\n", 0},
	} {
		dir, now := files(t, "a.yaml")
		if err := os.WriteFile(filepath.Join(dir, "z.yaml"), []byte(c.other), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := run(t, append([]string{"globalize", "--local", "-f", dir, "--in-place"}, c.args...)...)
		want := map[string]string{"a.yaml": localGlobal, "z.yaml": c.other}
		if c.code != 0 {
			want["a.yaml"] = localService
		}
		if d := cmp.Diff(want, now()); d != "" || code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, %s%s", name, code, stderr, d)
		}
	}
}

// TestLinkToADirectory: a directory may be named by a link to it, and its files are called as the user called it.
func TestLinkToADirectory(t *testing.T) {
	t.Parallel()
	dir, now := files(t, "real/a.yaml", "real/sub/b.yaml")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(dir, "real"), link); err != nil {
		t.Fatal(err)
	}
	for suffix, args := range map[string][]string{"": nil, "/": nil, "//": {"-R"}} {
		_, stderr, code := run(t, append([]string{"globalize", "--local", "-f", link + suffix}, args...)...)
		if code != 0 || !strings.HasPrefix(stderr, filepath.Join(link, "a.yaml")+":1: service web: ") || strings.Contains(stderr, "b.yaml") != (args != nil) {
			t.Errorf("link%s %v: exit code %d, %s", suffix, args, code, stderr)
		}
	}
	if _, stderr, code := run(t, "globalize", "--local", "-R", "-f", link, "--in-place"); code != 0 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if d := cmp.Diff(map[string]string{"real/a.yaml": localGlobal, "real/sub/b.yaml": localGlobal}, now()); d != "" {
		t.Error(d)
	}
}

// TestFieldDInPlaceReadOnly: the mode of a file says whether it may be changed, to root too, and then no other file is changed either.
func TestFieldDInPlaceReadOnly(t *testing.T) {
	t.Parallel()
	dir, now := files(t, "a.yaml", "b.yaml")
	if err := os.Chmod(filepath.Join(dir, "b.yaml"), 0o400); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := run(t, "globalize", "--local", "-f", dir, "--in-place")
	want := fmt.Sprintf("error: --in-place: %s/b.yaml cannot be written: it is read-only; make it writable (chmod u+w) or leave it out; nothing was changed\n", dir)
	if d := cmp.Diff(want, stderr); d != "" || code != 1 {
		t.Errorf("exit code %d: %s", code, d)
	}
	if d := cmp.Diff(map[string]string{"a.yaml": localService, "b.yaml": localService}, now()); d != "" {
		t.Error(d)
	}
}

// TestFieldDOneNoteForEachReason: a repository has many Services of the system; one line names them.
func TestFieldDOneNoteForEachReason(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "svc.yaml")
	text := localService
	for n := range 9 {
		text += fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: kube-system}\n", n)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := run(t, "globalize", "--local", "-f", file)
	if strings.Count(stderr, "Note: ") != 1 || !strings.Contains(stderr, " and 4 more are left out: it is in kube-system\n") || code != 0 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
