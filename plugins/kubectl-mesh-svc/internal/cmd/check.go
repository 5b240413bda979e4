package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/inspect"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// checkFlags are what the user says about a check.
type checkFlags struct {
	allNamespaces, all bool
	selector, failOn   string
	ignore             []string
}

func newCheck(e *kernel.Env) *cobra.Command {
	out := output.NewFlags().With(formatSARIF, formatJUnit)
	f := &checkFlags{failOn: string(finding.Error)}
	cmd := &cobra.Command{
		Use:   "check [NAME... | -l SELECTOR | --all] [-A]",
		Short: "Find what is wrong with global services",
		Long: "Find what is wrong with the global services of a namespace, or with those that you name, and with the\n" +
			"clusters of the mesh. Each finding says what is wrong, which rule of Cilium is behind it and since which\n" +
			"version, and which command fixes it. docs/findings.md explains every finding by its id.\n\n" +
			"The command reads Services, nodes and, if policies mean local pods by default, network policies. If it may not\n" +
			"read something, it prints the ids of the findings that need it; --ignore leaves them out.\n\n" +
			"Exit codes: 0 nothing at or above --fail-on, 1 a finding at or above it, 2 usage, or a cluster or something\n" +
			"in one that could not be read, 130 interrupted.",
		Example: `  # Check the current namespace
  kubectl mesh-svc check

  # Check everything, and fail on warnings too
  kubectl mesh-svc check -A --fail-on warning

  # Print the findings; they do not change the exit code
  kubectl mesh-svc check --fail-on never

  # Check one Service, without the finding that is known and intended
  kubectl mesh-svc check nginx --ignore SVC004

  # For CI: a log for code scanning, or a report of tests
  kubectl mesh-svc check -A -o sarif > mesh.sarif
  kubectl mesh-svc check -A -o junit --fail-on warning > mesh.xml

  # Ids and objects for a script
  kubectl mesh-svc check -A -o jsonpath='{range .findings[*]}{.id} {.object}{"\n"}{end}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			if err := f.validate(args); err != nil {
				return err
			}
			return check(cmd.Context(), e, out, f, args)
		},
	}
	cmd.Flags().BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "If true, check all namespaces.")
	cmd.Flags().BoolVar(&f.all, "all", false, "If true, check all Services of the namespace. This is the default.")
	cmd.Flags().StringVarP(&f.selector, "selector", "l", "", "Label selector of the Services to check.")
	cmd.Flags().StringVar(&f.failOn, "fail-on", f.failOn, "Minimum severity that causes exit code 1. Must be one of: error, warning, info, never.")
	cmd.Flags().StringSliceVar(&f.ignore, "ignore", nil, "Ids of findings to leave out (repeatable).")
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func (f *checkFlags) validate(names []string) error {
	known := finding.Service()
	for _, id := range f.ignore {
		if !slices.ContainsFunc(known, func(r finding.Rule) bool { return r.ID == id }) {
			return fmt.Errorf("--ignore %q is not a finding of this plugin; docs/findings.md lists them", id)
		}
	}
	switch {
	case !slices.Contains(failOnValues(), f.failOn):
		return fmt.Errorf("--fail-on %q is not known; it must be one of: %s", f.failOn, strings.Join(failOnValues(), ", "))
	case len(names) > 0 && (f.all || f.selector != "" || f.allNamespaces):
		return errors.New("names cannot be used together with --all, --selector or --all-namespaces")
	}
	return nil
}

// failOnValues are the values of --fail-on. With the last one, findings do not change the exit code.
func failOnValues() []string {
	return []string{string(finding.Error), string(finding.Warning), string(finding.Info), string(finding.Never)}
}

func check(ctx context.Context, e *kernel.Env, out *output.Flags, f *checkFlags, args []string) error {
	c, err := inspectConfig(e, args, f.selector)
	if err != nil {
		return err
	}
	c.AllNamespaces = f.allNamespaces
	doc, found, err := inspect.Check(ctx, c, f.ignore)
	if err != nil {
		return incomplete(ctx, e, found, err)
	}
	if err := printFindings(e, out, f, doc, found.Read()); err != nil {
		return err
	}
	if ctx.Err() == nil {
		for _, line := range view.NotExamined(doc.NotExamined) {
			e.Say("error: %s", line)
		}
	}
	switch err := e.Incomplete(ctx, found.Members); {
	case err != nil:
		return err
	case len(doc.NotExamined) > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("not everything could be examined; the result is not complete")}
	case finding.Worst(doc.Findings, finding.Severity(f.failOn)):
		return &cli.ExitError{Code: cli.ExitFailure}
	}
	return nil
}

// printFindings prints the findings in the format that is asked for, or says that there are none.
func printFindings(e *kernel.Env, out *output.Flags, f *checkFlags, doc v1alpha1.FindingList, read int) error {
	switch {
	case out.Format == formatSARIF:
		return view.SARIF(e.Out, doc, cli.BuildInfo().Version)
	case out.Format == formatJUnit:
		return view.JUnit(e.Out, doc, finding.Severity(f.failOn), f.ignore)
	case len(doc.Findings) > 0 || !out.IsTable():
		return out.Print(e.Out, doc, view.Findings(doc.Findings, true))
	case read > 0:
		were := "were"
		if doc.Services == 1 {
			were = "was"
		}
		_, err := fmt.Fprintf(e.ErrOut, "No findings; %s %s checked in %s.\n", view.Count(doc.Services, "service"), were, view.Count(read, "cluster"))
		return err
	}
	return nil
}

// The formats of check for CI.
const (
	formatSARIF = "sarif"
	formatJUnit = "junit"
)
