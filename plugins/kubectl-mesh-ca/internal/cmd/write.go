package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

const writeExits = "\n\nExit codes: 0 done, unchanged or dry-run; 1 anything else; 130 interrupted."

// The values of --dry-run.
const (
	dryNone   = "none"
	dryClient = "client"
	dryServer = "server"
)

// writeFlags are what the user says about how a CA is replaced.
type writeFlags struct {
	env                               *env
	out                               *output.Flags
	dryRun, preflight, manager        string
	yes, allowPartial, forceConflicts bool
}

func newWriteFlags(e *env) *writeFlags {
	return &writeFlags{env: e, out: output.NewFlags().WithNames(), dryRun: dryNone, preflight: "full", manager: pki.FieldManager}
}

func (f *writeFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.dryRun, "dry-run", f.dryRun, "none, client or server. client shows the plan; server also checks it in every cluster with admission. Nothing is written.")
	fs.StringVar(&f.preflight, "preflight", f.preflight, "full or access. access asks for permission only, for clusters with an admission webhook that cannot dry-run.")
	fs.StringVar(&f.manager, "field-manager", f.manager, "Name of the manager that is recorded as owner of the fields.")
	fs.BoolVarP(&f.yes, "yes", "y", false, "If true, do not ask.")
	fs.BoolVar(&f.forceConflicts, "force-conflicts", false, "If true, also replace a CA that a reconciler such as cert-manager, Argo CD or Flux keeps.")
	f.out.AddFlags(fs)
}

// writeOptions is a replacement that is ready to be planned.
type writeOptions struct {
	*env
	out     *output.Flags
	dryRun  string
	yes     bool
	manager string
	ca.Options
}

func (f *writeFlags) toOptions() (*writeOptions, error) {
	if err := f.out.Validate(); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains([]string{dryNone, dryClient, dryServer}, f.dryRun):
		return nil, fmt.Errorf("--dry-run %q is not known; it is none, client or server", f.dryRun)
	case f.preflight != "full" && f.preflight != "access":
		return nil, fmt.Errorf("--preflight %q is not known; it is full or access", f.preflight)
	case f.manager == "":
		return nil, errors.New("--field-manager is empty")
	}
	return &writeOptions{env: f.env, out: f.out, dryRun: f.dryRun, yes: f.yes, manager: f.manager, Options: ca.Options{
		Timeout: f.env.flags.Timeout, AccessOnly: f.preflight == "access", ForceConflicts: f.forceConflicts, Manager: f.manager, AllowPartial: f.allowPartial,
	}}, nil
}

// carryOut checks a plan, asks, carries it out and reports. left are targets that could not be read and were left out.
func (o *writeOptions) carryOut(ctx context.Context, plan *ca.Plan, members []*clusters.Member, left []string) error {
	plan.Manager = o.manager
	finish := func(err error) error {
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s could not be read and was left out", strings.Join(left, ", "))
		}
		return o.report(plan, members, err)
	}
	if plan.Failed() && !o.AllowPartial {
		return finish(errors.New("the plan cannot be carried out in every cluster; nothing was written in any"))
	}
	pending := plan.Pending()
	if len(pending) == 0 || o.dryRun == dryClient {
		return finish(nil)
	}
	if err := plan.Preflight(ctx, o.Options); err != nil {
		return finish(err)
	}
	if o.dryRun == dryServer {
		return finish(nil)
	}
	pending = plan.Pending()
	if err := (&output.Flags{}).Print(o.ErrOut, nil, view.Plan(plan.Report(members, o.dryRun))); err != nil {
		return err
	}
	names := make([]string, len(pending))
	for n, i := range pending {
		names[n] = i.State.Member.Name
	}
	ask := confirm.Prompter{In: o.In, ErrOut: o.ErrOut, Terminal: output.IsTerminal(o.In), Yes: o.yes}
	if err := ask.Ask(ctx, fmt.Sprintf("Replace the CA of %s?", strings.Join(names, ", "))); err != nil {
		return err
	}
	return finish(plan.Apply(ctx, o.Options))
}

// unwritten prints the document of a change that was not begun; a table of nothing is left out.
func (o *writeOptions) unwritten(plan *ca.Plan, members []*clusters.Member, failure error) error {
	if o.out.IsTable() || o.out.IsName() {
		return failure
	}
	return errors.Join(failure, o.out.Print(o.Out, plan.Report(members, o.dryRun), nil))
}

// report prints what became of each object, what must follow and how to go back.
func (o *writeOptions) report(plan *ca.Plan, members []*clusters.Member, failure error) error {
	doc := plan.Report(members, o.dryRun)
	if err := o.print(doc); err != nil {
		return errors.Join(failure, err)
	}
	if failure == nil || len(doc.Undo) > 0 {
		for _, line := range view.Next(doc.Next, plan.Status(members)) {
			o.say("%s", line)
		}
	}
	if len(doc.Undo) > 0 {
		o.say("")
		o.say("To go back:")
		for _, u := range doc.Undo {
			o.say("  %s", u)
		}
	}
	switch {
	case failure != nil:
		return failure
	case plan.Failed():
		return errors.New("not everything was done")
	}
	return nil
}

func (o *writeOptions) print(doc v1alpha1.CAChangeReport) error {
	if !o.out.IsName() {
		return o.out.Print(o.Out, doc, view.Changes(doc))
	}
	for _, c := range doc.Changes {
		if _, err := fmt.Fprintln(o.Out, output.Clean(c.Object)); err != nil {
			return err
		}
	}
	return nil
}
