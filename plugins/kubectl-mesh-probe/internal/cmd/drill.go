package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drill"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// fieldManager is the field manager with which the plugin writes, unless --field-manager names another.
const fieldManager = "mesh-probe"

const drillLong = `Take the backends of one cluster away from a Service, measure what clients in every cluster see,
and restore everything. The drill affects all clients of the Service, not only the client pods.

--with scale scales the workloads of the Service's pods to 0. --with evict evicts the pods through
the eviction API. --with shared sets service.cilium.io/shared: "false" on this Service only, so
that clients in the same cluster keep their backends.

The drill first checks that another cluster can answer, shows the plan, and asks. It refuses if
something else owns what it writes (an autoscaler, KEDA, Argo CD, Flux). The previous values are
kept in a ConfigMap in the drilled cluster until they are restored. Ctrl-C restores them, too.
After a crash, drill [SERVICE] --repair [--in CLUSTER] restores them from any machine.

Exit codes: 0 as expected and restored; 1 an expectation is missed; 2 wrong usage, refused, no
complete result, an inconclusive check, or not restored; 130 interrupted (the previous values are
restored).`

const drillExample = `  # What happens to clients in all clusters if us loses its backends
  kubectl mesh-probe drill nginx --in us --from deploy/client

  # Show the plan, and change nothing
  kubectl mesh-probe drill nginx --in us --from deploy/client --dry-run=server

  # Without touching the pods: stop sharing the backends in us, and measure clients in eu
  kubectl mesh-probe drill nginx --in us --with shared --from deploy/client --from-clusters eu

  # In CI: the longest time without an answer must be below 2 seconds
  kubectl mesh-probe drill nginx --in us --from deploy/client --expect 'failover<2s' --yes -o json

  # Keep every request, and write a page for a browser
  kubectl mesh-probe drill nginx --in us --from deploy/client --record drill.jsonl.gz --report drill.html

  # After a drill was killed: restore what it changed
  kubectl mesh-probe drill nginx --repair --in us`

// drillFlags are what the user typed.
type drillFlags struct {
	*flags // what the clients send

	write         *kernel.WriteFlags
	in, with      string
	times         drill.Times
	restoreWithin time.Duration
	repair        bool
	allNamespaces bool
	expectations  []string
	kept          keepFlags
}

// sending are the flags of a probe that a drill has, too.
var sending = []string{"from", "from-clusters", "container", "all-clients", "per-node", "rate", "max-rate", "timeout", "method", "header", "tool", "insecure", "cacert", "allow-visible-headers", "identify", "map"}

// The defaults of the requests of a drill: one each 20 ms, so that a failover is known to about that.
const (
	drillRate    = 50
	drillTimeout = time.Second
)

// lowerRates are for pods that cannot start processes so often.
var lowerRates = []float64{20, 10, 5}

func newDrillFlags() *drillFlags {
	f := &drillFlags{
		flags: newFlags(), write: kernel.NewWriteFlags(fieldManager), with: string(drillrecord.Scale), restoreWithin: 5 * time.Minute,
		times: drill.Times{Baseline: 3 * time.Second, Hold: 10 * time.Second, Return: 2 * time.Minute, Tail: 2 * time.Second},
	}
	f.flags.rate, f.flags.timeout = drillRate, drillTimeout
	f.write.Out = output.NewFlags().With(formatJUnit, formatPrometheus)
	return f
}

func (f *drillFlags) addFlags(fs *pflag.FlagSet) {
	probe := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.flags.addFlags(probe)
	for _, name := range sending {
		fs.AddFlag(probe.Lookup(name))
	}
	fs.Lookup("from-clusters").Usage = "Clusters in which a client pod sends requests, by Cilium name or context, or 'all'. Defaults to all."
	fs.Lookup("rate").Usage = rateUsage + " The failover is measured to about the time between two requests. Without --rate, it is lowered to 20, 10 or 5 while client pods cannot keep it."
	fs.Lookup("max-rate").Usage = "Maximum number of requests per second from each client pod. 0 means unlimited."
	fs.StringVar(&f.in, "in", f.in, "Cluster whose backends are taken away, by Cilium name or context. Required, except with --repair, which defaults to all clusters.")
	fs.StringVar(&f.with, "with", f.with, "How the backends are taken away. Must be one of: scale (the workloads to 0), evict (the pods), shared (only from clients of other clusters).")
	fs.DurationVar(&f.times.Baseline, "baseline", f.times.Baseline, "How long to watch the clients before the backends are taken away. Must be at least 1s.")
	fs.DurationVar(&f.times.Hold, "hold", f.times.Hold, "How long the backends stay away, from the first write. Must be at least 1s.")
	fs.DurationVar(&f.times.Return, "return-timeout", f.times.Return, "How long to wait, after the restoration, until the drilled cluster answers again.")
	fs.DurationVar(&f.restoreWithin, "restore-timeout", f.restoreWithin, "How long to retry the restoration if an API server does not answer.")
	fs.StringArrayVar(&f.expectations, "expect", f.expectations, "Expected result for each client that loses backends: failover<2s, errors<1% or errors=0% (repeatable, or separated by commas). Quote < for the shell.")
	fs.BoolVar(&f.repair, "repair", f.repair, "If true, do not drill, but restore what earlier drills changed and did not restore.")
	fs.BoolVarP(&f.allNamespaces, "all-namespaces", "A", f.allNamespaces, "If true, --repair looks in all namespaces.")
	f.kept.addFiles(fs)
	f.write.AddFlags(fs, kernel.WriteUsages{Manager: "Name of the field manager that owns what is written.", Yes: "If true, do not ask."})
}

func newDrill(e *kernel.Env) *cobra.Command {
	f := newDrillFlags()
	cmd := &cobra.Command{
		Use:     "drill (URL | SERVICE[:PORT]) --in CLUSTER --from TYPE/NAME",
		Short:   "Remove a cluster's backends, measure the failover, restore them",
		Long:    drillLong,
		Example: drillExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 0 && f.repair {
				return nil
			}
			return fmt.Errorf("a URL or SERVICE[:PORT] is required; got %d arguments", len(args))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			service := ""
			if len(args) == 1 {
				service = args[0]
			}
			if f.repair {
				return f.runRepair(cmd, e, service)
			}
			cfg, err := f.drillConfig(e, service)
			if err != nil {
				return err
			}
			if err := f.checkKept(cfg.DryRun, cmd.Flags().Changed); err != nil {
				return err
			}
			if !cmd.Flags().Changed("rate") {
				cfg.LowerRates = lowerRates
			}
			return f.runDrill(cmd.Context(), e, cfg)
		},
	}
	f.addFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// checkKept checks what is to be kept of the requests.
func (f *drillFlags) checkKept(dryRun drill.DryRun, given func(flag string) bool) error {
	if dryRun != drill.DryRunNone && (given("record") || given("report")) {
		return errors.New("--record and --report cannot be used with --dry-run, which sends no requests")
	}
	if dryRun != drill.DryRunNone && f.write.Out.IsCustom() {
		return fmt.Errorf("-o %s cannot be used with --dry-run: a plan is not the result of a drill", f.write.Out.Format)
	}
	return f.kept.checkFiles(given)
}

// runDrill drills, prints the report and keeps what is to be kept.
func (f *drillFlags) runDrill(ctx context.Context, e *kernel.Env, cfg drill.Config) error {
	file, err := f.kept.open()
	if err != nil {
		return err
	}
	if file != nil {
		cfg.Probe.Recorder = file
	}
	report, err := drill.Run(ctx, cfg, f.ui(e))
	switch {
	case report != nil && report.Probe != nil:
		err = errors.Join(err, f.kept.finish(file, *report.Probe))
	case file != nil:
		file.abandon()
	}
	return printDrill(e, f.write.Out, report, err)
}

// runRepair restores what drills left behind.
func (f *drillFlags) runRepair(cmd *cobra.Command, e *kernel.Env, service string) error {
	for _, name := range append(slices.Clone(sending), "with", "baseline", "hold", "return-timeout", "expect", "record", "report") {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s cannot be used with --repair", name)
		}
	}
	if strings.ContainsAny(service, ":/") {
		return fmt.Errorf("%q is not the name of a Service; --repair accepts no port and no URL", service)
	}
	place, write, err := f.common(e, service)
	switch {
	case err != nil:
		return err
	case f.write.Out.IsCustom():
		return fmt.Errorf("-o %s cannot be used with --repair", f.write.Out.Format)
	}
	report, err := drill.Repair(cmd.Context(), place, write, f.ui(e))
	return printDrill(e, f.write.Out, report, err)
}

// common is what a drill and a repair have in common.
func (f *drillFlags) common(e *kernel.Env, service string) (drill.Place, drill.Write, error) {
	w, err := f.write.Config(e)
	if err != nil {
		return drill.Place{}, drill.Write{}, err
	}
	if f.restoreWithin <= 0 {
		return drill.Place{}, drill.Write{}, errors.New("--restore-timeout must be greater than 0")
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown machine"
	}
	place := drill.Place{Select: e.Flags.Select, Namespace: e.Flags.Namespace, In: f.in, Service: service, AllNamespaces: f.allNamespaces}
	return place, drill.Write{DryRun: drill.DryRun(w.DryRun), Manager: w.Manager, Change: w.Change, RestoreWithin: f.restoreWithin, Host: host, Now: e.Now}, nil
}

// drillConfig checks the flags of a drill. It needs no cluster.
func (f *drillFlags) drillConfig(e *kernel.Env, service string) (drill.Config, error) {
	switch {
	case f.in == "":
		return drill.Config{}, errors.New("--in is required: the cluster whose backends are taken away")
	case f.allNamespaces:
		return drill.Config{}, errors.New("--all-namespaces (-A) requires --repair")
	case !slices.Contains(drillrecord.Ways(), drillrecord.With(f.with)):
		return drill.Config{}, fmt.Errorf("--with %q: must be scale, evict or shared", f.with)
	case f.times.Baseline < time.Second:
		return drill.Config{}, errors.New("--baseline must be at least 1s")
	case f.times.Hold < time.Second:
		return drill.Config{}, errors.New("--hold must be at least 1s")
	case f.times.Return <= 0:
		return drill.Config{}, errors.New("--return-timeout must be greater than 0")
	case f.flags.rate <= 0:
		return drill.Config{}, errors.New("--rate must be greater than 0")
	}
	expect, err := drill.ParseExpectations(f.expectations)
	if err != nil {
		return drill.Config{}, err
	}
	send, err := f.flags.config([]string{service}, e.Flags)
	if err != nil {
		return drill.Config{}, err
	}
	if len(send.Clients.Clusters) == 0 {
		send.Clients.Clusters = []string{"all"}
	}
	if send.TCP {
		return drill.Config{}, fmt.Errorf("%q: a drill sends HTTP requests; to measure connections, run a probe with --tcp while the backends are away", service)
	}
	if why := send.Send.Overload(math.MaxInt); why != "" {
		return drill.Config{}, fmt.Errorf("%s, so the drill could not tell how they would have ended; %s", why, sender.LessLoad)
	}
	place, write, err := f.common(e, service)
	return drill.Config{Place: place, Write: write, Probe: send, With: drillrecord.With(f.with), Times: f.times, Expect: expect}, err
}

// drillUI shows the user what happens during a drill, on stderr.
type drillUI struct {
	*ui

	terminal kernel.UI
}

func (f *drillFlags) ui(e *kernel.Env) drillUI { return drillUI{&ui{out: e.ErrOut}, f.write.UI(e)} }

// Plan implements drill.UI.
func (u drillUI) Plan(doc v1alpha1.DrillReport) error {
	return u.terminal.Show(func(bool) []output.Section { return view.DrillPlan(doc) }, true)
}

// Confirm implements drill.UI.
func (u drillUI) Confirm(ctx context.Context, question string) error {
	return u.terminal.Confirm(ctx, question)
}

// printDrill prints the result of a drill or of a repair.
func printDrill(e *kernel.Env, out *output.Flags, r *drill.Report, failure error) error {
	if r == nil {
		return failure
	}
	var err error
	switch {
	case out.Format == formatJUnit:
		err = view.DrillJUnit(e.Out, r.Document)
	case out.Format == formatPrometheus:
		err = view.DrillPrometheus(e.Out, r.Document)
	case r.Begun || !out.IsTable():
		err = out.Print(e.Out, r.Document, view.Drill(r.Document, out.Format == output.Wide))
	}
	e.Unread(r.Unread...)
	return cmp.Or(drillError(failure), err)
}

// drillError gives a failed drill its exit code. The reason of an interrupted prompt is printed by the kernel.
func drillError(err error) error {
	var f *drill.ResultError
	switch {
	case !errors.As(err, &f):
		return err
	case f.Interrupted && !errors.Is(err, context.Canceled):
		return &cli.ExitError{Code: cli.ExitInterrupted, Err: err}
	case f.Interrupted:
		return err
	case f.Missed:
		return &cli.ExitError{Code: cli.ExitFailure, Err: err}
	}
	return &cli.ExitError{Code: cli.ExitNoAnswer, Err: err}
}
