package rotate_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

func TestParseIgnore(t *testing.T) {
	t.Parallel()
	got, err := rotate.ParseIgnore([]string{"eu/node-1", "arn:aws:eks:eu:1:cluster/eu/node-2"}, []string{"10.0.0.9", "::ffff:10.0.0.8", "fd00::7"})
	if err != nil || fmt.Sprint(got) != "{[eu/node-1 arn:aws:eks:eu:1:cluster/eu/node-2] [10.0.0.9 10.0.0.8 fd00::7] []}" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "node-1", "/node-1", "eu/"} {
		if _, err := rotate.ParseIgnore([]string{bad}, nil); err == nil || !strings.Contains(err.Error(), "--ignore-node") || !strings.Contains(err.Error(), "CLUSTER/NODE") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "scanner", "10.0.0.0/8", "10.0.0.9:2379", "127.0.0.1", "::", "0.0.0.0"} {
		if _, err := rotate.ParseIgnore(nil, []string{bad}); err == nil || !strings.Contains(err.Error(), "--ignore-client") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// nodes is a cluster with two agents, of which one does not answer, and an etcd that rejected two connections.
type nodes struct {
	file    []*x509.Certificate
	answers bool // the second agent does, too
}

func (nodes) Served(context.Context, *clusters.Member) ([]live.Served, error) { return nil, nil }

func (n nodes) Files(context.Context, *clusters.Member) ([]live.File, error) {
	files := []live.File{{Node: "node-1", Pod: "a", Path: "x-ca.crt", Certs: n.file}, {Node: "node-2", Pod: "b", Unknown: "timeout"}}
	if n.answers {
		files[1] = live.File{Node: "node-2", Pod: "b", Path: "x-ca.crt", Certs: n.file}
	}
	return files, nil
}

func (nodes) Clients(context.Context, *clusters.Member) ([]live.Client, error) {
	return []live.Client{
		{Kind: live.KindAgent, Node: "node-1", Pod: "a", Peer: "eu", Connected: true, Addresses: []string{"10.0.0.1"}},
		{Kind: live.KindAgent, Node: "node-2", Pod: "b", Unknown: "timeout", Addresses: []string{"10.0.0.2"}},
	}, nil
}

func (nodes) Rejected(context.Context, *clusters.Member, time.Time) ([]live.Rejection, error) {
	reject := func(remote string, at time.Duration) live.Rejection {
		return live.Rejection{Pod: "etcd", Rejection: pki.Rejection{At: pkitest.Now.Add(at), Remote: remote, Reason: pki.EtcdRefused, Text: "of " + remote}}
	}
	return []live.Rejection{reject("10.0.0.8", 0), reject("::ffff:10.0.0.9", time.Minute)}, nil
}

// TestIgnoredIsLeftOut: only what is named is left out, only while a node does not answer, and it is reported.
func TestIgnoredIsLeftOut(t *testing.T) {
	t.Parallel()
	signer := pkitest.NewCA(t, pkitest.Spec{})
	us, _ := catest.Member(t, "us", catest.Install{CA: &signer})
	s, err := ca.Read(t.Context(), us)
	must(t, err)
	for name, c := range map[string]struct {
		nodes     []string
		clients   []string
		answers   bool
		agents    int
		rejection string
		unknown   bool // node-2 is waited for
		ignored   []string
		wrong     string
	}{
		"nothing":           {nil, nil, false, 2, "of ::ffff:10.0.0.9", true, nil, ""},
		"a dead node":       {[]string{"us/node-2"}, nil, false, 2, "of ::ffff:10.0.0.9", false, []string{"us: the agent on node node-2 does not answer (--ignore-node)"}, ""},
		"of another one":    {[]string{"eu/node-2"}, nil, false, 2, "of ::ffff:10.0.0.9", true, nil, ""},
		"it answers":        {[]string{"us/node-2"}, nil, true, 2, "of ::ffff:10.0.0.9", true, nil, "--ignore-node us/node-2: the agent on this node answers"},
		"it does not exist": {[]string{"us/node-3"}, nil, false, 2, "of ::ffff:10.0.0.9", true, nil, "--ignore-node us/node-3: no agent runs on this node; agents run on node-1, node-2"},
		"a scanner":         {nil, []string{"10.0.0.9"}, false, 2, "of 10.0.0.8", true, []string{"us: etcd rejects connections of 10.0.0.9 (--ignore-client)"}, ""},
		"another scanner":   {nil, []string{"10.0.0.7"}, false, 2, "of ::ffff:10.0.0.9", true, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ignore, err := rotate.ParseIgnore(c.nodes, c.clients)
			must(t, err)
			p := rotate.Processes{Observer: nodes{[]*x509.Certificate{signer.Cert}, c.answers}, Now: func() time.Time { return pkitest.Now }}
			got, err := p.Running(t.Context(), s, rotate.Look{Ignore: ignore})
			must(t, err)
			waited := slices.ContainsFunc(got.ClientsBehind, func(text string) bool { return strings.Contains(text, "agent b") })
			if got.Agents != c.agents || got.Rejection != c.rejection || waited != c.unknown || strings.Join(got.Answers, "; ") != c.wrong {
				t.Errorf("%+v", got)
			}
			if d := cmp.Diff(c.ignored, got.Ignored); d != "" {
				t.Error(d)
			}
			if who := got.Addresses[netip.MustParseAddr("10.0.0.2")]; who != "agent b in us" {
				t.Errorf("%q", who)
			}
		})
	}
}

// ignoring is a mesh in which something is ignored, or must not be.
type ignoring struct {
	*world

	ignored, answers []string
	addresses        map[netip.Addr]string
}

func (o ignoring) Running(ctx context.Context, s *ca.State, look rotate.Look) (rotate.Running, error) {
	out, err := o.World.Running(ctx, s, look)
	if s.Member.Name == "eu" {
		out.Ignored, out.Answers, out.Addresses = o.ignored, o.answers, o.addresses
	}
	return out, err
}

// TestIgnoredIsReported: in the plan, while a phase waits, when it begins, and in the report, which is not complete. Printed commands repeat the flags.
func TestIgnoredIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 14, byCertgen, "us", "eu")
	w.ignore = rotate.Ignore{Nodes: []rotate.Node{{Cluster: "kind-eu", Name: "node-2"}}, Clients: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}
	const text = "eu: the agent on node node-2 does not answer (--ignore-node)"
	w.observe = ignoring{world: w, ignored: []string{text}}
	var said []string
	w.said = &said
	plan, err := w.run(rotate.Plan, "", -1)
	if err != nil || plan.Complete || !slices.Equal(plan.Ignored, []string{text}) || !strings.Contains(plan.NextSteps[0].Command, "rotate start --ignore-node=eu/node-2 --ignore-client=10.0.0.9") {
		t.Errorf("%v %+v", err, plan)
	}
	for _, action := range []rotate.Action{rotate.Start, rotate.Continue} {
		report, err := w.run(action, "", -1)
		if err != nil || report.Complete || !slices.Equal(report.Ignored, []string{text}) {
			t.Errorf("%s: %v %+v", action, err, report)
		}
	}
	for _, want := range []string{"; ignored: " + text, `Warning: phase "trust" begins although this is ignored: ` + text} {
		if !slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("%q is not in\n%s", want, strings.Join(said, "\n"))
		}
	}
	w.observe = ignoring{world: w}
	if report, err := w.run(rotate.Status, "", -1); err != nil || !report.Complete || len(report.Ignored) > 0 {
		t.Errorf("%v %+v", err, report)
	}
}

// TestIgnoreIsRefused: nothing is written, and the error names the flag.
func TestIgnoreIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 15, byHelm, "us", "eu")
	refused := func(want string) {
		t.Helper()
		writes := len(w.Log)
		if _, err := w.run(rotate.Start, "", -1); err == nil || !strings.Contains(err.Error(), want) || len(w.Log) != writes+1 {
			t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
		}
	}
	w.observe = ignoring{world: w, answers: []string{"--ignore-node eu/node-1: the agent on this node answers"}}
	refused("--ignore-node eu/node-1: the agent on this node answers; nothing was written")
	address := netip.MustParseAddr("10.0.0.9")
	w.ignore.Clients = []netip.Addr{address}
	w.observe = ignoring{world: w, addresses: map[netip.Addr]string{address: "agent a in eu"}}
	refused("--ignore-client 10.0.0.9: this is the address of agent a in eu")
	w.ignore = rotate.Ignore{Nodes: []rotate.Node{{Cluster: "ap", Name: "node-1"}}}
	w.observe = nil
	writes := len(w.Log)
	if _, err := w.run(rotate.Start, "", -1); err == nil || !strings.Contains(err.Error(), `--ignore-node: no cluster "ap"`) || len(w.Log) != writes+1 {
		t.Error(err)
	}
}

// rotated is a cluster whose operator runs since an hour, and whose log does not go back so far.
type rotated struct{ nodes }

func (rotated) Clients(context.Context, *clusters.Member) ([]live.Client, error) {
	return []live.Client{{Kind: live.KindOperator, Pod: "operator-0", Started: pkitest.Now.Add(-time.Hour), LogCut: true, Unknown: "its log begins later"}}, nil
}

// TestOperatorWhoseLogWasRotated is waited for, with the way out. A log without lines about connections looked like an operator that does not connect.
func TestOperatorWhoseLogWasRotated(t *testing.T) {
	t.Parallel()
	signer := pkitest.NewCA(t, pkitest.Spec{})
	us, _ := catest.Member(t, "us", catest.Install{CA: &signer, Edit: func(s map[string]*corev1.Secret) {
		s["cilium-clustermesh"].Data["eu"] = []byte("endpoints:\n- https://eu.mesh.cilium.io:2379\n")
	}})
	s, err := ca.Read(t.Context(), us)
	must(t, err)
	p := rotate.Processes{Observer: rotated{}, Now: func() time.Time { return pkitest.Now }}
	got, err := p.Running(t.Context(), s, rotate.Look{})
	must(t, err)
	const wayOut = "restart it: kubectl --context kind-us -n kube-system delete pod operator-0"
	if len(got.Disconnected) != 1 || got.Disconnected[0].Peer != "eu" || !strings.HasPrefix(got.Disconnected[0].Text, "cannot determine whether operator operator-0 is connected to eu: its log begins later") || !strings.Contains(got.Disconnected[0].Text, wayOut) {
		t.Errorf("%+v", got.Disconnected)
	}
	if len(got.ClientsBehind) == 0 || !strings.Contains(got.ClientsBehind[0], "operator operator-0, connection to eu") || !strings.Contains(got.ClientsBehind[0], wayOut) {
		t.Errorf("%q", got.ClientsBehind)
	}
}
