package cmd

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// meansFlags are what reissue and sync --reissue have in common.
type meansFlags struct {
	helm, restart bool
	wait          time.Duration
}

func (f *meansFlags) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&f.helm, "helm", false, "If true, run the upgrades of Helm with the helm command of this machine. Otherwise they are printed and waited for.")
	fs.BoolVar(&f.restart, "restart", false, "If true, also restart what has read the previous CA, one cluster after the other, and wait until it is connected again.")
	f.wait = reissue.DefaultWait
	fs.Var((*lifetime)(&f.wait), "wait", "Maximum time to wait until a phase has ended.")
}

// words are the flags as they are typed again.
func (f *meansFlags) words() []string {
	var out []string
	if f.helm {
		out = append(out, "--helm")
	}
	if f.restart {
		out = append(out, "--restart")
	}
	return append(out, waitFlag(f.wait, reissue.DefaultWait)...)
}

// means are what the use case gets. goOn is the command that goes on, without these flags.
func (f *meansFlags) means(e *kernel.Env, goOn ...string) (reissue.Means, error) {
	if f.wait <= 0 {
		return reissue.Means{}, errors.New("--wait must be greater than 0")
	}
	m := reissue.Means{
		Restart: f.restart, Clock: clock{e.Now}, Wait: f.wait, Poll: reissue.DefaultPoll, GoOn: append(goOn, f.words()...),
		Observer: reissue.Processes{Observer: live.New(e.Flags.Timeout, e.Now), Now: e.Now},
	}
	if f.helm {
		m.Helm = helm{e.ErrOut}
	}
	return m, nil
}

// helm runs the helm command of this machine. Its output goes to stderr.
type helm struct{ out io.Writer }

// errNoHelm says that there is no helm command.
var errNoHelm = errors.New("no helm command was found on PATH")

// Find fails if there is no helm command.
func (helm) Find() error {
	if _, err := exec.LookPath("helm"); err != nil {
		return errNoHelm
	}
	return nil
}

// helmEnds is how long helm may take to end after an interrupt: a killed upgrade leaves a release that cannot be upgraded.
const helmEnds = 2 * time.Minute

// Run runs helm.
func (h helm) Run(ctx context.Context, args, env []string) error {
	path, err := exec.LookPath("helm")
	if err != nil {
		return errNoHelm
	}
	c := exec.CommandContext(ctx, path, args...) //nolint:gosec // the command that was shown, without a shell
	c.Env = append(os.Environ(), env...)
	lines := &cleaned{to: h.out}
	c.Stdout, c.Stderr = lines, lines
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = helmEnds
	err = c.Run()
	lines.flush()
	return err
}

// cleaned prints whole lines without control characters.
type cleaned struct {
	to   io.Writer
	rest string
}

func (c *cleaned) Write(p []byte) (int, error) {
	c.rest += string(p)
	for {
		line, rest, whole := strings.Cut(c.rest, "\n")
		if !whole {
			return len(p), nil
		}
		c.rest = rest
		output.Say(c.to, "  helm: %s", line)
	}
}

func (c *cleaned) flush() {
	if c.rest != "" {
		output.Say(c.to, "  helm: %s", c.rest)
	}
}

func newReissue(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	var (
		f               meansFlags
		in              []string
		all             bool
		allowDisconnect bool
	)
	cmd := &cobra.Command{
		Use:   "reissue [--in CLUSTER,...] [--all]",
		Short: "Issue leaf certificates again from each cluster's own CA",
		Long: "Issue the leaf certificates of clusters again, each from the CA of its own cluster, with the tool that\n" +
			"issues them: a Job of certgen, a renewal by cert-manager, an upgrade of Helm. If no tool issues them,\n" +
			"mesh-ca signs them, with the same names, usages, type of key and validity, and keeps the previous ones.\n" +
			"Without --all, the command issues only those that the CA did not sign, that are not usable, or that\n" +
			"expire within 60 days.\n\n" +
			"If that tool could not sign with the CA, the command refuses before it writes anything. If another tool\n" +
			"must act, the command prints what to do, and waits. With --restart, clustermesh-apiserver and the agents\n" +
			"then restart where they have read the previous CA. If the command ended early, run it again: it does\n" +
			"only what is missing." + kernel.WriteExits,
		Example: `  # Issue what is stale according to status, and print the upgrades of Helm
  kubectl mesh-ca reissue --contexts kind-us,kind-eu

  # Do everything, upgrades and restarts included
  kubectl mesh-ca reissue --in eu --helm --restart

  # See what would be done, checked by every API server
  kubectl mesh-ca reissue --all --dry-run=server

  # In a script
  kubectl mesh-ca reissue --in eu --yes -o json`,
		Args: cli.NoArgs("--in names the clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := w.Config(e)
			if err != nil {
				return err
			}
			means, err := f.means(e, append(reissueWords(in, all, allowDisconnect), base.RetryFlags...)...)
			if err != nil {
				return err
			}
			c := reissue.Config{Write: base, Means: means, Select: e.Select, In: in, Which: ca.Which{All: all, Soon: reissue.DefaultSoon}, AllowDisconnect: allowDisconnect, Show: view.Reissue}
			report, err := reissue.Run(cmd.Context(), c, w.UI(e))
			if report == nil {
				return err
			}
			return printReissue(e, w.Out, report, err)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&in, "in", nil, "Clusters whose leaf certificates are issued again, by Cilium name or context (repeatable). Defaults to all clusters that are read.")
	fs.BoolVar(&all, "all", false, "If true, all leaf certificates are issued again.")
	fs.BoolVar(&allowDisconnect, "allow-disconnect", false, "If true, clusters that trust each other may stop doing so, for example before federate.")
	f.addFlags(fs)
	usages := writeUsages
	usages.ForceConflicts = ""
	w.AddFlags(fs, usages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// reissueWords are the command as it is typed again.
func reissueWords(in []string, all, allowDisconnect bool) []string {
	words := []string{"reissue"}
	if len(in) > 0 {
		words = append(words, "--in", commandline.List(in...))
	}
	if all {
		words = append(words, "--all")
	}
	if allowDisconnect {
		words = append(words, "--allow-disconnect")
	}
	return words
}

// printReissue prints what became of each object, what must follow, and how to undo it.
func printReissue(e *kernel.Env, out *output.Flags, r *reissue.Report, failure error) error {
	var tables []output.Section
	if r.Begun {
		tables = view.Reissue(r.CAChangeReport)
	}
	if err := e.PrintResult(out, r.CAChangeReport, kernel.Names(r.ChangeReport), tables); err != nil {
		return errors.Join(failure, err)
	}
	if r.Begun && failure == nil {
		for _, line := range view.Next(r.NextSteps, r.Status) {
			e.Say("%s", line)
		}
	}
	sayUndo(e, r.UndoCommands)
	return failure
}

// sayUndo prints the commands that restore what was replaced.
func sayUndo(e *kernel.Env, undo []string) {
	if len(undo) == 0 {
		return
	}
	e.Say("")
	e.Say("To undo it, run:")
	for _, u := range undo {
		e.Say("  %s", u)
	}
}
