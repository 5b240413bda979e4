package cmd

import (
	"bufio"
	"encoding/json"
	"io"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// The formats of a report besides those of kubectl.
const (
	formatJSONL      = "jsonl"
	formatJUnit      = "junit"
	formatPrometheus = "prometheus"
)

func newReportOutput() *output.Flags {
	return output.NewFlags().With(formatJSONL, formatJUnit, formatPrometheus)
}

// printReport prints a report, in the same way for a run and for a record.
func printReport(e *kernel.Env, out *output.Flags, doc v1alpha1.ProbeReport, log *history.Log) error {
	switch out.Format {
	case formatJSONL:
		return printRequests(e.Out, log)
	case formatJUnit:
		return view.JUnit(e.Out, doc)
	case formatPrometheus:
		return view.Prometheus(e.Out, doc)
	}
	return out.Print(e.Out, doc, view.Sections(doc, out.Format == output.Wide))
}

// printRequests prints one line of JSON for each request, in the order of arrival.
func printRequests(w io.Writer, log *history.Log) error {
	buffer := bufio.NewWriter(w)
	lines := json.NewEncoder(output.JSONWriter(buffer))
	lines.SetEscapeHTML(false)
	for r := range log.All() {
		if err := lines.Encode(record.Describe(r)); err != nil {
			return err
		}
	}
	return buffer.Flush()
}
