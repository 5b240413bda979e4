package meshstate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/policy"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// AroundQuery says what is read beside Services, and of which members.
type AroundQuery struct {
	// Nodes and Policies say of which members each is read.
	Nodes, Policies func(*clusters.Member) bool
	// Namespace limits the policies; empty means all namespaces. Clusterwide policies are always read.
	Namespace string
	// Dynamic makes the client for Cilium's own resources; nil means that of the member's connection.
	Dynamic func(*clusters.Member) (dynamic.Interface, error)
}

// Around holds the other resources that check needs, by Cilium name of the member.
type Around struct {
	// Nodes and Policies have an entry, possibly an empty one, for each member of which all of them were read.
	Nodes    map[string][]Node
	Policies map[string][]policy.Policy
	// Unread holds what should have been read and could not be, in the order of the members.
	Unread []Unread
}

// Node is one node and the pods that it has room for.
type Node struct {
	Name      string
	Addresses []netip.Addr
	PodCIDRs  []netip.Prefix
}

// Unread is a resource of one member that could not be read.
type Unread struct {
	Cluster  string
	Resource string // as RBAC spells it: ciliumnodes.cilium.io
	// Namespace is empty where the whole cluster was asked for.
	Namespace string
	Err       *failure.Error
}

// The resources that ReadAround may ask for.
var (
	ciliumNodes    = schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"}
	ciliumPolicies = schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnetworkpolicies"}
	clusterwide    = schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumclusterwidenetworkpolicies"}
)

// The resources that findings about nodes and about policies need, as RBAC spells them.
const (
	ResourceNodes           = "nodes"
	ResourceCiliumNodes     = "ciliumnodes.cilium.io"
	ResourceNetworkPolicies = "networkpolicies.networking.k8s.io"
)

// ipamKubernetes is the IPAM mode in which Kubernetes gives each node its pod CIDRs.
const ipamKubernetes = "kubernetes"

// ReadAround reads what check needs beside Services, of all members at once. A member stays readable when a resource
// of it cannot be read: Unread says what was not. timeout is for each request, as for Read.
func ReadAround(ctx context.Context, members []*clusters.Member, timeout time.Duration, q AroundQuery) *Around {
	if q.Dynamic == nil {
		q.Dynamic = func(m *clusters.Member) (dynamic.Interface, error) { return dynamic.NewForConfig(m.REST) }
	}
	p := newPager(timeout)
	out := &Around{Nodes: map[string][]Node{}, Policies: map[string][]policy.Policy{}}
	for _, r := range fanout.Each(ctx, members, 0, func(ctx context.Context, m *clusters.Member) (*surroundings, error) {
		return readAround(ctx, p, m, q), nil
	}) {
		if r.Err != nil {
			continue // the member itself is unread, and says so
		}
		s, name := r.Value, r.Member.Name
		if s.nodesRead {
			out.Nodes[name] = s.nodes
		}
		if s.policiesRead {
			out.Policies[name] = s.policies
		}
		out.Unread = append(out.Unread, s.unread...)
	}
	return out
}

// surroundings holds the answers of one member.
type surroundings struct {
	nodes                   []Node
	policies                []policy.Policy
	nodesRead, policiesRead bool
	unread                  []Unread
}

// step reads one resource.
type step struct {
	resource, namespace string
	read                func(context.Context) error
}

func readAround(ctx context.Context, p pager, m *clusters.Member, q AroundQuery) *surroundings {
	out := &surroundings{nodesRead: q.Nodes(m), policiesRead: q.Policies(m)}
	if !out.nodesRead && !out.policiesRead {
		return out
	}
	custom, err := q.Dynamic(m)
	list := func(gvr schema.GroupVersionResource, namespace string, visit func(*unstructured.Unstructured) error) step {
		return step{gvr.GroupResource().String(), namespace, func(ctx context.Context) error {
			if err != nil {
				return err
			}
			return pages(ctx, p, metav1.ListOptions{}, custom.Resource(gvr).Namespace(namespace).List, func(l *unstructured.UnstructuredList) error {
				for i := range l.Items {
					if err := visit(&l.Items[i]); err != nil {
						return err
					}
				}
				return nil
			})
		}}
	}
	var nodeSteps, policySteps []step
	switch {
	case !out.nodesRead:
	case m.Config.IPAM == ipamKubernetes:
		nodeSteps = append(nodeSteps, step{ResourceNodes, "", func(ctx context.Context) error { return readNodes(ctx, p, m, &out.nodes) }})
	default:
		nodeSteps = append(nodeSteps, list(ciliumNodes, "", func(u *unstructured.Unstructured) error {
			n, err := ciliumNode(u)
			out.nodes = append(out.nodes, n)
			return err
		}))
	}
	if out.policiesRead {
		local, _ := cilium.PolicyDefaultLocal(m.Config, m.Version)
		var found [3][]policy.Policy
		add := func(list *[]policy.Policy) func(*unstructured.Unstructured) error {
			return func(u *unstructured.Unstructured) error {
				raw, err := json.Marshal(u.Object)
				if err != nil {
					return err
				}
				p, err := policy.Cilium(raw, m.Config.ClusterName, local)
				if err != nil {
					return fmt.Errorf("%s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
				}
				p.Owners = owners.Of(metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(), OwnerReferences: u.GetOwnerReferences(), ManagedFields: u.GetManagedFields()})
				*list = append(*list, p)
				return nil
			}
		}
		policySteps = []step{
			{ResourceNetworkPolicies, q.Namespace, func(ctx context.Context) error { return readNetworkPolicies(ctx, p, m, q.Namespace, local, &found[0]) }},
			list(ciliumPolicies, q.Namespace, add(&found[1])),
			list(clusterwide, "", add(&found[2])),
		}
		defer func() {
			for _, f := range found {
				out.policies = append(out.policies, f...)
			}
		}()
	}
	out.nodesRead = out.run(ctx, m.Name, nodeSteps) && out.nodesRead
	out.policiesRead = out.run(ctx, m.Name, policySteps) && out.policiesRead
	return out
}

// run takes the steps at once and reports whether all succeeded.
func (s *surroundings) run(ctx context.Context, cluster string, steps []step) bool {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, st := range steps {
		wg.Go(func() { errs[i] = st.read(ctx) })
	}
	wg.Wait()
	all := true
	for i, err := range errs {
		if err != nil {
			all = false
			s.unread = append(s.unread, Unread{cluster, steps[i].resource, steps[i].namespace, failure.Classify(err)})
		}
	}
	return all
}

func readNodes(ctx context.Context, p pager, m *clusters.Member, out *[]Node) error {
	return pages(ctx, p, metav1.ListOptions{}, m.Client.CoreV1().Nodes().List, func(l *corev1.NodeList) error {
		for i := range l.Items {
			n := Node{Name: l.Items[i].Name, PodCIDRs: cilium.Prefixes(l.Items[i].Spec.PodCIDRs)}
			for _, a := range l.Items[i].Status.Addresses {
				if a.Type == corev1.NodeInternalIP {
					n.addAddress(a.Address)
				}
			}
			*out = append(*out, n)
		}
		return nil
	})
}

func (n *Node) addAddress(s string) {
	if a, err := netip.ParseAddr(s); err == nil {
		n.Addresses = append(n.Addresses, a.Unmap())
	}
}

// ciliumNode reads the addresses and pod CIDRs that a CiliumNode has with IPAM cluster-pool and multi-pool.
func ciliumNode(u *unstructured.Unstructured) (Node, error) {
	var o struct {
		Spec struct {
			Addresses []struct {
				Type string `json:"type"`
				IP   string `json:"ip"`
			} `json:"addresses"`
			IPAM struct {
				PodCIDRs []string `json:"podCIDRs"`
				Pools    struct {
					Allocated []struct {
						CIDRs []string `json:"cidrs"`
					} `json:"allocated"`
				} `json:"pools"`
			} `json:"ipam"`
		} `json:"spec"`
	}
	raw, err := json.Marshal(u.Object)
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		return Node{}, fmt.Errorf("CiliumNode %s: %w", u.GetName(), err)
	}
	n := Node{Name: u.GetName(), PodCIDRs: cilium.Prefixes(o.Spec.IPAM.PodCIDRs)}
	for _, a := range o.Spec.IPAM.Pools.Allocated {
		n.PodCIDRs = append(n.PodCIDRs, cilium.Prefixes(a.CIDRs)...)
	}
	for _, a := range o.Spec.Addresses {
		if a.Type == string(corev1.NodeInternalIP) {
			n.addAddress(a.IP)
		}
	}
	return n, nil
}

func readNetworkPolicies(ctx context.Context, p pager, m *clusters.Member, namespace string, local bool, out *[]policy.Policy) error {
	return pages(ctx, p, metav1.ListOptions{}, m.Client.NetworkingV1().NetworkPolicies(namespace).List, func(l *networkingv1.NetworkPolicyList) error {
		for i := range l.Items {
			*out = append(*out, fromNetworkPolicy(&l.Items[i], m.Config.ClusterName, local))
		}
		return nil
	})
}

// fromNetworkPolicy converts a NetworkPolicy as Cilium does (pkg/k8s/network_policy.go, 1.19.7, read).
func fromNetworkPolicy(np *networkingv1.NetworkPolicy, cluster string, local bool) policy.Policy {
	scope := policy.Scope{Namespace: np.Namespace, Cluster: cluster, DefaultLocal: local}
	spec := policy.Spec{Subject: scope.Subject(*labelsOf(&np.Spec.PodSelector))}
	types := map[networkingv1.PolicyType]bool{}
	for _, t := range np.Spec.PolicyTypes {
		types[t] = true
	}
	spec.Ingress.Enforced = types[networkingv1.PolicyTypeIngress] || len(np.Spec.Ingress) > 0 || !types[networkingv1.PolicyTypeEgress]
	spec.Egress.Enforced = types[networkingv1.PolicyTypeEgress] || len(np.Spec.Egress) > 0
	for _, r := range np.Spec.Ingress {
		spec.Ingress.Rules = append(spec.Ingress.Rules, networkRule(scope, r.From, r.Ports))
	}
	for _, r := range np.Spec.Egress {
		spec.Egress.Rules = append(spec.Egress.Rules, networkRule(scope, r.To, r.Ports))
	}
	return policy.Policy{Kind: policy.KindNetworkPolicy, Namespace: np.Namespace, Name: np.Name, Specs: []policy.Spec{spec}, Owners: owners.Of(np.ObjectMeta)}
}

func networkRule(scope policy.Scope, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) policy.Rule {
	r := policy.Rule{Anybody: len(peers) == 0}
	for _, p := range peers {
		if p.IPBlock == nil { // Cilium takes addresses for what is outside its clusters, never for pods
			r.Peers = append(r.Peers, scope.Peer(labelsOf(p.PodSelector), labelsOf(p.NamespaceSelector)))
		}
	}
	for _, p := range ports {
		var port, protocol = "", string(corev1.ProtocolTCP)
		var end int32
		if p.Protocol != nil {
			protocol = string(*p.Protocol)
		}
		if p.Port != nil {
			port = p.Port.String()
		}
		if p.EndPort != nil {
			end = *p.EndPort
		}
		r.Ports = append(r.Ports, policy.NewPort(strings.TrimSpace(port), end, protocol))
	}
	return r
}

func labelsOf(s *metav1.LabelSelector) *policy.Labels {
	if s == nil {
		return nil
	}
	out := &policy.Labels{MatchLabels: s.MatchLabels}
	for _, e := range s.MatchExpressions {
		out.MatchExpressions = append(out.MatchExpressions, policy.Expression{Key: e.Key, Operator: string(e.Operator), Values: e.Values})
	}
	return out
}
