package svc_test

import (
	"regexp"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
)

const undoPrinted = `kubectl mesh-svc undo \S+|"undoCommand": "kubectl mesh-svc undo `

// faultTable has a row for every command of kubectl mesh-svc. The Services are those of faultObjects.
func faultTable() faults.Matrix {
	json := []string{"-o", "json"}
	write := func(args ...string) []string { return append(args, "--yes", "-n", "faults-svc") }
	return faults.Matrix{
		Binary: "kubectl-mesh_svc",
		Root:   cmd.NewRoot(genericiooptions.NewTestIOStreamsDiscard()),
		Faulty: "eu",
		Global: []string{"--cluster-timeout", "4s"},
		Rows: []faults.Row{
			{Command: "check", Args: append(json, "-A", "--fail-on", "never")},
			{Command: "clusters", Args: json},
			{Command: "describe", Args: append(json, "web", "-n", "faults-svc")},
			{Command: "graph", Args: append(json, "-A")},
			{Command: "list", Args: append(json, "-A")},
			{Command: "affinity", Args: write("local", "web"), WayBack: undoPrinted},
			{Command: "drain", Args: []string{"eu", "--yes"}, WayBack: "kubectl mesh-svc undrain eu"},
			{Command: "globalize", Args: write("plain"), WayBack: undoPrinted},
			{Command: "share", Args: write("closed", "--in", "us,eu"), WayBack: undoPrinted},
			{Command: "undo", Args: []string{"--yes"}, Prepare: globalized, WayBack: "run the same command again|kubectl mesh-svc undo "},
			{Command: "undrain", Args: []string{"eu", "--yes"}, Prepare: drained, WayBack: "The record is kept; run the command again to go on"},
			{Command: "unglobalize", Args: write("web"), WayBack: undoPrinted},
			{Command: "unshare", Args: write("web", "--in", "us,eu"), WayBack: undoPrinted},
			{Command: "rbac", Offline: true},
			{Command: "completion", Args: []string{"kubectl"}, Offline: true},
			{Command: "help", Offline: true},
			{Command: "options", Offline: true},
			{Command: "schema", Offline: true},
			{Command: "version", Offline: true},
		},
	}
}

// globalized makes a change, and returns its record.
func globalized(e *faults.Env) []string {
	stdout, stderr := e.Plugin("globalize", "plain", "--yes", "-n", e.Namespace)
	found := regexp.MustCompile(`mesh-svc undo (\S+)`).FindStringSubmatch(stdout + stderr)
	if found == nil {
		e.T.Fatalf("no record:\n%s%s", stdout, stderr)
	}
	return found[1:]
}

func drained(e *faults.Env) []string {
	e.Plugin("drain", "eu", "--yes")
	return nil
}

// TestEveryCommandMeetsFaults: no command is forgotten in the table of make faults.
func TestEveryCommandMeetsFaults(t *testing.T) {
	t.Parallel()
	faultTable().EveryCommand(t)
}
