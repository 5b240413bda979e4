package reissue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// The phases, in order. Each begins when the one before has ended in all its clusters.
const (
	phaseIssue   = "re-issue"
	phaseRestart = "restart"
	phaseAgents  = "agents"
)

// timeCut is longer than what the API server cuts off its times: a pod that is created in the second in which its CA file was written cannot be told from an older one.
const timeCut = 1100 * time.Millisecond

// phaseDone is a phase that ended, and how long it took.
type phaseDone struct {
	name  string
	names []string
	took  time.Duration
}

// Apply carries the plan out:
//
//  1. the leaf certificates of all clusters are issued again, by the means of whoever issues them; then it waits until all are;
//  2. clustermesh-apiserver restarts, one cluster after the other, each time until it is connected again;
//  3. agents restart where they have not read the CA, when every KVStoreMesh is connected: an agent that starts before that removes the other clusters'
//     backends after a minute (seen with Cilium 1.20.2).
func (w *Work) Apply(ctx context.Context) error {
	err := w.apply(ctx)
	if err != nil { // what is left was not written
		w.checks().Stop()
	}
	return err
}

func (w *Work) apply(ctx context.Context) error {
	if err := w.timed(phaseIssue, w.renewed(), func() error { return w.issueAll(ctx) }); err != nil {
		return err
	}
	w.issued = true
	if len(w.withAgents()) > 0 {
		if err := w.Clock.Sleep(ctx, timeCut); err != nil {
			return err
		}
		g := &gate{work: w, pending: names(w.restarting())}
		if err := w.timed(phaseRestart, w.restarting(), func() error { return g.restartAll(ctx) }); err != nil {
			return err
		}
		if err := g.agents(ctx); err != nil {
			return err
		}
	}
	w.ended = true
	return nil
}

func (w *Work) timed(name string, in []*cluster, do func() error) error {
	if len(in) == 0 {
		return nil
	}
	begun := w.Clock.Now()
	if err := do(); err != nil {
		return err
	}
	w.phases = append(w.phases, phaseDone{name, names(in), w.Clock.Now().Sub(begun)})
	return nil
}

// issueAll begins to issue the leaf certificates of every cluster again, says what others must do, and waits for all.
func (w *Work) issueAll(ctx context.Context) error {
	for _, c := range w.renewed() {
		for _, t := range c.tasks {
			if err := w.do(ctx, c, t); err != nil {
				return w.stopped(err)
			}
		}
	}
	for _, c := range w.renewed() {
		if len(c.printed) == 0 {
			continue
		}
		w.ui.Say("%s: do this now, in this order; this command waits for it:", c.name())
		for _, s := range c.printed {
			w.ui.Say("  %s", s.Reason)
			if s.Command != "" {
				w.ui.Say("    %s", s.Command)
			}
		}
	}
	return w.await(ctx, "leaf certificates", w.unissued)
}

// do does one task of a cluster.
func (w *Work) do(ctx context.Context, c *cluster, t *task) error {
	if err := w.write(ctx, t.phases...); err != nil {
		return err
	}
	if !t.helm {
		return nil
	}
	w.ui.Say("%s: running: %s", c.name(), t.step.Command)
	if err := w.Helm.Run(ctx, t.step.Helm, t.step.Env); err != nil {
		err = fmt.Errorf("cluster %q: helm failed: %w", c.name(), err)
		if left := w.recreate(ctx, c); left != nil {
			err = fmt.Errorf("%w; what was deleted for it could not be created again: %w", err, left)
		}
		return err
	}
	return nil
}

// recreate creates the Secrets again that were deleted for Helm, and that Helm has not made: without them Hubble has no certificates.
func (w *Work) recreate(ctx context.Context, c *cluster) error {
	ctx = context.WithoutCancel(ctx)
	again := &change.Phase{}
	var deleted []*ca.Write
	for _, t := range c.tasks {
		for _, phase := range t.phases {
			for _, each := range phase.Steps {
				del, ok := each.(*ca.Write)
				if !ok || !del.Deletes() || !del.Written || del.Target().Kind.Name != change.Secret.Name {
					continue
				}
				err := fanout.Do(ctx, w.Change.Timeout, func(ctx context.Context) error {
					_, err := del.Target().Get(ctx)
					return err
				})
				if apierrors.IsNotFound(err) {
					deleted, again.Steps = append(deleted, del), append(again.Steps, ca.NewRecreation(c.State, del.Target().Name, w.Manager))
				} else if err != nil {
					return fmt.Errorf("cannot determine whether it has created %s again: %w", del.Target(), err)
				}
			}
		}
	}
	if err := w.write(ctx, again); err != nil {
		return err
	}
	for _, del := range deleted { // it is as if nothing had been deleted
		del.Written, del.Result, del.Message = false, v1alpha1.ResultUnchanged, "created again, because helm failed"
		w.ui.Say("%s: %s was created again as it was", c.name(), del.Target())
	}
	return nil
}

// write sends the steps of some phases.
func (w *Work) write(ctx context.Context, phases ...*change.Phase) error {
	p := &change.Plan{Action: "reissue", Phases: phases}
	if len(p.Pending()) == 0 {
		return nil
	}
	options := w.Change
	events, end := w.ui.Progress()
	options.Events = events
	err := p.Apply(ctx, options)
	end()
	return err
}

// stopped adds the command that goes on to an error.
func (w *Work) stopped(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w. To go on, run: %s", err, w.goOn())
}

// goOn is the command that does what this one has not done.
func (w *Work) goOn() string {
	words := w.GoOn
	if w.issued { // all were issued: what is left are the restarts
		words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "--all" })
	}
	return ca.Command(w.readable(), words...)
}

func (w *Work) readable() []*clusters.Member {
	return slices.DeleteFunc(slices.Clone(w.Members), func(m *clusters.Member) bool { return m.Err != nil })
}

// await looks until nothing is left to wait for.
func (w *Work) await(ctx context.Context, what string, left func(context.Context) ([]string, error)) error {
	for end := w.Clock.Now().Add(w.Wait); ; {
		missing, err := left(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return w.stopped(err)
		}
		if w.waiting = missing; len(missing) == 0 {
			return nil
		}
		if text := strings.Map(withoutDigits, missing[0]); w.said != text { // not again because a time has changed
			w.said = text
			more := ""
			if n := len(missing) - 1; n > 0 {
				more = fmt.Sprintf(" (and %d more)", n)
			}
			w.ui.Say("Waiting for %s: %s%s", what, missing[0], more)
		}
		if !w.Clock.Now().Before(end) {
			return w.stopped(fmt.Errorf("%w: %s did not end within %s (--wait): %s", ErrWaiting, what, w.Wait, missing[0]))
		}
		if err := w.Clock.Sleep(ctx, w.Poll); err != nil {
			return err
		}
	}
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// unissued says which leaf certificates have not been issued again, and which Jobs are not done.
func (w *Work) unissued(ctx context.Context) ([]string, error) {
	var out []string
	var members []*clusters.Member
	for _, c := range w.renewed() {
		members = append(members, c.State.Member)
		running, err := w.unfinished(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, running...)
	}
	read := ca.ReadAll(ctx, members, w.Change.Timeout)
	for _, m := range read.Members {
		if m.Err != nil {
			out = append(out, fmt.Sprintf("%s could not be read: %v", m.Name, m.Err))
		}
	}
	for _, c := range w.renewed() {
		now := slices.IndexFunc(read.States, func(s *ca.State) bool { return s.Member == c.State.Member })
		if now < 0 {
			continue
		}
		for _, l := range c.Leaves {
			why, err := c.Reissued(read.States[now], l)
			if err != nil {
				return nil, err
			}
			if why != "" {
				out = append(out, c.name()+": "+why)
			}
		}
		w.refresh(read.States[now])
	}
	return out, nil
}

// refresh replaces what was read of a cluster.
func (w *Work) refresh(now *ca.State) {
	for n, s := range w.States {
		if s.Member == now.Member {
			w.States[n] = now
		}
	}
}

// unfinished says which Jobs of certgen are not done. One that failed is an error.
func (w *Work) unfinished(ctx context.Context, c *cluster) ([]string, error) {
	var out []string
	for _, t := range c.tasks {
		if t.step.Kind != ca.ActCertgen {
			continue
		}
		name := t.step.Job
		job, err := fanout.Within(ctx, w.Change.Timeout, func(ctx context.Context) (*batchv1.Job, error) {
			return get[*batchv1.Job](ctx, c.State, change.Job, name)
		})
		switch {
		case apierrors.IsNotFound(err): // its time to live is over; the certificates tell whether it was done
			continue
		case err != nil:
			out = append(out, fmt.Sprintf("%s: job %s could not be read: %v", c.name(), name, err))
			continue
		}
		done := false
		for _, condition := range job.Status.Conditions {
			switch {
			case condition.Status != corev1.ConditionTrue:
			case condition.Type == batchv1.JobComplete:
				done = true
			case condition.Type == batchv1.JobFailed:
				return nil, fmt.Errorf("cluster %q: job %s failed (%s: %s); its log tells why: %s", c.name(), name, condition.Reason, condition.Message, c.State.Kubectl("logs", "job/"+name))
			}
		}
		if !done {
			out = append(out, fmt.Sprintf("%s: job %s is not done", c.name(), name))
		}
	}
	return out, nil
}
