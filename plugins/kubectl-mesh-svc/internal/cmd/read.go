package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

const readExits = "\n\nExit codes: 0 complete, 2 usage or a cluster that could not be read, 130 interrupted."

func newClusters(e *env) *cobra.Command {
	out := output.NewFlags()
	cmd := &cobra.Command{
		Use:     "clusters",
		Aliases: []string{"cluster"},
		Short:   "Show the clusters of the mesh as they see themselves",
		Long: "Show the clusters of the mesh as they see themselves: Cilium's name and id, its version, and\n" +
			"whom each is configured to connect to, with a mark where the other side does not connect back.\n" +
			"With --contexts it also works before the clusters are connected." + readExits,
		Example: `  # The mesh of the current context
  kubectl mesh-svc clusters

  # Two clusters that are not connected yet
  kubectl mesh-svc clusters --contexts kind-us,kind-eu

  # For a script
  kubectl mesh-svc clusters -o json`,
		Args: cli.NoArgs("--contexts says which clusters are read"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			sel, err := e.selectMembers(cmd.Context())
			if err != nil {
				return err
			}
			doc := globalsvc.Clusters(sel.Members)
			if err := out.Print(e.Out, doc, view.Clusters(doc)); err != nil {
				return err
			}
			return e.incomplete(cmd.Context(), sel.Members)
		},
	}
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func newDescribe(e *env) *cobra.Command {
	out := output.NewFlags()
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show one Service in all clusters, and who answers whom",
		Long: "Show one Service in all clusters: its values and where each comes from, which cluster answers\n" +
			"the clients of which cluster with which share, why a cluster is not used, and what the shares\n" +
			"become when one cluster loses its endpoints. Shares are those of new connections; each ready\n" +
			"endpoint has the same weight. Where a cluster could not be read, <= says what the others answer at most." + readExits,
		Example: `  # Who answers whom
  kubectl mesh-svc describe nginx

  # In another namespace, from two clusters only
  kubectl mesh-svc describe nginx -n shop --contexts kind-us,kind-eu

  # The share that clients in us get from eu
  kubectl mesh-svc describe nginx -o jsonpath='{.predictions[?(@.client=="us")].outcomes[0].shares[?(@.cluster=="eu")].share}'`,
		Args: exactlyOne("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			return e.describe(cmd.Context(), out, args[0])
		},
	}
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func (e *env) describe(ctx context.Context, out *output.Flags, name string) error {
	name, err := serviceName(name)
	if err != nil {
		return err
	}
	sel, err := e.selectMembers(ctx)
	if err != nil {
		return err
	}
	key := routing.Key{Namespace: e.flags.Namespace(sel.Home()), Name: name}
	st := meshstate.Read(ctx, sel.Members, e.flags.Timeout, meshstate.Query{Namespace: key.Namespace, Name: key.Name})
	if len(st.Keys()) == 0 {
		if err := e.incomplete(ctx, sel.Members); err != nil {
			return err
		}
		return fmt.Errorf("service %s not found in any cluster; name another namespace with -n, or list all Services of this one: %s", key, e.command(key.Namespace, "list", "--all"))
	}
	doc := globalsvc.Describe(st, sel.Members, key)
	if err := out.Print(e.Out, doc, view.Describe(doc)); err != nil {
		return err
	}
	return e.incomplete(ctx, sel.Members)
}

// exactlyOne is cobra.ExactArgs with an error that names the argument.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing; usage: %s", what, cmd.UseLine())
		case len(args) > 1:
			return fmt.Errorf("one %s is expected, there are %d: %s", what, len(args), strings.Join(args, " "))
		}
		return nil
	}
}

// serviceName accepts NAME, service/NAME and svc/NAME.
func serviceName(arg string) (string, error) {
	name := arg
	if kind, rest, ok := strings.Cut(arg, "/"); ok {
		switch kind {
		case "service", "services", "svc":
			name = rest
		default:
			return "", fmt.Errorf("%q is no Service; name it as NAME or service/NAME", arg)
		}
	}
	if len(validation.IsDNS1123Label(name)) > 0 {
		return "", fmt.Errorf("%q is no Service name: that has lower case letters, digits and -, at most %d, with a letter or a digit first and last", arg, validation.DNS1123LabelMaxLength)
	}
	return name, nil
}
