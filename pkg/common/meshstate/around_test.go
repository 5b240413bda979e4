package meshstate

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/policy"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

func custom(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cilium.io/v2", "kind": kind, "metadata": map[string]any{"namespace": namespace, "name": name}, "spec": spec}}
}

func dynamicClient(objects ...runtime.Object) *dynamicfake.FakeDynamicClient {
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		ciliumNodes: "CiliumNodeList", ciliumPolicies: "CiliumNetworkPolicyList", clusterwide: "CiliumClusterwideNetworkPolicyList",
	}, objects...)
}

func around(t *testing.T, m *clusters.Member, d dynamic.Interface) *Around {
	t.Helper()
	all := func(*clusters.Member) bool { return true }
	return ReadAround(t.Context(), []*clusters.Member{m}, time.Minute, AroundQuery{Nodes: all, Policies: all,
		Dynamic: func(*clusters.Member) (dynamic.Interface, error) { return d, nil }})
}

// TestNodes: the pod CIDRs are read from where the IPAM mode keeps them.
func TestNodes(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.1.0.0/24", "fd00::/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n1"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}}})
	d := dynamicClient(custom("CiliumNode", "", "n1", map[string]any{
		"addresses": []any{map[string]any{"type": "InternalIP", "ip": "192.0.2.2"}, map[string]any{"type": "CiliumInternalIP", "ip": "10.2.0.1"}},
		"ipam":      map[string]any{"podCIDRs": []any{"10.2.0.0/24"}, "pools": map[string]any{"allocated": []any{map[string]any{"pool": "default", "cidrs": []any{"10.3.0.0/27"}}}}},
	}))
	for ipam, want := range map[string]string{"kubernetes": "n1 [192.0.2.1] [10.1.0.0/24 fd00::/64]", "cluster-pool": "n1 [192.0.2.2] [10.2.0.0/24 10.3.0.0/27]"} {
		m := &clusters.Member{Name: "us", Client: client, Config: cilium.Config{Datapath: cilium.Datapath{IPAM: ipam}}}
		a := around(t, m, d)
		got := ""
		for _, n := range a.Nodes["us"] {
			got += n.Name + " " + show(n.Addresses) + " " + show(n.PodCIDRs)
		}
		if d := cmp.Diff(want, got); d != "" || len(a.Unread) > 0 {
			t.Errorf("%s: %s %v", ipam, d, a.Unread)
		}
	}
}

func show[T interface{ String() string }](list []T) string {
	s := "["
	for i, v := range list {
		if i > 0 {
			s += " "
		}
		s += v.String()
	}
	return s + "]"
}

// TestManyPages: a cluster that answers every page in time is read, however many there are.
func TestManyPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dynamicClient()
		page := 0
		d.PrependReactor("list", "ciliumnodes", func(k8stesting.Action) (bool, runtime.Object, error) {
			time.Sleep(40 * time.Second)
			l := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "cilium.io/v2", "kind": "CiliumNodeList", "metadata": map[string]any{}}}
			l.Items = append(l.Items, *custom("CiliumNode", "", fmt.Sprintf("n%d", page), map[string]any{}))
			if page++; page < 4 {
				l.SetContinue("more")
			}
			return true, l, nil
		})
		a := around(t, &clusters.Member{Name: "us", Client: fake.NewClientset()}, d) // with a deadline of a minute
		if len(a.Nodes["us"]) != 4 || len(a.Unread) > 0 {
			t.Errorf("nodes %v, unread %v", a.Nodes, a.Unread)
		}
	})
}

// TestUnreadResources: what is forbidden or not served is named, and the rest is read.
func TestUnreadResources(t *testing.T) {
	t.Parallel()
	client, d := fake.NewClientset(), dynamicClient(custom("CiliumNode", "", "n1", map[string]any{}))
	client.PrependReactor("list", "networkpolicies", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "", nil)
	})
	d.PrependReactor("list", "ciliumnetworkpolicies", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(ciliumPolicies.GroupResource(), "")
	})
	a := around(t, &clusters.Member{Name: "us", Client: client}, d)
	var got []string
	for _, u := range a.Unread {
		got = append(got, u.Cluster+" "+u.Resource+" "+string(u.Err.Class))
	}
	if diff := cmp.Diff([]string{"us networkpolicies.networking.k8s.io forbidden", "us ciliumnetworkpolicies.cilium.io notfound"}, got); diff != "" {
		t.Error(diff)
	}
	if _, read := a.Policies["us"]; read || len(a.Nodes["us"]) != 1 {
		t.Errorf("policies count as read: %v; nodes %v", read, a.Nodes)
	}
}

// TestNetworkPolicies: a NetworkPolicy means what Cilium takes it for.
func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	web := metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	from := func(peers ...networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyIngressRule {
		return []networkingv1.NetworkPolicyIngressRule{{From: peers}}
	}
	exists := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: policy.KeyCluster, Operator: metav1.LabelSelectorOpExists}}}
	cases := map[string]struct {
		spec networkingv1.NetworkPolicySpec
		want policy.Answer
	}{
		"pods of the namespace":  {networkingv1.NetworkPolicySpec{Ingress: from(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}})}, policy.Yes},
		"pods of all namespaces": {networkingv1.NetworkPolicySpec{PodSelector: web, Ingress: from(networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}})}, policy.Yes},
		"pods of all clusters":   {networkingv1.NetworkPolicySpec{PodSelector: web, Ingress: from(networkingv1.NetworkPolicyPeer{PodSelector: &exists, NamespaceSelector: &metav1.LabelSelector{}})}, policy.No},
		"everybody":              {networkingv1.NetworkPolicySpec{PodSelector: web, Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}, policy.No},
		"nobody":                 {networkingv1.NetworkPolicySpec{PodSelector: web}, policy.No},
		"addresses":              {networkingv1.NetworkPolicySpec{PodSelector: web, Ingress: from(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}})}, policy.No},
		"egress only":            {networkingv1.NetworkPolicySpec{PodSelector: web, PolicyTypes: []networkingv1.PolicyType{"Egress"}}, policy.No},
		"everybody, elsewhere": {networkingv1.NetworkPolicySpec{PodSelector: web, Ingress: append(from(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}),
			networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt32(9090)), EndPort: ptr.To[int32](9099)}}})}, policy.Yes},
	}
	for name, c := range cases {
		client := fake.NewClientset(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"}, Spec: c.spec})
		m := &clusters.Member{Name: "eu", Client: client, Version: cilium.ParseVersion("1.19.7"), Config: cilium.Config{ClusterName: "eu"}}
		a := around(t, m, dynamicClient())
		subject := policy.Pods{Cluster: "eu", Namespace: "shop", Labels: map[string]string{"app": "web"}}
		if got := policy.Ingress(a.Policies["eu"], subject, []policy.Target{{Port: 8080, Protocol: "TCP"}}, "us").KeepsOut(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
