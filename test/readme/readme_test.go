package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// want is what a line of the README must do. A line that is not listed must exit with 0.
type want struct {
	code    int
	shows   string // a regular expression
	answers []Answer
}

// yes answers the prompt of a command that changes something in clusters that the user did not name.
var yes = []Answer{{When: "(y/N): ", Type: "y\n"}}

// expected maps a command, without its comment, to what is special about it.
var expected = map[string]want{
	"kubectl mesh-svc clusters":               {shows: `(?m)^us +kind-us +1 .* ok `},
	"kubectl mesh-svc globalize nginx":        {shows: `us +default +nginx +changed`, answers: yes},
	"kubectl mesh-svc list -A":                {shows: `default +nginx`},
	"kubectl mesh-svc list -A -w":             {code: 130, shows: `default +nginx`, answers: []Answer{{When: "nginx", Type: "\x03"}}},
	"kubectl mesh-svc affinity local nginx":   {shows: `changed`, answers: yes},
	"kubectl mesh-svc unshare nginx --in us":  {shows: `changed`},
	"kubectl mesh-svc undo FILE":              {shows: `service.cilium.io/shared: "false" -> <absent>`, answers: yes},
	"kubectl mesh-svc drain us":               {shows: `us `, answers: yes},
	"kubectl mesh-svc undrain us":             {answers: yes},
	"kubectl mesh-ca status":                  {code: 1, shows: `CA010`}, // the clusters do not trust each other yet
	"kubectl mesh-ca check":                   {code: 1, shows: `CA010`},
	"kubectl mesh-ca sync --from us --to-all": {shows: `eu +kube-system/cilium-ca .* changed`, answers: yes},
	"kubectl mesh-ca rotate":                  {code: 2, shows: `the CA cannot be rotated as things are`}, // for the same reason
	"kubectl mesh-ca backup --all -f cas.age": {shows: `Wrote .*/cas\.age`, answers: []Answer{{When: "Passphrase for", Type: "correct horse battery\n"}, {When: "The same again", Type: "correct horse battery\n"}}},
	"kubectl mesh-ca backups":                 {shows: `eu +cilium-ca-backup-`},
}

// colour is what a terminal gets around the words of some cells.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// undoFile finds the record that a change has printed.
var undoFile = regexp.MustCompile(`kubectl mesh-svc undo (\S+)`)

// TestReadme runs the block "Use" against the lab, in one session. Afterwards the lab is as it was.
func TestReadme(t *testing.T) {
	lab := os.Getenv("MESHLAB_KUBECONFIG")
	if lab == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make test")
	}
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := Block(string(page), "## Use")
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, lab)
	var record string
	for _, line := range lines {
		command, _, _ := strings.Cut(line, " #")
		command = strings.TrimSpace(command)
		w := expected[command]
		run := strings.Replace(command, " FILE", " "+record, 1)
		shown, code, err := s.Run(t.Context(), run, w.answers...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("$ %s\n%s(exit code %d)", run, shown, code)
		if code != w.code {
			t.Errorf("%s: exit code %d, want %d:\n%s", run, code, w.code, shown)
		}
		if !regexp.MustCompile(w.shows).MatchString(colour.ReplaceAllString(shown, "")) {
			t.Errorf("%s does not show %s:\n%s", run, w.shows, shown)
		}
		if m := undoFile.FindStringSubmatch(shown); m != nil {
			record = m[1]
		}
	}
	for command := range expected {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, command) }) {
			t.Errorf("the README does not show %q any more", command)
		}
	}
}

// newSession applies the objects that the README takes for granted, and removes them at the end.
func newSession(t *testing.T, lab string) *Session {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(lab)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	deploy := filepath.Join(dir, "deploy")
	if err := os.WriteFile(kubeconfig, config, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(deploy, 0o750); err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Abs("../../demo/manifests/first.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{Dir: dir, Env: append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"), "TERM=xterm")}
	kubectl := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("kubectl", args...)
		cmd.Env = s.Env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if err := os.WriteFile(filepath.Join(deploy, "nginx.yaml"), []byte("apiVersion: v1\nkind: Service\nmetadata:\n  name: nginx # the shop's entrance\nspec:\n  ports: [{port: 80}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl("config", "use-context", "kind-us")
	for _, c := range []string{"kind-us", "kind-eu", "kind-ap"} {
		restoreCA(t, kubectl, c)
		kubectl("--context", c, "apply", "-f", objects)
		t.Cleanup(func() { kubectl("--context", c, "delete", "-f", objects, "--timeout=90s") })
	}
	kubectl("--context", "kind-us", "scale", "deployment", "rebel-base", "--replicas=2")
	for _, c := range []string{"kind-us", "kind-eu", "kind-ap"} {
		for _, d := range []string{"client", "rebel-base"} {
			kubectl("--context", c, "rollout", "status", "deployment/"+d, "--timeout=120s")
		}
	}
	return s
}

// restoreCA restores cilium-ca at the end and removes the backups of mesh-ca.
func restoreCA(t *testing.T, kubectl func(...string) string, contextName string) {
	t.Helper()
	const namespace, name = "kube-system", "cilium-ca"
	t.Cleanup(func() {
		kept := strings.Fields(kubectl("--context", contextName, "-n", namespace, "get", "secrets", "-l", "mesh.kubectl.io/backup-of="+name, "-o", "name"))
		for _, secret := range kept {
			kubectl("mesh-ca", "restore", "--in", strings.TrimPrefix(contextName, "kind-"), "--backup", strings.TrimPrefix(secret, "secret/"), "--yes")
		}
		if len(kept) > 0 {
			kubectl("--context", contextName, "-n", namespace, "delete", "secrets", "-l", "mesh.kubectl.io/backup-of="+name)
		}
	})
}
