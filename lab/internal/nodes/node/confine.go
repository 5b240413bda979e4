package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// keptCapabilities are what the first user of a container may do, as with container runtimes but without
// making device nodes. It matters where the lab runs as root: a pod is then root of this machine, save for this.
const keptCapabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID |
	1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_NET_RAW | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_AUDIT_WRITE

// machineCapabilities are what even a privileged container may not do: load modules into the kernel, restart the machine, set
// its clock and write to its devices. Cilium needs none of it.
const machineCapabilities = 1<<unix.CAP_SYS_MODULE | 1<<unix.CAP_SYS_BOOT | 1<<unix.CAP_SYS_TIME | 1<<unix.CAP_SYS_RAWIO

// confine takes capabilities from whatever the calling thread executes from now on.
func confine(privileged bool) error {
	for c := range uintptr(64) {
		if keeps(privileged, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // beyond the last one that this kernel knows
		}
		if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

func keeps(privileged bool, capability uintptr) bool {
	if privileged {
		return machineCapabilities>>capability&1 == 0
	}
	return keptCapabilities>>capability&1 == 1
}

// protectKernel keeps what a privileged program writes from the settings that belong to the whole machine: all but
// /proc/sys/net, which belongs to the network namespace. Without it an agent of Cilium changes
// kernel.unprivileged_bpf_disabled and kernel.timer_migration, the first of which lasts until the next boot.
func protectKernel(proc string) error {
	settings, err := os.ReadDir(filepath.Join(proc, "sys"))
	if err != nil {
		return err
	}
	shared := []string{"bus", "fs", "irq"}
	for _, entry := range settings {
		if entry.Name() != "net" {
			shared = append(shared, filepath.Join("sys", entry.Name()))
		}
	}
	for _, name := range shared {
		if err := makeReadOnly(filepath.Join(proc, name)); err != nil && !errors.Is(err, unix.ENOENT) {
			return err // not every kernel has all of them
		}
	}
	return maskTrigger(proc)
}

// makeReadOnly makes a directory read-only in this mount namespace.
func makeReadOnly(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, dir, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("make %s read-only: %w", dir, err)
	}
	return nil
}

// maskProc keeps the container from the settings of the whole machine.
func maskProc(proc string) error {
	if err := makeReadOnly(filepath.Join(proc, "sys")); err != nil {
		return err
	}
	return maskTrigger(proc)
}

// maskTrigger hides the file that restarts the machine.
func maskTrigger(proc string) error {
	trigger := filepath.Join(proc, "sysrq-trigger")
	// Not every kernel has it.
	if err := unix.Mount("/dev/null", trigger, "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("mask %s: %w", trigger, err)
	}
	return nil
}

// mountSys shows the devices of the calling thread's network namespace. It is read-only, as most of it belongs to the machine.
func mountSys(dir string) error {
	if err := unix.Mount("sysfs", dir, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount sys: %w", err)
	}
	return unix.MountSetattr(unix.AT_FDCWD, dir, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}
