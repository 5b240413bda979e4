package cmd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
)

func newReport(e *kernel.Env) *cobra.Command {
	out, page, partial := newReportOutput(), "", false
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Print the report of a recorded run again, in any format",
		Long: "Print the report of runs that were recorded with --record. The report is computed again from the recorded\n" +
			"requests, in any format of a live run. The results of the checks are those of the run.\n\n" +
			"The command refuses a record that was cut short, unless you add --partial. Such a record has no results of\n" +
			"checks.\n\n" +
			"The command does not contact a cluster. Exit codes: 0 printed, and the run was complete; 2 wrong usage, not a\n" +
			"record, or a run that was not complete.",
		Example: `  # The table of a run again, with the timeline, times to connect and histograms
  kubectl mesh-probe report monday.jsonl.gz -o wide

  # A page for a browser
  kubectl mesh-probe report monday.jsonl.gz --report monday.html

  # Every request, one line of JSON for each
  kubectl mesh-probe report monday.jsonl.gz -o jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("the FILE of a record is required; mesh-probe --record FILE writes one")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := errors.Join(out.Validate(), checkPage(page, "")); err != nil {
				return err
			}
			if page != "" && len(args) > 1 {
				return errors.New("--report takes one record; join several with merge")
			}
			if len(args) > 1 && slices.Contains([]string{"json", "yaml", formatJUnit, formatPrometheus}, out.Format) {
				return fmt.Errorf("-o %s prints one document, so it takes one record; join several with merge", out.Format)
			}
			records, err := readRecords(args, partial)
			if err != nil {
				return err
			}
			incomplete := 0
			for _, rec := range records {
				if err := printReport(e, out, rec.Report, rec.Log); err != nil {
					return err
				}
				if !rec.Report.Complete {
					incomplete++
				}
			}
			if err := writePage(page, records[0].Report); err != nil {
				return err
			}
			if incomplete > 0 {
				return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("runs that were not complete: %d of %d", incomplete, len(records))}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&page, "report", "", reportUsage)
	cmd.Flags().BoolVar(&partial, "partial", false, "If true, accept a record that was cut short. The exit code is still 2.")
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// readRecords reads all records, so that nothing is printed if one of them cannot be read.
func readRecords(files []string, partial bool) ([]*record.Record, error) {
	var out []*record.Record
	for _, file := range files {
		rec, err := readRecord(file, partial)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}
