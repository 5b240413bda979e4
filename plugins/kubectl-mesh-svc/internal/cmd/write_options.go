package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

// errInEmpty: an empty variable in a script must not become "all clusters".
var errInEmpty = errors.New("--in is empty; name a cluster or leave it out")

var errAffinityMissing = errors.New("the affinity is missing; it is local, remote or none, before the names")

// writeFlags are what the user says about a change.
type writeFlags struct {
	env     *env
	out     *output.Flags
	needsIn bool
	local   localFlags

	in                                []string
	selector                          string
	all, allNamespaces, includeSystem bool
	dryRun                            cli.DryRun
	preflight, manager                string
	yes, allowPartial, forceConflicts bool
}

func newWriteFlags(e *env) *writeFlags {
	return &writeFlags{env: e, out: output.NewFlags().WithNames(), preflight: "full", manager: globalsvc.Manager}
}

const dryRunUsage = "Must be one of: none, client, server. client shows the plan; server also checks it in every cluster with admission. Nothing is written."

// addApplyFlags registers what undo takes too.
func (f *writeFlags) addApplyFlags(fs *pflag.FlagSet) {
	f.dryRun.AddFlag(fs, dryRunUsage)
	fs.StringVar(&f.preflight, "preflight", f.preflight, "full or access. access asks for permission only, for clusters with an admission webhook that cannot dry-run.")
	fs.StringVar(&f.manager, "field-manager", f.manager, "Name of the manager that is recorded as owner of the annotations.")
	fs.BoolVarP(&f.yes, "yes", "y", false, "If true, do not ask.")
	fs.BoolVar(&f.allowPartial, "allow-partial", false, "If true, go on without clusters that cannot be reached or refuse.")
	fs.BoolVar(&f.forceConflicts, "force-conflicts", false, "If true, also change annotations that a reconciler such as Argo CD, Flux or Helm owns.")
	f.out.AddFlags(fs)
}

func (f *writeFlags) addFlags(fs *pflag.FlagSet) {
	in := "Clusters to change, by Cilium name or context (repeatable). "
	if f.needsIn {
		in += "Required."
	} else {
		in += "Default: all that are read."
	}
	fs.StringSliceVar(&f.in, "in", nil, in)
	fs.StringVarP(&f.selector, "selector", "l", "", "Label selector of the Services to change.")
	fs.BoolVar(&f.all, "all", false, "If true, change all Services of the namespace.")
	fs.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "If true, look in all namespaces; with --selector or --all.")
	fs.BoolVar(&f.includeSystem, "include-system", false, "If true, also change Services of the system, ExternalName Services and those that Cilium ignores.")
	f.addApplyFlags(fs)
	fs.Lookup("force-conflicts").Usage = "If true, also change annotations that a reconciler such as Argo CD, Flux or Helm owns, and what a drain took out of service."
	f.local.addFlags(fs)
}

// writeOptions is a change that is ready to be planned.
type writeOptions struct {
	*env
	out     *output.Flags
	request globalsvc.Request
	query   meshstate.Query
	in      []string
	// allNamespaces: else the namespace is the home member's, which is known after the selection.
	allNamespaces bool
	dryRun        string
	yes           bool
	partial       bool
	manager       string
	// local is the command that makes the same change in a manifest.
	local string
	// retry is the words of this command: run again, it completes what was not written.
	retry []string
	// takeBack is the command that takes it back where that is not undo.
	takeBack string
	apply    change.Options
	// force also changes what a reconciler owns.
	force bool
	// whole is the mesh of the clusters of an undo record, where the record alone chose the clusters.
	whole commandline.Mesh
}

// common checks the flags that undo has too.
func (f *writeFlags) common() (*writeOptions, error) {
	if err := f.out.Validate(); err != nil {
		return nil, err
	}
	if f.dryRun.Deprecated != "" {
		f.env.warn("%s", f.dryRun.Deprecated)
	}
	if f.preflight != "full" && f.preflight != "access" {
		return nil, fmt.Errorf("--preflight %q is not known; it is full or access", f.preflight)
	}
	if f.manager == "" {
		return nil, errors.New("--field-manager is empty")
	}
	return &writeOptions{env: f.env, out: f.out, in: f.in, dryRun: f.dryRun.Value, yes: f.yes, partial: f.allowPartial, manager: f.manager,
		force: f.forceConflicts, apply: change.Options{Timeout: f.env.flags.Timeout, AccessOnly: f.preflight == "access", AllowPartial: f.allowPartial}}, nil
}

// toOptions checks everything that can be checked without a cluster.
func (f *writeFlags) toOptions(edit globalsvc.Edit, names []string) (*writeOptions, error) {
	bulk := f.all || f.selector != ""
	switch {
	case len(names) > 0 && bulk:
		return nil, errors.New("names and --all or --selector cannot be used together")
	case f.all && f.selector != "":
		return nil, errors.New("--all and --selector cannot be used together")
	case len(names) == 0 && !bulk:
		return nil, errors.New("no Service is named; give names, --selector or --all")
	case f.allNamespaces && !bulk:
		return nil, errors.New("--all-namespaces needs --selector or --all")
	case edit.NeedsIn && len(f.in) == 0:
		return nil, fmt.Errorf("%s needs --in CLUSTER: it is meant for some clusters, not for all", edit.Action)
	}
	o, err := f.common()
	if err != nil {
		return nil, err
	}
	selector, err := parseSelector(f.selector)
	if err != nil {
		return nil, err
	}
	o.request = globalsvc.Request{Edit: edit, Bulk: bulk, IncludeSystem: f.includeSystem, Selector: selector, Force: f.forceConflicts}
	for _, n := range names {
		name, err := serviceName(n)
		if err != nil {
			return nil, err
		}
		o.request.Names = append(o.request.Names, name)
	}
	o.query = meshstate.Query{Selector: selector, Objects: true}
	if len(o.request.Names) == 1 {
		o.query.Name = o.request.Names[0]
	}
	o.allNamespaces = f.allNamespaces
	return o, nil
}

func (o *writeOptions) run(ctx context.Context) error {
	sel, err := o.selectMembers(ctx)
	if err != nil {
		return err
	}
	if sel.ContextOnly && len(o.in) == 0 {
		return fmt.Errorf("with --context, %s needs --in CLUSTER, or --contexts for several clusters", o.request.Action)
	}
	o.request.Named = sel.Named
	targets := sel.Members
	if len(o.in) > 0 {
		if targets, err = sel.Resolve("--in", o.in); err != nil {
			return err
		}
	}
	if !o.allNamespaces {
		o.query.Namespace = o.flags.Namespace(sel.Home())
		o.request.Namespace = o.query.Namespace
	}
	o.request.Mesh = o.mesh
	st := meshstate.Read(ctx, sel.Members, o.flags.Timeout, o.query)
	o.sayUnseen(sel.Members)
	if ctx.Err() != nil {
		return o.unwritten(targets, ctx.Err())
	}
	if err := o.reachable(targets); err != nil {
		return o.unwritten(targets, err)
	}
	plan, err := globalsvc.Plan(st, targets, o.request)
	if err != nil {
		return err
	}
	plan.Manager, plan.Local = o.manager, o.local
	for _, line := range slices.Concat(globalsvc.Idle(st, plan, o.request), globalsvc.StillDrained(st, plan, o.request), globalsvc.Proxied(st, plan), globalsvc.Leftovers(st, plan, o.request)) {
		output.Say(o.ErrOut, "Note: %s", line)
	}
	if len(plan.Items) == 0 && o.out.IsTable() {
		_, _ = fmt.Fprintln(o.ErrOut, "No services match; nothing was changed.")
		return nil
	}
	return o.carryOut(ctx, plan, targets, sel.Literal || len(o.in) > 0)
}

// unwritten prints the document of a change that was not begun; a table of nothing is left out.
func (o *writeOptions) unwritten(targets []*clusters.Member, failure error) error {
	if o.out.IsTable() || o.out.IsName() {
		return failure
	}
	plan := &annotate.Plan{Action: o.request.Action}
	plan.Stop()
	return errors.Join(failure, o.out.Print(o.Out, plan.Report(targets, o.dryRun), nil))
}

// reachable refuses to begin when a target could not be read, unless --allow-partial.
func (o *writeOptions) reachable(targets []*clusters.Member) error {
	var dead []string
	for _, m := range targets {
		if m.Err != nil {
			output.Unread(o.ErrOut, m.Label(), string(m.Err.Class), m.Err)
			dead = append(dead, m.Name)
		}
	}
	switch {
	case len(dead) == 0:
		return nil
	case len(dead) == len(targets):
		return errors.New("no cluster to be changed could be read; nothing was changed")
	case !o.partial:
		return fmt.Errorf("%s could not be read; nothing was changed in any cluster. Name the clusters to change with --in or --contexts, or use --allow-partial to go on without it", strings.Join(dead, ", "))
	}
	return nil
}
