package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// errNotFound says that a command is not in the container. The text is runc's,
// because users and tools know it.
var errNotFound = errors.New("executable file not found in $PATH")

// containerNamespaces are a container's own; the network is the pod's.
const containerNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// initSpec is what the first program in a container reads on descriptor 3.
type initSpec struct {
	RootDir string         `json:"rootDir"`
	Start   *podwire.Start `json:"start"`
}

// start runs a container: this binary as `init` in new namespaces, which builds the root file
// system and becomes the container's command.
func (n *Node) start(s *podwire.Start, files []*os.File) error {
	netns, err := n.netnsOf(s)
	if err != nil {
		return err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = specR.Close() }()
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, specW.Close())
	}
	defer func() { _ = errR.Close() }()

	pidfd := -1
	cmd := &exec.Cmd{
		Path: n.self, Args: []string{"meshlab-pod", "init"}, Env: []string{},
		Stdout: files[0], Stderr: files[1],
		ExtraFiles:  []*os.File{specR, errW},
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: containerNamespaces, Setsid: true, PidFD: &pidfd},
	}
	err = onThread(func() error {
		if netns != nil {
			if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the pod's network: %w", err)
			}
		}
		return cmd.Start()
	})
	if cerr := errW.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, specW.Close())
	}
	err = json.NewEncoder(specW).Encode(initSpec{RootDir: n.root, Start: s})
	if cerr := specW.Close(); err == nil {
		err = cerr
	}
	if initErr := readInitError(errR); initErr != nil {
		err = initErr
	}
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended by itself
		_, werr := cmd.Process.Wait()
		if pidfd >= 0 {
			_ = unix.Close(pidfd)
		}
		return errors.Join(err, werr)
	}
	n.register(s.Proc, &process{pod: s.Pod, proc: cmd.Process, pidfd: pidfd, privileged: s.Privileged})
	return nil
}

// readInitError reads why a container's first program could not become its command. End of file without a byte says that the
// command runs.
func readInitError(r io.Reader) error {
	msg, err := io.ReadAll(r)
	if len(msg) == 0 {
		return err
	}
	if rest, ok := strings.CutSuffix(string(msg), errNotFound.Error()); ok {
		return fmt.Errorf("%s%w", rest, errNotFound)
	}
	return errors.New(string(msg))
}

// netnsOf finds the network namespace of a new container; nil is the node's own.
func (n *Node) netnsOf(s *podwire.Start) (*os.File, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.procs[s.Proc] != nil {
		return nil, fmt.Errorf("process %s exists", s.Proc)
	}
	if s.Pod == "" {
		return nil, nil
	}
	p := n.pods[s.Pod]
	if p == nil || p.attachment == nil {
		return nil, fmt.Errorf("no pod %s", s.Pod)
	}
	return p.netns, nil
}

// exec starts a command in a running container by entering its namespaces on a thread of its own.
// The container's image needs nothing for that.
func (n *Node) exec(e *podwire.Exec, files []*os.File) ([]*os.File, error) {
	c, pidfd, err := n.running(e.Container)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(pidfd) }() // nothing is buffered in it
	if len(e.Argv) == 0 {
		return nil, errors.New("no command")
	}

	cmd := &exec.Cmd{Args: e.Argv, Env: e.Env, Dir: e.Dir, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	var master *os.File
	err = onThread(func() error {
		// setns into a mount namespace requires that the thread has its own file system context.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(pidfd, containerNamespaces|unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the container: %w", err)
		}
		var err error
		if cmd.Path, err = lookPath(e.Argv[0], e.Env, cmd.Dir); err != nil {
			return err
		}
		if err := confine(c.privileged); err != nil {
			return err
		}
		if !e.TTY {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
			return cmd.Start()
		}
		var slave *os.File
		if master, slave, err = openTTY(e.Rows, e.Cols); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr.Setctty = true
		return errors.Join(cmd.Start(), slave.Close())
	})
	if err != nil {
		if master != nil {
			err = errors.Join(err, master.Close())
		}
		return nil, err
	}
	n.register(e.Proc, &process{pod: c.pod, container: e.Container, proc: cmd.Process})
	if master != nil {
		return []*os.File{master}, nil
	}
	return nil, nil
}

// running finds a container, with a copy of its descriptor: its own is closed when it ends.
func (n *Node) running(container string) (*process, int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.procs[container]
	if c == nil || c.container != "" {
		return nil, -1, errors.New("the container is not running")
	}
	pidfd, err := unix.FcntlInt(uintptr(c.pidfd), unix.F_DUPFD_CLOEXEC, 0)
	return c, pidfd, err
}

// lookPath finds a command as a shell does, in the file system that the calling thread sees.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		file := name
		if !path.IsAbs(file) {
			file = path.Join(dir, file)
		}
		if st, err := os.Stat(file); err != nil || st.IsDir() {
			return "", fmt.Errorf("exec: %q: stat %s: no such file or directory: %w", name, name, errNotFound)
		}
		return file, nil
	}
	search := defaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	for d := range strings.SplitSeq(search, ":") {
		file := filepath.Join(d, name)
		if st, err := os.Stat(file); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("exec: %q: %w", name, errNotFound)
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// openTTY opens a pair of terminal ends of the devpts that the calling thread sees.
func openTTY(rows, cols uint16) (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*os.File, *os.File, error) {
		return nil, nil, errors.Join(err, unix.Close(fd))
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fail(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return fail(err)
	}
	if rows > 0 && cols > 0 {
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
			return fail(err)
		}
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	sfd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), os.NewFile(uintptr(sfd), name), nil
}
