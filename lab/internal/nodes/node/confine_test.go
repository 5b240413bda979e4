package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKeeps(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		privileged bool
		capability uintptr
		want       bool
	}{
		"a pod binds port 80":                {false, unix.CAP_NET_BIND_SERVICE, true},
		"a pod changes no network":           {false, unix.CAP_NET_ADMIN, false},
		"a pod makes no mounts":              {false, unix.CAP_SYS_ADMIN, false},
		"an agent changes its network":       {true, unix.CAP_NET_ADMIN, true},
		"an agent loads BPF programs":        {true, unix.CAP_BPF, true},
		"an agent makes mounts":              {true, unix.CAP_SYS_ADMIN, true},
		"an agent loads no kernel modules":   {true, unix.CAP_SYS_MODULE, false},
		"an agent does not restart anything": {true, unix.CAP_SYS_BOOT, false},
		"an agent does not set the clock":    {true, unix.CAP_SYS_TIME, false},
	} {
		if got := keeps(tc.privileged, tc.capability); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

var errNoNamespaces = errors.New("this user may make no namespaces")

// TestProtectKernel writes back what it has read: even without protection nothing would change.
func TestProtectKernel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string) error {
		file := filepath.Join(dir, name)
		value, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(file, value, 0o600)
	}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
			return errNoNamespaces
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("proc", dir, "proc", 0, ""); err != nil {
			return err
		}
		if err := protectKernel(dir); err != nil {
			return err
		}
		for _, name := range []string{"sys/kernel/printk", "sys/vm/swappiness", "sys/fs/file-max"} {
			if err := write(name); !errors.Is(err, unix.EROFS) {
				t.Errorf("%s can be written to: %v", name, err)
			}
		}
		if err := write("sys/net/ipv4/ip_forward"); err != nil {
			t.Errorf("settings of the network namespace: %v", err)
		}
		if info, err := os.Stat(filepath.Join(dir, "sysrq-trigger")); err == nil && info.Mode()&os.ModeCharDevice == 0 {
			t.Error("sysrq-trigger is not masked")
		}
		if err := mountSys(dir); err != nil {
			return err
		}
		if err := unix.Access(filepath.Join(dir, "class"), unix.W_OK); !errors.Is(err, unix.EROFS) {
			t.Errorf("/sys can be written to: %v", err)
		}
		return nil
	})
	switch {
	case errors.Is(err, errNoNamespaces):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}
