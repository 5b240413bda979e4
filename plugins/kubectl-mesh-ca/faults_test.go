package ca_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
)

// faultTable has a row for every command of kubectl mesh-ca. In the lab nothing proves that the clusters are connected, so that a rotation is refused before it writes:
// its writes meet faults in make rotate-kill and in TestSequences of package rotate.
func faultTable() faults.Matrix {
	const (
		restorePrinted = "kubectl mesh-ca restore --in "
		refused        = 1
	)
	json := []string{"-o", "json"}
	return faults.Matrix{
		Binary: "kubectl-mesh_ca",
		Root:   cmd.NewRoot(genericiooptions.NewTestIOStreamsDiscard()),
		Faulty: "eu",
		Global: []string{"--contexts", "kind-us,kind-eu,kind-ap", "--cluster-timeout", "4s"},
		Note: "In the lab nothing proves that the clusters are connected, so that rotate start, continue, finish and abort are refused before they write. Their writes meet faults in\n" +
			"make rotate-kill, and in TestSequences of package rotate.",
		Rows: []faults.Row{
			{Command: "backups", Args: json},
			{Command: "check", Args: append(json, "--fail-on", "never")},
			{Command: "rotate", Exit: 2},
			{Command: "rotate plan", Args: json, Exit: 2},
			{Command: "rotate status", Args: json},
			{Command: "status", Args: append(json, "--fail-on", "never")},
			{Command: "backup", Args: []string{"--all", "-f", "cas.age"}, Prepare: passphrase, WayBack: "nothing to undo: it writes a file"},
			{Command: "backups prune", Args: []string{"--older-than", "0", "--yes"}, Prepare: unusedBackup, NoWayBack: "a backup that is deleted is gone"},
			{Command: "federate", Args: []string{"--wait", "0", "--yes"}, WayBack: "kubectl mesh-ca federate --off|" + restorePrinted},
			{Command: "init", Args: []string{"--in", "kind-us,kind-eu", "--cilium-namespace", "faults-ca", "--yes"}, WayBack: "-n faults-ca delete secret cilium-ca"},
			{Command: "reissue", Args: []string{"--in", "eu", "--all", "--yes", "--wait", "3s"}, Exit: 1, Prepare: unownedLeaf, WayBack: restorePrinted},
			{Command: "restore", Args: []string{"--in", "eu", "--yes"}, Prepare: replaced, WayBack: restorePrinted},
			{Command: "rotate abort", Args: []string{"--yes"}, Exit: refused, WayBack: "nothing is written"},
			{Command: "rotate continue", Args: []string{"--yes"}, Exit: refused, WayBack: "nothing is written"},
			{Command: "rotate finish", Args: []string{"--yes"}, Exit: refused, WayBack: "nothing is written"},
			{Command: "rotate repair", Args: []string{"--wait", "0", "--yes"}, WayBack: restorePrinted + "|kubectl mesh-ca federate --off"},
			{Command: "rotate start", Args: []string{"--yes"}, Exit: refused, WayBack: "nothing is written"},
			{Command: "sync", Args: []string{"--from", "us", "--to-all", "--yes"}, WayBack: restorePrinted},
			{Command: "rbac", Offline: true},
			{Command: "completion", Args: []string{"kubectl"}, Offline: true},
			{Command: "help", Offline: true},
			{Command: "options", Offline: true},
			{Command: "schema", Offline: true},
			{Command: "version", Offline: true},
		},
	}
}

// passphrase is a file with one.
func passphrase(e *faults.Env) []string {
	path := filepath.Join(e.Dir, "passphrase")
	if err := os.WriteFile(path, []byte("correct horse battery staple\n"), 0o600); err != nil {
		e.T.Fatal(err)
	}
	return []string{"--passphrase-file", path}
}

// replaced gives eu the CA of us, and returns the backup of its own.
func replaced(e *faults.Env) []string {
	e.Plugin("sync", "--from", "us", "--to", "eu", "--yes")
	names := strings.Fields(e.Kubectl("", "--context", "kind-eu", "-n", ciliumNamespace, "get", "secrets", "-l", "mesh.kubectl.io/backup-of=cilium-ca", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(names) != 1 {
		e.T.Fatalf("backups in eu: %q", names)
	}
	return []string{"--backup", names[0]}
}

// unusedBackup makes a backup in eu of a CA that signed nothing.
func unusedBackup(e *faults.Env) []string {
	values, _ := e.Plugin("init", "--print-values")
	pair := regexp.MustCompile(`(?s)cert: (\S+).*key: (\S+)`).FindStringSubmatch(values)
	if pair == nil {
		e.T.Fatal("init --print-values prints no CA")
	}
	e.Kubectl("", "--context", "kind-eu", "-n", ciliumNamespace, "patch", "secret", "cilium-ca", "--type=merge", "-p", `{"data":{"ca.crt":"`+pair[1]+`","ca.key":"`+pair[2]+`"}}`)
	e.Plugin("sync", "--from", "us", "--to", "eu", "--yes")
	return nil
}

// unownedLeaf makes a leaf certificate in eu that nobody issues, so that reissue signs it.
func unownedLeaf(e *faults.Env) []string {
	const plain = `{"apiVersion":"v1","kind":"Secret","type":"{{.type}}","metadata":{"name":"{{.metadata.name}}"},"data":{ {{$n := 0}}{{range $k, $v := .data}}{{if $n}},{{end}}{{$n = 1}}{{printf "%q:%q" $k $v}}{{end}} }}`
	of := []string{"--context", "kind-eu", "-n", ciliumNamespace}
	const leaf = "clustermesh-apiserver-remote-cert"
	text := e.Kubectl("", append(of, "get", "secret", leaf, "-o", "go-template="+plain)...)
	e.Kubectl("", append(of, "delete", "secret", leaf)...)
	e.Kubectl(text, append(of, "create", "-f", "-")...)
	return nil
}

// TestEveryCommandMeetsFaults: no command is forgotten in the table of make faults.
func TestEveryCommandMeetsFaults(t *testing.T) {
	t.Parallel()
	faultTable().EveryCommand(t)
}
