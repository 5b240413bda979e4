package reissue

import (
	"context"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Job is what is to be issued again.
type Job struct {
	kernel.Write
	Means

	Members  []*clusters.Member // of the document
	States   []*ca.State        // all clusters that were read
	Renewals []*ca.Renewal
	// AllowDisconnect lets clusters that trust each other stop doing so, as when the same command replaces a CA.
	AllowDisconnect bool
}

// Work is a plan that has been checked, and what became of it. It holds private keys and is never printed.
type Work struct {
	Job
	ui kernel.UI

	clusters []*cluster
	before   map[string]Running // what the processes did before the first write; nil without a restart
	// unreachable are the agents' pods on nodes that are not ready, by cluster.
	unreachable map[string]map[string]bool
	// What became of it.
	phases   []phaseDone
	written  []change.Step
	waiting  []string
	issued   bool // the leaf certificates of all clusters were issued again
	ended    bool // everything was done
	said     string
	declined bool // it ended before the first write
}

// cluster is one cluster with something to do.
type cluster struct {
	*ca.Renewal

	tasks []*task
	// printed are the steps that a person or another tool must do, up to the restart.
	printed []ca.Step
	// restarts: clustermesh-apiserver must restart. lost: agents have lost their etcd, as after a command that ended before it restarted them. probes are the
	// restarts as they are checked before the first write.
	restarts, lost bool
	probes         []change.Step
}

// task is what this command does for one step.
type task struct {
	step ca.Step
	// phases are its writes; helm is run after them.
	phases []*change.Phase
	helm   bool
}

func (c *cluster) name() string { return c.State.Member.Name }

// Plan decides what is done by whom, and refuses what cannot work, before anything is written.
func Plan(ctx context.Context, j Job, ui kernel.UI) (*Work, error) {
	w := &Work{Job: j, ui: ui}
	var trusted map[[2]string]bool
	if w.Restart {
		w.before, trusted = observeAll(ctx, w.Observer, w.States), w.trusted()
	}
	var why []string
	for _, r := range j.Renewals {
		lost := false
		if w.Restart {
			if why := w.unread(r.State, trusted); why != "" {
				r.Restart(why)
			}
			var err error
			if lost, err = w.lost(ctx, r.State); err != nil {
				return nil, fmt.Errorf("cluster %q: %w; nothing was changed", r.State.Member.Name, err)
			}
		}
		if len(r.Steps) == 0 && len(r.Leaves) == 0 && !lost {
			continue
		}
		if len(r.Leaves) > 0 {
			if err := r.Unfit(j.Clock.Now()); err != nil {
				why = append(why, fmt.Sprintf("cluster %q: %v", r.State.Member.Name, err))
				continue
			}
		}
		c := &cluster{Renewal: r, restarts: r.Restarts(), lost: lost}
		if err := w.divide(ctx, c); err != nil {
			why = append(why, fmt.Sprintf("cluster %q: %v", r.State.Member.Name, err))
		}
		w.clusters = append(w.clusters, c)
	}
	if err := w.keepsTrust(); err != nil && len(why) == 0 {
		why = append(why, fmt.Sprintf("%v. Issue the leaf certificates where they come from, give the clusters one CA (kubectl mesh-ca sync), or, if they shall have different CAs, use --allow-disconnect", err))
	}
	if len(why) > 0 {
		return nil, fmt.Errorf("the leaf certificates cannot be issued again as things are; nothing was changed: %s", strings.Join(why, "; "))
	}
	if w.runsHelm() {
		if err := w.Helm.Find(); err != nil {
			return nil, fmt.Errorf("--helm: %w; nothing was changed. Without --helm the commands are printed", err)
		}
	}
	return w, nil
}

// divide says which steps of a cluster this command does, and which are printed. Steps of different owners do not depend on each other; but a trust bundle must
// contain the CA before anything is issued, and then all steps are printed in their order.
func (w *Work) divide(ctx context.Context, c *cluster) error {
	steps := slices.DeleteFunc(slices.Clone(c.Steps), func(s ca.Step) bool { return s.Kind == ca.ActRestart })
	for n, s := range steps {
		if s.Kind == ca.ActBundle {
			c.printed = append(c.printed, steps[n:]...)
			break
		}
		t, err := w.task(ctx, c, steps, n)
		switch {
		case err != nil:
			return err
		case t == nil:
			c.printed = append(c.printed, s)
		default:
			t.step = s
			c.tasks = append(c.tasks, t)
		}
	}
	if !w.Restart || !c.restarts && !c.lost {
		return nil
	}
	if c.restarts {
		probe, err := w.restartMeshAPI(ctx, c.State)
		if err != nil {
			return err
		}
		c.probes = append(c.probes, probe)
	}
	agents, err := w.restartAgents(ctx, c.State)
	if err != nil {
		return err
	}
	c.probes = append(c.probes, agents)
	return nil
}

// task returns what this command does for a step, nil for nothing.
func (w *Work) task(ctx context.Context, c *cluster, steps []ca.Step, n int) (*task, error) {
	s := steps[n]
	helmFollows := w.Helm != nil && n+1 < len(steps) && steps[n+1].Kind == ca.ActHelm
	switch s.Kind {
	case ca.ActSign:
		return w.sign(c, s)
	case ca.ActCertgen:
		return w.certgen(ctx, c, s)
	case ca.ActAwait: // all Jobs are awaited at the end
		return &task{}, nil
	case ca.ActRenew:
		return w.certManager(ctx, c, s)
	case ca.ActHelm:
		if w.Helm != nil {
			return &task{helm: true}, nil
		}
	case ca.ActDelete:
		if helmFollows {
			return w.drop(c, s), nil
		}
	case ca.ActDeleteJobs:
		if helmFollows {
			return w.dropJobs(ctx, c, s)
		}
	}
	return nil, nil //nolint:nilnil // somebody else does it
}

func (w *Work) sign(c *cluster, s ca.Step) (*task, error) {
	keep, write := &change.Phase{}, &change.Phase{}
	for _, name := range s.Names {
		have := c.State.Secrets[name].Object
		if have.Immutable != nil && *have.Immutable {
			return nil, fmt.Errorf("secret %s is immutable: delete it, or issue its certificate where it comes from", name)
		}
		data, err := c.Sign(name, w.Clock.Now())
		if err != nil {
			return nil, err
		}
		patch := &leaf{ca.NewSecretPatch(c.State, have, data, w.Manager, "signed here with cilium-ca"), c.fingerprint(name), ca.FingerprintOf(data)}
		keep.Steps, write.Steps = append(keep.Steps, ca.Keep(c.State, have, w.Manager, patch)), append(write.Steps, patch)
	}
	return &task{phases: []*change.Phase{keep, write}}, nil
}

func (c *cluster) fingerprint(secret string) string {
	for _, l := range c.Leaves {
		if l.Secret == secret {
			return l.Fingerprint
		}
	}
	return ""
}

// drop deletes the leaf certificates that Helm would keep. They are kept in a Secret first.
func (w *Work) drop(c *cluster, s ca.Step) *task {
	keep, gone := &change.Phase{}, &change.Phase{}
	for _, name := range s.Names {
		have := c.State.Secrets[name].Object
		del := ca.NewDeletion(c.State, change.Secret, have, "deleted, so that Helm makes it again", ca.AccessDeleteHubble())
		keep.Steps, gone.Steps = append(keep.Steps, ca.Keep(c.State, have, w.Manager, del)), append(gone.Steps, del)
	}
	return &task{phases: []*change.Phase{keep, gone}}
}

func (w *Work) dropJobs(ctx context.Context, c *cluster, s ca.Step) (*task, error) {
	jobs, err := fanout.Within(ctx, w.Change.Timeout, func(ctx context.Context) (*batchv1.JobList, error) {
		return c.State.Member.Client.BatchV1().Jobs(c.State.Namespace).List(ctx, metav1.ListOptions{LabelSelector: s.Selector})
	})
	if err != nil {
		return nil, fmt.Errorf("list the jobs with label %s: %w", s.Selector, err)
	}
	gone := &change.Phase{}
	for n := range jobs.Items {
		gone.Steps = append(gone.Steps, ca.NewDeletion(c.State, change.Job, &jobs.Items[n], "deleted, so that Helm runs certgen again", ca.AccessDeleteJobs()))
	}
	return &task{phases: []*change.Phase{gone}}, nil
}

func (w *Work) certgen(ctx context.Context, c *cluster, s ca.Step) (*task, error) {
	from, err := fanout.Within(ctx, w.Change.Timeout, func(ctx context.Context) (*batchv1.CronJob, error) {
		return get[*batchv1.CronJob](ctx, c.State, change.CronJob, s.CronJob)
	})
	if err != nil {
		return nil, fmt.Errorf("read cronjob %s: %w", s.CronJob, err)
	}
	return &task{phases: []*change.Phase{{Steps: []change.Step{runCertgen(c.State, from, s.Job, w.Manager)}}}}, nil
}

// certManager renews Certificates. Where their API cannot be reached, a person does it.
func (w *Work) certManager(ctx context.Context, c *cluster, s ca.Step) (*task, error) {
	phase := &change.Phase{}
	for _, name := range s.Names {
		have, err := fanout.Within(ctx, w.Change.Timeout, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return get[*unstructured.Unstructured](ctx, c.State, change.Certificate, name)
		})
		switch {
		case apierrors.IsForbidden(err):
			return nil, fmt.Errorf("read certificate %s: %w", name, err)
		case err != nil:
			w.ui.Note("%s: certificate %s cannot be read (%v): renew it with cmctl", c.name(), name, err)
			return nil, nil //nolint:nilnil // somebody else does it
		}
		phase.Steps = append(phase.Steps, renew(c.State, have, w.Manager, w.Clock.Now()))
	}
	return &task{phases: []*change.Phase{phase}}, nil
}

func (w *Work) runsHelm() bool {
	return slices.ContainsFunc(w.clusters, func(c *cluster) bool { return slices.ContainsFunc(c.tasks, func(t *task) bool { return t.helm }) })
}

// Idle reports whether there is nothing to do.
func (w *Work) Idle() bool {
	return !slices.ContainsFunc(w.clusters, func(c *cluster) bool { return len(c.Leaves) > 0 || c.lost || c.restarts && w.Restart })
}

// Question is what a person is asked.
func (w *Work) Question() string {
	var what []string
	if in := w.renewed(); len(in) > 0 {
		what = append(what, fmt.Sprintf("issue the leaf certificates of %s again", strings.Join(names(in), ", ")))
	}
	if in := w.restarting(); len(in) > 0 {
		what = append(what, fmt.Sprintf("restart clustermesh-apiserver of %s", strings.Join(names(in), ", ")))
	}
	if in := w.withAgents(); len(in) > 0 {
		what = append(what, fmt.Sprintf("restart the agents of %s", strings.Join(names(in), ", ")))
	}
	text := strings.Join(what, ", then ") + "?"
	return strings.ToUpper(text[:1]) + text[1:]
}

// renewed are the clusters whose leaf certificates are issued again.
func (w *Work) renewed() []*cluster {
	return slices.DeleteFunc(slices.Clone(w.clusters), func(c *cluster) bool { return len(c.Leaves) == 0 })
}

// restarting are the clusters whose clustermesh-apiserver restarts.
func (w *Work) restarting() []*cluster {
	return slices.DeleteFunc(slices.Clone(w.clusters), func(c *cluster) bool { return !c.restarts || !w.Restart })
}

// withAgents are the clusters whose agents may restart.
func (w *Work) withAgents() []*cluster {
	return slices.DeleteFunc(slices.Clone(w.clusters), func(c *cluster) bool { return !w.Restart || !c.restarts && !c.lost })
}

func names(all []*cluster) []string {
	out := make([]string, len(all))
	for n, c := range all {
		out[n] = c.name()
	}
	return out
}

// checks are all writes that are known before the first one, with the restarts as they would be now.
func (w *Work) checks() *change.Plan {
	p := &change.Plan{Action: "reissue"}
	for _, c := range w.clusters {
		for _, t := range c.tasks {
			p.Phases = append(p.Phases, t.phases...)
		}
		p.Phases = append(p.Phases, &change.Phase{Steps: c.probes})
	}
	return p
}

// Preflight checks all writes in all clusters.
func (w *Work) Preflight(ctx context.Context) error {
	p := w.checks()
	if len(p.Pending()) == 0 {
		return nil
	}
	return p.Preflight(ctx, w.Change)
}

// Stop marks what is still to be written as not written.
func (w *Work) Stop() {
	w.declined = true
	w.checks().Stop()
}
