package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Schemas has the JSON Schemas of the documents that a plugin prints.
type Schemas interface {
	// Kinds lists the kinds, sorted.
	Kinds() []string
	// Of returns the schema of a kind.
	Of(kind string) ([]byte, error)
	// Summary returns what a kind is, as one sentence.
	Summary(kind string) (string, error)
}

func newSchema(p Plugin, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON Schema of a document",
		Long: "Print the JSON Schema (draft 2020-12) of a document that this plugin prints with -o json, -o yaml\n" +
			"or -o jsonl. The field \"kind\" of a document names its schema. Without KIND, list the kinds.\n" +
			"docs/documents.md says which changes a script must expect. The command does not contact a cluster.",
		Example: "  # List the kinds\n  " + p.Display + " schema\n\n" +
			"  # Save the schema of one, for an editor or a validator\n  " + p.Display + " schema " + p.Schemas.Kinds()[0] + " > schema.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("schema accepts one kind; got %q", args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listKinds(p.Schemas, streams)
			}
			raw, err := p.Schemas.Of(args[0])
			if err != nil {
				return err
			}
			_, err = streams.Out.Write(raw)
			return err
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, kind := range p.Schemas.Kinds() {
				if len(args) == 0 && strings.HasPrefix(kind, typed) {
					out = append(out, kind)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// listKinds prints one line for each kind.
func listKinds(s Schemas, streams genericiooptions.IOStreams) error {
	w := tabwriter.NewWriter(streams.Out, 0, 0, 3, ' ', 0)
	for _, kind := range s.Kinds() {
		summary, err := s.Summary(kind)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\n", kind, strings.TrimPrefix(summary, kind+" is ")); err != nil {
			return err
		}
	}
	return w.Flush()
}
