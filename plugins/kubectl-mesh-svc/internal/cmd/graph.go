package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// drawings are the formats of pictures; json and yaml are the document.
var drawings = map[string]func(v1alpha1.MeshGraph) string{"mermaid": view.Mermaid, "dot": view.Dot, "svg": view.SVG}

var graphFormats = []string{"mermaid", "dot", "svg", "json", "yaml"}

func newGraph(e *env) *cobra.Command {
	var (
		allNamespaces    bool
		selector, format string
	)
	cmd := &cobra.Command{
		Use:   "graph [NAME... | -l SELECTOR] [-A]",
		Short: "Draw which cluster serves whom",
		Long: "Draw which cluster's endpoints serve the clients of which cluster, with their shares: of one Service, or\n" +
			"of the global services of a namespace taken together. mermaid is text for Markdown, dot is for Graphviz,\n" +
			"svg is a picture that needs nothing else. A cluster that could not be read is drawn as such. describe\n" +
			"says the reasons." + readExits,
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
			names := make([]string, len(args))
			for i, a := range args {
				name, err := serviceName(a)
				if err != nil {
					return err
				}
				names[i] = name
			}
			parsed, err := parseSelector(selector)
			if err != nil {
				return err
			}
			return e.graph(cmd.Context(), format, names, allNamespaces, parsed)
		},
	}
	cmd.Flags().BoolVarP(&allNamespaces, "all-namespaces", "A", false, "If true, draw the global services of all namespaces.")
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "Label selector that the Services must match.")
	cmd.Flags().StringVarP(&format, "output", "o", "mermaid", "Output format: "+strings.Join(graphFormats, "|")+".")
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func (e *env) graph(ctx context.Context, format string, names []string, allNamespaces bool, selector labels.Selector) error {
	sel, err := e.selectMembers(ctx)
	if err != nil {
		return err
	}
	q := meshstate.Query{Selector: selector}
	if !allNamespaces {
		q.Namespace = e.flags.Namespace(sel.Home())
	}
	if len(names) == 1 {
		q.Name = names[0]
	}
	st := meshstate.Read(ctx, sel.Members, e.flags.Timeout, q)
	keys := globalsvc.GlobalKeys(st)
	if len(names) > 0 {
		if keys, err = named(st, q.Namespace, names); err != nil {
			if missing := e.incomplete(ctx, sel.Members); missing != nil {
				return missing
			}
			return err
		}
	}
	if len(keys) == 0 && (drawings[format] != nil) {
		if len(sel.Failed()) < len(sel.Members) {
			e.noneFound(q.Namespace, false)
		}
		return e.incomplete(ctx, sel.Members)
	}
	doc := globalsvc.Graph(st, sel.Members, keys)
	if draw := drawings[format]; draw != nil {
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
		e.warn("the graph has %d edges; mermaid draws %d unless maxEdges says otherwise. -o svg draws them all", n, view.MermaidEdges)
	}
	return e.incomplete(ctx, sel.Members)
}
