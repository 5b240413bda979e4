package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

func newSync(e *env) *cobra.Command {
	f := newWriteFlags(e)
	var (
		from  string
		to    []string
		toAll bool
	)
	cmd := &cobra.Command{
		Use:   "sync --from CLUSTER (--to CLUSTER,... | --to-all)",
		Short: "Copy one cluster's CA to other clusters",
		Long: "Copy the CA of one cluster, Secret cilium-ca with its key, to other clusters.\n\n" +
			"The CA is validated first: it parses, its key fits, it is a CA and stays valid. The plan is shown and\n" +
			"checked in every target; nothing is written unless it can be carried out in all of them. The former\n" +
			"CA of each target is kept beside it in an immutable Secret. Helm's ownership of the target's Secret\n" +
			"stays as it is. Replacing a CA is always confirmed.\n\n" +
			"A copied CA changes nothing by itself: certificates stay signed by the former CA until they are\n" +
			"renewed. The commands for that are listed for each cluster." + writeExits,
		Example: `  # Give eu and ap the CA of us
  kubectl mesh-ca sync --from us --to eu,ap --contexts kind-us,kind-eu,kind-ap

  # See what would be done, checked by every API server
  kubectl mesh-ca sync --from us --to-all --dry-run=server

  # In a script
  kubectl mesh-ca sync --from us --to-all --yes -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case from == "":
				return errors.New("--from is missing; it names the cluster whose CA is copied")
			case len(to) == 0 && !toAll:
				return errors.New("--to is missing; name the clusters that get the CA, or use --to-all")
			case len(to) > 0 && toAll:
				return errors.New("--to and --to-all cannot be used together")
			}
			o, err := f.toOptions()
			if err != nil {
				return err
			}
			return o.sync(cmd.Context(), from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "Cluster whose CA is copied, by Cilium name or context.")
	cmd.Flags().StringSliceVar(&to, "to", nil, "Clusters that get the CA, by Cilium name or context (repeatable).")
	cmd.Flags().BoolVar(&toAll, "to-all", false, "If true, all clusters that are read get the CA.")
	cmd.Flags().BoolVar(&f.allowPartial, "allow-partial", false, "If true, go on without clusters that cannot be reached or refuse.")
	f.addFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

func (o *writeOptions) sync(ctx context.Context, fromName string, toNames []string) error {
	sel, err := o.selectMembers(ctx)
	if err != nil {
		return err
	}
	if sel.ContextOnly && len(toNames) == 0 {
		return errors.New("with --context, sync needs --to CLUSTER, or --contexts for several clusters")
	}
	from, targets, err := ends(sel, fromName, toNames)
	if err != nil {
		return withUnread(err, sel)
	}
	o.beforeCilium(targets, toNames)
	all := append([]*clusters.Member{from}, targets...)
	states := ca.ReadAll(ctx, all, o.flags.Timeout)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	left, err := o.unreadable(from, targets)
	if err != nil {
		return o.unwritten(&ca.Plan{Action: "sync"}, all, err)
	}
	ca.ReadReleases(ctx, states, o.flags.Timeout)
	source := slices.IndexFunc(states, func(s *ca.State) bool { return s.Member == from })
	plan, err := ca.Sync(states[source], slices.Delete(slices.Clone(states), source, source+1), o.Options, o.now())
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	o.observe(ctx, plan, sel.Members, all)
	return o.carryOut(ctx, plan, all, left)
}

// observe reads the members that are neither source nor target, for what they keep of the clusters that change.
func (o *writeOptions) observe(ctx context.Context, plan *ca.Plan, members, all []*clusters.Member) {
	others := slices.DeleteFunc(slices.Clone(members), func(m *clusters.Member) bool { return slices.Contains(all, m) })
	plan.Others = ca.ReadAll(ctx, others, o.flags.Timeout)
	var unread []string
	for _, m := range others {
		if m.Err != nil {
			unread = append(unread, m.Label())
		}
	}
	if len(unread) > 0 {
		o.say("Note: %s could not be read: cannot determine whether copies of certificates that change are kept there", strings.Join(unread, ", "))
	}
}

// beforeCilium lets a target be one in which Cilium is not installed yet: its CA is made for the coming installation. The namespace must then be said,
// and the target named: it cannot be told from a cluster whose Cilium was merely not found.
func (o *writeOptions) beforeCilium(targets []*clusters.Member, named []string) {
	for _, m := range targets {
		if m.Err == nil || m.Err.Class != clusters.ClassNoCilium || len(named) == 0 {
			continue
		}
		if o.flags.CiliumNamespace == "" {
			o.say("Note: to make the CA of %s before Cilium is installed there, say where with --cilium-namespace", m.Label())
			continue
		}
		m.Err, m.CiliumNamespace = nil, o.flags.CiliumNamespace
	}
}

// ends finds the source and the targets among the members.
func ends(sel *clusters.Selection, fromName string, toNames []string) (*clusters.Member, []*clusters.Member, error) {
	found, err := sel.Resolve("--from", []string{fromName})
	if err != nil {
		return nil, nil, err
	}
	from := found[0]
	if len(toNames) > 0 {
		targets, err := sel.Resolve("--to", toNames)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(targets, from) {
			return nil, nil, fmt.Errorf("--to names %s, which is --from", from.Label())
		}
		return from, targets, nil
	}
	targets := slices.DeleteFunc(slices.Clone(sel.Members), func(m *clusters.Member) bool { return m == from })
	if len(targets) == 0 {
		return nil, nil, fmt.Errorf("--to-all: %s is the only cluster that is read; name more with --contexts", from.Label())
	}
	return from, targets, nil
}

// withUnread adds the members whose Cilium name is not known because they could not be read: the name in question may be theirs.
func withUnread(err error, sel *clusters.Selection) error {
	var unread []string
	for _, m := range sel.Failed() {
		unread = append(unread, fmt.Sprintf("%s could not be read (%s)", m.Label(), m.Err.Class))
	}
	if len(unread) == 0 {
		return err
	}
	return fmt.Errorf("%w; %s", err, strings.Join(unread, ", "))
}

// unreadable refuses to begin when a cluster that matters could not be read. With --allow-partial it names the targets that are left out.
func (o *writeOptions) unreadable(from *clusters.Member, targets []*clusters.Member) ([]string, error) {
	if len(o.dead([]*clusters.Member{from})) > 0 {
		return nil, fmt.Errorf("%s, whose CA is to be copied, could not be read; nothing was changed", from.Name)
	}
	dead := o.dead(targets)
	switch {
	case len(dead) == len(targets):
		return nil, errors.New("no cluster to be changed could be read; nothing was changed")
	case len(dead) > 0 && !o.AllowPartial:
		return nil, fmt.Errorf("%s could not be read; nothing was changed in any cluster. Leave it out of --to, or use --allow-partial to go on without it", strings.Join(dead, ", "))
	}
	return dead, nil
}
