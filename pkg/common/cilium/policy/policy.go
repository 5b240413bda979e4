// Package policy determines which clusters the network policies of one cluster let in and out: whether
// pods of another cluster can reach these pods, or these pods can reach them. An answer is certain or only
// possible, because only some labels of the pods are known. The effect of deny and requires rules is never more than possible: it may apply to
// only some of the ports and pods.
//
// It is pure: it uses no client and, except for metadata, no type of the Kubernetes API.
//
// Source: cilium pkg/k8s/network_policy.go, pkg/k8s/apis/cilium.io/utils/utils.go and pkg/policy/api (1.18.11, 1.19.7 and 1.20.2, read).
package policy

import (
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// Keys that Cilium adds to the labels of every pod.
const (
	KeyCluster   = "io.cilium.k8s.policy.cluster"
	KeyNamespace = "io.kubernetes.pod.namespace"
	// PrefixNamespaceLabels is the prefix of the labels of a pod's namespace.
	PrefixNamespaceLabels = "io.cilium.k8s.namespace.labels."

	keyNamespaceName = PrefixNamespaceLabels + "kubernetes.io/metadata.name"
)

// Answer is yes, no, or maybe if it depends on unknown labels.
type Answer int

// The answers, in the order in which "or" prefers them.
const (
	No Answer = iota
	Maybe
	Yes
)

// Policy is one policy object.
type Policy struct {
	Kind      string // NetworkPolicy, CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy
	Namespace string // empty for a clusterwide one
	Name      string
	Specs     []Spec
	// Owners tells which controllers write it; nil for none.
	Owners *owners.Object
}

// String names the policy as kubectl would.
func (p Policy) String() string { return strings.ToLower(p.Kind) + "/" + p.Name }

// Spec is one rule set of a policy and the pods that are subject to it.
type Spec struct {
	Subject Selector
	Ingress Direction
	Egress  Direction
}

// Direction holds the rules of a policy for one direction.
type Direction struct {
	// Enforced: the subjects admit only traffic that some policy admits.
	Enforced bool
	Rules    []Rule
	// Denies are the rules that keep their peers out, whatever admits them, and Requires what every peer must match (until 1.18:
	// pkg/policy/api/ingress.go of 1.18.11).
	Denies   []Rule
	Requires []Selector
}

// Rule admits its peers on its ports.
type Rule struct {
	Anybody bool // no peer is named: everybody is meant
	Peers   []Selector
	// OwnCluster is the entity cluster: every pod of the policy's own cluster, and never one of another.
	OwnCluster bool
	// Unclear: the rule has a part that this package does not support, and may admit any peer.
	Unclear bool
	Ports   []Port // empty: all
}

// Port is a range of ports of a rule. A named port may be any number.
type Port struct {
	Named    bool
	From, To int32
	Protocol string // empty: all
}

// Target is a port of a pod.
type Target struct {
	Port     int32
	Protocol string
}

// Selector picks pods by their labels, those that Cilium adds among them.
type Selector []Requirement

// Requirement is one condition on a label.
type Requirement struct {
	Key    string
	Op     Op
	Values []string
}

// Op is how a requirement compares.
type Op string

// The operators, as Kubernetes spells them.
const (
	In           Op = "In"
	NotIn        Op = "NotIn"
	Exists       Op = "Exists"
	DoesNotExist Op = "DoesNotExist"
)

// Pods are some pods of one cluster of which only a part of the labels is known.
type Pods struct {
	Cluster   string
	Namespace string // empty: not known
	Labels    map[string]string
}

// Has reports whether the selector has a condition on this key.
func (s Selector) Has(key string) bool {
	return slices.ContainsFunc(s, func(r Requirement) bool { return r.Key == key })
}

// Matches reports whether the selector picks the pods.
func (s Selector) Matches(p Pods) Answer {
	out := Yes
	for _, r := range s {
		out = min(out, r.matches(p))
	}
	return out
}

func (r Requirement) matches(p Pods) Answer {
	value, known := p.label(r.Key)
	if !known {
		return Maybe
	}
	switch r.Op {
	case In:
		return answer(slices.Contains(r.Values, value))
	case NotIn:
		return answer(!slices.Contains(r.Values, value))
	case Exists:
		return Yes
	case DoesNotExist:
		return No
	}
	return Maybe
}

// label returns a label that is known to exist. The absence of a label is never known.
func (p Pods) label(key string) (string, bool) {
	switch key {
	case KeyCluster:
		return p.Cluster, true
	case KeyNamespace, keyNamespaceName:
		return p.Namespace, p.Namespace != ""
	}
	v, ok := p.Labels[key]
	return v, ok
}

func answer(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// admits reports whether a rule admits the pods at its other end on any of the targets. own is the policy's cluster.
func (r Rule) admits(other Pods, targets []Target, own string) Answer {
	if !r.covers(targets) {
		return No
	}
	switch {
	case r.Anybody:
		return Yes
	case r.Unclear:
		return Maybe
	}
	out := No
	if r.OwnCluster && other.Cluster == own {
		out = Yes
	}
	for _, s := range r.Peers {
		out = max(out, s.Matches(other))
	}
	return out
}

// denies reports whether pods at the other end may be kept out, whatever admits them.
func (d Direction) denies(other Pods, targets []Target, own string) Answer {
	out := No
	for _, r := range d.Denies {
		out = max(out, r.admits(other, targets, own))
	}
	for _, s := range d.Requires {
		out = max(out, Yes-s.Matches(other))
	}
	return out
}

// covers reports whether a rule's ports may be among the targets; without targets nothing is ruled out.
func (r Rule) covers(targets []Target) bool {
	if len(r.Ports) == 0 || len(targets) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Ports, func(p Port) bool {
		return slices.ContainsFunc(targets, func(t Target) bool {
			return (p.Protocol == "" || p.Protocol == t.Protocol) && (p.Named || t.Port >= p.From && t.Port <= p.To)
		})
	})
}
