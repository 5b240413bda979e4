// Package workflows checks the workflows of GitHub Actions: with actionlint, and by the rules of this repository. It is
// a module of its own, so that the plugins do not depend on actionlint.
package workflows

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rhysd/actionlint"
)

const repository = "../.."

// pinned is an action at a commit, with the version as a comment, so that a person can read it.
var pinned = regexp.MustCompile(`^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

func workflows(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, ".github", "workflows", "*.y*ml"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(file)] = string(data)
	}
	if found["ci.yaml"] == "" || found["release.yaml"] == "" {
		t.Fatalf("ci.yaml or release.yaml is missing: %v", files)
	}
	return found
}

// lint returns the messages of actionlint, which does not run programs of the machine.
func lint(t *testing.T, name, text string) []string {
	t.Helper()
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := linter.Lint(name, []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, p := range problems {
		messages = append(messages, p.Error())
	}
	return messages
}

// rules returns what actionlint does not check: which version of an action runs, and what a job may do.
func rules(t *testing.T, text string) []string {
	t.Helper()
	var problems []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.Contains(line, "uses:") && !pinned.MatchString(line) {
			problems = append(problems, "not pinned to a commit: "+strings.TrimSpace(line))
		}
	}
	workflow, errs := actionlint.Parse([]byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if workflow.Permissions == nil || workflow.Permissions.All != nil || len(workflow.Permissions.Scopes) > 0 {
		problems = append(problems, "the workflow must have `permissions: {}`; each job names its own")
	}
	for id, job := range workflow.Jobs {
		if job.TimeoutMinutes == nil {
			problems = append(problems, "job "+id+" has no timeout-minutes")
		}
		if job.Permissions == nil || job.Permissions.All != nil {
			problems = append(problems, "job "+id+" does not name its permissions")
			continue
		}
		for scope, permission := range job.Permissions.Scopes {
			if permission.Value.Value != "read" && id != "publish" {
				problems = append(problems, "job "+id+" has the permission "+scope+": "+permission.Value.Value)
			}
		}
	}
	return problems
}

func TestWorkflows(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range workflows(t) {
		for _, problem := range append(lint(t, name, text), rules(t, text)...) {
			t.Errorf("%s: %s", name, problem)
		}
		for _, call := range regexp.MustCompile(`run: make ([\w/-]+)`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+call[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", name, call[1])
			}
		}
	}
}

// TestDocumentedWorkflow: the workflow that docs/tasks/ci.md shows is one that GitHub Actions accepts.
func TestDocumentedWorkflow(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(repository, "docs", "tasks", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)\n```yaml\n(.*?\njobs:\n.*?)```\n").FindAllStringSubmatch(string(page), -1)
	if len(found) != 1 {
		t.Fatalf("docs/tasks/ci.md shows %d workflows", len(found))
	}
	for _, problem := range lint(t, "ci.md", found[0][1]) {
		t.Error(problem)
	}
}

// TestRelease compares the permissions of the job that publishes, and the identity that it signs with, with the docs.
func TestRelease(t *testing.T) {
	t.Parallel()
	text := workflows(t)["release.yaml"]
	workflow, errs := actionlint.Parse([]byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got := map[string]string{}
	for scope, permission := range workflow.Jobs["publish"].Permissions.Scopes {
		got[scope] = permission.Value.Value
	}
	if diff := cmp.Diff(map[string]string{"contents": "write", "id-token": "write"}, got); diff != "" {
		t.Errorf("permissions of publish (-want +got):\n%s", diff)
	}
	const issuer = "https://token.actions.githubusercontent.com"
	for _, doc := range []string{"docs/install.md", "docs/releasing.md"} {
		data, err := os.ReadFile(filepath.Join(repository, doc))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), issuer) {
			t.Errorf("%s does not name the issuer %s", doc, issuer)
		}
		if !strings.Contains(string(data), "/.github/workflows/release.yaml@refs/tags/") {
			t.Errorf("%s does not name the workflow that signs", doc)
		}
	}
	if !strings.Contains(text, issuer) {
		t.Errorf("release.yaml does not verify what it signed by the issuer %s", issuer)
	}
}

// TestBrokenWorkflowsAreFound makes sure that the checks above can fail.
func TestBrokenWorkflowsAreFound(t *testing.T) {
	t.Parallel()
	const good = `on: push
permissions: {}
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - run: echo
`
	for name, test := range map[string]struct{ old, broken, want string }{
		"nothing":               {"", "", ""},
		"unknown event":         {"on: push", "on: pusch", `unknown Webhook event "pusch"`},
		"unknown runner":        {"ubuntu-24.04", "ubuntu-1.04", `label "ubuntu-1.04" is unknown`},
		"script injection":      {"run: echo", "run: echo ${{ github.event.head_commit.message }}", "is potentially untrusted"},
		"tag instead of commit": {"@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "not pinned to a commit"},
		"no version":            {" # v7.0.1", "", "not pinned to a commit"},
		"default permissions":   {"permissions: {}\n", "", "must have `permissions: {}`"},
		"all permissions":       {"permissions: {}\n", "permissions: write-all\n", "must have `permissions: {}`"},
		"write":                 {"contents: read", "contents: write", "job test has the permission contents: write"},
		"no timeout":            {"    timeout-minutes: 5\n", "", "job test has no timeout-minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(good, test.old, test.broken, 1)
			got := strings.Join(append(lint(t, "test.yaml", text), rules(t, text)...), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("problems = %q, want %q", got, test.want)
			}
		})
	}
}
