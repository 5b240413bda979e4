package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

var contexts = []string{"kind-us", "kind-eu", "kind-ap"}

// setVariable is a statement that holds for the rest of the page.
var setVariable = regexp.MustCompile(`^export (\w+=\S+)$`)

// undoFile finds the record that a change has printed.
var undoFile = regexp.MustCompile(`kubectl mesh-svc undo (\S+)`)

// TestPages runs the commands of the README and of docs against the lab: each page in one terminal, from top to bottom. Afterwards the lab is as it was.
func TestPages(t *testing.T) {
	lab := os.Getenv("MESHLAB_KUBECONFIG")
	if lab == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make docs-check")
	}
	all := pages(t)
	w := newWorld(t, lab)
	unused := map[string]bool{}
	for page, commands := range expected {
		for command := range commands {
			unused[page+": "+command] = true
		}
	}
	for _, p := range sorted(all) {
		if !isDocumentation(p) || !hasCommands(p) {
			continue
		}
		t.Run(p.Path, func(t *testing.T) {
			w.reset(t)
			runPage(t, w, p, unused)
		})
	}
	if only := os.Getenv("DOCS_PAGE"); only == "" {
		if !regexp.MustCompile(restored).MatchString(w.drills.String()) {
			t.Errorf("no drill of any page restored the previous values:\n%s", w.drills.String())
		}
		for command := range unused {
			t.Errorf("no page shows this command any more: %s", command)
		}
	}
}

// hasCommands reports whether a page has a block that is run. DOCS_PAGE is a regular expression that selects pages.
func hasCommands(p Page) bool {
	if only := os.Getenv("DOCS_PAGE"); only != "" && !regexp.MustCompile(only).MatchString(p.Path) {
		return false
	}
	for _, b := range p.Blocks {
		if runs(b) {
			return true
		}
	}
	return false
}

func runs(b Block) bool {
	return b.NotRun() == "" && (b.Language() == "sh" || b.Language() == "console")
}

// runPage runs the blocks of one page.
func runPage(t *testing.T, world *world, p Page, unused map[string]bool) {
	t.Helper()
	s, record := world.session(t), ""
	for _, b := range p.Blocks {
		if !runs(b) {
			continue
		}
		for _, c := range b.Commands() {
			if m := setVariable.FindStringSubmatch(c.Text); m != nil {
				s.Env = append(s.Env, m[1])
				continue
			}
			w := expected[p.Path][c.Text]
			delete(unused, p.Path+": "+c.Text)
			if w.file != "" {
				if err := os.RemoveAll(filepath.Join(s.Dir, w.file)); err != nil {
					t.Fatal(err)
				}
			}
			shown, wrong, err := w.try(t, s, p.Path, c, strings.Replace(c.Text, " FILE", " "+record, 1))
			if err != nil {
				t.Fatalf("%s:%d: %v", p.Path, c.Line, err)
			}
			if strings.HasPrefix(c.Text, "kubectl mesh-probe drill ") {
				world.drills.WriteString(shown)
			}
			if w.file != "" && !strings.Contains(shown, "othing was changed") { // a drill that is refused writes nothing
				wrong = append(wrong, w.fileProblems(s.Dir)...)
			}
			for _, what := range wrong {
				report(fmt.Sprintf("%s:%d: %s: %s", p.Path, c.Line, c.Text, what), shown)
				t.Errorf("%s:%d: %s: %s. It shows:\n%s", p.Path, c.Line, c.Text, what, shown)
			}
			if m := undoFile.FindStringSubmatch(shown); m != nil {
				record = m[1]
			}
		}
	}
}

// world is the lab with the objects of both walk-throughs.
type world struct {
	dir     string
	env     []string
	objects string          // a directory with manifests
	drills  strings.Builder // what drills of all pages showed
}

// newWorld applies the objects that the pages take for granted, and removes them at the end.
func newWorld(t *testing.T, lab string) *world {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(lab)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, config, 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Abs("../../demo/manifests")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, objects: objects, env: append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"), "TERM=xterm")}
	w.kubectl(t, "config", "use-context", contexts[0])
	for _, c := range contexts {
		w.kubectl(t, "--context", c, "apply", "-f", objects)
		t.Cleanup(func() {
			w.kubectl(t, "--context", c, "delete", "-f", objects, "--timeout=300s")
			w.kubectl(t, "--context", c, "delete", "namespace", "shop", "--ignore-not-found", "--timeout=300s")
			w.deleteRoles(t, c)
		})
	}
	return w
}

// deleteRoles removes what the pages apply from the rbac commands.
func (w *world) deleteRoles(t *testing.T, contextName string) {
	t.Helper()
	for _, kinds := range []string{"clusterroles,clusterrolebindings", "roles,rolebindings"} {
		for _, name := range strings.Fields(w.kubectl(t, "--context", contextName, "-n", "kube-system", "get", kinds, "-o", "name")) {
			if strings.Contains(name, "/mesh-svc-") || strings.Contains(name, "/mesh-ca-") || strings.Contains(name, "/mesh-probe-") {
				w.kubectl(t, "--context", contextName, "-n", "kube-system", "delete", name)
			}
		}
	}
}

// reset gives a page what every page begins with: Services without annotations, two pods in us, one elsewhere, a CA for each cluster.
func (w *world) reset(t *testing.T) {
	t.Helper()
	annotations := []string{"service.cilium.io/global-", "service.cilium.io/shared-", "service.cilium.io/affinity-", "mesh.kubectl.io/drained-"}
	for _, c := range contexts {
		restoreCA(t, w.kubectl, c)
		for namespace, service := range map[string]string{"default": "nginx", "meshtest": "aks-helloworld-one"} {
			w.kubectl(t, append([]string{"--context", c, "-n", namespace, "annotate", "service", service}, annotations...)...)
		}
	}
	w.kubectl(t, "--context", contexts[0], "scale", "deployment", "rebel-base", "--replicas=2")
	for _, c := range contexts {
		for namespace, deployments := range map[string][]string{"default": {"deployment/client", "deployment/rebel-base"}, "meshtest": {"deployment/fftest", "deployment/aks-helloworld-one"}} {
			if err := labtest.RolledOut(func(args ...string) (string, error) {
				return w.kubectl(t, append([]string{"--context", c, "-n", namespace}, args...)...), nil
			}, deployments...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// session is a terminal in a directory of its own, with what the pages read: manifests in deploy, and the demo.
func (w *world) session(t *testing.T) *Session {
	t.Helper()
	s := &Session{Dir: t.TempDir(), Env: append([]string(nil), w.env...)}
	deploy := filepath.Join(s.Dir, "deploy")
	if err := os.Mkdir(deploy, 0o750); err != nil {
		t.Fatal(err)
	}
	const service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: nginx # the shop's entrance\nspec:\n  ports: [{port: 80}]\n"
	if err := os.WriteFile(filepath.Join(deploy, "nginx.yaml"), []byte(service), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(w.objects), filepath.Join(s.Dir, "demo")); err != nil {
		t.Fatal(err)
	}
	return s
}

// kubectl runs kubectl as the pages do.
func (w *world) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("kubectl", args...)
	cmd.Env = w.env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String()
}

// restoreCA restores cilium-ca at the end and removes the backups of mesh-ca.
func restoreCA(t *testing.T, kubectl func(*testing.T, ...string) string, contextName string) {
	t.Helper()
	const namespace, name = "kube-system", "cilium-ca"
	t.Cleanup(func() {
		kept := strings.Fields(kubectl(t, "--context", contextName, "-n", namespace, "get", "secrets", "-l", "mesh.kubectl.io/backup-of="+name, "-o", "name"))
		for _, secret := range kept {
			kubectl(t, "mesh-ca", "restore", "--in", strings.TrimPrefix(contextName, "kind-"), "--backup", strings.TrimPrefix(secret, "secret/"), "--yes")
		}
		if len(kept) > 0 {
			kubectl(t, "--context", contextName, "-n", namespace, "delete", "secrets", "-l", "mesh.kubectl.io/backup-of="+name)
		}
	})
}
