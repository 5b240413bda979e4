package rotate

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Method is how two CAs are kept valid at the same time.
type Method string

// The two methods.
const (
	// Cross: each leaf certificate is sent with X, which is NEW's key signed by OLD, so that whoever trusts OLD or NEW accepts it. One restart of
	// clustermesh-apiserver for each cluster.
	Cross Method = "cross-sign"
	// Bundle: each cluster trusts OLD and NEW while leaf certificates change. Two restarts for each cluster. Helm emits no X, so that its clusters need it.
	Bundle Method = "bundle"
	// Emergency replaces OLD at once, because its key is lost or known to others. Clusters do not accept each other until all processes have loaded NEW.
	Emergency Method = "emergency"
)

// Stage is a part of a rotation. A command ends before the first phase of a stage that it may not enter.
type Stage int

// The stages of both methods.
const (
	// Widen: afterwards either CA is accepted everywhere, and nothing is lost by going back.
	Widen Stage = iota + 1
	// Swap: afterwards NEW is accepted and presented everywhere, and OLD still is where the method needs it.
	Swap
	// Narrow: afterwards OLD is no longer accepted.
	Narrow
)

// Goal is where a rotation is going.
type Goal struct {
	// Back: OLD is restored everywhere; otherwise NEW.
	Back bool
	// Until is the last stage that is entered.
	Until Stage
}

// ca is the CA that is accepted everywhere at the end.
func (g Goal) ca() pki.Accepts {
	if g.Back {
		return pki.AcceptsOld
	}
	return pki.AcceptsNew
}

// PhaseKind names a phase.
type PhaseKind string

// The phases, in the order of the method that needs all of them.
const (
	Prepare PhaseKind = "prepare" // keep OLD and NEW in every cluster, take the lock, suspend certgen's CronJobs
	Issue   PhaseKind = "issue"   // leaf certificates of the kind Leaf
	Trust   PhaseKind = "trust"   // CA files of the kind Trust, one cluster after the other, each followed by Restart
	Restart PhaseKind = "restart" // clustermesh-apiserver of one cluster, because etcd reads its CA file only at start
	Replace PhaseKind = "replace" // leaf certificates and CA files at once, in all clusters: Emergency only
	Refresh PhaseKind = "refresh" // clients that have not read their CA file again connect again
	Observe PhaseKind = "observe" // nothing is written: a process could not be asked, and the gate waits until it can
	CleanUp PhaseKind = "clean-up"
	Done    PhaseKind = "done"
)

// Phase is the next thing to do, and what must be true of the running processes before.
type Phase struct {
	Kind PhaseKind
	// Clusters are those in which something is to be done.
	Clusters []string
	// Leaf is the kind of leaf certificates after Issue, and Trust that of the CA files after Trust.
	Leaf, Trust pki.Accepts
	Stage       Stage
	Gate        Gate
}

// Gate is what must be seen in the running processes of all clusters before a phase begins. The zero value needs nothing.
type Gate struct {
	// Presented: every etcd replica serves, and every client node has, a leaf certificate that this CA verifies.
	Presented pki.Accepts
	// Loaded: every etcd and every client process has loaded a CA file that verifies leaf certificates of this kind.
	Loaded pki.Accepts
	// Asked: every etcd replica could be asked.
	Asked bool
	// Files: every client node of the clusters of the phase sees CA files that verify leaf certificates of this kind.
	Files pki.Accepts
	// Settled: no pods of clustermesh-apiserver are being replaced.
	Settled bool
	// Connected: every client is connected.
	Connected bool
	// Quiet: since the last change no etcd has rejected a connection for the time after which clients try again.
	Quiet bool
}

// Position is what the Secrets of one cluster say, and what its processes have loaded.
type Position struct {
	Cluster string
	// Prepared: OLD and NEW are kept, the lock is there, and certgen's CronJobs are suspended.
	Prepared bool
	// Left: something of the rotation is there. A clean-up that was interrupted leaves a cluster that is not prepared any more.
	Left bool
	// Leaves and Trusts are the kinds of the leaf certificates and CA files by Secret.
	Leaves, Trusts map[string]pki.Accepts
	// Authority: cilium-ca is as the owner's signer needs it in this state.
	Authority bool
	// EtcdBehind: an etcd replica is older than its CA file's present content. EtcdUnknown: one could not be asked, or nobody knows.
	EtcdBehind, EtcdUnknown bool
	// ClientsBehind: a client process has not built its trust pool again since its CA file got its present content, or nobody knows.
	ClientsBehind bool
}

func (p Position) leavesAre(kind pki.Accepts) bool { return all(p.Leaves, kind) }

func (p Position) trusts(kind pki.Accepts) bool { return all(p.Trusts, kind) }

func all(kinds map[string]pki.Accepts, kind pki.Accepts) bool {
	for _, k := range kinds {
		if k != kind {
			return false
		}
	}
	return true
}

// acceptedBy reports whether every leaf certificate is accepted by a process that trusts only the given CA.
func (p Position) acceptedBy(trust pki.Accepts) bool {
	for _, leaf := range p.Leaves {
		if !trust.Verifies(leaf) {
			return false
		}
	}
	return true
}

// behind reports whether a process has not loaded its present CA file.
func (p Position) behind() bool { return p.EtcdBehind || p.EtcdUnknown || p.ClientsBehind }

// Next decides what is to be done next. It depends only on what was read: after a crash, or on another machine, it decides the same.
//
// Both methods have the same shape. One property of the mesh is first widened, so that either CA is accepted: leaf certificates that both verify (Cross), or
// CA files with both (Bundle). Then the other property is swapped, in any order of clusters. Then the first is narrowed to what is to be left.
// Going back is the same with the other CA as goal.
func Next(m Method, goal Goal, at []Position) Phase {
	want := goal.ca()
	some := slices.ContainsFunc(at, func(p Position) bool { return len(p.Leaves) > 0 })
	arrived := some && none(at, func(p Position) bool {
		return !p.Authority || !p.trusts(want) || !p.leavesAre(want)
	})
	if names := where(at, func(p Position) bool { return !p.Prepared }); len(names) > 0 && !arrived {
		return Phase{Kind: Prepare, Clusters: names, Stage: Widen}
	}
	switch m {
	case Bundle:
		return nextBundle(want, at)
	case Emergency:
		return nextEmergency(want, at)
	default:
		return nextCross(want, at)
	}
}

// nextEmergency waits for nothing but the processes themselves.
func nextEmergency(want pki.Accepts, at []Position) Phase {
	if names := where(at, func(p Position) bool { return !p.leavesAre(want) || !p.trusts(want) || !p.Authority }); len(names) > 0 {
		return Phase{Kind: Replace, Clusters: names, Leaf: want, Trust: want, Stage: Widen}
	}
	if names := where(at, func(p Position) bool { return p.EtcdBehind }); len(names) > 0 {
		return Phase{Kind: Restart, Clusters: names, Trust: want, Stage: Widen, Gate: Gate{Files: want, Settled: true}}
	}
	if names := where(at, func(p Position) bool { return p.EtcdUnknown }); len(names) > 0 {
		return observe(names, Widen)
	}
	if names := where(at, func(p Position) bool { return p.ClientsBehind }); len(names) > 0 {
		return Phase{Kind: Refresh, Clusters: names, Trust: want, Stage: Widen, Gate: Gate{Files: want}}
	}
	if names := where(at, func(p Position) bool { return p.Left }); len(names) > 0 {
		return Phase{Kind: CleanUp, Clusters: names, Stage: Widen, Gate: Gate{Presented: want, Connected: true}}
	}
	return Phase{Kind: Done, Stage: Narrow}
}

func nextCross(want pki.Accepts, at []Position) Phase {
	swapped := none(at, func(p Position) bool { return !p.trusts(want) })
	if swapped && none(at, Position.behind) {
		return narrowLeaves(want, Narrow, at)
	}
	// Leaf certificates that only the goal verifies are fine where everybody trusts it. A process that has not loaded its file does so in the next phase.
	plain := swapped && none(at, func(p Position) bool { return !p.acceptedBy(want) })
	if names := where(at, func(p Position) bool { return !p.leavesAre(pki.AcceptsBoth) }); len(names) > 0 && !plain {
		return Phase{Kind: Issue, Clusters: names, Leaf: pki.AcceptsBoth, Stage: Widen}
	}
	// A process may have loaded the file of before: what is presented must suit both.
	return swapTrust(want, pki.AcceptsBoth, Swap, at)
}

func nextBundle(want pki.Accepts, at []Position) Phase {
	switch {
	case none(at, func(p Position) bool { return !p.leavesAre(want) }):
		// Everybody presents what is to be left: who still trusts both is narrowed.
		if none(at, func(p Position) bool { return !p.trusts(want) || p.behind() }) {
			return end(want, at)
		}
		return swapTrust(want, want, Narrow, at)
	case none(at, func(p Position) bool { return !p.trusts(pki.AcceptsBoth) || p.behind() }):
		return narrowLeaves(want, Swap, at)
	}
	return swapTrust(pki.AcceptsBoth, pki.AcceptsNone, Widen, at)
}

// swapTrust gives one cluster after the other CA files of a kind, and makes its processes load them. presented is the kind of certificates that all must
// present before.
func swapTrust(to, presented pki.Accepts, stage Stage, at []Position) Phase {
	// A cluster that was begun is ended before the next one.
	if names := where(at, func(p Position) bool { return p.trusts(to) && p.EtcdBehind }); len(names) > 0 {
		return Phase{Kind: Restart, Clusters: names[:1], Trust: to, Stage: stage, Gate: Gate{Files: to, Settled: true}}
	}
	if names := where(at, func(p Position) bool { return !p.trusts(to) }); len(names) > 0 {
		gate := Gate{Presented: presented, Connected: true, Settled: true}
		// The first cluster waits for the certificates of all; for the others it is enough that the one before is connected again.
		gate.Quiet = presented != pki.AcceptsNone && len(names) == len(at)
		return Phase{Kind: Trust, Clusters: names[:1], Trust: to, Stage: stage, Gate: gate}
	}
	if names := where(at, func(p Position) bool { return p.EtcdUnknown }); len(names) > 0 {
		return observe(names, stage)
	}
	return Phase{Kind: Refresh, Clusters: where(at, func(p Position) bool { return p.ClientsBehind }), Trust: to, Stage: stage, Gate: Gate{Files: to}}
}

// observe waits for processes that could not be asked. A restart would not help, and could do harm.
func observe(names []string, stage Stage) Phase {
	return Phase{Kind: Observe, Clusters: names, Stage: stage, Gate: Gate{Asked: true}}
}

// narrowLeaves issues the leaf certificates that are to be left, once every process has loaded a CA file that verifies them.
func narrowLeaves(want pki.Accepts, stage Stage, at []Position) Phase {
	if names := where(at, func(p Position) bool { return !p.leavesAre(want) }); len(names) > 0 {
		return Phase{Kind: Issue, Clusters: names, Leaf: want, Stage: stage, Gate: Gate{Loaded: want, Connected: true, Settled: true, Quiet: true}}
	}
	return end(want, at)
}

// end removes what only the rotation needed.
func end(want pki.Accepts, at []Position) Phase {
	if names := where(at, func(p Position) bool { return !p.Authority }); len(names) > 0 {
		return Phase{Kind: Issue, Clusters: names, Leaf: want, Stage: Narrow, Gate: Gate{Loaded: want}}
	}
	if names := where(at, func(p Position) bool { return p.Left }); len(names) > 0 {
		return Phase{Kind: CleanUp, Clusters: names, Stage: Narrow, Gate: Gate{Presented: want, Connected: true, Settled: true, Quiet: true}}
	}
	return Phase{Kind: Done, Stage: Narrow}
}

func none(at []Position, is func(Position) bool) bool { return len(where(at, is)) == 0 }

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
