package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/inspect"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// drawings are the formats of pictures; json and yaml are the document.
var drawings = map[string]func(v1alpha1.MeshGraph) string{"mermaid": view.Mermaid, "dot": view.Dot, "svg": view.SVG}

var graphFormats = []string{"mermaid", "dot", "svg", "json", "yaml"}

func newGraph(e *kernel.Env) *cobra.Command {
	var (
		allNamespaces    bool
		selector, format string
	)
	cmd := &cobra.Command{
		Use:   "graph [NAME... | -l SELECTOR] [-A]",
		Short: "Draw which cluster serves whom",
		Long: "Draw which cluster's endpoints serve the clients of which cluster, with their shares: of one Service, or\n" +
			"of the global services of a namespace taken together. mermaid is text for Markdown, dot is for Graphviz,\n" +
			"svg is a picture that needs nothing else. A cluster that could not be read is drawn as unreadable. describe\n" +
			"shows the reasons." + readExits,
		Example: `  # One Service, as mermaid text
  kubectl mesh-svc graph nginx

  # All global services, as a picture for a run book
  kubectl mesh-svc graph -A -o svg > mesh.svg

  # Through Graphviz
  kubectl mesh-svc graph nginx -o dot | dot -Tpng > nginx.png`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(graphFormats, format) {
				return fmt.Errorf("--output %q is not known; it is one of %s", format, strings.Join(graphFormats, ", "))
			}
			if len(args) > 0 && (selector != "" || allNamespaces) {
				return errors.New("names cannot be used together with --selector or --all-namespaces")
			}
			c, err := inspectConfig(e, args, selector)
			if err != nil {
				return err
			}
			c.AllNamespaces = allNamespaces
			return graph(cmd.Context(), e, format, c)
		},
	}
	cmd.Flags().BoolVarP(&allNamespaces, "all-namespaces", "A", false, "If true, draw the global services of all namespaces.")
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "Label selector that the Services must match.")
	cmd.Flags().StringVarP(&format, "output", "o", "mermaid", "Output format. Must be one of: "+strings.Join(graphFormats, ", ")+".")
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func graph(ctx context.Context, e *kernel.Env, format string, c inspect.Config) error {
	doc, found, some, err := inspect.Graph(ctx, c)
	if err != nil {
		return incomplete(ctx, e, found, err)
	}
	draw := drawings[format]
	if !some && draw != nil {
		if !found.None() {
			noneFound(e, found.Namespace, false)
		}
		return e.Incomplete(ctx, found.Members)
	}
	if draw != nil {
		_, err = fmt.Fprint(e.Out, draw(doc))
	} else {
		out := output.NewFlags()
		out.Format = format
		err = out.Print(e.Out, doc, nil)
	}
	if err != nil {
		return err
	}
	if n := view.MermaidLines(doc); format == "mermaid" && n > view.MermaidEdges {
		e.Warn("the graph has %d edges; mermaid draws %d unless maxEdges says otherwise. -o svg draws them all", n, view.MermaidEdges)
	}
	return e.Incomplete(ctx, found.Members)
}
