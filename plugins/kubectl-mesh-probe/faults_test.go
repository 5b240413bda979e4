package probe_test

import (
	"path/filepath"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
)

// faultTable has a row for every command of kubectl mesh-probe. The client pods and the Service are those of permissionObjects.
func faultTable() faults.Matrix {
	in := []string{"-n", "faults-probe", "--from", "deploy/client"}
	drill := func(variant, with string) faults.Row {
		return faults.Row{
			Command: "drill", Variant: variant, Changes: true, Timed: true, WayBack: "kubectl mesh-probe drill --repair",
			Args: append([]string{"web", "--in", "eu", "--with", with, "--from-clusters", "us,eu", "--baseline", "1s", "--hold", "8s", "--rate", "5", "--timeout", "5s", "--restore-timeout", "5s", "--return-timeout", "5s", "--yes"}, in...),
		}
	}
	return faults.Matrix{
		Binary: "kubectl-mesh_probe",
		Root:   cmd.NewRoot(genericiooptions.NewTestIOStreamsDiscard()),
		Faulty: "eu",
		Global: []string{"--contexts", "kind-us,kind-eu,kind-ap", "--cluster-timeout", "4s"},
		Note:   "The row drill is one --with shared.",
		Rows: []faults.Row{
			{Args: append([]string{"http://web", "--count", "10", "-o", "json"}, in...), Reach: []string{"--from-clusters", "us,eu"}},
			drill("", "shared"), drill("--with scale", "scale"), drill("--with evict", "evict"),
			{Command: "cleanup", Args: []string{"-n", "faults-probe", "--yes"}, Prepare: helperPod, NoWayBack: "nothing uses a helper pod that is left"},
			{Command: "compare", Prepare: recorded, Exit: 2, Offline: true},
			{Command: "merge", Prepare: recorded, Offline: true},
			{Command: "report", Args: []string{"-o", "json"}, Prepare: func(e *faults.Env) []string { return recorded(e)[:1] }, Offline: true},
			{Command: "rbac", Offline: true},
			{Command: "completion", Args: []string{"kubectl"}, Offline: true},
			{Command: "help", Offline: true},
			{Command: "options", Offline: true},
			{Command: "schema", Offline: true},
			{Command: "version", Offline: true},
		},
	}
}

// recorded returns the records of two runs, which it makes once.
func recorded(e *faults.Env) []string {
	records := []string{filepath.Join(e.Dir, "a.gz"), filepath.Join(e.Dir, "b.gz")}
	for _, r := range records {
		if found, err := filepath.Glob(r); err != nil || len(found) == 0 {
			e.Plugin("http://web", "--from", "deploy/client", "-n", e.Namespace, "--count", "10", "--record", r)
		}
	}
	return records
}

// helperPod makes a pod in eu as a killed mesh-probe leaves it.
func helperPod(e *faults.Env) []string {
	e.Kubectl(`apiVersion: v1
kind: Pod
metadata: {name: mesh-probe-helper-0123abcd, labels: {app.kubernetes.io/managed-by: kubectl-mesh-probe}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: client, image: meshlab/busybox}]}
`, "--context", "kind-eu", "-n", e.Namespace, "apply", "-f", "-")
	return nil
}

// TestEveryCommandMeetsFaults: no command is forgotten in the table of make faults.
func TestEveryCommandMeetsFaults(t *testing.T) {
	t.Parallel()
	faultTable().EveryCommand(t)
}
