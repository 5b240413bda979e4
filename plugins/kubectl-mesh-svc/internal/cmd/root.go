// Package cmd is the command line of kubectl mesh-svc: cobra and flags only. What a command does is in inspect, write, undo, drain and local; how a
// result looks is in view.
package cmd

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1/schema"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/inspect"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

const display = plugin.Display

// NewRoot returns kubectl mesh-svc.
func NewRoot(streams genericiooptions.IOStreams) *cobra.Command { return New(kernel.New(streams)) }

// New returns kubectl mesh-svc in an environment.
func New(e *kernel.Env) *cobra.Command {
	root := cli.NewRoot(cli.Plugin{
		Binary:  "kubectl-mesh_svc",
		Display: display,
		Short:   "Show and change global services in all clusters of a Cilium Cluster Mesh",
		Long: "Show and change global services in all clusters of a Cilium Cluster Mesh.\n\n" +
			"Every command reads all clusters of the mesh. A command that writes shows a plan first, checks it\n" +
			"in every cluster, and changes all clusters or none.",
		Example: `  # See the clusters of the mesh that the current context belongs to
  kubectl mesh-svc clusters

  # Make a Service global in all of them
  kubectl mesh-svc globalize nginx

  # See which cluster answers whom, and why
  kubectl mesh-svc describe nginx`,
		Schemas: schema.MeshSvc(),
	}, e.IOStreams)
	e.Attach(root)
	root.AddCommand(
		newClusters(e),
		newList(e),
		newDescribe(e),
		newCheck(e),
		newGraph(e),
		newGlobalize(e),
		newUnglobalize(e),
		newShare(e),
		newUnshare(e),
		newAffinity(e),
		newUndo(e),
		newDrain(e),
		newUndrain(e),
		newRBAC(e),
	)
	addCompletion(root, e)
	return root
}

// inspectConfig is what the reading commands have in common.
func inspectConfig(e *kernel.Env, names []string, selector string) (inspect.Config, error) {
	parsed, err := serviceNames(names)
	if err != nil {
		return inspect.Config{}, err
	}
	sel, err := parseSelector(selector)
	return inspect.Config{Select: e.SelectEarly, Namespace: e.Flags.Namespace, Timeout: e.Flags.Timeout, Names: parsed, Selector: sel}, err
}

// incomplete reports clusters that could not be read beside an error: they may have what was not found.
func incomplete(ctx context.Context, e *kernel.Env, f *inspect.Found, err error) error {
	if f == nil {
		return err
	}
	return cmp.Or(e.Incomplete(ctx, f.Members), err)
}

// parseSelector reads --selector before any cluster is asked; nil for none.
func parseSelector(s string) (labels.Selector, error) {
	if s == "" {
		return nil, nil
	}
	sel, err := labels.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("--selector: %w", err)
	}
	return sel, nil
}
