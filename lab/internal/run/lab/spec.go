package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/install"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/cluster"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

const thaw = unix.SIGCONT

// What a lab is if nothing else was asked for: the clusters of the walk-throughs, a
// Cilium that is neither the oldest nor the newest of the supported ones, and Helm,
// which is how most are installed.
const (
	defaultCiliumVersion = "1.18.11"
	defaultInstall       = install.Helm
	// What an unloaded mesh of Cilium 1.20.2 needs, measured from the write to the first connection that follows it.
	defaultPropagationDelay = 100 * time.Millisecond
)

// Cilium's code that chooses backends with ChooserCilium is of one minor version, so the clusters must be of that too.
const (
	chooserVersion = "1.20.2"
	chooserMinor   = "1.20."
)

func defaultClusters() []string { return []string{"us", "eu", "ap"} }

// Spec is what a user asked for. What is nil or empty was not asked for: a new lab
// has the default, and a lab that is there is good as it is.
type Spec struct {
	Clusters []string
	// CiliumVersion, KubernetesVersion and Install are by cluster name; the key "" is for all others.
	CiliumVersion        map[string]string
	KubernetesVersion    map[string]string
	Install              map[string]string
	PropagationDelay     *time.Duration
	Connected            *bool
	Net                  *bool
	KubeProxyReplacement *bool
	// Chooser is one of state.Chooser*, or empty.
	Chooser string
	// Datapath is one of state.Datapath*, or empty.
	Datapath string
	OneCA    *bool
	Audit    *bool
}

// lab plans a new lab.
func (s Spec) lab(dir state.Dir) (*state.Lab, error) {
	names := s.Clusters
	if names == nil {
		names = defaultClusters()
	}
	clusters, err := cluster.Plan(dir, names, &cluster.FreePorts{})
	if err != nil {
		return nil, err
	}
	for flag, values := range map[string]map[string]string{"--cilium-version": s.CiliumVersion, "--kubernetes-version": s.KubernetesVersion, "--install": s.Install} {
		for name := range values {
			if name != "" && !slices.Contains(names, name) {
				return nil, fmt.Errorf("%s names cluster %q; the lab's clusters are %s", flag, name, strings.Join(names, ", "))
			}
		}
	}
	chooser, version := state.ChooserRules, defaultCiliumVersion
	if s.Chooser != "" {
		chooser = s.Chooser
	}
	datapath := state.DatapathLab
	if s.Datapath != "" {
		datapath = s.Datapath
	}
	if chooser == state.ChooserCilium {
		version = chooserVersion
	}
	if datapath == state.DatapathCilium {
		version = build.CiliumVersion
		cluster.PlanNamespaces(clusters)
	}
	for i := range clusters {
		c := &clusters[i]
		c.CiliumVersion = choose(s.CiliumVersion, c.Name, version)
		c.KubernetesVersion = choose(s.KubernetesVersion, c.Name, build.KubernetesVersion)
		if versions := build.KubernetesVersions(); !slices.Contains(versions, c.KubernetesVersion) {
			return nil, fmt.Errorf("cluster %q: --kubernetes-version is %q; want %s", c.Name, c.KubernetesVersion, strings.Join(versions, " or "))
		}
		c.Install = choose(s.Install, c.Name, string(defaultInstall))
		c.KubeProxyReplacement = or(s.KubeProxyReplacement, datapath == state.DatapathCilium)
		if err := install.Check(*c); err != nil {
			return nil, err
		}
	}
	l := &state.Lab{
		PropagationDelay: state.Duration(or(s.PropagationDelay, defaultPropagationDelay)),
		Connected:        or(s.Connected, true),
		Net:              or(s.Net, true),
		Chooser:          chooser,
		Datapath:         datapath,
		OneCA:            or(s.OneCA, false),
		Audit:            or(s.Audit, false),
		Clusters:         clusters,
	}
	if err := checkChooser(l); err != nil {
		return nil, err
	}
	return l, s.checkDatapath(l)
}

// checkChooser says whether the lab's backends can be chosen as asked for.
func checkChooser(l *state.Lab) error {
	switch l.Chooser {
	case state.ChooserRules:
		return nil
	case state.ChooserCilium:
	default:
		return fmt.Errorf("--chooser is %q; want %s or %s", l.Chooser, state.ChooserRules, state.ChooserCilium)
	}
	if !l.Net {
		return fmt.Errorf("--chooser=%s and --no-net cannot be used together: without nodes there is nothing to choose", state.ChooserCilium)
	}
	for _, c := range l.Clusters {
		if !strings.HasPrefix(c.CiliumVersion, chooserMinor) {
			return fmt.Errorf("cluster %q: --cilium-version %s: --chooser=%s runs the code of Cilium %s for every cluster; want %sx or no --cilium-version",
				c.Name, c.CiliumVersion, state.ChooserCilium, chooserVersion, chooserMinor)
		}
	}
	return nil
}

// compatible says whether a lab that is there is what was asked for.
func (s Spec) compatible(l *state.Lab) error {
	names := make([]string, 0, len(l.Clusters))
	for _, c := range l.Clusters {
		names = append(names, c.Name)
	}
	if s.Clusters != nil && !slices.Equal(s.Clusters, names) {
		return fmt.Errorf("a lab with the clusters %s is there already, not %s", strings.Join(names, ","), strings.Join(s.Clusters, ","))
	}
	for _, c := range l.Clusters {
		if want := choose(s.CiliumVersion, c.Name, c.CiliumVersion); want != c.CiliumVersion {
			return fmt.Errorf("a lab is there already whose cluster %q has Cilium %s, not %s", c.Name, c.CiliumVersion, want)
		}
		if want := choose(s.KubernetesVersion, c.Name, c.KubernetesVersion); want != c.KubernetesVersion {
			return fmt.Errorf("a lab is there already whose cluster %q has Kubernetes %s, not %s", c.Name, c.KubernetesVersion, want)
		}
		if want := choose(s.Install, c.Name, c.Install); want != c.Install {
			return fmt.Errorf("a lab is there already whose cluster %q was installed by %s, not %s", c.Name, c.Install, want)
		}
		if or(s.KubeProxyReplacement, c.KubeProxyReplacement) != c.KubeProxyReplacement {
			return fmt.Errorf("a lab is there already with another --kube-proxy-replacement")
		}
	}
	for flag, versions := range map[string]map[string]string{"--cilium-version": s.CiliumVersion, "--kubernetes-version": s.KubernetesVersion} {
		for _, name := range slices.Sorted(maps.Keys(versions)) {
			if name != "" && !slices.Contains(names, name) {
				return fmt.Errorf("%s names cluster %q, and a lab is there already with %s", flag, name, strings.Join(names, ","))
			}
		}
	}
	switch {
	case state.Duration(or(s.PropagationDelay, time.Duration(l.PropagationDelay))) != l.PropagationDelay:
		return fmt.Errorf("a lab is there already with a propagation delay of %s", time.Duration(l.PropagationDelay))
	case or(s.Connected, l.Connected) != l.Connected:
		return fmt.Errorf("a lab is there already with --connect=%t", l.Connected)
	case or(s.Net, l.Net) != l.Net:
		return fmt.Errorf("a lab is there already with --net=%t", l.Net)
	case s.Chooser != "" && s.Chooser != l.Chooser:
		return fmt.Errorf("a lab is there already with --chooser=%s", l.Chooser)
	case s.Datapath != "" && s.Datapath != l.Datapath:
		return fmt.Errorf("a lab is there already with --datapath=%s", l.Datapath)
	case or(s.OneCA, l.OneCA) != l.OneCA:
		return fmt.Errorf("a lab is there already with --one-ca=%t", l.OneCA)
	case or(s.Audit, l.Audit) != l.Audit:
		return fmt.Errorf("a lab is there already with --audit=%t", l.Audit)
	}
	return nil
}

// choose returns what values have for name, or for all clusters, or fallback.
func choose(values map[string]string, name, fallback string) string {
	if value, ok := values[name]; ok {
		return value
	}
	if value, ok := values[""]; ok {
		return value
	}
	return fallback
}

func or[T any](value *T, fallback T) T {
	if value != nil {
		return *value
	}
	return fallback
}
