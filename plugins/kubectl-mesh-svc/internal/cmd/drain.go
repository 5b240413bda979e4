package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authnv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

func newDrain(e *env) *cobra.Command {
	f := newWriteFlags(e)
	var skipRefused bool
	cmd := &cobra.Command{
		Use:   "drain CLUSTER",
		Short: "Take a cluster out of every global service, for maintenance",
		Long: "Take a cluster out of every global service, for maintenance: each Service that is global and shared there,\n" +
			"in all namespaces, gets service.cilium.io/shared: \"false\", so that new connections of clients in other\n" +
			"clusters no longer go to it. Its own clients still use its endpoints.\n\n" +
			"The predicted shift of traffic is shown, and you are asked. Nothing is done where clients of another cluster\n" +
			"would be left without a ready endpoint, where a reconciler owns the annotation, or where a cluster of the mesh\n" +
			"cannot be read. The former values are kept in an annotation of each Service and in a ConfigMap of another\n" +
			"cluster, where undrain finds them from any machine. A drain that was interrupted goes on when it is run again." + writeExits,
		Example: `  # Take us out of service; it shows what that does to the traffic and asks
  kubectl mesh-svc drain us

  # See it without doing it
  kubectl mesh-svc drain us --dry-run=server -o wide

  # Leave Services as they are that only us can answer, and drain the rest
  kubectl mesh-svc drain us --skip-refused

  # Go on after an interruption, or take in Services that became global since
  kubectl mesh-svc drain us --yes`,
		Args: exactlyOne("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("namespace") {
				return fmt.Errorf("--namespace (-n) cannot be used with drain, which works on all namespaces; to take the Services of one out of service, run: %s",
					commandline.Plugin(display, e.flags.CommandMesh(), e.flags.Namespace(nil), "unshare", "--all", "--in", args[0]))
			}
			o, err := newDrainOptions(f, "drain "+args[0])
			if err != nil {
				return err
			}
			o.skipRefused, o.apply.AllowPartial = skipRefused, skipRefused
			sel, err := o.selectMembers(cmd.Context())
			if err != nil {
				return err
			}
			return o.drain(cmd.Context(), sel, args[0])
		},
	}
	f.addApplyFlags(cmd.Flags())
	cmd.Flags().Lookup("allow-partial").Usage = "If true, go on although clients of a cluster that cannot be read may be left without an endpoint."
	cmd.Flags().BoolVar(&skipRefused, "skip-refused", false, "If true, leave Services as they are that cannot be drained, list them and drain the rest. The exit code is then 1.")
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// drainOptions is a drain or an undrain that is ready to begin.
type drainOptions struct {
	*writeOptions
	skipRefused bool
	forget      bool
	host        string
	now         func() time.Time
}

func newDrainOptions(f *writeFlags, action string) (*drainOptions, error) {
	o, err := f.common()
	if err != nil {
		return nil, err
	}
	o.request.Action = action
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown machine"
	}
	return &drainOptions{writeOptions: o, host: host, now: time.Now}, nil
}

// target finds the cluster that is meant and the other members.
func (o *drainOptions) target(sel *clusters.Selection, verb, name string) (m *clusters.Member, others []*clusters.Member, err error) {
	found, err := sel.Resolve(verb, []string{name})
	if err != nil {
		for _, f := range sel.Failed() {
			output.Unread(o.ErrOut, f.Label(), string(f.Err.Class), f.Err)
		}
		return nil, nil, err
	}
	m = found[0]
	if m.Err == nil && m.Name != m.Config.ClusterName {
		return nil, nil, fmt.Errorf("more than one cluster that is read is called %q; name the contexts of one mesh with --contexts: the record of a drain is kept under Cilium's name", m.Config.ClusterName)
	}
	for _, other := range sel.Members {
		if other != m {
			others = append(others, other)
		}
	}
	slices.SortStableFunc(others, func(a, b *clusters.Member) int { return strings.Compare(a.Name, b.Name) })
	return m, others, nil
}

// readable are the members without an error.
func readable(members []*clusters.Member) []*clusters.Member {
	return slices.DeleteFunc(slices.Clone(members), func(m *clusters.Member) bool { return m.Err != nil })
}

// within gives one call its deadline.
func (o *drainOptions) within(ctx context.Context, do func(context.Context) error) error {
	one, cancel := context.WithTimeout(ctx, o.apply.Timeout)
	defer cancel()
	err := do(one)
	if err != nil && one.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer within %s (--cluster-timeout): %w", o.apply.Timeout, err)
	}
	return err
}

// who says who we are, for a second person who finds the record.
func (o *drainOptions) who(ctx context.Context, m *clusters.Member) string {
	user := "somebody"
	// An API server that does not tell is no reason to stop: the name only helps people.
	_ = o.within(ctx, func(ctx context.Context) error {
		r, err := m.Client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authnv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err == nil && r.Status.UserInfo.Username != "" {
			user = r.Status.UserInfo.Username
		}
		return err
	})
	return user + " on " + o.host
}

// drain plans, checks, shows, asks, records and writes. What is written stands in this order, so that an interruption between any two
// writes leaves nothing that a second drain or an undrain does not set right. Before the first the prediction is made again, and after the
// second once more if another cluster is being drained: of two drains at once, at least one sees the other's record.
//  1. the undo file on this machine, as for every write,
//  2. the record in another cluster with all former values, as draining,
//  3. each Service: shared=false and its former value, in one patch, if the record is still our own,
//  4. the record, as drained.
func (o *drainOptions) drain(ctx context.Context, sel *clusters.Selection, name string) error {
	m, others, err := o.target(sel, "drain", name)
	if err != nil {
		return err
	}
	st := meshstate.Read(ctx, sel.Members, o.flags.Timeout, meshstate.Query{Objects: true})
	o.sayUnseen(sel.Members)
	switch {
	case ctx.Err() != nil:
		return o.unplanned(sel.Members, m, ctx.Err())
	case m.Err != nil:
		return o.unplanned(sel.Members, m, o.unreachable(m, others))
	}
	if err := o.certain(st, m, others); err != nil {
		return o.unplanned(sel.Members, m, err)
	}
	rec, keeper, err := o.record(ctx, m, readable(others))
	if err != nil {
		return o.unplanned(sel.Members, m, err)
	}
	found := *rec
	globalsvc.Adopt(st, m, rec)
	plan := globalsvc.Drain(st, m, rec, keeper.Name)
	plan.Manager, plan.Former, plan.Local = o.manager, rec.Manager, display+" unshare"
	o.sayOwners(plan)
	r := &drainResult{plan: plan, members: sel.Members, cluster: m.Name, record: rec,
		target: m, keeper: keeper, state: st, takeBack: o.command("", "undrain", m.Name)}
	if err := o.checkDrain(ctx, r); err != nil {
		return o.reportDrain(r, err)
	}
	entries := globalsvc.Entries(st, plan, rec)
	rec.Put(entries...)
	r.shifts = globalsvc.Shifts(st, plan, m.Name)
	notBegun := func(failure error) error {
		plan.Stop()
		if rec.Member == found.Member {
			r.record = &found // as it stands, without what would have been added
		}
		return o.reportDrain(r, failure)
	}
	fresh := rec.Member == nil
	if fresh && len(rec.Entries) == 0 || !fresh && len(entries) == 0 && rec.State == drainrecord.Drained {
		return o.reportDrain(r, o.leftOut(plan)) // nothing to drain, or drained already
	}
	if o.dryRun == "client" {
		return o.reportDrain(r, o.leftOut(plan))
	}
	if fresh && !o.apply.AccessOnly {
		err := o.within(ctx, func(ctx context.Context) error { return rec.Create(ctx, keeper, true) })
		if errors.Is(err, drainrecord.ErrTaken) {
			return notBegun(o.takenBy(ctx, rec, readable(others), err))
		}
		if err != nil {
			return notBegun(fmt.Errorf("cluster %q: dry-run of the record: %w; nothing was written in any cluster", keeper.Name, err))
		}
	}
	if o.dryRun == "server" {
		return o.reportDrain(r, o.leftOut(plan))
	}
	if err := o.ask(ctx, r); err != nil {
		if o.out.IsTable() || o.out.IsName() {
			return err
		}
		return notBegun(err)
	}
	if err := o.again(ctx, r, nil); err != nil {
		return notBegun(err)
	}
	if err := o.begin(ctx, r, keeper, readable(others)); err != nil {
		return notBegun(err)
	}
	if err := o.besides(ctx, r); err != nil {
		plan.Stop()
		if ctx.Err() == nil { // what an interrupt leaves is taken up or taken back by the next command
			err = errors.Join(err, o.withdraw(ctx, r, found))
		}
		return o.reportDrain(r, err)
	}
	if err := o.held(ctx, r); err != nil {
		plan.Stop()
		return o.reportDrain(r, errors.Join(fmt.Errorf("%w; no Service was changed, run the command again", err), r.discard()))
	}
	if err := plan.Change().Apply(ctx, o.apply); err != nil {
		if ctx.Err() == nil { // it may be an undrain that wrote meanwhile, and then there is no record to go on with
			if taken := o.held(ctx, r); r.record != rec {
				err = errors.Join(err, taken)
			}
		}
		return o.reportDrain(r, err)
	}
	if err := o.complete(ctx, r); err != nil {
		return o.reportDrain(r, err)
	}
	return o.reportDrain(r, o.leftOut(plan))
}

// services counts in words.
func services(n int) string {
	if n == 1 {
		return "1 Service"
	}
	return fmt.Sprintf("%d Services", n)
}

// count counts the Services with one of the results.
func count(plan *annotate.Plan, results ...string) int {
	n := 0
	for _, i := range plan.Items {
		if slices.Contains(results, i.Result) {
			n++
		}
	}
	return n
}

// leftOut is set when --skip-refused left Services in service: the cluster is not drained in full.
func (o *drainOptions) leftOut(plan *annotate.Plan) error {
	n := count(plan, v1alpha1.ResultRefused, v1alpha1.ResultFailed)
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s could not be drained and clients of other clusters still use them (--skip-refused)", services(n))
}

// ask shows the plan and the shift of traffic, and asks.
func (o *drainOptions) ask(ctx context.Context, r *drainResult) error {
	if o.out.IsTable() || !o.yes {
		if err := o.out.PrintPlan(o.ErrOut, view.DrainPlan(r.report(o.dryRun), o.out.Format == output.Wide)); err != nil {
			return err
		}
	}
	question := fmt.Sprintf("Drain %s: %s will no longer be offered to other clusters. Go on?", r.cluster, services(len(r.plan.Pending())))
	if r.record.Member != nil {
		question = fmt.Sprintf("%s is being drained since %s, which may have been interrupted. %s", r.cluster, r.record.Who(), question)
	}
	return confirm.Prompter{In: o.In, ErrOut: o.ErrOut, Terminal: output.IsTerminal(o.In), Yes: o.yes}.Ask(ctx, output.Clean(question))
}

// namedInError is how many Services an error names; the rest is counted.
const namedInError = 5
