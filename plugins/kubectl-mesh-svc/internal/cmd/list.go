package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/inspect"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// listFlags are what the user says about a list.
type listFlags struct {
	allNamespaces, all, watch bool
	selector                  string
}

func (f *listFlags) config(e *kernel.Env, out *output.Flags, args []string) (inspect.Config, error) {
	switch {
	case len(args) > 0 && (f.all || f.selector != "" || f.allNamespaces):
		return inspect.Config{}, errors.New("names cannot be used together with --all, --selector or --all-namespaces")
	case f.watch && out.SortBy != "":
		return inspect.Config{}, errors.New("--sort-by and --watch cannot be used together: rows come when something changes")
	}
	c, err := inspectConfig(e, args, f.selector)
	c.All, c.AllNamespaces = f.all, f.allNamespaces
	return c, err
}

func newList(e *kernel.Env) *cobra.Command {
	out := output.NewFlags().WithNames().WithItems("services")
	f := &listFlags{}
	cmd := &cobra.Command{
		Use:     "list [NAME... | -l SELECTOR] [-A] [--all] [-w]",
		Aliases: []string{"ls"},
		Short:   "List the global services of all clusters",
		Long: "List the Services that are global in at least one cluster, or those that you name. One row shows a Service over\n" +
			"all clusters: in how many it is global and shared, which affinity it has, and its ready endpoints by cluster.\n" +
			"2/2 +1? means that one more cluster could not be read. FINDINGS has the ids of errors and warnings; check\n" +
			"explains them, and has those of severity info.\n\n" +
			"With --watch, the command prints a row with what changed whenever one of these changes in any cluster, until\n" +
			"Ctrl-C (exit code 130). -o json and yaml print one ServiceList for each change, with only what changed. If a\n" +
			"connection to a cluster is lost, the command reports it, shows ?, and tries again. Settings of Cilium are read\n" +
			"only at the start." + readExits,
		Example: `  # The global services of the current namespace
  kubectl mesh-svc list

  # Those of all namespaces
  kubectl mesh-svc list -A

  # Two Services, whether they are global or not
  kubectl mesh-svc list nginx api

  # Every Service, global or not
  kubectl mesh-svc list --all -n shop

  # In columns of your own, in the order of a field
  kubectl mesh-svc list -A --sort-by=.name -o custom-columns=NAME:.name,READY:.clusters[*].readyEndpoints

  # Follow them all while a change is rolled out
  kubectl mesh-svc list -A -w`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			c, err := f.config(e, out, args)
			if err != nil {
				return err
			}
			if f.watch {
				return watch(cmd.Context(), e, out, c)
			}
			return list(cmd.Context(), e, out, c)
		},
	}
	cmd.Flags().BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "If true, list the Services of all namespaces.")
	cmd.Flags().BoolVar(&f.all, "all", false, "If true, list Services that are global nowhere too.")
	cmd.Flags().StringVarP(&f.selector, "selector", "l", "", "Label selector that the Services must match.")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "If true, go on to print a row whenever a Service's summary changes.")
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func list(ctx context.Context, e *kernel.Env, out *output.Flags, c inspect.Config) error {
	doc, found, err := inspect.List(ctx, c)
	if err != nil {
		return incomplete(ctx, e, found, err)
	}
	if len(doc.Services) == 0 && out.IsList() && found.None() {
		return e.Incomplete(ctx, found.Members)
	}
	if err := output.Sort(out, doc.Services); err != nil {
		return err
	}
	objects := make([]string, len(doc.Services))
	for n, s := range doc.Services {
		objects[n] = "service/" + s.Name
	}
	if len(doc.Services) == 0 && out.IsList() {
		noneFound(e, found.Namespace, c.All || len(c.Names) > 0)
	} else if err := e.PrintResult(out, doc, objects, view.List(doc, c.AllNamespaces)); err != nil {
		return err
	}
	return e.Incomplete(ctx, found.Members)
}

// noneFound says that there is nothing to list.
func noneFound(e *kernel.Env, namespace string, all bool) {
	where := "in any namespace"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	what := "global services"
	if all {
		what = "services"
	}
	e.Say("No %s found %s.", what, where)
}
