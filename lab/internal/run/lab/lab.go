// Package lab starts, stops and removes a whole lab: it decides what of a lab is
// there and what is missing, and has the other packages plan clusters, build and run
// programs and install Cilium's objects. It knows no flags and prints nothing but
// progress.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/proc"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/wire"
)

// The names of the programs, as they appear in the process list.
const (
	clusterProgram = "meshlab-cluster"
	netProgram     = "meshlab-net"
	podProgram     = "meshlab-pod"
	chooserProgram = wire.Program
)

const (
	// stopGrace is how long a program may take to end by itself.
	stopGrace = 20 * time.Second
	// endTimeout is how long the kernel may take to end what was killed.
	endTimeout = 30 * time.Second
)

// Programs finds the lab's programs, building them if need be.
type Programs interface {
	Ensure(ctx context.Context, group build.Group) (dir string, err error)
	// ModuleDir is the directory with the sources of a module that a group is built from.
	ModuleDir(ctx context.Context, group build.Group, module string) (string, error)
}

// Manager changes the lab in one state directory.
type Manager struct {
	Dir      state.Dir
	Programs Programs
	// Log gets progress, one line at a time.
	Log io.Writer

	// ca is the CA that all clusters get with --one-ca.
	caOnce sync.Once
	ca     *pki.Pair
	caErr  error
}

// ErrNoSuchCluster says that the lab has no cluster of that name.
var ErrNoSuchCluster = errors.New("no such cluster in the lab")

// lock keeps other commands from changing the lab until unlock is called. The lock
// file is removed together with the lab, so a lock counts only if the file is still
// there once it is held.
func (m *Manager) lock() (unlock func(), err error) {
	for {
		if err := os.MkdirAll(string(m.Dir), 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(m.Dir.LockFile(), os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		locked, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		named, err := os.Stat(m.Dir.LockFile())
		if err == nil && os.SameFile(locked, named) {
			return func() { _ = f.Close() }, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// Stop ends the process of a cluster's control plane. Its data stay, and so do its
// pods, as they do in a real cluster. With kill it gets no chance to wind up.
func (m *Manager) Stop(ctx context.Context, name string, kill bool) error {
	return m.withCluster(name, func(c *state.Cluster) error {
		// Marked first: a lab must not look dead if we are interrupted in between.
		if err := state.WriteFile(m.Dir.ClusterStopped(c.Name), nil, 0o600); err != nil {
			return err
		}
		record, ok, err := proc.Read(m.Dir.ClusterPID(c.Name))
		if err != nil || !ok {
			return err
		}
		grace := stopGrace
		if kill {
			grace = 0
		}
		return end(ctx, record, grace)
	})
}

// Start starts the control plane of a cluster that was stopped and waits until it
// is ready; a cluster that runs already is left alone. It runs the program that ran
// before, so that it needs neither the sources nor the cache.
func (m *Manager) Start(ctx context.Context, name string) error {
	return m.withCluster(name, func(c *state.Cluster) error {
		record, ok, err := proc.Read(m.Dir.ClusterPID(c.Name))
		if err != nil {
			return err
		}
		program := record.Path
		if _, err := os.Stat(program); !ok || err != nil {
			programs, err := m.Programs.Ensure(ctx, build.Cluster(c.KubernetesVersion))
			if err != nil {
				return err
			}
			program = filepath.Join(programs, clusterProgram)
		}
		return m.startCluster(ctx, program, *c)
	})
}

// Freeze stops the process of a cluster's control plane without ending it: its
// connections stay open, and nothing answers.
func (m *Manager) Freeze(name string) error { return m.signal(name, unix.SIGSTOP) }

// Thaw lets a frozen control plane go on.
func (m *Manager) Thaw(name string) error { return m.signal(name, unix.SIGCONT) }

func (m *Manager) signal(name string, sig unix.Signal) error {
	return m.withCluster(name, func(c *state.Cluster) error {
		record, ok, err := proc.Read(m.Dir.ClusterPID(c.Name))
		if err != nil {
			return err
		}
		if !ok || record.Condition() == proc.Gone {
			return fmt.Errorf("cluster %q is not running; start it with \"meshlab start %s\"", name, name)
		}
		return record.Signal(sig)
	})
}

// withCluster calls change with a cluster of the lab while the lab is locked.
func (m *Manager) withCluster(name string, change func(*state.Cluster) error) error {
	if _, err := m.Dir.Read(); err != nil {
		return err
	}
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	lab, err := m.Dir.Read()
	if err != nil {
		return err
	}
	c, ok := lab.Cluster(name)
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoSuchCluster, name)
	}
	return change(c)
}

// Down ends everything of the lab and removes its files. What is not there is no
// error, so that it can be repeated.
func (m *Manager) Down(ctx context.Context) error {
	if !exists(m.Dir.Marker()) {
		return errors.Join(m.endStrays(ctx), m.removeCgroup())
	}
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.clean(ctx); err != nil {
		return err
	}
	return m.removeDir()
}

// clean ends all processes and removes all files but the lock. In a directory that
// is not a lab's it does nothing.
func (m *Manager) clean(ctx context.Context) error {
	if !exists(m.Dir.Marker()) {
		return nil
	}
	if err := m.endAll(ctx); err != nil {
		return err
	}
	clusters, err := m.clusterNames()
	if err != nil {
		return err
	}
	names := []string{m.Dir.LabFile(), m.Dir.Kubeconfig(), m.Dir.NetLog(), m.Dir.NetPID(), m.Dir.NetReady(), m.Dir.NetDir(),
		m.Dir.ChooserLog(), m.Dir.ChooserPID(), m.Dir.ChooserDir(), m.Dir.BinDir()}
	for _, name := range clusters {
		names = append(names, m.Dir.ClusterKubeconfig(name), m.Dir.ClusterDir(name))
	}
	// The marker goes last: what is left of an interrupted removal is still ours.
	for _, name := range append(names, m.Dir.Marker()) {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// removeDir removes the lock and the directory, unless something of the user's is in
// it.
func (m *Manager) removeDir() error {
	if err := os.Remove(m.Dir.LockFile()); err != nil {
		return err
	}
	if err := os.Remove(string(m.Dir)); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

// claim marks the directory as a lab's. It must be empty: what is in it would be
// removed with the lab.
func (m *Manager) claim() error {
	entries, err := os.ReadDir(string(m.Dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(m.Dir.LockFile()) {
			return fmt.Errorf("state directory %s is not empty and no lab's (%s); name another one", m.Dir, entry.Name())
		}
	}
	return state.WriteFile(m.Dir.Marker(), []byte("This directory is managed by meshlab, which removes it on \"meshlab down\".\n"), 0o600)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// endAll ends the network first, as it unmounts and removes what it made; the
// control planes are killed, as their data are of no more use.
func (m *Manager) endAll(ctx context.Context) error {
	var errs []error
	for _, file := range []string{m.Dir.NetPID(), m.Dir.ChooserPID()} {
		if record, ok, err := proc.Read(file); err != nil {
			errs = append(errs, err)
		} else if ok {
			errs = append(errs, end(ctx, record, stopGrace))
		}
	}
	clusters, err := m.clusterNames()
	if err != nil {
		return err
	}
	for _, name := range clusters {
		if record, ok, err := proc.Read(m.Dir.ClusterPID(name)); err != nil {
			errs = append(errs, err)
		} else if ok {
			errs = append(errs, end(ctx, record, 0))
		}
	}
	return errors.Join(append(errs, m.endStrays(ctx), m.removeCgroup())...)
}

// removeCgroup removes the cgroups of nodes whose network process was killed.
func (m *Manager) removeCgroup() error {
	dir, err := podnet.Cgroup(string(m.Dir))
	if errors.Is(err, podnet.ErrNoCgroup) {
		return nil
	}
	if err != nil {
		return err
	}
	return podnet.RemoveCgroup(dir)
}

// endStrays ends processes of this lab of which there is no record.
func (m *Manager) endStrays(ctx context.Context) error {
	strays, err := proc.Find(m.stateFlag(), clusterProgram, netProgram, podProgram, chooserProgram)
	if err != nil {
		return err
	}
	var errs []error
	for _, record := range strays {
		errs = append(errs, end(ctx, record, 0))
	}
	return errors.Join(errs...)
}

func end(ctx context.Context, record proc.Record, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+endTimeout)
	defer cancel()
	return record.End(ctx, grace)
}

// clusterNames finds the clusters by their directories: lab.json may be missing or
// of another version.
func (m *Manager) clusterNames() ([]string, error) {
	matches, err := filepath.Glob(filepath.Join(string(m.Dir), "*", "pki"))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(matches))
	for _, match := range matches {
		names = append(names, filepath.Base(filepath.Dir(match)))
	}
	return names, nil
}

// stateFlag is how every process of the lab is told its state directory; strays are
// known by it.
func (m *Manager) stateFlag() string { return "--state=" + string(m.Dir) }

func (m *Manager) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(m.Log, format+"\n", args...)
}
