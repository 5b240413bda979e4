package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// Descriptors that `init` inherits.
const (
	fdSpec  = 3
	fdError = 4
)

// Init is the first program in a container. It builds the root file system, moves into
// it and becomes the container's command; it returns only on failure, after it
// has written the reason to descriptor 4.
func Init() error {
	unix.CloseOnExec(fdSpec)
	unix.CloseOnExec(fdError)
	err := runInit()
	out := os.NewFile(fdError, "error")
	_, werr := out.WriteString(err.Error())
	return errors.Join(err, werr)
}

func runInit() error {
	var spec initSpec
	in := os.NewFile(fdSpec, "spec")
	if err := json.NewDecoder(in).Decode(&spec); err != nil {
		return fmt.Errorf("read the container's description: %w", err)
	}
	s := spec.Start
	if len(s.Argv) == 0 {
		return errors.New("no command")
	}
	if err := buildRoot(spec.RootDir, &s.Root, s.Privileged); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	if err := enterRoot(spec.RootDir, s.Root.ReadOnly); err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	dir := s.Dir
	if dir == "" {
		dir = "/"
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	file, err := lookPath(s.Argv[0], s.Env, dir)
	if err != nil {
		return err
	}
	if err := confine(s.Privileged); err != nil {
		return err
	}
	if filepath.Base(file) == "sleep" {
		// It has no children of its own but inherits those that commands leave behind, and would never
		// wait for them. Ignored, which execve keeps, the signal makes the kernel do it.
		signal.Ignore(unix.SIGCHLD)
	}
	if err := unix.Exec(file, s.Argv, s.Env); err != nil {
		return fmt.Errorf("exec: %q: %w", s.Argv[0], err)
	}
	return nil
}

func buildRoot(root string, r *podwire.Root, privileged bool) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for _, d := range append([]string{"/proc", "/dev", "/tmp", "/etc", "/root", "/run", "/var"}, r.Dirs...) {
		if err := makeDir(filepath.Join(root, d)); err != nil {
			return err
		}
	}
	if privileged {
		sys := filepath.Join(root, "sys")
		if err := errors.Join(makeDir(sys), mountSys(sys)); err != nil {
			return err
		}
	}
	if err := fillRoot(root, r); err != nil {
		return err
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	mask := maskProc
	if privileged {
		mask = protectKernel
	}
	if err := mask(filepath.Join(root, "proc")); err != nil {
		return err
	}
	if slices.ContainsFunc(r.Binds, func(b podwire.Bind) bool { return b.Target == "/tmp" }) {
		return buildDev(filepath.Join(root, "dev")) // the pod has a volume there
	}
	if err := unix.Mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mount tmp: %w", err)
	}
	return buildDev(filepath.Join(root, "dev"))
}

// fillRoot makes what the image and the pod have in the root file system.
func fillRoot(root string, r *podwire.Root) error {
	for _, b := range r.Binds {
		if err := bindVolume(root, b); err != nil {
			return err
		}
	}
	for _, c := range r.Copies {
		target := filepath.Join(root, c.Target)
		if err := makeDir(target); err != nil {
			return err
		}
		if err := os.CopyFS(target, os.DirFS(c.Source)); err != nil {
			return err
		}
	}
	for _, l := range r.Links {
		name := filepath.Join(root, l.Name)
		if err := makeDir(filepath.Dir(name)); err != nil {
			return err
		}
		if err := os.Symlink(l.Target, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, f := range r.Files {
		name := filepath.Join(root, f.Path)
		if err := makeDir(filepath.Dir(name)); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(f.Content), fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	return nil
}

func buildDev(dev string) error {
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("mount dev: %w", err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bind("/dev/"+name, filepath.Join(dev, name), unix.MOUNT_ATTR_NOSUID); err != nil {
			return err
		}
	}
	for _, d := range []string{"pts", "shm"} {
		if err := makeDir(filepath.Join(dev, d)); err != nil {
			return err
		}
	}
	if err := unix.Mount("devpts", filepath.Join(dev, "pts"), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return fmt.Errorf("mount devpts: %w", err)
	}
	if err := unix.Mount("tmpfs", filepath.Join(dev, "shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mount shm: %w", err)
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory of the container with those above it; any user in the container may read them.
func makeDir(name string) error { return os.MkdirAll(name, 0o755) }

// bind shows source at target. The attributes go through mount_setattr (Linux 5.12): a plain remount
// fails in a user namespace unless it repeats every flag that is locked there.
func bind(source, target string, attrs uint64) error {
	st, err := os.Stat(source)
	if err != nil {
		return err
	}
	if st.IsDir() {
		err = makeDir(target)
	} else {
		err = makeDir(filepath.Dir(target))
		if err == nil {
			err = os.WriteFile(target, nil, 0o600)
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attrs}); err != nil {
		return fmt.Errorf("bind %s: set attributes: %w", source, err)
	}
	return nil
}

// bindVolume shows what a container is given of the node's file system.
func bindVolume(root string, b podwire.Bind) error {
	if b.Within != "" {
		source, err := openWithin(b)
		if err != nil {
			return fmt.Errorf("bind %s: %w", b.Source, err)
		}
		defer func() { _ = source.Close() }()
		b.Source = fmt.Sprintf("/proc/self/fd/%d", source.Fd())
	}
	attrs := uint64(unix.MOUNT_ATTR_NOSUID)
	if !b.Writable {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	return bind(b.Source, filepath.Join(root, b.Target), attrs)
}

// openWithin opens the source of a volume, and makes it if it is to be made. What other containers put there leads nowhere else.
func openWithin(b podwire.Bind) (*os.File, error) {
	name, err := filepath.Rel(b.Within, b.Source)
	if err != nil {
		return nil, err
	}
	top, err := os.OpenRoot(b.Within)
	if err != nil {
		return nil, err
	}
	defer func() { _ = top.Close() }()
	if b.Create && name != "." {
		if err := top.MkdirAll(name, 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := os.Open(b.Within)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), b.Source), nil
}

// enterRoot makes root the only file system that the container sees.
func enterRoot(root string, readOnly bool) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// With both arguments "." the old root is stacked upon the new one and can be detached without a directory for it.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if readOnly {
		return unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	}
	return nil
}
