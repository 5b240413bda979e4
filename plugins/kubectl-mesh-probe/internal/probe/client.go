package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// client is one client pod and its result.
type client struct {
	member *clusters.Member
	pod    podexec.Pod
	err    error // nothing was sent

	meaning target.Meaning // what the host name refers to in the pod
	unnamed string         // why the host name does not refer to the Service in the pod
	caveats []string       // why its replies may differ from the prediction

	prediction judge.Prediction
	changed    string // the prediction after it changed during the run

	goal   int // how many requests are to be sent in total
	tally  *tally.Tally
	result sender.Result
}

// hasSent reports whether the client sent anything.
func (c *client) hasSent() bool { return !c.result.Start.IsZero() }

// exec returns what runs commands in the pod.
func (c *client) exec() *podexec.Exec { return podexec.New(c.member.REST, c.member.Client, c.pod) }

// findClients finds the client pod in each cluster.
func (r *run) findClients(ctx context.Context) error {
	members := []*clusters.Member{r.mesh.selection.Home()}
	switch {
	case len(r.cfg.Clients.Clusters) == 1 && r.cfg.Clients.Clusters[0] == "all":
		members = r.mesh.selection.Members
	case len(r.cfg.Clients.Clusters) > 0:
		var err error
		if members, err = r.mesh.selection.Resolve("--from-clusters", r.cfg.Clients.Clusters); err != nil {
			return err
		}
	}
	results := fanout.Each(ctx, members, r.mesh.timeout, func(ctx context.Context, m *clusters.Member) (podexec.Pod, error) {
		return podexec.Find(ctx, m.Client, r.mesh.namespace, r.cfg.Clients.From, r.cfg.Clients.Container)
	})
	for _, found := range results {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := &client{member: found.Member, pod: found.Value, tally: tally.New(r.mesh.members)}
		c.pod.Namespace = r.mesh.namespace
		if found.Err != nil {
			c.err = fmt.Errorf("cluster %s: %w", found.Member.Label(), found.Err)
			if len(results) == 1 {
				return c.err
			}
		}
		r.clients = append(r.clients, c)
		r.describePod(c)
	}
	if !slices.ContainsFunc(r.clients, func(c *client) bool { return c.err == nil }) {
		return r.clients[0].err
	}
	return nil
}

// describePod reports choices that the user did not make, and properties of the pod that affect the result.
func (r *run) describePod(c *client) {
	if c.err != nil {
		return
	}
	if len(c.pod.Defaulted) > 0 {
		r.ui.Note("Defaulted container %q of pod %s in %s out of: %v", c.pod.Container, c.pod.Name, c.member.Name, c.pod.Defaulted)
	}
	if c.pod.HostNetwork {
		c.caveats = append(c.caveats, fmt.Sprintf("pod %s uses the network of its node: without kube-proxy replacement, such clients do not reach remote backends", c.pod.Name))
	}
	if c.pod.Proxy != "" {
		c.caveats = append(c.caveats, fmt.Sprintf("the connections of pod %s pass through a proxy, which may pick the backend instead of Cilium: %s", c.pod.Name, c.pod.Proxy))
	}
	for _, caveat := range c.caveats {
		r.ui.Warn("cluster %s: %s", c.member.Name, caveat)
	}
}

// explain names the client, and suggests a fix if its container has no shell or no tool.
func (c *client) explain(err error) error {
	const fix = "choose another container with --container or another pod with --from, or add a container and choose it with --container"
	switch {
	case errors.Is(err, wire.ErrNoShell):
		err = fmt.Errorf("%w; %s: %s", wire.ErrNoShell, fix, c.debug())
	case errors.Is(err, tool.ErrNoTool):
		err = fmt.Errorf("%w; %s: %s", err, fix, c.debug())
	}
	return fmt.Errorf("cluster %s: pod %s: %w", c.member.Label(), c.pod, err)
}

// debug is the command that adds a container with a shell and a tool to the client pod.
func (c *client) debug() string {
	words := []string{"debug", c.pod.Name, "--image=busybox", "--container=mesh-probe-client"}
	if c.pod.Container != "" {
		words = append(words, "--target="+c.pod.Container)
	}
	return commandline.Tool("kubectl", c.member.Origin().At(), c.pod.Namespace, append(words, "--", "sleep", "infinity")...)
}
