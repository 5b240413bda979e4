package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/netctl"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/lab"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// lazyBuilder looks for the sources only when something is to be built: most
// commands do not need them.
type lazyBuilder struct{ log io.Writer }

func (b *lazyBuilder) Ensure(ctx context.Context, group build.Group) (string, error) {
	builder, err := build.New(b.log)
	if err != nil {
		return "", err
	}
	return builder.Ensure(ctx, group)
}

func (b *lazyBuilder) ModuleDir(ctx context.Context, group build.Group, module string) (string, error) {
	builder, err := build.New(b.log)
	if err != nil {
		return "", err
	}
	return builder.ModuleDir(ctx, group, module)
}

const upLong = `Start the lab, leave it running in the background and print the lines that make a
shell use it. Running clusters are not changed; a stopped cluster is started
again with its data; a lab that died is removed, and a new one is started.

The first run on a machine builds Kubernetes' control plane from source, which takes
about 10 minutes on two cores. The first run with --datapath=cilium also builds Cilium,
which takes about 15 minutes more. Each node then needs about 300 MB of memory.`

const upExample = `  # Three clusters, us, eu and ap, connected as a mesh
  eval "$(meshlab up)"

  # Five clusters
  meshlab up --clusters a,b,c,d,e

  # Different versions and installations of Cilium
  meshlab up --cilium-version us=1.18.11,eu=1.20.2,1.19.5 --install eu=certgen,ap=cert-manager

  # Backends chosen by Cilium's own code instead of the rules of this repository
  meshlab up --chooser=cilium

  # Cilium itself: agents with eBPF, clustermesh-apiserver, KVStoreMesh and etcd
  meshlab up --datapath=cilium --one-ca --clusters us,eu

  # Before "cilium clustermesh connect"
  meshlab up --no-connect`

// upFlags is what the user typed.
type upFlags struct {
	clusters                       []string
	versions, kubernetes, installs string
	chooser, datapath              string
	delay                          time.Duration
	noConnect, noNet, connect, kp  bool
	oneCA, audit                   bool
}

func newUp(manager managerFunc) *cobra.Command {
	var flags upFlags
	cmd := &cobra.Command{
		Use: "up", Short: "Start the lab", Long: upLong, Example: upExample, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := manager()
			if err != nil {
				return err
			}
			spec, err := flags.toSpec(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			if _, err := m.Up(cmd.Context(), spec); err != nil {
				return err
			}
			return printExports(cmd.OutOrStdout(), m.Dir)
		},
	}
	flags.addFlags(cmd.Flags())
	cmd.MarkFlagsMutuallyExclusive("connect", "no-connect")
	return cmd
}

func (u *upFlags) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&u.clusters, "clusters", nil, "Names of the clusters, in the order of their cluster-ids; the default is $"+clustersVariable+", else us,eu,ap.")
	f.StringVar(&u.versions, "cilium-version", "", "Version of Cilium, for all clusters (1.18.11) or by name (us=1.18.11,eu=1.20.2).")
	f.StringVar(&u.kubernetes, "kubernetes-version", "", "Version of Kubernetes, for all clusters or by name (us=1.37.2,eu=1.34.4): "+strings.Join(build.KubernetesVersions(), " or ")+".")
	f.StringVar(&u.installs, "install", "", "How Cilium is installed: helm, certgen or cert-manager, for all clusters or by name.")
	f.DurationVar(&u.delay, "propagation-delay", 100*time.Millisecond, "Time until a change in one cluster takes effect in the others.")
	f.BoolVar(&u.connect, "connect", true, "If true, every cluster has all others as peers.")
	f.BoolVar(&u.noConnect, "no-connect", false, "If true, the clusters know nothing of one another.")
	f.BoolVar(&u.noNet, "no-net", false, "If true, there are no nodes: pods stay Pending.")
	f.BoolVar(&u.kp, "kube-proxy-replacement", false, "If true, Cilium is installed as a replacement of kube-proxy. With --datapath=cilium, defaults to true.")
	f.StringVar(&u.chooser, "chooser", "", "Who chooses the backends of new connections: rules, by which the plugins predict (the default), or cilium, Cilium 1.20's own code.")
	f.StringVar(&u.datapath, "datapath", "", "What moves the pods' packets: lab, the lab's imitation of Cilium (the default), or cilium, Cilium's own agents and eBPF. The latter needs root and clang.")
	f.BoolVar(&u.oneCA, "one-ca", false, "If true, all clusters get the same CA, so that they connect. Needs --datapath=cilium.")
	f.BoolVar(&u.audit, "audit", false, "If true, the API servers write audit logs: CLUSTER/audit.log in the state directory.")
}

// toSpec returns what the user asked for. What was not typed is not asked for.
func (u *upFlags) toSpec(changed func(flag string) bool) (lab.Spec, error) {
	spec := lab.Spec{Clusters: u.clusters, Chooser: u.chooser, Datapath: u.datapath}
	if variable := os.Getenv(clustersVariable); spec.Clusters == nil && variable != "" {
		spec.Clusters = strings.Split(variable, ",")
	}
	var err error
	if spec.CiliumVersion, err = values("--cilium-version", u.versions); err != nil {
		return spec, err
	}
	if spec.KubernetesVersion, err = values("--kubernetes-version", u.kubernetes); err != nil {
		return spec, err
	}
	if spec.Install, err = values("--install", u.installs); err != nil {
		return spec, err
	}
	if changed("propagation-delay") {
		if u.delay < 0 {
			return spec, fmt.Errorf("--propagation-delay is %s; want 0 or more", u.delay)
		}
		spec.PropagationDelay = &u.delay
	}
	if changed("connect") {
		spec.Connected = &u.connect
	}
	if changed("no-connect") {
		spec.Connected = not(u.noConnect)
	}
	if changed("one-ca") {
		spec.OneCA = &u.oneCA
	}
	if changed("audit") {
		spec.Audit = &u.audit
	}
	if changed("no-net") {
		spec.Net = not(u.noNet)
	}
	if changed("kube-proxy-replacement") {
		spec.KubeProxyReplacement = &u.kp
	}
	return spec, nil
}

func not(value bool) *bool {
	value = !value
	return &value
}

func newDown(manager managerFunc) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Remove the lab: processes, network and files", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := manager()
			if err != nil {
				return err
			}
			return m.Down(cmd.Context())
		},
	}
}

func newEnv(manager managerFunc) *cobra.Command {
	return &cobra.Command{
		Use: "env", Short: "Print the lines that make a shell use the lab", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := manager()
			if err != nil {
				return err
			}
			if _, err := m.Dir.Read(); err != nil {
				return fmt.Errorf("%w; start one with \"meshlab up\"", err)
			}
			return printExports(cmd.OutOrStdout(), m.Dir)
		},
	}
}

func newStart(manager managerFunc) *cobra.Command {
	return onCluster(manager, "start", "Start the control plane of a stopped cluster with its data",
		func(ctx context.Context, m *lab.Manager, name string) error { return m.Start(ctx, name) })
}

func newStop(manager managerFunc) *cobra.Command {
	var kill bool
	cmd := onCluster(manager, "stop", "Stop the control plane of a cluster; its pods go on running",
		func(ctx context.Context, m *lab.Manager, name string) error { return m.Stop(ctx, name, kill) })
	cmd.Flags().BoolVar(&kill, "kill", false, "If true, the process is killed and gets no chance to wind up.")
	return cmd
}

func newFreeze(manager managerFunc) *cobra.Command {
	return onCluster(manager, "freeze", "Freeze the control plane of a cluster: it accepts connections and never answers",
		func(_ context.Context, m *lab.Manager, name string) error { return m.Freeze(name) })
}

func newThaw(manager managerFunc) *cobra.Command {
	return onCluster(manager, "thaw", "Let a frozen control plane go on",
		func(_ context.Context, m *lab.Manager, name string) error { return m.Thaw(name) })
}

func onCluster(manager managerFunc, verb, short string, run func(context.Context, *lab.Manager, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " CLUSTER", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := manager()
			if err != nil {
				return err
			}
			return run(cmd.Context(), m, args[0])
		},
	}
}

func newCut(manager managerFunc) *cobra.Command {
	return &cobra.Command{
		Use: "cut CLUSTER CLUSTER", Short: "Cut the network between the nodes and pods of two clusters", Args: cobra.ExactArgs(2),
		Example: "  # Pods of us and eu cannot reach each other, until \"meshlab heal us eu\"\n  meshlab cut us eu",
		RunE: func(cmd *cobra.Command, args []string) error {
			return breakNetwork(cmd, manager, netctl.Request{Op: netctl.OpCut, A: args[0], B: args[1]})
		},
	}
}

func newHeal(manager managerFunc) *cobra.Command {
	return &cobra.Command{
		Use: "heal [CLUSTER CLUSTER]", Short: "End the cut between two clusters, or all cuts",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return fmt.Errorf("want two clusters, or none to end all cuts; got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			request := netctl.Request{Op: netctl.OpHeal}
			if len(args) == 2 {
				request.A, request.B = args[0], args[1]
			}
			return breakNetwork(cmd, manager, request)
		},
	}
}

func breakNetwork(cmd *cobra.Command, manager managerFunc, request netctl.Request) error {
	m, err := manager()
	if err != nil {
		return err
	}
	if _, err := m.Dir.Read(); err != nil {
		return fmt.Errorf("%w; start one with \"meshlab up\"", err)
	}
	_, err = netctl.Call(cmd.Context(), m.Dir.NetDir(), request)
	return err
}

func newCheck() *cobra.Command {
	var datapath string
	cmd := &cobra.Command{
		Use: "check", Short: "Check whether this machine has what a lab needs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := lab.CheckMachine(datapath); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "this machine has what --datapath=%s needs\n", datapath)
			return err
		},
	}
	cmd.Flags().StringVar(&datapath, "datapath", state.DatapathLab, "The datapath of \"meshlab up\": lab or cilium.")
	return cmd
}

func newBuild(errOut io.Writer) *cobra.Command {
	var chooser, datapath, version, kubernetes string
	cmd := &cobra.Command{
		Use: "build", Short: "Build the lab's programs without starting it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			builder := &lazyBuilder{log: errOut}
			if versions := build.KubernetesVersions(); !slices.Contains(versions, kubernetes) {
				return fmt.Errorf("--kubernetes-version is %q; want %s", kubernetes, strings.Join(versions, " or "))
			}
			groups := []build.Group{build.Cluster(kubernetes), build.Net()}
			switch chooser {
			case state.ChooserRules:
			case state.ChooserCilium:
				groups = append(groups, build.Chooser())
			default:
				return fmt.Errorf("--chooser is %q; want %s or %s", chooser, state.ChooserRules, state.ChooserCilium)
			}
			switch datapath {
			case state.DatapathLab:
			case state.DatapathCilium:
				if versions := build.CiliumVersions(); !slices.Contains(versions, version) {
					return fmt.Errorf("--cilium-version is %q; want %s", version, strings.Join(versions, " or "))
				}
				groups = append(groups, build.Cilium(version), build.Etcd(), build.CiliumHelpers(), build.Helm())
			default:
				return fmt.Errorf("--datapath is %q; want %s or %s", datapath, state.DatapathLab, state.DatapathCilium)
			}
			for _, group := range groups {
				dir, err := builder.Ensure(cmd.Context(), group)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), dir); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&chooser, "chooser", state.ChooserRules, "With cilium, also the program that --chooser=cilium of \"meshlab up\" needs.")
	cmd.Flags().StringVar(&datapath, "datapath", state.DatapathLab, "With cilium, also the programs that --datapath=cilium of \"meshlab up\" needs.")
	cmd.Flags().StringVar(&kubernetes, "kubernetes-version", build.KubernetesVersion, "The version of Kubernetes: "+strings.Join(build.KubernetesVersions(), " or ")+".")
	cmd.Flags().StringVar(&version, "cilium-version", build.CiliumVersion, "With --datapath=cilium, the version of Cilium: "+strings.Join(build.CiliumVersions(), " or ")+".")
	return cmd
}
