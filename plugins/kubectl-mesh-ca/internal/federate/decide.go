package federate

import "slices"

// PhaseKind names a phase.
type PhaseKind string

// The phases, in their order.
const (
	Lock    PhaseKind = "lock"    // keep what is replaced, and keep other runs away
	Chains  PhaseKind = "chains"  // cross certificates in the chains of the leaf certificates; with certgen, in cilium-ca first
	Trust   PhaseKind = "trust"   // CA files, and what Helm writes them from
	Restart PhaseKind = "restart" // clustermesh-apiserver of one cluster
	Refresh PhaseKind = "refresh" // clients that have not read their CA file again connect again
	Done    PhaseKind = "done"
)

// Phase is the next thing to do, and what must be seen in the running processes before.
type Phase struct {
	Kind     PhaseKind
	Clusters []string
	Gate     Gate
}

// Gate is what must be seen in the running processes of all clusters. The zero value needs nothing.
type Gate struct {
	// Files: every node sees CA files as the Secrets have them.
	Files bool
	// Presented: what every etcd replica serves and every node has is accepted by each of the CAs.
	Presented bool
	// Connected: every client is connected to its peers.
	Connected bool
}

// Position is what is still missing in one cluster.
type Position struct {
	Cluster string
	// Locked: this run holds the lock, and what it replaces is kept.
	Locked bool
	// Chains: all leaf certificates have the chain that the recipe needs, and so has cilium-ca with certgen. Trust: so have the CA files, and cilium-ca with Helm.
	Chains, Trust bool
	// EtcdBehind: an etcd replica has not read its CA file again. ClientsBehind: a client has not. Only a recipe that changes CA files looks at them.
	EtcdBehind, ClientsBehind bool
}

// settled reports whether CA files are as they should be, and every process has read them.
func (p Position) settled() bool { return p.Trust && !p.EtcdBehind && !p.ClientsBehind }

// Next decides what is to be done next. off ends the federation. It depends only on what was read.
//
// The order of a new federation: cross certificates everywhere, after which every cluster accepts every other one, whatever its processes have loaded; then
// CA files with more CAs than before; then the restarts, one cluster after the other. Each of the three only adds to what is accepted.
// The reverse has no order that keeps the clusters connected; what is not part of it is never touched.
func Next(r Recipe, off bool, at []Position) Phase {
	loads := r == Roots
	// Helm's upgrade drops the cross certificates. Once everybody has loaded the CAs of the others, they are not needed.
	accepted := loads && !off && none(at, func(p Position) bool { return !p.settled() })
	chains := where(at, func(p Position) bool { return !p.Chains && !accepted })
	trust := where(at, func(p Position) bool { return !p.Trust })
	etcd, clients := []string{}, []string{}
	if loads {
		etcd = where(at, func(p Position) bool { return p.EtcdBehind })
	}
	if loads && !off { // a client that no etcd accepts any more does not connect again, whatever it trusts
		clients = where(at, func(p Position) bool { return p.ClientsBehind })
	}
	if len(chains)+len(trust)+len(etcd)+len(clients) > 0 {
		if names := where(at, func(p Position) bool { return !p.Locked }); len(names) > 0 {
			return Phase{Kind: Lock, Clusters: names}
		}
	}
	switch {
	case len(chains) > 0:
		return Phase{Kind: Chains, Clusters: chains}
	case len(trust) > 0:
		return Phase{Kind: Trust, Clusters: trust}
	case len(etcd) > 0:
		return Phase{Kind: Restart, Clusters: etcd[:1], Gate: Gate{Files: true, Connected: !off}}
	case len(clients) > 0:
		return Phase{Kind: Refresh, Clusters: clients, Gate: Gate{Files: true}}
	}
	return Phase{Kind: Done, Gate: Gate{Presented: !accepted && !off, Connected: !off}}
}

func none[T any](in []T, is func(T) bool) bool { return !slices.ContainsFunc(in, is) }

func where(at []Position, is func(Position) bool) []string {
	var out []string
	for _, p := range at {
		if is(p) {
			out = append(out, p.Cluster)
		}
	}
	slices.Sort(out)
	return out
}
