package podnet_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// TestPrivileged starts a container as the agents of Cilium are: in the node's network, with all capabilities that do not
// reach beyond the node.
func TestPrivileged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the lab runs Cilium as root only")
	}
	w := newWorld(t)
	img, err := w.store.Find("busybox")
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if _, err := w.client.StartContainer(t.Context(), podwire.Start{
		Proc: "agent", Hostname: "agent", Privileged: true, Root: img.Root, Argv: img.Command, Env: img.Env,
	}, null, null); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		command string
		works   bool
	}{
		"settings of its network": {"cat /proc/sys/net/ipv4/ip_forward | tee /proc/sys/net/ipv4/ip_forward", true},
		"interfaces":              {"ip link add name test0 type bridge && ip link del test0", true},
		"mounts":                  {"mount -t tmpfs none /tmp && umount /tmp", true},
		// These write what they have read: even without protection nothing would change.
		"settings of the kernel":   {"cat /proc/sys/kernel/printk | tee /proc/sys/kernel/printk", false},
		"settings of the machine":  {"cat /proc/sys/vm/swappiness | tee /proc/sys/vm/swappiness", false},
		"parameters of the kernel": {"grep ' /sys sysfs rw' /proc/mounts", false},
		"the system request key":   {"test -f /proc/sysrq-trigger", false},
	} {
		out, code := w.sh("agent", "sh", "-c", "set -o pipefail; "+tc.command)
		if (code == 0) != tc.works {
			t.Errorf("%s: exit code %d, %s", name, code, out)
		}
	}
	// CAP_SYS_MODULE is bit 16 and CAP_SYS_BOOT bit 22; CAP_NET_ADMIN is bit 12 and CAP_SYS_ADMIN bit 21.
	for _, process := range []string{"1", "self"} {
		out, _ := w.sh("agent", "sh", "-c", `c=0x$(sed -n 's/CapEff:\t//p' /proc/`+process+`/status); echo $((c >> 16 & 1)) $((c >> 22 & 1)) $((c >> 12 & 1)) $((c >> 21 & 1))`)
		if strings.TrimSpace(out) != "0 0 1 1" {
			t.Errorf("capabilities of process %s (module, boot, network, system): %s", process, out)
		}
	}
}
