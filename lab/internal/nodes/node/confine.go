package node

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// keptCapabilities are what the first user of a container may do, as with container runtimes but without
// making device nodes. It matters where the lab runs as root: a pod is then root of this machine, save for this.
const keptCapabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID |
	1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_NET_RAW | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_AUDIT_WRITE

// confine takes all other capabilities from whatever the calling thread executes from now on.
func confine() error {
	for c := range uintptr(64) {
		if keptCapabilities>>c&1 == 1 {
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

// protectKernel keeps what a privileged program writes from the settings that belong to the whole machine. Those of
// /proc/sys/net belong to the network namespace. Without it an agent of Cilium changes
// kernel.unprivileged_bpf_disabled and kernel.timer_migration, the first of which lasts until the next boot.
func protectKernel(proc string) error {
	for _, dir := range []string{"sys/kernel", "sys/vm", "sys/fs", "sys/dev", "sys/debug", "sys/user"} {
		settings := filepath.Join(proc, dir)
		if err := unix.Mount(settings, settings, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			if errors.Is(err, unix.ENOENT) {
				continue // not every kernel has all of them
			}
			return fmt.Errorf("bind %s: %w", settings, err)
		}
		if err := unix.MountSetattr(unix.AT_FDCWD, settings, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make %s read-only: %w", settings, err)
		}
	}
	return nil
}

// maskProc keeps the container from the settings of the whole machine.
func maskProc(proc string) error {
	settings := filepath.Join(proc, "sys")
	if err := unix.Mount(settings, settings, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", settings, err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, settings, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("make %s read-only: %w", settings, err)
	}
	trigger := filepath.Join(proc, "sysrq-trigger")
	// Not every kernel has it.
	if err := unix.Mount("/dev/null", trigger, "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("mask %s: %w", trigger, err)
	}
	return nil
}
