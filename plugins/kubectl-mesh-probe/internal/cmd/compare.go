package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/compare"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// compareFlags are what counts as the same, in percent.
type compareFlags struct{ share, errors, latency, confidence float64 }

func newCompare(e *kernel.Env) *cobra.Command {
	out := output.NewFlags()
	f := compareFlags{share: 5, errors: 1, latency: 20, confidence: 95}
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two recorded runs, and say how certain the difference is",
		Long: "Compare the records of two runs: the share of each cluster, the requests that failed, and the latency (P50, P95)\n" +
			"of all answers and of each cluster. Each change has a confidence interval. The result of a metric is\n" +
			"  SAME          if the whole interval is within the tolerance;\n" +
			"  DIFFERENT     if the whole interval is on one side of no change, and the change exceeds the tolerance;\n" +
			"  INCONCLUSIVE  otherwise: there are too few requests.\n" +
			"--confidence applies to all metrics together. Latencies that differ by less than 1 ms count as the same. A warning\n" +
			"says what was not compared, or differs between the runs, such as the URL. The result is then never SAME.\n\n" +
			"The command does not contact a cluster. Exit codes: 0 the same; 1 different; 2 wrong usage, not a record, too\n" +
			"few requests, a run that was not complete, or something that was not compared.",
		Example: `  # Before and after a change
  kubectl mesh-probe compare before.jsonl.gz after.jsonl.gz

  # Only larger differences count
  kubectl mesh-probe compare before.jsonl.gz after.jsonl.gz --share-tolerance 10 --latency-tolerance 50

  # In a script
  kubectl mesh-probe compare before.jsonl.gz after.jsonl.gz -o jsonpath='{.result}'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return fmt.Errorf("the files of two records are required; got %d", len(args))
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := errors.Join(out.Validate(), f.validate()); err != nil {
				return err
			}
			return runCompare(e, out, f, args)
		},
	}
	cmd.Flags().Float64Var(&f.share, "share-tolerance", f.share, "Largest change of a share that counts as the same, in percentage points.")
	cmd.Flags().Float64Var(&f.errors, "error-tolerance", f.errors, "Largest change of the share of failed requests that counts as the same, in percentage points.")
	cmd.Flags().Float64Var(&f.latency, "latency-tolerance", f.latency, "Largest change of a latency that counts as the same, in percent.")
	cmd.Flags().Float64Var(&f.confidence, "confidence", f.confidence, "Confidence of all metrics together, in percent.")
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func (f compareFlags) validate() error {
	for _, x := range []struct {
		flag  string
		value float64
	}{{"share-tolerance", f.share}, {"error-tolerance", f.errors}, {"latency-tolerance", f.latency}} {
		if !(x.value > 0 && x.value <= 100) {
			return fmt.Errorf("--%s must be above 0 and at most 100", x.flag)
		}
	}
	if !(f.confidence >= 50 && f.confidence <= 99.9) {
		return errors.New("--confidence must be from 50 to 99.9")
	}
	return nil
}

func runCompare(e *kernel.Env, out *output.Flags, f compareFlags, files []string) error {
	records, err := readRecords(files, false)
	if err != nil {
		return err
	}
	doc, err := compare.Compare(compare.Run{File: files[0], Record: records[0]}, compare.Run{File: files[1], Record: records[1]},
		compare.Options{Share: f.share / 100, Errors: f.errors / 100, Latency: f.latency / 100, Confidence: f.confidence / 100})
	if err != nil {
		return err
	}
	for _, w := range doc.Warnings {
		e.Warn("%s", w)
	}
	if err := out.Print(e.Out, doc, view.Comparison(doc)); err != nil {
		return err
	}
	switch doc.Result {
	case compare.Different:
		return &cli.ExitError{Code: cli.ExitFailure, Err: errors.New("the runs differ")}
	case compare.Inconclusive:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("the comparison is inconclusive")}
	}
	return nil
}

func newMerge(e *kernel.Env) *cobra.Command {
	out, file, page := newReportOutput(), "", ""
	cmd := &cobra.Command{
		Use:   "merge FILE FILE...",
		Short: "Join the records of several runs into one",
		Long: "Join the records of runs of the same target: from several machines, at several times, or of several clients. The\n" +
			"requests of a client pod count together. Each check keeps its result, and shows the file of its run. The\n" +
			"command refuses records that have the same requests.\n\n" +
			"The command does not contact a cluster. Exit codes: 0 joined, and every run was complete; 2 wrong usage, not a\n" +
			"record, different targets, the same requests twice, or a run that was not complete.",
		Example: `  # Two runs as one record
  kubectl mesh-probe merge monday.jsonl.gz tuesday.jsonl.gz --record both.jsonl.gz

  # Only the report of both
  kubectl mesh-probe merge monday.jsonl.gz tuesday.jsonl.gz -o wide`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("the files of at least two records are required; got %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := errors.Join(out.Validate(), checkPage(page, file)); err != nil {
				return err
			}
			return runMerge(e, out, args, file, page)
		},
	}
	cmd.Flags().StringVar(&file, "record", "", "File to write the joined record to. The file must not exist.")
	cmd.Flags().StringVar(&page, "report", "", reportUsage)
	out.AddFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func runMerge(e *kernel.Env, out *output.Flags, files []string, file, page string) error {
	records, err := readRecords(files, false)
	if err != nil {
		return err
	}
	var runs []compare.Run
	for i, rec := range records {
		runs = append(runs, compare.Run{File: files[i], Record: rec})
	}
	joined, err := compare.Merge(runs)
	if err != nil {
		return err
	}
	if file != "" {
		if err := writeRecord(file, joined); err != nil {
			return err
		}
	}
	if err := writePage(page, joined.Report); err != nil {
		return err
	}
	if err := printReport(e, out, joined.Report, joined.Log); err != nil {
		return err
	}
	if !joined.Report.Complete {
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("one of the runs was not complete")}
	}
	return nil
}
