package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/lab"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

func newStatus(manager managerFunc) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show what of the lab runs",
		Long: "Show what of the lab runs. Exits 0 if all of it does, else 1.", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := manager()
			if err != nil {
				return err
			}
			status, err := m.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), status); err != nil {
				return err
			}
			if !status.Healthy() {
				return fmt.Errorf("not all of the lab in %s runs; \"meshlab up\" starts what is missing", m.Dir)
			}
			return nil
		},
	}
}

func printStatus(out io.Writer, s *lab.Status) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "CLUSTER\tID\tCONTEXT\tKUBERNETES\tCILIUM\tINSTALL\tSERVER\tPID\tCONDITION")
	for _, c := range s.Clusters {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.ID, c.Context, c.KubernetesVersion, c.CiliumVersion, c.Install, c.APIServer, pid(c.PID), c.Condition)
	}
	if s.Net != nil {
		_, _ = fmt.Fprintf(w, "(nodes)\t\t\t\t\t\t\t%s\t%s\n", pid(s.Net.PID), s.Net.Condition)
	}
	if s.ChooserProcess != nil {
		_, _ = fmt.Fprintf(w, "(chooser)\t\t\t\t%s\t\t\t%s\t%s\n", or(s.ChooserVersion, "-"), pid(s.ChooserProcess.PID), s.ChooserProcess.Condition)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var err error
	switch {
	case s.Datapath == state.DatapathCilium:
		_, err = fmt.Fprintln(out, "\nCilium itself runs in the lab (--datapath=cilium).")
	case s.Chooser == state.ChooserRules:
		_, err = fmt.Fprintln(out, "\nBackends are chosen by the rules that the plugins predict with (--chooser=rules).")
	case s.Chooser == state.ChooserCilium:
		_, err = fmt.Fprintln(out, "\nBackends are chosen by Cilium's own code (--chooser=cilium).")
	}
	return err
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func pid(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
