package probe

import (
	"errors"
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// source is one client pod, which sends the requests to all targets.
type source struct {
	member  *clusters.Member
	name    string         // the cluster, or CLUSTER/POD if several pods of the cluster send requests
	pod     podexec.Pod    // where the requests come from
	err     error          // why it cannot send anything
	helper  *helper.Helper // what sends the requests instead of the client pod; nil for none
	caveats []string       // why its replies may differ from the prediction
}

// client is one client pod that calls one target, and its result.
type client struct {
	*source

	to     *service
	url    string // of the target, if there are several
	unsent error  // why nothing was sent, although the pod was found

	meaning target.Meaning // what the host name refers to in the pod
	unnamed string         // why the host name does not refer to the Service in the pod

	prediction judge.Prediction
	changed    string // the prediction after it changed during the run

	abort   *judge.AbortOn // nil without --abort-on
	aborted bool           // it has ended the run

	goal   int // how many requests are to be sent in total
	tally  *tally.Tally
	result sender.Result
}

// cause is why nothing was sent. It is nil if something was.
func (c *client) cause() error {
	if c.err != nil {
		return c.err
	}
	return c.unsent
}

// by identifies the requests of the client.
func (c *client) by() history.Client {
	return history.Client{Cluster: c.member.Name, Pod: c.pod.Name, URL: c.url}
}

// identifier returns an identifier with everything that is known by now, for the replies to this client.
func (c *client) identifier() *origin.Identifier {
	return c.to.senders.identifier().CalledFrom(c.pod.IPs)
}

// hasSent reports whether the client sent anything.
func (c *client) hasSent() bool { return !c.result.Start.IsZero() }

// exec returns what runs commands in the pod.
func (s *source) exec() *podexec.Exec { return podexec.New(s.member.REST, s.member.Client, s.pod) }

// describePod reports choices that the user did not make, and properties of the pod that affect the result.
func (r *run) describePod(s *source) {
	if s.err != nil {
		return
	}
	if len(s.pod.Defaulted) > 0 && r.isFirst(s) {
		r.ui.Note("Defaulted container %q of pod %s in %s out of: %v", s.pod.Container, s.pod.Name, s.member.Name, s.pod.Defaulted)
	}
	if s.pod.HostNetwork {
		s.caveats = append(s.caveats, fmt.Sprintf("pod %s uses the network of its node: without kube-proxy replacement, such clients do not reach remote backends", s.pod.Name))
	}
	if s.pod.Proxy != "" {
		s.caveats = append(s.caveats, fmt.Sprintf("the connections of pod %s pass through a proxy, which may pick the backend instead of Cilium: %s", s.pod.Name, s.pod.Proxy))
	}
	for _, caveat := range s.caveats {
		r.ui.Warn("%s: %s", s.where(), caveat)
	}
}

// explain names the client, and suggests a fix if its container has no shell or no tool.
func (s *source) explain(err error, c Clients) error {
	fix := "choose another container with --container or another pod with --from"
	if !c.NoHelper {
		fix += ", or bring a tool: --client=ephemeral --image IMAGE adds a container to the client pod, --client=pod --image IMAGE creates a helper pod beside it"
	}
	switch {
	case s.helper != nil && errors.Is(err, wire.ErrNoShell):
		err = fmt.Errorf("%w; use an --image with sh, sleep, and curl or wget", wire.ErrNoShell)
	case s.helper != nil && errors.Is(err, tool.ErrNoTool):
		err = fmt.Errorf("%w; use an --image with curl or wget", err)
	case s.helper != nil && errors.Is(err, tool.ErrNoDialer):
		err = fmt.Errorf("%w; use an --image with bash, nc or curl", err)
	case errors.Is(err, wire.ErrNoShell):
		err = fmt.Errorf("%w; %s", wire.ErrNoShell, fix)
	case errors.Is(err, tool.ErrNoTool), errors.Is(err, tool.ErrNoDialer):
		err = fmt.Errorf("%w; %s", err, fix)
	}
	return fmt.Errorf("cluster %s: pod %s: %w", s.member.Label(), s.pod, err)
}
