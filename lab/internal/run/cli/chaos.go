package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/chaos"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/lab"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// chaosTimeout bounds the writing and the removal, which wait for the API servers.
const chaosTimeout = 20 * time.Minute

const chaosLong = `Make Services in all clusters of the running lab that are well but for faults drawn at
random, and print what was seeded as JSON: for each fault its kind, where it is, and the
findings that "kubectl mesh-svc check" must report of it. "mesh" are findings that follow
from how the lab is set up. What is not listed is well.

The same seed makes the same in a lab of the same clusters and versions. Without --seed
the clock gives one; it is printed. The Services have endpoints but no pods, so that
they need no nodes (meshlab up --no-net).`

const chaosExample = `  # 300 Services, a third of them with a fault
  meshlab chaos-services --seed 7 > seeded.json
  kubectl mesh-svc check -A -o json > found.json

  # Only some kinds of faults, and few
  meshlab chaos-services --services 20 --faults 5 --kinds port-name,affinity-junk

  # Remove it all
  meshlab chaos-services --remove`

func newChaos(manager managerFunc, errOut io.Writer) *cobra.Command {
	var (
		o              chaos.Options
		faults         int
		dryRun, remove bool
	)
	cmd := &cobra.Command{
		Use: "chaos-services", Short: "Make Services with faults drawn at random, and say which", Args: cobra.NoArgs,
		Long:    chaosLong + "\n\nKinds of faults: " + strings.Join(chaos.Kinds(), ", ") + ".",
		Example: chaosExample,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := manager()
			if err != nil {
				return err
			}
			targets, err := chaosTargets(m)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), chaosTimeout)
			defer cancel()
			if remove {
				return chaos.Remove(ctx, targets)
			}
			if !cmd.Flags().Changed("seed") {
				o.Seed = uint64(time.Now().UnixNano()) % maxClockSeed
			}
			o.Faults = faults
			if !cmd.Flags().Changed("faults") {
				o.Faults = o.Services / defaultFaultShare
			}
			clusters := make([]chaos.Cluster, len(targets))
			for i, t := range targets {
				clusters[i] = t.Cluster
			}
			plan, err := chaos.New(clusters, o)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(errOut, "seed %d: %d services in %d namespaces of %d clusters, %d faults\n", plan.Seed, plan.Services, len(plan.Namespaces), len(plan.Clusters), len(plan.Faults))
			if !dryRun {
				err := chaos.Write(ctx, targets, plan)
				if errors.Is(err, chaos.ErrPresent) {
					return fmt.Errorf("%w; remove them with \"meshlab chaos-services --remove\"", err)
				}
				if err != nil {
					return err
				}
			}
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(plan)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.Seed, "seed", 0, "Number that decides everything that is drawn; the default is drawn from the clock.")
	f.IntVar(&o.Services, "services", 300, "Names of Services that are made; most are in all clusters.")
	f.IntVar(&faults, "faults", 0, "Faults that are seeded; the default is one for every third Service.")
	f.StringSliceVar(&o.Kinds, "kinds", nil, "Kinds of faults to draw from; the default is all that this lab can have.")
	f.StringVarP(&o.Prefix, "namespace", "n", "chaos", "What the names of the namespaces begin with.")
	f.BoolVar(&o.VarySettings, "vary-settings", false, "If true, settings of Cilium that decide about faults are drawn too: kube-proxy replacement, EndpointSlice synchronisation, whom a policy means. --remove sets them back.")
	f.BoolVar(&dryRun, "dry-run", false, "If true, print what would be seeded and make nothing.")
	f.BoolVar(&remove, "remove", false, "If true, remove what earlier calls made, and wait until it is gone.")
	for _, name := range []string{"seed", "services", "faults", "kinds", "namespace", "vary-settings", "dry-run"} {
		cmd.MarkFlagsMutuallyExclusive("remove", name)
	}
	return cmd
}

const (
	defaultFaultShare = 3
	// maxClockSeed keeps seeds that a person has to type short.
	maxClockSeed = 1_000_000
)

// chaosTargets returns the clusters of the lab.
func chaosTargets(m *lab.Manager) ([]chaos.Target, error) {
	l, err := m.Dir.Read()
	if err != nil {
		return nil, fmt.Errorf("%w; start one with \"meshlab up\"", err)
	}
	out := make([]chaos.Target, 0, len(l.Clusters))
	for _, c := range l.Clusters {
		t, err := chaosTarget(c)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		out = append(out, t)
	}
	return out, nil
}

func chaosTarget(c state.Cluster) (chaos.Target, error) {
	t := chaos.Target{ID: c.ID, Kubeconfig: c.Kubeconfig}
	t.Name, t.PodPrefix = c.Name, strings.Join(strings.Split(c.PodCIDR, ".")[:2], ".")
	parts := strings.Split(strings.SplitN(c.CiliumVersion, "-", 2)[0], ".")
	if len(parts) != 3 {
		return t, fmt.Errorf("version %q of Cilium is not written as 1.18.11", c.CiliumVersion)
	}
	var err error
	if t.Minor, err = strconv.Atoi(parts[1]); err != nil {
		return t, err
	}
	t.Settings = chaos.Installed(t.Minor, c.KubeProxyReplacement)
	t.Patch, err = strconv.Atoi(parts[2])
	return t, err
}
