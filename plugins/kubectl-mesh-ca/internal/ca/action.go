package ca

import (
	"path/filepath"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// ActionKind is what a command can do itself for a step that is printed.
type ActionKind string

// The kinds of actions. The zero value is a step that only a person or another tool can do.
const (
	ActBundle     ActionKind = "bundle"       // a person adds the CA to a trust bundle, before anything is issued
	ActDelete     ActionKind = "delete"       // Secrets that Helm would keep
	ActDeleteJobs ActionKind = "delete jobs"  // of certgen, which Helm would keep
	ActHelm       ActionKind = "helm"         // an upgrade with Helm
	ActCertgen    ActionKind = "certgen"      // a Job from certgen's CronJob
	ActAwait      ActionKind = "await"        // the end of that Job
	ActRenew      ActionKind = "cert-manager" // renewal of Certificates
	ActSign       ActionKind = "sign"         // leaf certificates that nobody renews
	ActRestart    ActionKind = "restart"      // clustermesh-apiserver
)

// Action is what a command does for a step.
type Action struct {
	Kind ActionKind
	// Names are the Secrets or the Certificates.
	Names []string
	// CronJob is the one of certgen, and Job the name of the Job that is made of it, or that is awaited. Selector finds the Jobs that are deleted.
	CronJob, Job, Selector string
	// Helm are the arguments of the helm command, and Env what its environment has besides.
	Helm, Env []string
}

// Step is a printed step, and what a command can do for it.
type Step struct {
	v1alpha1.NextStep
	Action
}

// plain returns the steps as they are printed.
func plain(steps []Step) []v1alpha1.NextStep {
	if len(steps) == 0 {
		return nil
	}
	out := make([]v1alpha1.NextStep, len(steps))
	for n, s := range steps {
		out[n] = s.NextStep
	}
	return out
}

// helmCommand returns the arguments and the environment of the helm command that tool prints for the same words.
func (s *State) helmCommand(namespace string, words ...string) (args, env []string) {
	at := s.Member.Origin().At()
	args = append([]string{"--kube-context", at.Name, "-n", namespace}, words...)
	switch len(at.Kubeconfig) {
	case 0:
	case 1:
		args = append(args, "--kubeconfig", at.Kubeconfig[0])
	default:
		env = append(env, "KUBECONFIG="+strings.Join(at.Kubeconfig, string(filepath.ListSeparator)))
	}
	return args, env
}

// RestartAgents returns the command that restarts the agents of a cluster.
func (s *State) RestartAgents() string {
	return s.kubectl("rollout", "restart", "daemonset/"+cilium.DaemonSetName)
}

// Command returns a command of mesh-ca for exactly these clusters.
func Command(members []*clusters.Member, words ...string) string { return plugin(members, words...) }
