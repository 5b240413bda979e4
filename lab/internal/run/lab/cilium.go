package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/install"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/realcilium"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/proc"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// ciliumReadyTimeout bounds the start of all agents, which compile their datapaths at the same time.
const ciliumReadyTimeout = 12 * time.Minute

// ciliumPollInterval is long, as agents that compile need the CPUs.
const ciliumPollInterval = time.Second

// ciliumPrograms are what a lab with Cilium's own datapath runs besides.
type ciliumPrograms struct {
	files realcilium.Files
	helm  string
}

// flags tell meshlab-net where the programs are.
func (p *ciliumPrograms) flags() []string {
	if p == nil {
		return nil
	}
	return []string{
		"--cilium-programs=" + p.files.Programs, "--cilium-module=" + p.files.Module, "--etcd=" + p.files.Etcd, "--clang=" + p.files.Clang,
		"--cilium-helpers=" + p.files.Helpers,
	}
}

// ensureCilium checks the machine, and builds what is not built of a version of Cilium.
func (m *Manager) ensureCilium(ctx context.Context, version string) (*ciliumPrograms, error) {
	clang, err := thisMachine.check()
	if err != nil {
		return nil, err
	}
	p := &ciliumPrograms{files: realcilium.Files{Clang: clang}}
	if p.files.Programs, err = m.Programs.Ensure(ctx, build.Cilium(version)); err != nil {
		return nil, err
	}
	if p.files.Module, err = m.Programs.ModuleDir(ctx, build.Cilium(version), "github.com/cilium/cilium"); err != nil {
		return nil, err
	}
	etcd, err := m.Programs.Ensure(ctx, build.Etcd())
	if err != nil {
		return nil, err
	}
	p.files.Etcd = filepath.Join(etcd, "etcd")
	if p.files.Helpers, err = m.Programs.Ensure(ctx, build.CiliumHelpers()); err != nil {
		return nil, err
	}
	helm, err := m.Programs.Ensure(ctx, build.Helm())
	if err != nil {
		return nil, err
	}
	p.helm = filepath.Join(helm, "helm")
	return p, m.writeHelm(p)
}

// writeHelm puts a helm command into the lab's directory of programs for which the Cilium project's chart is the chart of the
// Cilium that runs, so that the commands that the plugins print run as printed.
func (m *Manager) writeHelm(p *ciliumPrograms) error {
	if err := os.MkdirAll(m.Dir.BinDir(), 0o700); err != nil {
		return err
	}
	return state.WriteFile(filepath.Join(m.Dir.BinDir(), "helm"), []byte(helmScript(p.files.Chart(), p.helm)), 0o700)
}

// helmScript is a helm command that takes the chart for the one of the Cilium project.
func helmScript(chart, helm string) string {
	return fmt.Sprintf(`#!/bin/sh
# helm with the chart of the Cilium that this lab runs in the place of cilium/cilium, and of cilium in the repository of
# the Cilium project.
left=$#
while [ "$left" -gt 0 ]; do
	argument=$1
	shift
	left=$((left - 1))
	following=
	[ "$left" -eq 0 ] || following="$1 "
	[ "$left" -lt 2 ] || following="$1 $2 "
	case "$argument $following" in
	cilium/cilium\ *) argument=%[1]s ;;
	cilium\ --repo\ https://helm.cilium.io\ * | cilium\ --repo\ https://helm.cilium.io/\ *)
		argument=%[1]s
		shift 2
		left=$((left - 2))
		;;
	cilium\ --repo=https://helm.cilium.io\ * | cilium\ --repo=https://helm.cilium.io/\ *)
		argument=%[1]s
		shift
		left=$((left - 1))
		;;
	esac
	set -- "$@" "$argument"
done
exec %[2]s "$@"
`, shellQuote(chart), shellQuote(helm))
}

func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// installByHelm installs Cilium's chart, as a user does. The definitions of Cilium's resources, which its operator would
// register, and the cluster's DNS come first.
func (m *Manager) installByHelm(ctx context.Context, p *ciliumPrograms, l *state.Lab, c state.Cluster) error {
	crds, err := readCRDs(p.files.CRDs())
	if err != nil {
		return err
	}
	ca, err := m.sharedCA(l)
	if err != nil {
		return err
	}
	objects, err := install.BeforeHelm(c, crds, ca)
	if err != nil {
		return err
	}
	if err := install.Write(ctx, c, objects); err != nil {
		return err
	}
	values, err := realcilium.Values(l, c)
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	dir := m.Dir.ClusterDir(c.Name)
	file := filepath.Join(dir, "cilium-values.yaml")
	if err := state.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	helm := exec.CommandContext(ctx, p.helm, "upgrade", "--install", "cilium", p.files.Chart(), //nolint:gosec // a program of the lab
		"--namespace="+install.Namespace, "--kubeconfig="+c.Kubeconfig, "--values="+file)
	helm.Env = helmEnvironment(os.Environ(), filepath.Join(dir, "helm"))
	if out, err := helm.CombinedOutput(); err != nil {
		return fmt.Errorf("helm upgrade --install cilium: %w\n%s", err, out)
	}
	return nil
}

// helmEnvironment is an environment in which no setting of the user for helm is in effect: HELM_DRIVER, for instance, decides
// where the release is stored, and HELM_KUBECONTEXT which cluster gets it.
func helmEnvironment(environ []string, home string) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return strings.HasPrefix(variable, "HELM_") || strings.HasPrefix(variable, "KUBECONFIG=")
	})
	return append(env, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
}

func readCRDs(dir string) ([][]byte, error) {
	var crds [][]byte
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // a file of Cilium's module
		crds = append(crds, data)
		return err
	})
	if err == nil && len(crds) == 0 {
		err = fmt.Errorf("no definitions of Cilium's resources in %s", dir)
	}
	return crds, err
}

// sharedCA is the CA of all clusters with --one-ca, else nil. It is made once and not kept: each cluster has it in its
// Secret. Clusters are installed at the same time, so the first one makes it.
func (m *Manager) sharedCA(l *state.Lab) (*pki.Pair, error) {
	if !l.OneCA {
		return nil, nil
	}
	m.caOnce.Do(func() { m.ca, m.caErr = install.NewCA(time.Now()) })
	return m.ca, m.caErr
}

// waitForCilium waits until Cilium is ready in all clusters, and prints what it waits for.
func (m *Manager) waitForCilium(ctx context.Context, l *state.Lab) error {
	ctx, cancel := context.WithTimeout(ctx, ciliumReadyTimeout)
	defer cancel()
	m.logf("starting Cilium; each agent compiles its datapath, which takes about half a minute of CPU")
	last := ""
	isGone := false
	err := pollEvery(ctx, ciliumPollInterval, nil, func() bool {
		if isGone = m.condition(m.Dir.NetPID()) == proc.Gone; isGone {
			return true
		}
		waits := make([]string, 0, len(l.Clusters))
		for _, c := range l.Clusters {
			if text := realcilium.WaitsFor(ctx, c); text != "" {
				waits = append(waits, c.Name+": "+text)
			}
		}
		if text := strings.Join(waits, "; "); text != last && text != "" && ctx.Err() == nil {
			m.logf("  waiting for %s", text)
			last = text
		}
		return len(waits) == 0
	})
	switch {
	case isGone:
		return fmt.Errorf("nodes and pod network: %s %w%s", netProgram, errEnded, tail(m.Dir.NetLog()))
	case errors.Is(err, errNotReady):
		return fmt.Errorf("the installation of Cilium %w: %s%s", err, last, tail(m.Dir.NetLog()))
	}
	return err
}
