package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// listFlags are what the user says about a list.
type listFlags struct {
	allNamespaces, all, watch bool
	selector                  string
}

// listOptions is a list that is ready to be read.
type listOptions struct {
	*env
	out           *output.Flags
	names         []string // empty for all
	allNamespaces bool
	all           bool // also Services that are global nowhere
	selector      labels.Selector
}

func (f *listFlags) toOptions(e *env, out *output.Flags, args []string) (*listOptions, error) {
	switch {
	case len(args) > 0 && (f.all || f.selector != "" || f.allNamespaces):
		return nil, errors.New("names cannot be used together with --all, --selector or --all-namespaces")
	case f.watch && out.SortBy != "":
		return nil, errors.New("--sort-by and --watch cannot be used together: rows come when something changes")
	}
	// Services that are named are listed whether or not they are global.
	o := &listOptions{env: e, out: out, allNamespaces: f.allNamespaces, all: f.all || len(args) > 0}
	for _, a := range args {
		name, err := serviceName(a)
		if err != nil {
			return nil, err
		}
		o.names = append(o.names, name)
	}
	var err error
	o.selector, err = parseSelector(f.selector)
	return o, err
}

// query is what is read of each cluster.
func (o *listOptions) query(namespace string) meshstate.Query {
	q := meshstate.Query{Selector: o.selector}
	if !o.allNamespaces {
		q.Namespace = namespace
	}
	if len(o.names) == 1 {
		q.Name = o.names[0]
	}
	return q
}

// wants reports whether a Service is one of those that are named.
func (o *listOptions) wants(key routing.Key) bool {
	return len(o.names) == 0 || slices.Contains(o.names, key.Name)
}

func newList(e *env) *cobra.Command {
	out := output.NewFlags().WithNames().WithItems("services")
	f := &listFlags{}
	cmd := &cobra.Command{
		Use:     "list [NAME... | -l SELECTOR] [-A] [--all] [-w]",
		Aliases: []string{"ls"},
		Short:   "List the global services of all clusters",
		Long: "List the Services that are global in at least one cluster, or those that are named, one row for each over\n" +
			"all clusters: in how many it is global and shared, which affinity it has, and its ready endpoints by cluster. 2/2 +1?\n" +
			"says that one more cluster could not be read.\n\n" +
			"With --watch a row follows whenever one of these changes in any cluster, with what changed, until Ctrl-C\n" +
			"(exit code 130); -o json and yaml print one ServiceList for each change, of what changed only. A cluster\n" +
			"that is lost is said and shown as ?, and followed again when it is back. Settings of Cilium are those at\n" +
			"the start." + readExits,
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
			o, err := f.toOptions(e, out, args)
			if err != nil {
				return err
			}
			if f.watch {
				return o.watch(cmd.Context())
			}
			return o.list(cmd.Context())
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

func (o *listOptions) list(ctx context.Context) error {
	sel, err := o.selectMembers(ctx)
	if err != nil {
		return err
	}
	return o.show(ctx, sel)
}

// show reads the members and prints the list.
func (o *listOptions) show(ctx context.Context, sel *clusters.Selection) error {
	q := o.query(o.flags.Namespace(sel.Home()))
	st := meshstate.Read(ctx, sel.Members, o.flags.Timeout, q)
	if _, err := named(st, q.Namespace, o.names); err != nil {
		return errors.Join(o.incomplete(ctx, sel.Members), err)
	}
	doc := globalsvc.List(st, sel.Members, o.all, o.names...)
	if len(doc.Services) == 0 && o.out.IsList() && len(sel.Failed()) == len(sel.Members) {
		return o.incomplete(ctx, sel.Members)
	}
	if err := output.Sort(o.out, doc.Services); err != nil {
		return err
	}
	switch {
	case len(doc.Services) == 0 && o.out.IsList():
		o.noneFound(q.Namespace, o.all)
	case o.out.IsName():
		for _, s := range doc.Services {
			if _, err := fmt.Fprintln(o.Out, output.Clean("service/"+s.Name)); err != nil {
				return err
			}
		}
	default:
		if err := o.out.Print(o.Out, doc, view.List(doc, o.allNamespaces)); err != nil {
			return err
		}
	}
	return o.incomplete(ctx, sel.Members)
}

// noneFound says that there is nothing to list.
func (e *env) noneFound(namespace string, all bool) {
	where := "in any namespace"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	what := "global services"
	if all {
		what = "services"
	}
	_, _ = fmt.Fprintf(e.ErrOut, "No %s found %s.\n", what, where)
}
