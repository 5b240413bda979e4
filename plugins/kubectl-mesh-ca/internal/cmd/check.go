package cmd

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/check"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// The formats of check for CI and monitoring.
const (
	formatJUnit      = "junit"
	formatPrometheus = "prometheus"
)

// The defaults of --warn-before and --fail-before.
const (
	defaultWarn = lifetime(60 * 24 * time.Hour)
	defaultFail = lifetime(14 * 24 * time.Hour)
)

// checkFlags are what the user says about a check.
type checkFlags struct {
	warn, fail        lifetime
	at, chart, failOn string
	ignore            []string
}

func newCheck(e *kernel.Env) *cobra.Command {
	out := output.NewFlags().With(formatJUnit, formatPrometheus)
	f := &checkFlags{warn: defaultWarn, fail: defaultFail, failOn: string(finding.Error)}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find certificates that end soon, and faults of CAs and trust",
		Long: "Find certificates that end soon, CAs that are due, and what is wrong with CAs, leaf certificates and\n" +
			"trust between clusters: for CI, for monitoring and for the calendar. It examines everything that status shows.\n\n" +
			"A CA is due when leaf certificates that are issued now would outlive it: certgen of chart\n" +
			"1.20 refuses such a CA, and certificates that Helm issues stop being accepted when the CA expires. A CA\n" +
			"that cert-manager keeps is due when cert-manager issues it again. A certificate that ends\n" +
			"within --warn-before is a warning, within --fail-before an error. --at judges as of another date.\n" +
			"The flag --for 1.20 also reports what breaks with that chart. docs/findings.md explains every finding.\n\n" +
			"Exit codes: 0 nothing at or above --fail-on; 1 a finding at or above it; 2 usage, a cluster or a part\n" +
			"of one that could not be read; 130 interrupted.",
		Example: `  # Check the mesh of the current context
  kubectl mesh-ca check

  # Check early enough for a change window in three months
  kubectl mesh-ca check --warn-before 26w --fail-before 90d --fail-on warning

  # See what will be wrong next June, if nothing is done until then
  kubectl mesh-ca check --at 2027-06-01

  # Check whether the clusters are ready for chart 1.20
  kubectl mesh-ca check --for 1.20

  # For CI: a report of tests
  kubectl mesh-ca check -o junit --fail-on warning > mesh-ca.xml

  # For Prometheus, through the textfile collector of node_exporter
  kubectl mesh-ca check -o prometheus --fail-on never > mesh-ca.prom`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			c, err := f.config(e)
			if err != nil {
				return err
			}
			return runCheck(cmd.Context(), e, out, f, c)
		},
	}
	cmd.Flags().Var(&f.warn, "warn-before", "How long before its end a certificate causes a warning, such as 60d, 8w or 36h.")
	cmd.Flags().Var(&f.fail, "fail-before", "How long before its end a certificate causes an error, such as 14d, 2w or 36h.")
	cmd.Flags().StringVar(&f.at, "at", "", "Date as of which certificates are judged, such as 2027-06-01 or 2027-06-01T12:00:00Z. Defaults to now.")
	cmd.Flags().StringVar(&f.chart, "for", "", "Version of Cilium's chart to check the clusters for. Must be: 1.20.")
	cmd.Flags().StringSliceVar(&f.ignore, "ignore", nil, "Ids of findings to leave out (repeatable).")
	cmd.Flags().StringVar(&f.failOn, "fail-on", f.failOn, failOnUsage)
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// chart120 accepts the minor version, and its patch versions.
var chart120 = regexp.MustCompile(`^v?1\.20(\.[0-9]+)?$`)

// config checks the flags.
func (f *checkFlags) config(e *kernel.Env) (check.Config, error) {
	c := check.Config{Select: e.Select, Timeout: e.Flags.Timeout, At: e.Now(), Warn: time.Duration(f.warn), Fail: time.Duration(f.fail), Ignore: f.ignore}
	if err := checkFailOn(f.failOn); err != nil {
		return c, err
	}
	if c.Fail > c.Warn {
		return c, fmt.Errorf("--fail-before %s is longer than --warn-before %s: an error would come before the warning", &f.fail, &f.warn)
	}
	if f.at != "" {
		at, err := parseDate(f.at)
		if err != nil {
			return c, err
		}
		c.At = at
	}
	if f.chart != "" {
		if !chart120.MatchString(f.chart) {
			return c, fmt.Errorf("--for %q is not known; it must be: %s", f.chart, check.Chart120)
		}
		c.Chart = check.Chart120
	}
	for _, id := range f.ignore {
		if !slices.ContainsFunc(finding.Authority(), func(r finding.Rule) bool { return r.ID == id }) {
			return c, fmt.Errorf("--ignore %q is not a finding of this plugin; docs/findings.md lists them", id)
		}
	}
	return c, nil
}

// parseDate reads a day, which begins at midnight UTC, or a moment.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--at %q is not a date; write for example 2027-06-01 or 2027-06-01T12:00:00Z", text)
}

func runCheck(ctx context.Context, e *kernel.Env, out *output.Flags, f *checkFlags, c check.Config) error {
	doc, members, err := check.Run(ctx, c)
	if err != nil {
		return err
	}
	if err := printCheck(e, out, f, doc); err != nil {
		return err
	}
	if ctx.Err() == nil {
		for _, n := range doc.NotExamined {
			e.Say("error: cluster %s: %s", n.Cluster, n.Message)
		}
	}
	return exitOf(ctx, e, doc.Document, members, f.failOn)
}

func printCheck(e *kernel.Env, out *output.Flags, f *checkFlags, doc v1alpha1.CACheckReport) error {
	switch out.Format {
	case formatJUnit:
		return view.CheckJUnit(e.Out, doc, finding.Severity(f.failOn), f.ignore)
	case formatPrometheus:
		return view.Prometheus(e.Out, doc)
	}
	return out.Print(e.Out, doc, view.Check(doc, out.Format == output.Wide))
}
