package lab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/install"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// checkDatapath says whether the lab can have the datapath that was asked for, as far as flags decide.
func (s Spec) checkDatapath(l *state.Lab) error {
	flag := "--datapath=" + l.Datapath
	switch l.Datapath {
	case state.DatapathLab:
		if l.OneCA {
			return fmt.Errorf("--one-ca needs --datapath=%s: otherwise traffic does not depend on certificates", state.DatapathCilium)
		}
		return nil
	case state.DatapathCilium:
	default:
		return fmt.Errorf("--datapath is %q; want %s or %s", l.Datapath, state.DatapathLab, state.DatapathCilium)
	}
	switch {
	case !l.Net:
		return fmt.Errorf("%s and --no-net cannot be used together: Cilium's agents run on nodes", flag)
	case l.Chooser == state.ChooserCilium:
		return fmt.Errorf("%s and --chooser=%s cannot be used together: Cilium's agents choose the backends", flag, state.ChooserCilium)
	case s.PropagationDelay != nil:
		return fmt.Errorf("%s and --propagation-delay cannot be used together: Cilium decides when changes take effect", flag)
	case s.KubeProxyReplacement != nil && !*s.KubeProxyReplacement:
		return fmt.Errorf("%s needs --kube-proxy-replacement: the lab has no kube-proxy", flag)
	}
	for _, c := range l.Clusters {
		if versions := build.CiliumVersions(); !slices.Contains(versions, c.CiliumVersion) {
			return fmt.Errorf("cluster %q: --cilium-version %s: %s is built from Cilium %s only", c.Name, c.CiliumVersion, flag, strings.Join(versions, " or "))
		}
		if first := l.Clusters[0]; c.CiliumVersion != first.CiliumVersion {
			return fmt.Errorf("--cilium-version: %s runs one version of Cilium in all clusters, not %s in %q and %s in %q",
				flag, first.CiliumVersion, first.Name, c.CiliumVersion, c.Name)
		}
		if c.Install != string(install.Helm) && c.Install != string(install.Certgen) {
			return fmt.Errorf("cluster %q: --install %s: %s installs with %s or %s only", c.Name, c.Install, flag, install.Helm, install.Certgen)
		}
	}
	return nil
}
