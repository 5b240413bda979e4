package rotate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// cluster is a model of one cluster: its Secrets, and what its processes have loaded.
type cluster struct {
	name      string
	prepared  bool
	left      bool          // something of the rotation is there
	leaves    []pki.Accepts // by Secret: server, remote
	trusts    []pki.Accepts
	etcd      pki.Accepts // loaded by etcd
	clients   pki.Accepts // loaded by the clients
	authority pki.Accepts
}

func mesh(names ...string) []*cluster {
	var out []*cluster
	for _, n := range names {
		two := func() []pki.Accepts { return []pki.Accepts{pki.AcceptsOld, pki.AcceptsOld} }
		out = append(out, &cluster{name: n, leaves: two(), trusts: two(), etcd: pki.AcceptsOld, clients: pki.AcceptsOld, authority: pki.AcceptsOld})
	}
	return out
}

func (c *cluster) position(want pki.Accepts) rotate.Position {
	p := rotate.Position{Cluster: c.name, Prepared: c.prepared, Left: c.left, Leaves: map[string]pki.Accepts{}, Trusts: map[string]pki.Accepts{}, Authority: c.authority == want,
		EtcdBehind: c.etcd != c.trusts[0], ClientsBehind: c.clients != c.trusts[1]}
	for n := range c.leaves {
		p.Leaves[fmt.Sprint(n)], p.Trusts[fmt.Sprint(n)] = c.leaves[n], c.trusts[n]
	}
	return p
}

// connected says which pairs can connect: each side presents what the other side has loaded.
func connected(t *testing.T, m []*cluster, after string) {
	t.Helper()
	for _, client := range m {
		for _, server := range m {
			if !client.clients.Verifies(server.leaves[0]) {
				t.Fatalf("after %s: clients of %s (loaded %s) reject the server certificate of %s (%s)", after, client.name, client.clients, server.name, server.leaves[0])
			}
			if !server.etcd.Verifies(client.leaves[1]) {
				t.Fatalf("after %s: etcd of %s (loaded %s) rejects the client certificate of %s (%s)", after, server.name, server.etcd, client.name, client.leaves[1])
			}
		}
	}
}

// carryOut does a phase, write by write, and stops after a number of writes. Between any two writes every pair is connected.
func carryOut(t *testing.T, m []*cluster, phase rotate.Phase, goal pki.Accepts, writes *int) (stopped bool) {
	t.Helper()
	do := func(what string, write func()) {
		if stopped {
			return
		}
		write()
		connected(t, m, fmt.Sprintf("%s (%s)", phase.Kind, what))
		*writes--
		stopped = *writes <= 0
	}
	for _, c := range m {
		if !slices.Contains(phase.Clusters, c.name) {
			continue
		}
		switch phase.Kind {
		case rotate.Prepare:
			do(c.name+" keep", func() { c.left = true })
			do(c.name+" lock", func() { c.prepared = true })
		case rotate.Issue:
			if phase.Leaf != pki.AcceptsBoth {
				do(c.name+" cilium-ca", func() { c.authority = goal })
			}
			for n := range c.leaves {
				do(c.name, func() { c.leaves[n] = phase.Leaf })
			}
		case rotate.Trust:
			for n := range c.trusts {
				do(c.name, func() { c.trusts[n] = phase.Trust })
			}
		case rotate.Restart:
			do(c.name, func() {
				c.etcd = c.trusts[0]
				for _, other := range m { // another etcd: its clients read their files again
					if rand.IntN(2) == 0 {
						other.clients = other.trusts[1]
					}
				}
			})
		case rotate.Refresh:
			do(c.name, func() { c.clients = c.trusts[1] })
		case rotate.CleanUp:
			do(c.name+" resume", func() { c.prepared = false })
			do(c.name+" unlock", func() { c.left = false })
		default:
			t.Fatalf("phase %q", phase.Kind)
		}
	}
	return stopped
}

// holds is the gate of a phase, asked of the model.
func holds(m []*cluster, g rotate.Gate) bool {
	for _, c := range m {
		if g.Presented != pki.AcceptsNone && (!c.leaves[0].Verifies(g.Presented) || !c.leaves[1].Verifies(g.Presented)) {
			return false
		}
		if g.Loaded != pki.AcceptsNone && (!c.etcd.Verifies(g.Loaded) || !c.clients.Verifies(g.Loaded)) {
			return false
		}
	}
	return true
}

func run(t *testing.T, m []*cluster, method rotate.Method, goal rotate.Goal, writes int) (rotate.Phase, bool) {
	t.Helper()
	want := pki.AcceptsNew
	if goal.Back {
		want = pki.AcceptsOld
	}
	for range 200 {
		var at []rotate.Position
		for _, c := range m {
			at = append(at, c.position(want))
		}
		phase := rotate.Next(method, goal, at)
		if phase.Kind == rotate.Done || phase.Stage > goal.Until {
			return phase, false
		}
		if !holds(m, phase.Gate) {
			t.Fatalf("the gate of %s never opens: %+v", phase.Kind, phase.Gate)
		}
		if carryOut(t, m, phase, want, &writes) {
			return phase, true
		}
	}
	t.Fatal("no end")
	return rotate.Phase{}, false
}

const forever = 1 << 30

// TestRotation goes from OLD to NEW and stops where each command does.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, method := range []rotate.Method{rotate.Cross, rotate.Bundle} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			m := mesh("us", "eu", "ap")
			for _, step := range []struct {
				until rotate.Stage
				stops rotate.PhaseKind
			}{{rotate.Widen, map[rotate.Method]rotate.PhaseKind{rotate.Cross: rotate.Trust, rotate.Bundle: rotate.Issue}[method]},
				{rotate.Swap, map[rotate.Method]rotate.PhaseKind{rotate.Cross: rotate.Issue, rotate.Bundle: rotate.Trust}[method]}, {rotate.Narrow, rotate.Done}} {
				if phase, _ := run(t, m, method, rotate.Goal{Until: step.until}, forever); phase.Kind != step.stops {
					t.Errorf("until stage %d: stops before %q, want %q", step.until, phase.Kind, step.stops)
				}
			}
			for _, c := range m {
				if c.etcd != pki.AcceptsNew || c.clients != pki.AcceptsNew || c.leaves[0] != pki.AcceptsNew || c.authority != pki.AcceptsNew || c.left {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// TestInterrupted: a rotation that is cut after any write, continued, turned back and turned again never disconnects a pair, and ends.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, method := range []rotate.Method{rotate.Cross, rotate.Bundle} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3000) {
				r := rand.New(rand.NewPCG(seed, 1))
				m := mesh("us", "eu", "ap", "sa")[:2+r.IntN(3)]
				for range 1 + r.IntN(6) {
					goal := rotate.Goal{Back: r.IntN(3) == 0, Until: rotate.Stage(1 + r.IntN(3))}
					if goal.Back {
						goal.Until = rotate.Narrow
					}
					run(t, m, method, goal, 1+r.IntN(40))
				}
				back := r.IntN(2) == 0
				want := pki.AcceptsNew
				if back {
					want = pki.AcceptsOld
				}
				run(t, m, method, rotate.Goal{Back: back, Until: rotate.Narrow}, forever)
				for _, c := range m {
					if c.etcd != want || c.clients != want || c.leaves[1] != want || c.left {
						t.Fatalf("seed %d, back %t: %+v", seed, back, c)
					}
				}
			}
		})
	}
}
