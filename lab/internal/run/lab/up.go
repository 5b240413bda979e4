package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/chooser"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/install"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/cluster"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/proc"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// The timeouts end a start that never succeeds. They are long, because a machine may have much else to do: a lab usually starts in less than a minute.
const (
	clusterReadyTimeout = 6 * time.Minute
	netReadyTimeout     = 5 * time.Minute
	chooserReadyTimeout = 5 * time.Minute
	// It answers one question after another, and one about many Services takes a while.
	chooserAnswerTimeout = 10 * time.Second
	installTimeout       = 5 * time.Minute
	pollInterval         = 50 * time.Millisecond
	// logTail is how much of a log is shown when its process fails.
	logTail = 4096
)

// Up makes sure that the lab runs. What runs is left alone, what was stopped on
// purpose is started again with its data, and a lab that died is removed first.
func (m *Manager) Up(ctx context.Context, spec Spec) (*state.Lab, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	current, err := m.current(ctx)
	if err != nil {
		return nil, err
	}
	isNew := current == nil
	if current != nil {
		if err := spec.compatible(current); err != nil {
			return nil, fmt.Errorf("%w; run \"meshlab down\" first", err)
		}
	} else if current, err = m.create(spec); err != nil {
		return nil, errors.Join(err, m.clean(ctx), m.removeDir())
	}
	took := newLaps(time.Now())
	if err := m.run(ctx, current, took); err != nil {
		if !isNew {
			return nil, err // what ran before goes on running
		}
		// Half a lab is of no use, but its logs are; the next up removes them.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		return nil, errors.Join(err, m.endAll(cleanup))
	}
	if isNew {
		m.logCost(current, took)
	}
	return current, nil
}

// current returns the lab that is there, or nil after removing one that died.
func (m *Manager) current(ctx context.Context) (*state.Lab, error) {
	current, err := m.Dir.Read()
	switch {
	case err == nil && !m.died(current):
		return current, nil
	case exists(m.Dir.Marker()):
		m.logf("removing what is left of a lab that died")
	}
	return nil, m.clean(ctx)
}

// died reports whether a lab cannot be repaired. A control plane alone can be started
// again on its data. The pods died with the network, though the API servers still
// show them running; and if all control planes are gone without having been stopped,
// the machine was restarted or the user killed what was in the way.
func (m *Manager) died(l *state.Lab) bool {
	if l.Net {
		return m.condition(m.Dir.NetPID()) == proc.Gone
	}
	for _, c := range l.Clusters {
		if m.stopped(c.Name) || m.condition(m.Dir.ClusterPID(c.Name)) != proc.Gone {
			return false
		}
	}
	return true
}

func (m *Manager) condition(pidFile string) proc.Condition {
	record, ok, err := proc.Read(pidFile)
	if err != nil || !ok {
		return proc.Gone
	}
	return record.Condition()
}

func (m *Manager) stopped(name string) bool { return exists(m.Dir.ClusterStopped(name)) }

// create writes down a new lab; nothing runs yet.
func (m *Manager) create(spec Spec) (*state.Lab, error) {
	created, err := spec.lab(m.Dir)
	if err != nil {
		return nil, err
	}
	// Before anything is built, which takes long.
	if err := CheckMachine(created.Datapath); err != nil {
		return nil, err
	}
	if err := m.claim(); err != nil {
		return nil, err
	}
	for _, c := range created.Clusters {
		if err := cluster.Prepare(m.Dir, c, time.Now()); err != nil {
			return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		if created.Audit {
			if err := cluster.WriteAuditPolicy(m.Dir, c); err != nil {
				return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
			}
		}
	}
	if err := cluster.WriteKubeconfigs(m.Dir, created.Clusters); err != nil {
		return nil, err
	}
	return created, m.Dir.Write(created)
}

// run starts what is missing of the lab and waits until all of it is ready.
func (m *Manager) run(ctx context.Context, l *state.Lab, took *laps) error {
	controlPlanes := map[string]string{} // by version
	for _, c := range l.Clusters {
		programs, err := m.Programs.Ensure(ctx, build.Cluster(c.KubernetesVersion))
		if err != nil {
			return err
		}
		controlPlanes[c.KubernetesVersion] = filepath.Join(programs, clusterProgram)
	}
	netPrograms := ""
	var err error
	if l.Net {
		if netPrograms, err = m.Programs.Ensure(ctx, build.Net()); err != nil {
			return err
		}
	}
	var cilium *ciliumPrograms
	if l.RunsCilium() {
		if cilium, err = m.ensureCilium(ctx, l.Clusters[0].CiliumVersion); err != nil {
			return err
		}
	}
	chooserPrograms := ""
	if l.Chooser == state.ChooserCilium {
		if chooserPrograms, err = m.Programs.Ensure(ctx, build.Chooser()); err != nil {
			return err
		}
	}
	took.end("programs", time.Now())
	clusters, clustersCtx := errgroup.WithContext(ctx)
	for _, c := range l.Clusters {
		clusters.Go(func() error {
			return m.runCluster(clustersCtx, controlPlanes[c.KubernetesVersion], c, func(ctx context.Context) error {
				if cilium != nil {
					return m.installByHelm(ctx, cilium, l, c)
				}
				return m.install(ctx, l, c)
			})
		})
	}
	err = clusters.Wait()
	took.end("control planes and Cilium's objects", time.Now())
	if err != nil || !l.Net {
		return err
	}
	// Before the network, which asks it; but a network that runs finds one that was started again.
	if l.Chooser == state.ChooserCilium {
		if err := m.startChooser(ctx, chooserPrograms); err != nil {
			return err
		}
	}
	// A network that runs was ready once. What its user has done to Cilium since then must not end the lab.
	isNew := m.condition(m.Dir.NetPID()) == proc.Gone
	err = m.startNet(ctx, netPrograms, cilium.flags())
	took.end("nodes", time.Now())
	if err != nil || cilium == nil || !isNew {
		return err
	}
	err = m.waitForCilium(ctx, l)
	took.end("Cilium", time.Now())
	return err
}

// startCluster starts a control plane unless it runs, and waits until it is ready.
func (m *Manager) startCluster(ctx context.Context, program string, c state.Cluster) error {
	record, ok, err := proc.Read(m.Dir.ClusterPID(c.Name))
	if err != nil {
		return err
	}
	var ended <-chan struct{}
	switch {
	case ok && record.Condition() == proc.Frozen:
		if err := record.Signal(thaw); err != nil {
			return err
		}
	case ok && record.Condition() == proc.Running:
	default:
		if !ok {
			m.logf("starting cluster %s", c.Name)
		} else {
			m.logf("starting cluster %s again", c.Name)
		}
		child, err := proc.Spawn(proc.Command{
			Path:    program,
			Args:    []string{m.stateFlag(), "--name=" + c.Name},
			Dir:     m.Dir.ClusterDir(c.Name),
			Log:     m.Dir.ClusterLog(c.Name),
			PIDFile: m.Dir.ClusterPID(c.Name),
		})
		if err != nil {
			return fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		ended = child.Ended
	}
	ctx, cancel := context.WithTimeout(ctx, clusterReadyTimeout)
	defer cancel()
	if err := poll(ctx, ended, func() bool { return cluster.Ready(ctx, c) }); err != nil {
		return fmt.Errorf("cluster %q: control plane %w%s", c.Name, err, tail(m.Dir.ClusterLog(c.Name)))
	}
	if err := os.Remove(m.Dir.ClusterStopped(c.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// runCluster starts a control plane and installs Cilium's objects once in a cluster's life: what a user changed afterwards
// must survive the next up.
func (m *Manager) runCluster(ctx context.Context, program string, c state.Cluster, installCilium func(context.Context) error) error {
	if err := m.startCluster(ctx, program, c); err != nil {
		return err
	}
	done := cluster.Files(m.Dir.ClusterDir(c.Name)).Installed()
	if exists(done) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	if err := installCilium(ctx); err != nil {
		return fmt.Errorf("cluster %q: install Cilium's objects: %w", c.Name, err)
	}
	return state.WriteFile(done, nil, 0o600)
}

// install writes what an installation of Cilium leaves in a cluster.
func (m *Manager) install(ctx context.Context, l *state.Lab, c state.Cluster) error {
	objects, err := install.Objects(l, c, time.Now())
	if err != nil {
		return err
	}
	return install.Write(ctx, c, objects)
}

// startNet starts the nodes and the network unless they run, and waits until all
// nodes are ready.
func (m *Manager) startNet(ctx context.Context, programs string, flags []string) error {
	if m.condition(m.Dir.NetPID()) != proc.Gone {
		return nil
	}
	m.logf("starting nodes and pod network")
	if err := os.RemoveAll(m.Dir.NetReady()); err != nil {
		return err
	}
	child, err := proc.Spawn(proc.Command{
		Path:    filepath.Join(programs, netProgram),
		Args:    append([]string{m.stateFlag()}, flags...),
		Dir:     string(m.Dir),
		Log:     m.Dir.NetLog(),
		PIDFile: m.Dir.NetPID(),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, netReadyTimeout)
	defer cancel()
	if err := poll(ctx, child.Ended, m.netReady); err != nil {
		return fmt.Errorf("nodes and pod network: %s %w%s", netProgram, err, tail(m.Dir.NetLog()))
	}
	return nil
}

// startChooser starts the process that runs Cilium's code unless it runs, and waits until it answers.
func (m *Manager) startChooser(ctx context.Context, programs string) error {
	var ended <-chan struct{}
	if m.condition(m.Dir.ChooserPID()) == proc.Gone {
		m.logf("starting the chooser of backends, Cilium's own code")
		if err := os.MkdirAll(m.Dir.ChooserDir(), 0o700); err != nil {
			return err
		}
		child, err := proc.Spawn(proc.Command{
			Path:    filepath.Join(programs, chooserProgram),
			Args:    []string{m.stateFlag(), "--dir=" + m.Dir.ChooserDir()},
			Dir:     string(m.Dir),
			Log:     m.Dir.ChooserLog(),
			PIDFile: m.Dir.ChooserPID(),
		})
		if err != nil {
			return err
		}
		ended = child.Ended
	}
	ctx, cancel := context.WithTimeout(ctx, chooserReadyTimeout)
	defer cancel()
	if err := poll(ctx, ended, func() bool { return m.chooserVersion(ctx) != "" }); err != nil {
		return fmt.Errorf("chooser of backends: %s %w%s", chooserProgram, err, tail(m.Dir.ChooserLog()))
	}
	return nil
}

// chooserVersion asks the chooser's process for the version of its Cilium; empty means that it does not answer.
func (m *Manager) chooserVersion(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, chooserAnswerTimeout)
	defer cancel()
	judge := &chooser.Cilium{Dir: m.Dir.ChooserDir()}
	defer func() { _ = judge.Close() }()
	version, err := judge.Version(ctx)
	if err != nil {
		return ""
	}
	return version
}

func (m *Manager) netReady() bool { return exists(m.Dir.NetReady()) }
