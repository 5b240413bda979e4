package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The kinds of policy objects.
const (
	KindNetworkPolicy = "NetworkPolicy"
	KindCilium        = "CiliumNetworkPolicy"
	KindClusterwide   = "CiliumClusterwideNetworkPolicy"
)

// Labels is a label selector as written in an object.
type Labels struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []Expression      `json:"matchExpressions"`
}

// Expression is one entry of matchExpressions.
type Expression struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// selector converts the labels with a prefix before each key.
func (l Labels) selector(prefix string) Selector {
	var out Selector
	for _, k := range slices.Sorted(maps.Keys(l.MatchLabels)) {
		out = append(out, Requirement{prefix + plain(k), In, []string{l.MatchLabels[k]}})
	}
	for _, e := range l.MatchExpressions {
		if strings.HasPrefix(e.Key, reservedSource) && !e.picks() {
			continue // it leaves out hosts and their like, which pods are not
		}
		out = append(out, Requirement{prefix + plain(e.Key), Op(e.Operator), e.Values})
	}
	return out
}

// picks reports whether the expression requires the label to exist.
func (e Expression) picks() bool { return Op(e.Operator) == In || Op(e.Operator) == Exists }

// reservedSource is the prefix of the labels of endpoints that are not pods.
const reservedSource = "reserved:"

// plain strips the source that Cilium's selectors may have before a key; a Kubernetes label has the source k8s.
func plain(key string) string {
	return strings.TrimPrefix(strings.TrimPrefix(key, "k8s:"), "any:")
}

// reserved reports whether the labels select endpoints that are not pods, such as hosts.
func (l Labels) reserved() bool {
	for k := range l.MatchLabels {
		if strings.HasPrefix(k, reservedSource) {
			return true
		}
	}
	for _, e := range l.MatchExpressions {
		if strings.HasPrefix(e.Key, reservedSource) && e.picks() {
			return true
		}
	}
	return false
}

// Scope is the scope of a policy: its namespace, its cluster, and whether a peer without a cluster means that cluster.
type Scope struct {
	Namespace    string
	Cluster      string
	DefaultLocal bool
}

// local adds the cluster to a peer that names none.
func (s Scope) local(sel Selector) Selector {
	if s.DefaultLocal && !sel.Has(KeyCluster) {
		sel = append(sel, Requirement{KeyCluster, In, []string{s.Cluster}})
	}
	return sel
}

// Peer converts a peer of a NetworkPolicy. A nil namespace selector means the policy's own namespace.
func (s Scope) Peer(pods, namespaces *Labels) Selector {
	sel := s.local(cmp.Or(pods, &Labels{}).selector(""))
	if namespaces == nil {
		return append(sel, Requirement{KeyNamespace, In, []string{s.Namespace}})
	}
	return append(sel, namespaces.selector(PrefixNamespaceLabels)...)
}

// Subject converts the pod selector of a NetworkPolicy.
func (s Scope) Subject(pods Labels) Selector {
	return append(pods.selector(""), Requirement{KeyNamespace, In, []string{s.Namespace}})
}

// peer converts a peer of Cilium's policies; ok is false if it does not select pods.
func (s Scope) peer(l Labels) (Selector, bool) {
	if l.reserved() {
		return nil, false
	}
	sel := l.selector("")
	named := sel.Has(KeyNamespace) || slices.ContainsFunc(sel, func(r Requirement) bool { return strings.HasPrefix(r.Key, PrefixNamespaceLabels) })
	if s.Namespace != "" && !named {
		sel = append(sel, Requirement{KeyNamespace, In, []string{s.Namespace}})
	}
	return s.local(sel), true
}

// object is a CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy, as far as it matters here.
type object struct {
	Metadata struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
	Spec  *spec  `json:"spec"`
	Specs []spec `json:"specs"`
}

type spec struct {
	EndpointSelector  *Labels `json:"endpointSelector"`
	Ingress           []rule  `json:"ingress"`
	IngressDeny       []rule  `json:"ingressDeny"`
	Egress            []rule  `json:"egress"`
	EgressDeny        []rule  `json:"egressDeny"`
	EnableDefaultDeny struct {
		Ingress *bool `json:"ingress"`
		Egress  *bool `json:"egress"`
	} `json:"enableDefaultDeny"`
}

// rule has the fields of both directions.
type rule struct {
	FromEndpoints []Labels          `json:"fromEndpoints"`
	ToEndpoints   []Labels          `json:"toEndpoints"`
	FromRequires  []Labels          `json:"fromRequires"` // until 1.18
	ToRequires    []Labels          `json:"toRequires"`
	FromEntities  []string          `json:"fromEntities"`
	ToEntities    []string          `json:"toEntities"`
	FromCIDR      []json.RawMessage `json:"fromCIDR"`
	FromCIDRSet   []json.RawMessage `json:"fromCIDRSet"`
	FromNodes     []json.RawMessage `json:"fromNodes"`
	FromGroups    []json.RawMessage `json:"fromGroups"`
	ToCIDR        []json.RawMessage `json:"toCIDR"`
	ToCIDRSet     []json.RawMessage `json:"toCIDRSet"`
	ToNodes       []json.RawMessage `json:"toNodes"`
	ToGroups      []json.RawMessage `json:"toGroups"`
	ToFQDNs       []json.RawMessage `json:"toFQDNs"`
	ToServices    []json.RawMessage `json:"toServices"`
	ICMPs         []json.RawMessage `json:"icmps"`
	ToPorts       []struct {
		Ports []struct {
			Port     string `json:"port"`
			EndPort  int32  `json:"endPort"`
			Protocol string `json:"protocol"`
		} `json:"ports"`
	} `json:"toPorts"`
}

// Cilium parses a CiliumNetworkPolicy or, if the namespace is empty, a CiliumClusterwideNetworkPolicy.
func Cilium(raw []byte, cluster string, defaultLocal bool) (Policy, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return Policy{}, fmt.Errorf("not a valid policy: %w", err)
	}
	p := Policy{Kind: KindCilium, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	if p.Namespace == "" {
		p.Kind = KindClusterwide
	}
	if o.Spec != nil {
		o.Specs = append([]spec{*o.Spec}, o.Specs...)
	}
	scope := Scope{p.Namespace, cluster, defaultLocal}
	for _, s := range o.Specs {
		// A policy without an endpoint selector applies to nodes.
		if s.EndpointSelector != nil && !s.EndpointSelector.reserved() {
			p.Specs = append(p.Specs, s.convert(scope))
		}
	}
	return p, nil
}

func (s spec) convert(scope Scope) Spec {
	out := Spec{Subject: s.EndpointSelector.selector("")}
	if scope.Namespace != "" {
		out.Subject = append(out.Subject, Requirement{KeyNamespace, In, []string{scope.Namespace}})
	}
	out.Ingress.Enforced = either(s.EnableDefaultDeny.Ingress, len(s.Ingress)+len(s.IngressDeny) > 0)
	out.Egress.Enforced = either(s.EnableDefaultDeny.Egress, len(s.Egress)+len(s.EgressDeny) > 0)
	out.Ingress.add(scope, s.Ingress, s.IngressDeny)
	out.Egress.add(scope, s.Egress, s.EgressDeny)
	return out
}

func (d *Direction) add(scope Scope, allow, deny []rule) {
	for _, r := range allow {
		d.Rules = append(d.Rules, r.convert(scope)...)
		d.Requires = append(d.Requires, r.requires(scope)...)
	}
	for _, r := range deny {
		d.Denies = append(d.Denies, r.convert(scope)...)
	}
}

// requires returns what every peer must match. No version that knows it takes a peer without a cluster for one of its own.
func (r rule) requires(scope Scope) []Selector {
	scope.DefaultLocal = false
	var out []Selector
	for _, l := range slices.Concat(r.FromRequires, r.ToRequires) {
		if sel, ok := scope.peer(l); ok {
			out = append(out, sel)
		}
	}
	return out
}

func either(said *bool, def bool) bool {
	if said != nil {
		return *said
	}
	return def
}

// convert returns a rule, or none if it does not apply to traffic of a Service: only ICMP, or no peers.
func (r rule) convert(scope Scope) []Rule {
	if len(r.ICMPs) > 0 && len(r.ToPorts) == 0 {
		return nil
	}
	out := Rule{Unclear: len(r.ToServices) > 0, Ports: r.ports()}
	for _, e := range slices.Concat(r.FromEntities, r.ToEntities) {
		switch e {
		case "all":
			out.Anybody = true
		case "cluster":
			out.OwnCluster = true
		}
	}
	for _, l := range slices.Concat(r.FromEndpoints, r.ToEndpoints) {
		if sel, ok := scope.peer(l); ok {
			out.Peers = append(out.Peers, sel)
		}
	}
	// Ports without peers admit all peers, and an empty rule admits none. Addresses, names and nodes are not pods.
	if !r.peers() {
		out.Anybody = len(r.ToPorts) > 0
	}
	if !out.Anybody && !out.OwnCluster && !out.Unclear && len(out.Peers) == 0 {
		return nil
	}
	return []Rule{out}
}

// peers reports whether the rule names its peers. An empty list that is present names no peers.
func (r rule) peers() bool {
	for _, list := range [][]json.RawMessage{r.FromCIDR, r.FromCIDRSet, r.FromNodes, r.FromGroups, r.ToCIDR, r.ToCIDRSet, r.ToNodes, r.ToGroups, r.ToFQDNs, r.ToServices} {
		if list != nil {
			return true
		}
	}
	return r.FromEndpoints != nil || r.ToEndpoints != nil || r.FromEntities != nil || r.ToEntities != nil
}

func (r rule) ports() []Port {
	var out []Port
	for _, tp := range r.ToPorts {
		if len(tp.Ports) == 0 {
			return nil
		}
		for _, p := range tp.Ports {
			out = append(out, NewPort(p.Port, p.EndPort, p.Protocol))
		}
	}
	return out
}

const maxPort = 65535

// NewPort converts a port of a policy: a number, a name, or nothing for all.
func NewPort(port string, end int32, protocol string) Port {
	out := Port{Protocol: protocol}
	if protocol == "ANY" {
		out.Protocol = ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case port == "" || err == nil && n == 0:
		out.From, out.To = 0, maxPort
	case err != nil:
		out.Named = true
	default:
		out.From = int32(n)
		out.To = max(out.From, end)
	}
	return out
}
