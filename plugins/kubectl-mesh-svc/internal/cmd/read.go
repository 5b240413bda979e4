package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/inspect"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

const readExits = "\n\nExit codes: 0 complete, 2 usage or a cluster that could not be read, 130 interrupted."

func newClusters(e *kernel.Env) *cobra.Command {
	out := output.NewFlags()
	cmd := &cobra.Command{
		Use:     "clusters",
		Aliases: []string{"cluster"},
		Short:   "Show the clusters of the mesh as they see themselves",
		Long: "Show the clusters of the mesh as they see themselves: Cilium's name and id, its version, and to\n" +
			"which peers each is configured to connect, with a mark if a peer does not connect back.\n" +
			"FINDINGS has the ids of errors and warnings; check explains them, and has those of severity info.\n" +
			"With --contexts it also works before the clusters are connected. Whether they trust each other's\n" +
			"certificates is shown by kubectl mesh-ca status." + readExits,
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
			doc, found, err := inspect.Clusters(cmd.Context(), inspect.Config{Select: e.SelectEarly})
			if err != nil {
				return err
			}
			if err := out.Print(e.Out, doc, view.Clusters(doc)); err != nil {
				return err
			}
			return e.Incomplete(cmd.Context(), found.Members)
		},
	}
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func newDescribe(e *kernel.Env) *cobra.Command {
	out := output.NewFlags()
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show one Service in all clusters, and who answers whom",
		Long: "Show one Service in all clusters: its values and where each comes from, which cluster answers\n" +
			"the clients of which cluster with which share, why a cluster is not used, and what the shares\n" +
			"become when one cluster loses its endpoints. Shares are those of new connections; each ready\n" +
			"endpoint has the same weight. If a cluster could not be read, shares of the others are upper bounds (<=)." + readExits,
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
			return describe(cmd.Context(), e, out, args[0])
		},
	}
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func describe(ctx context.Context, e *kernel.Env, out *output.Flags, name string) error {
	c, err := inspectConfig(e, []string{name}, "")
	if err != nil {
		return err
	}
	doc, found, err := inspect.Describe(ctx, c)
	if err != nil {
		return incomplete(ctx, e, found, err)
	}
	if err := out.Print(e.Out, doc, view.Describe(doc)); err != nil {
		return err
	}
	return e.Incomplete(ctx, found.Members)
}

// exactlyOne is cobra.ExactArgs with an error that names the argument.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing; usage: %s", what, cmd.UseLine())
		case len(args) > 1:
			return fmt.Errorf("exactly one %s is expected, got %d: %s", what, len(args), strings.Join(args, " "))
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
			return "", fmt.Errorf("%q is not a Service; name it as NAME or service/NAME", arg)
		}
	}
	if len(validation.IsDNS1123Label(name)) > 0 {
		return "", fmt.Errorf("%q is not a Service name: it must consist of lower case letters, digits and -, at most %d, and begin and end with a letter or a digit", arg, validation.DNS1123LabelMaxLength)
	}
	return name, nil
}

// serviceNames parses all arguments that name Services.
func serviceNames(args []string) ([]string, error) {
	var names []string
	for _, a := range args {
		name, err := serviceName(a)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
