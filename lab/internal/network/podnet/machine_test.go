package podnet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// cniPlugin writes down how it is called, fails while a file exists, and gives every pod the same address.
const cniPlugin = `#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_ARGS" >>%[1]s/calls
[ "$CNI_COMMAND" = ADD ] || exit 0
if [ -e %[1]s/fail ]; then
	echo '{"cniVersion": "0.3.1", "code": 11, "msg": "the agent does not answer"}'
	exit 1
fi
[ -e "$CNI_NETNS" ] && echo '{"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "10.1.1.7/32"}]}'
`

// TestMachine starts a node that is a machine, with a plugin that makes no network.
func TestMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cgroup, err := podnet.Cgroup(dir)
	if os.Geteuid() != 0 || err != nil || os.Mkdir(cgroup, 0o755) != nil {
		t.Skip("needs root and cgroups")
	}
	t.Cleanup(func() {
		if err := podnet.RemoveCgroup(cgroup); err != nil {
			t.Error(err)
		}
	})
	plugin := filepath.Join(dir, "plugin")
	program.Write(t, plugin, fmt.Sprintf(cniPlugin, dir))
	client, err := podnet.Start(t.Context(), binary, podwire.Setup{Kind: podwire.KindMachine, WorkDir: t.TempDir(), Machine: &podwire.Machine{
		Name: "us-worker", Cgroup: cgroup, Disk: t.TempDir(), Plugin: plugin, Network: `{"cniVersion": "0.3.1", "name": "test", "type": "plugin"}`,
	}}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	processes, err := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	if err != nil || len(strings.Fields(string(processes))) != 1 {
		t.Errorf("processes in the node's cgroup: %q, %v", processes, err)
	}

	pod := podwire.Pod{Name: "p1", Args: [][2]string{{"K8S_POD_NAME", "web"}}}
	fail := filepath.Join(dir, "fail")
	if err := os.WriteFile(fail, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A pod that could not be connected is not in the way of the next attempt.
	for range 2 {
		if _, err := client.AddPod(t.Context(), pod); err == nil || !strings.Contains(err.Error(), "the agent does not answer") {
			t.Errorf("while the plugin fails: %v", err)
		}
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	ip, err := client.AddPod(t.Context(), pod)
	if err != nil || ip != "10.1.1.7" {
		t.Fatalf("address %q, %v", ip, err)
	}
	if err := client.DelPod(t.Context(), pod.Name); err != nil {
		t.Error(err)
	}
	if stats, err := client.Stats(t.Context()); err != nil || stats.Pods != 0 || stats.Zombies != 0 {
		t.Errorf("left over: %+v, %v", stats, err)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	const failed = "ADD p1 K8S_POD_NAME=web\nDEL p1 K8S_POD_NAME=web\n"
	if want := failed + failed + failed; err != nil || string(calls) != want {
		t.Errorf("calls of the plugin: %v\n%s", err, calls)
	}
}
