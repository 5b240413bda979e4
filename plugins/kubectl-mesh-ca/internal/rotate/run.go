package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Action is what a command of the rotation does.
type Action string

// The actions.
const (
	Plan     Action = "plan"
	Start    Action = "start"
	Continue Action = "continue"
	Finish   Action = "finish"
	Abort    Action = "abort"
	Status   Action = "status"
)

// Clock is the time. Tests have their own.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Config is what every command of the rotation needs.
type Config struct {
	kernel.Write

	Action   Action
	Select   func(context.Context) (*clusters.Selection, error)
	Observer Observer
	Clock    Clock
	// Who runs the command, and where, for the lock; ID tells this run from others.
	Who, ID string
	// Method is --method; empty for the one that suits the owners.
	Method string
	// NewCA describes the new CA.
	NewCA pki.CAOptions
	// StartFlags are the flags that only start has and that do not have their default, as they are typed again.
	StartFlags []string
	// Wait is how long the gate of one phase may take, Quiet how long no etcd may have rejected a connection, and Poll how often is looked.
	Wait, Quiet, Poll time.Duration
	// Ignore is what the gates do not wait for.
	Ignore Ignore
	// Show turns a report into tables.
	Show func(report Report, wide bool) []output.Section
}

// Defaults of the durations.
const (
	DefaultWait = 10 * time.Minute
	// DefaultQuiet is the time in which kubelets have written all files, and longer than the 30 seconds after which clustermesh-apiserver and KVStoreMesh dial
	// their etcd again (measured with 1.20.2).
	DefaultQuiet = pki.KubeletDelay
	DefaultPoll  = 2 * time.Second
	// lookBack is how far the logs of etcd are read.
	lookBack = 10 * time.Minute
)

// ErrWaiting says that a gate did not open in time. Nothing is wrong with what was written: continue goes on.
var ErrWaiting = errors.New("the next phase cannot begin yet")

// ErrNotUnderWay says that there is nothing to continue.
var ErrNotUnderWay = errors.New("no rotation is under way")

// run is one command on its way.
type run struct {
	Config
	ui      kernel.UI
	members []*clusters.Member
	m       *mesh
	values  map[string]ca.Values // of the Helm releases, by cluster
	goal    Goal
	report  Report
	asked   bool
	said    string // the last thing that a gate waited for
	watched map[string]watched
	ignored []string // what was ignored so far
	// restarts is how often this command has restarted clustermesh-apiserver, in all clusters together.
	restarts int
	// rewritten are the writes of others that this run has overwritten.
	rewritten []string
}

// Run does what the action says, up to where the next command begins.
func Run(ctx context.Context, c Config, ui kernel.UI) (Report, error) {
	r := &run{Config: c, ui: ui, goal: Goal{Until: Narrow, Back: c.Action == Abort}}
	sel, err := c.Select(ctx)
	if err != nil {
		return r.report, err
	}
	if r.Ignore, err = c.Ignore.resolve(sel); err != nil {
		return r.report, err
	}
	r.members = sel.Members
	if dead := ui.Unread(sel.Members...); len(dead) > 0 {
		return r.end(fmt.Errorf("%w; %s could not be read; nothing was written. See docs/rotation.md for a cluster that is gone for good", errIncomplete, strings.Join(dead, ", ")))
	}
	if err := r.read(ctx); err != nil {
		return r.end(r.unwritten(err))
	}
	if err := r.checkIgnored(); err != nil {
		return r.end(err)
	}
	if err := r.connected(ctx); err != nil {
		return r.end(err)
	}
	if err := r.begin(ctx); err != nil {
		return r.end(err)
	}
	switch c.Action {
	case Plan, Status:
		return r.end(nil)
	default:
		err := r.advance(ctx)
		r.release(ctx)
		return r.end(err)
	}
}

// read reads all clusters and what their processes do.
func (r *run) read(ctx context.Context) error {
	m, err := r.Config.read(ctx, r.members)
	if err != nil {
		return err
	}
	if r.m != nil && !r.m.started && !m.started { // what this run decided, before it is written
		m.method, m.new = r.m.method, r.m.new
	}
	r.m = m
	if r.values == nil {
		states := make([]*ca.State, len(m.clusters))
		for n, c := range m.clusters {
			states[n] = c.State
		}
		ca.ReadReleases(ctx, states, r.Change.Timeout)
		r.values = map[string]ca.Values{}
		for _, s := range states {
			r.values[s.Member.Name] = s.Values
		}
	}
	for _, c := range m.clusters {
		c.Values = r.values[c.Member.Name]
	}
	if m.started && r.Action != Status && r.Action != Plan {
		if err := errors.Join(m.strangers(), m.complete(r.Ignore)); err != nil {
			return err
		}
	}
	if err := r.observe(ctx); err != nil {
		return err
	}
	r.watch()
	r.noteIgnored()
	return nil
}

// begin checks that the action fits what is under way, and decides on the new CA.
func (r *run) begin(ctx context.Context) error {
	leftover := slices.ContainsFunc(r.m.clusters, func(c *cluster) bool { return c.lock != nil || len(c.suspended()) > 0 })
	switch r.Action {
	case Plan, Start:
		if r.m.started && r.Method != "" && Method(r.Method) != r.m.method {
			return fmt.Errorf("a rotation with the method %s is under way already (%s). End it first: %s, or: %s", r.m.method, r.m.lockText(), r.command(Continue), r.command(Abort))
		}
		if r.m.started && r.Action == Start && r.next().Stage > Widen {
			return fmt.Errorf("a rotation is under way already (%s); go on with: %s", r.m.lockText(), r.command(Continue))
		}
		if r.m.started {
			r.goal.Until = Widen
			return nil
		}
		if err := r.invent(); err != nil {
			return r.unwritten(err)
		}
		r.goal.Until = Widen
		if err := r.checkStart(r.m); err != nil {
			return err
		}
		if err := r.rehearse(); err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		if r.Action == Plan {
			return nil
		}
		return r.checkAccess(ctx, r.m)
	case Status:
		if !r.m.started && r.m.old.Cert != nil {
			return nil
		}
	default:
		_, wrong := Clocks(r.members)
		switch {
		case len(wrong) > 0:
			return fmt.Errorf("%s; nothing was written", strings.Join(wrong, "; "))
		case !r.m.started && !leftover:
			return fmt.Errorf("%w; nothing was written", ErrNotUnderWay)
		case !r.m.started: // a clean-up was interrupted
			if r.m.old.Cert != nil { // abort does not go back from here
				r.ui.Say("The rotation has ended with the CA %s (SHA-256). Only its leftovers are removed.", pki.Short(pki.Fingerprint(r.m.old.Cert)))
			}
		case r.m.method == Emergency && r.Action == Abort:
			return errors.New("an emergency rotation cannot be undone: the key of the previous CA is lost or known to others. To accept that CA again, use kubectl mesh-ca restore")
		case r.Action == Continue:
			if r.goal.Until = r.next().Stage; r.goal.Until == Narrow {
				return fmt.Errorf("all that is left is the last phase, after which the previous CA is not accepted any more; nothing was written. Run: %s", r.command(Finish))
			}
		case r.Action == Finish:
			if r.next().Stage < Narrow {
				return fmt.Errorf("the rotation has not come to its last phase yet, or an upgrade has written certificates since; nothing was written. Run: %s", r.command(Continue))
			}
		}
	}
	return nil
}

// invent chooses the method and makes the new CA. It is in memory only until it is kept in every cluster.
func (r *run) invent() error {
	if r.m.old.Cert == nil {
		return r.checkStart(r.m)
	}
	method, reason, err := r.m.chooseMethod(r.Method)
	if err != nil {
		return err
	}
	options := r.NewCA
	options.Now = r.m.at
	if options.CommonName == "" {
		options.CommonName = r.m.old.Cert.Subject.CommonName
	}
	made, err := pki.NewCA(options)
	if err != nil {
		return err
	}
	r.m.method, r.m.new, r.report.reason = method, made, reason
	return nil
}

// next is the phase that is to be done next.
func (r *run) next() Phase {
	if !r.m.started && r.m.new.Cert == nil {
		// Only the end of a clean-up is left.
		names := []string{}
		for _, c := range r.m.clusters {
			if c.lock != nil || len(c.suspended()) > 0 {
				names = append(names, c.Member.Name)
			}
		}
		if len(names) == 0 {
			return Phase{Kind: Done, Stage: Narrow}
		}
		return Phase{Kind: CleanUp, Clusters: names, Stage: Narrow}
	}
	return Next(r.m.method, Goal{Back: r.goal.Back, Until: Narrow}, r.m.positions(r.goal))
}

// advance does phase after phase, until the next one belongs to another command.
func (r *run) advance(ctx context.Context) error {
	for {
		phase := r.next()
		if phase.Kind == Done || phase.Stage > r.goal.Until {
			return nil
		}
		if first := !r.asked; r.DryRun == cli.DryRunNone {
			if err := r.ask(ctx); err != nil {
				return err
			}
			if first { // an answer may take an hour
				if err := r.read(ctx); err != nil {
					return err
				}
				continue
			}
		}
		if r.DryRun != cli.DryRunNone {
			r.report.Phases = r.phases()
			return r.check(ctx, phase)
		}
		begun := r.Clock.Now()
		// What the gate waited for may have changed what is to be done.
		opened, err := r.await(ctx, phase)
		if err != nil {
			return err
		}
		if !opened || phase.Kind == Observe {
			if opened {
				if err := r.Clock.Sleep(ctx, r.Poll); err != nil {
					return err
				}
				if err := r.read(ctx); err != nil {
					return err
				}
			}
			continue
		}
		waited := r.Clock.Now().Sub(begun)
		if err := r.carryOut(ctx, phase, waited); err != nil {
			return err
		}
		if err := r.read(ctx); err != nil {
			return err
		}
	}
}

// ask shows what is going to be done, once, and asks.
func (r *run) ask(ctx context.Context) error {
	if r.asked {
		return nil
	}
	if h, busy := r.m.heldBy(r.ID); busy {
		return r.busy(h)
	}
	r.fill()
	r.report.Phases = r.phases()
	if err := r.ui.Show(func(wide bool) []output.Section { return r.Show(r.report, wide) }, true); err != nil {
		return err
	}
	r.report.Phases = nil
	r.asked = true
	if r.m.method == Emergency {
		return r.ui.Confirm(ctx, fmt.Sprintf("Replace the CA of %s at once? Clusters do not accept each other until this has ended.", strings.Join(r.names(), ", ")))
	}
	question := map[Action]string{
		Start:    "Begin to rotate the CA of %s?",
		Continue: "Go on with the rotation of the CA of %s?",
		Finish:   "End the rotation of the CA of %s? The previous CA is not accepted any more afterwards.",
		Abort:    "Restore the previous CA of %s?",
	}[r.Action]
	return r.ui.Confirm(ctx, fmt.Sprintf(question, strings.Join(r.names(), ", ")))
}
