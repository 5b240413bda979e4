package cmd

import (
	"context"
	"crypto/rand"
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
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
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
				return fmt.Errorf("--namespace (-n) cannot be used with drain, which works on all namespaces; %s unshare --all -n NAMESPACE --in %s takes the Services of one out of service", display, clusters.Quote(args[0]))
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
		target: m, keeper: keeper, state: st, takeBack: display + " undrain " + clusters.Quote(m.Name) + o.flags.Again()}
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
	if err := plan.Apply(ctx, o.apply); err != nil {
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

// complete marks the record as drained.
func (o *drainOptions) complete(ctx context.Context, r *drainResult) error {
	err := o.within(ctx, func(ctx context.Context) error {
		return r.record.Advance(ctx, func(rec *drainrecord.Record) { rec.State = drainrecord.Drained })
	})
	if errors.Is(err, drainrecord.ErrTaken) {
		if err := o.held(ctx, r); err != nil {
			return fmt.Errorf("all Services are written and carry their former values themselves, but %w; %s undrain %s puts it back, %[2]s drain %[3]s takes it out of service and records it again",
				err, display, clusters.Quote(r.cluster))
		}
	}
	if err != nil {
		return fmt.Errorf("all Services are written, but %s could not be marked as complete: %w; run the command again", r.record.Place(), err)
	}
	return nil
}

// held fails where the record is no longer as we wrote it, and says who has taken it over. The result then has what stands there now.
func (o *drainOptions) held(ctx context.Context, r *drainResult) error {
	ours := r.record
	var now *drainrecord.Record
	err := o.within(ctx, func(ctx context.Context) (err error) {
		now, err = ours.Now(ctx)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s could not be read again: %w", ours.Place(), err)
	case now == ours:
		return nil
	}
	r.record = now
	switch {
	case now == nil:
		return fmt.Errorf("%s is gone: somebody put %s back meanwhile, or deleted it", ours.Place(), r.cluster)
	case now.State == drainrecord.Undraining:
		return fmt.Errorf("%s is being put back since %s (%s)", r.cluster, now.Who(), now.Place())
	}
	return fmt.Errorf("%s was written by somebody else meanwhile: %s since %s", now.Place(), now.State, now.Who())
}

// unreachable says why annotations cannot drain a cluster whose API server does not answer, and what can.
func (o *drainOptions) unreachable(m *clusters.Member, others []*clusters.Member) error {
	output.Unread(o.ErrOut, m.Label(), string(m.Err.Class), m.Err)
	names := make([]string, len(others))
	for i, other := range others {
		names[i] = other.Name
	}
	output.Say(o.ErrOut, "Note: the other clusters go on using the endpoints that they last knew of %s: for ever, unless clustermesh-cache-ttl is set there (Cilium 1.19 and newer)", m.Name)
	if len(readable(others)) > 0 { // else nobody knows which there are
		output.Say(o.ErrOut, "Note: what takes it out all the same is to disconnect it in %s: remove it from clustermesh.config.clusters in their Helm values (cilium clustermesh disconnect wants to reach both sides)", strings.Join(names, ", "))
	}
	return fmt.Errorf("cluster %q cannot be reached, and annotations cannot drain it then: they are written through its own API server; nothing was changed", m.Name)
}

// certain refuses where clients may exist whom nobody can predict for.
func (o *drainOptions) certain(st *meshstate.State, m *clusters.Member, others []*clusters.Member) error {
	for _, other := range others {
		if other.Err != nil {
			output.Unread(o.ErrOut, other.Label(), string(other.Err.Class), other.Err)
		}
	}
	if len(readable(others)) == 0 {
		return errors.New("no other cluster could be read: the former values need a place outside the drained cluster, and nothing could be predicted; name more contexts with --contexts")
	}
	why := strings.Join(globalsvc.Uncertain(st, m), ", ")
	switch {
	case why == "":
		return nil
	case o.partial:
		o.warn("whether clients there would be left without an endpoint is not known: %s", why)
		return nil
	}
	return fmt.Errorf("whether clients there would be left without an endpoint is not known: %s; nothing was changed. Name the contexts with --contexts, or go on without knowing with --allow-partial", why)
}

// record finds the record of an earlier drain of the cluster, or begins one in the first member that may keep it.
func (o *drainOptions) record(ctx context.Context, m *clusters.Member, others []*clusters.Member) (rec *drainrecord.Record, keeper *clusters.Member, err error) {
	records, unread := drainrecord.Search(ctx, others, o.flags.Timeout, m.Name)
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.Is(errors.Join(unread...), drainrecord.ErrUnreadable): // and a new one would have to stand in its place
		return nil, nil, fmt.Errorf("what an earlier drain of %s recorded is not known: nothing was changed; %w", m.Name, errors.Join(unread...))
	case len(unread) > 0 && !o.partial:
		return nil, nil, fmt.Errorf("whether %s is drained already is not known: %w; nothing was changed. --allow-partial goes on without knowing", m.Name, errors.Join(unread...))
	case len(records) > 0:
		rec = records[0]
		if len(records) > 1 {
			o.warn("%d clusters hold a record of a drain of %s; the oldest, %s, is continued, and undrain uses all", len(records), m.Name, rec.Place())
		}
		if rec.State == drainrecord.Undraining {
			return nil, nil, fmt.Errorf("%s is being put back since %s (%s); finish that with %s undrain %s (with --forget where it waits for Services that will not come back), then drain it",
				m.Name, rec.Who(), rec.Place(), display, clusters.Quote(m.Name))
		}
		err = o.within(ctx, func(ctx context.Context) error { return drainrecord.MayKeep(ctx, rec.Member, m.Name, "update") })
		if err != nil {
			return nil, nil, fmt.Errorf("cluster %q: %w; nothing was changed", rec.Member.Name, err)
		}
		return rec, rec.Member, nil
	}
	var refused []error
	for _, other := range others {
		if o.dryRun != "client" {
			if err := o.within(ctx, func(ctx context.Context) error { return drainrecord.MayKeep(ctx, other, m.Name, drainrecord.Verbs...) }); err != nil {
				refused = append(refused, fmt.Errorf("cluster %q: %w", other.Name, err))
				continue
			}
		}
		return &drainrecord.Record{ID: strings.ToLower(rand.Text()[:12]), Cluster: m.Name, ClusterUID: m.UID, State: drainrecord.Draining,
			By: o.who(ctx, other), Since: o.now(), Manager: o.manager}, other, nil
	}
	return nil, nil, fmt.Errorf("no other cluster can keep the former values: %w; nothing was changed", errors.Join(refused...))
}

// checkDrain is the preflight, and the refusal of what cannot be drained.
func (o *drainOptions) checkDrain(ctx context.Context, r *drainResult) error {
	var err error
	if o.dryRun != "client" {
		err = r.plan.Preflight(ctx, o.apply)
	}
	refused := count(r.plan, v1alpha1.ResultRefused)
	if refused > 0 && !o.skipRefused && ctx.Err() == nil {
		return fmt.Errorf("%s of %s cannot be drained; nothing was changed. Mend what is said above, or leave them as they are with --skip-refused", services(refused), r.cluster)
	}
	if o.skipRefused && len(r.plan.Pending()) == 0 && ctx.Err() == nil {
		return nil // there is nothing else to drain; leftOut says what stays
	}
	return err
}

// services counts in words.
func services(n int) string {
	if n == 1 {
		return "1 Service"
	}
	return fmt.Sprintf("%d Services", n)
}

// count counts the Services with one of the results.
func count(plan *change.Plan, results ...string) int {
	n := 0
	for _, i := range plan.Items {
		if slices.Contains(results, i.Result) {
			n++
		}
	}
	return n
}

// leftOut is set when --skip-refused left Services in service: the cluster is not drained in full.
func (o *drainOptions) leftOut(plan *change.Plan) error {
	n := count(plan, v1alpha1.ResultRefused, v1alpha1.ResultFailed)
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s could not be drained and clients of other clusters still use them (--skip-refused)", services(n))
}

// ask shows the plan and the shift of traffic, and asks.
func (o *drainOptions) ask(ctx context.Context, r *drainResult) error {
	if o.out.IsTable() || !o.yes {
		if err := (&output.Flags{}).Print(o.ErrOut, nil, view.DrainPlan(r.report(o.dryRun), o.out.Format == output.Wide)); err != nil {
			return err
		}
	}
	question := fmt.Sprintf("Drain %s: %s will no longer be offered to other clusters. Go on?", r.cluster, services(len(r.plan.Pending())))
	if r.record.Member != nil {
		question = fmt.Sprintf("%s is being drained since %s, which may have been interrupted. %s", r.cluster, r.record.Who(), question)
	}
	return confirm.Prompter{In: o.In, ErrOut: o.ErrOut, Terminal: output.IsTerminal(o.In), Yes: o.yes}.Ask(ctx, output.Clean(question))
}

// begin writes the undo file and the record. Afterwards the former values are safe.
func (o *drainOptions) begin(ctx context.Context, r *drainResult, keeper *clusters.Member, others []*clusters.Member) error {
	if len(r.plan.Pending()) > 0 {
		var err error
		if r.undoFile, err = r.plan.Save(o.now()); err != nil {
			return err
		}
	}
	if err := o.store(ctx, r.record, keeper, others); err != nil {
		return errors.Join(err, r.discard())
	}
	return nil
}

// discard removes the undo file of a drain that wrote no Service: it would only be in the way.
func (r *drainResult) discard() error {
	if r.undoFile == "" {
		return nil
	}
	err := os.Remove(r.undoFile)
	r.undoFile = ""
	return err
}

// again reads the mesh again and refuses if the drain would not be what was planned: the question may have been open for long, and others may
// have changed Services or drained clusters. besides are the records of drains that are under way.
func (o *drainOptions) again(ctx context.Context, r *drainResult, besides []*drainrecord.Record) error {
	st := meshstate.Read(ctx, r.members, o.flags.Timeout, meshstate.Query{Objects: true})
	why := strings.Join(globalsvc.Uncertain(st, r.target), ", ")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.target.Err != nil:
		return fmt.Errorf("cluster %q could not be read again before the first write: %w; no Service was changed, run the command again", r.cluster, r.target.Err)
	case why != "" && !o.partial:
		return fmt.Errorf("since the plan was made: %s; no Service was changed, run the command again", why)
	}
	plan := func(st *meshstate.State) *change.Plan { return globalsvc.Drain(st, r.target, r.record, r.keeper.Name) }
	changed := globalsvc.Meanwhile(plan(r.state), plan(globalsvc.Besides(st, besides)))
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("the drain is no longer what was planned: %s; no Service was changed, run the command again", change.List(changed, namedInError))
}

// namedInError is how many Services an error names; the rest is counted.
const namedInError = 5

// besides looks for drains of other clusters, now that others can see ours, and predicts once more with what they are about to write.
func (o *drainOptions) besides(ctx context.Context, r *drainResult) error {
	records, hidden, unread := drainrecord.Others(ctx, readable(r.members), o.flags.Timeout, r.cluster)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(unread) > 0 && !o.partial:
		return fmt.Errorf("whether another cluster is being drained is not known: %w; no Service was changed. --allow-partial goes on without knowing", errors.Join(unread...))
	case len(unread) > 0:
		o.warn("whether another cluster is being drained at the same time is not known: %v", errors.Join(unread...))
	}
	if len(hidden) > 0 {
		o.warn("whether another cluster is being drained at the same time is not known: you may not read the records in %s", strings.Join(hidden, ", "))
	}
	var besides []*drainrecord.Record
	var who []string
	for _, rec := range records {
		switch rec.State {
		case drainrecord.Draining: // it may not have written yet
			besides = append(besides, rec)
		case drainrecord.Undraining:
			continue
		}
		who = append(who, fmt.Sprintf("%s is %s since %s", rec.Cluster, rec.State, rec.Who()))
	}
	if len(who) == 0 {
		return nil
	}
	if err := o.again(ctx, r, besides); err != nil {
		return fmt.Errorf("%s: %w when that is done or put back", strings.Join(who, ", "), err)
	}
	return nil
}

// withdraw takes back what begin wrote, since no Service follows: the record is again as it was found, or gone.
func (o *drainOptions) withdraw(ctx context.Context, r *drainResult, found drainrecord.Record) error {
	rec, do := r.record, r.record.Delete
	if found.Member != nil {
		do = func(ctx context.Context) error {
			return rec.Advance(ctx, func(rec *drainrecord.Record) {
				rec.State, rec.ClusterUID, rec.Entries = found.State, found.ClusterUID, found.Entries
			})
		}
	}
	if err := o.within(ctx, do); err != nil {
		return fmt.Errorf("%s is left: %w", rec.Place(), err)
	}
	if found.Member == nil {
		rec.Member = nil
	}
	return r.discard()
}

// store creates the record or brings it up to date. Of two drains that begin at once, with records in one or in two members, at most one goes on.
func (o *drainOptions) store(ctx context.Context, rec *drainrecord.Record, keeper *clusters.Member, others []*clusters.Member) error {
	if rec.Member != nil {
		if err := o.within(ctx, func(ctx context.Context) error {
			return rec.Advance(ctx, func(rec *drainrecord.Record) { rec.State = drainrecord.Draining })
		}); err != nil {
			return fmt.Errorf("%s: %w; no Service was changed, run the command again", rec.Place(), err)
		}
		return nil
	}
	if err := o.within(ctx, func(ctx context.Context) error { return rec.Create(ctx, keeper, false) }); err != nil {
		if !errors.Is(err, drainrecord.ErrTaken) {
			return fmt.Errorf("cluster %q: write the record: %w; no Service was changed, run the command again", keeper.Name, err)
		}
		return o.takenBy(ctx, rec, others, err)
	}
	records, unread := drainrecord.Search(ctx, others, o.flags.Timeout, rec.Cluster)
	if len(records) == 1 && (len(unread) == 0 || o.partial) {
		return nil
	}
	err := o.takenBy(ctx, rec, others, drainrecord.ErrTaken)
	if left := o.within(ctx, rec.Delete); left != nil {
		return errors.Join(err, errors.Join(unread...), fmt.Errorf("%s is left: %w", rec.Place(), left))
	}
	rec.Member = nil
	return errors.Join(err, errors.Join(unread...))
}

// takenBy names who drains the cluster besides us.
func (o *drainOptions) takenBy(ctx context.Context, rec *drainrecord.Record, others []*clusters.Member, cause error) error {
	records, _ := drainrecord.Search(ctx, others, o.flags.Timeout, rec.Cluster)
	for _, r := range records {
		if r.ID != rec.ID {
			return fmt.Errorf("%s is being drained since %s (%s); no Service was changed by this command. If that was interrupted, run it again: it goes on from there", rec.Cluster, r.Who(), r.Place())
		}
	}
	return fmt.Errorf("%w; no Service was changed, run the command again", cause)
}
