package cmd

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// clientFlags say which pods send requests, and what helps those that have no tool.
type clientFlags struct {
	all, perNode bool

	kind, image          string
	copyLabels, sameNode bool
	startTimeout         time.Duration
}

// startTimeoutDefault leaves time to pull an image.
const startTimeoutDefault = 2 * time.Minute

func (f *clientFlags) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&f.all, "all-clients", false, "If true, every ready pod of the workload in --from sends requests.")
	fs.BoolVar(&f.perNode, "per-node", false, "If true, one ready pod of the workload in --from sends requests on each node, because each node has its own datapath.")
	fs.StringVar(&f.kind, "client", "", "Helper that sends the requests if the client pod has no curl and no wget. Must be one of: ephemeral (adds an ephemeral container to the client pod; Kubernetes cannot remove it), pod (creates a helper pod in the namespace of the client pod, and deletes it after the run). Requires --image.")
	fs.StringVar(&f.image, "image", "", "Image of the helper of --client. It needs sh, sleep, and curl or wget.")
	fs.BoolVar(&f.copyLabels, "copy-labels", false, "If true, give the helper pod the labels and the service account of the client pod, so that the same network policies apply to it. Refused if a Service or a controller would select the helper pod. Requires --client=pod.")
	fs.BoolVar(&f.sameNode, "same-node", false, "If true, run the helper pod on the node of the client pod. Requires --client=pod.")
	fs.DurationVar(&f.startTimeout, "start-timeout", f.startTimeout, "How long to wait until the helper of --client runs.")
}

// apply checks the flags and adds them to the clients.
func (f *clientFlags) apply(c *probe.Clients) error {
	if err := f.validate(c); err != nil {
		return err
	}
	switch {
	case f.all:
		c.Which = podexec.EveryReady
	case f.perNode:
		c.Which = podexec.OnePerNode
	}
	if f.kind != "" {
		c.Helper = &helper.Config{Kind: helper.Kind(f.kind), Image: f.image, CopyLabels: f.copyLabels, SameNode: f.sameNode, StartTimeout: f.startTimeout}
	}
	return nil
}

func (f *clientFlags) validate(c *probe.Clients) error {
	several := map[bool]string{true: "--all-clients", false: "--per-node"}[f.all]
	switch {
	case f.all && f.perNode:
		return errors.New("--all-clients and --per-node cannot be used together")
	case (f.all || f.perNode) && c.From.Kind == "pod":
		return fmt.Errorf("%s requires a workload in --from, such as deploy/client; %s is one pod", several, c.From.Name)
	case f.kind == "" && f.image != "":
		return errors.New("--image requires --client=ephemeral or --client=pod")
	case f.kind == "":
		return f.withoutClient()
	case f.kind != string(helper.Ephemeral) && f.kind != string(helper.Pod):
		return fmt.Errorf("--client %q: must be ephemeral or pod", f.kind)
	case f.image == "":
		return fmt.Errorf("--client=%s requires --image, an image with sh, sleep, and curl or wget", f.kind)
	case strings.ContainsFunc(f.image, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("--image %q: contains a space or a control character", f.image)
	case c.Container != "":
		return errors.New("--container and --client cannot be used together: the requests come from the container of the helper")
	case f.startTimeout < time.Second || f.startTimeout > time.Hour:
		return errors.New("--start-timeout must be from 1s to 1h")
	case f.kind == string(helper.Pod) && f.perNode && !f.sameNode:
		return errors.New("--per-node with --client=pod requires --same-node; otherwise the scheduler chooses the nodes of the helper pods")
	case f.kind == string(helper.Ephemeral) && (f.copyLabels || f.sameNode):
		return errors.New("--copy-labels and --same-node require --client=pod: an ephemeral container is in the client pod, with its labels and on its node")
	}
	return nil
}

// withoutClient checks the flags of a run without --client.
func (f *clientFlags) withoutClient() error {
	switch {
	case f.copyLabels || f.sameNode:
		return errors.New("--copy-labels and --same-node require --client=pod")
	case f.startTimeout != startTimeoutDefault:
		return errors.New("--start-timeout requires --client")
	}
	return nil
}
