package check

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/policy"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// nodesOf has one node in each cluster: its address and its pod CIDR.
func nodesOf(kv ...string) *meshstate.Around {
	out := &meshstate.Around{Nodes: map[string][]meshstate.Node{}}
	for i := 0; i < len(kv); i += 3 {
		out.Nodes[kv[i]] = append(out.Nodes[kv[i]], meshstate.Node{Name: "n", Addresses: []netip.Addr{netip.MustParseAddr(kv[i+1])}, PodCIDRs: cilium.Prefixes([]string{kv[i+2]})})
	}
	return out
}

func TestNodes(t *testing.T) {
	t.Parallel()
	pool := func(cidr string) func(*cilium.Config) {
		return func(c *cilium.Config) { c.IPAM, c.Pools = "cluster-pool", []string{cidr} }
	}
	native := func(cidr string) func(*cilium.Config) {
		return func(c *cilium.Config) { c.RoutingMode, c.NativeCIDRs = "native", []string{cidr} }
	}
	us, eu := meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu"}
	cases := map[string]struct {
		mesh  []meshtest.Cluster
		nodes *meshstate.Around
		want  []string
	}{
		"apart":                      {[]meshtest.Cluster{us, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "10.2.0.0/24"), nil},
		"the same CIDR":              {[]meshtest.Cluster{us, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "10.1.0.0/24"), []string{"SVC036 us,eu"}},
		"one in the other":           {[]meshtest.Cluster{us, eu}, nodesOf("us", "192.0.2.1", "10.1.7.0/24", "eu", "192.0.2.2", "10.1.0.0/16"), []string{"SVC036 us,eu"}},
		"neighbours":                 {[]meshtest.Cluster{us, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/25", "eu", "192.0.2.2", "10.1.0.128/25"), nil},
		"twice in one cluster":       {[]meshtest.Cluster{us, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "10.2.0.0/24"), nil},
		"the same node address":      {[]meshtest.Cluster{us, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.1", "10.2.0.0/24"), []string{"SVC038 us,eu"}},
		"the same pool":              {[]meshtest.Cluster{{Name: "us", Config: pool("10.0.0.0/8")}, {Name: "eu", Config: pool("10.0.0.0/8")}}, nodesOf("us", "192.0.2.1", "10.0.0.0/24", "eu", "192.0.2.2", "10.0.1.0/24"), []string{"SVC037 us,eu"}},
		"the same pool and CIDR":     {[]meshtest.Cluster{{Name: "us", Config: pool("10.0.0.0/8")}, {Name: "eu", Config: pool("10.0.0.0/8")}}, nodesOf("us", "192.0.2.1", "10.0.0.0/24", "eu", "192.0.2.2", "10.0.0.0/24"), []string{"SVC036 us,eu"}},
		"pools of their own":         {[]meshtest.Cluster{{Name: "us", Config: pool("10.1.0.0/16")}, {Name: "eu", Config: pool("10.2.0.0/16")}}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "10.2.0.0/24"), nil},
		"a pool that nobody uses":    {[]meshtest.Cluster{{Name: "us", Config: pool("10.0.0.0/8")}, {Name: "eu", Config: func(c *cilium.Config) { pool("10.0.0.0/8")(c); c.IPAM = "eni" }}}, nodesOf(), nil},
		"a native CIDR too small":    {[]meshtest.Cluster{{Name: "us", Config: native("10.1.0.0/16")}, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "10.2.0.0/24"), []string{"SVC043 us,eu"}},
		"a native CIDR for all":      {[]meshtest.Cluster{{Name: "us", Config: native("10.0.0.0/8")}, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "10.2.0.0/24"), nil},
		"a native CIDR in a tunnel":  {[]meshtest.Cluster{{Name: "us", Config: func(c *cilium.Config) { native("10.1.0.0/16")(c); c.RoutingMode = "tunnel" }}, eu}, nodesOf("eu", "192.0.2.2", "10.2.0.0/24"), nil},
		"a native CIDR of no family": {[]meshtest.Cluster{{Name: "us", Config: native("10.0.0.0/8")}, eu}, nodesOf("us", "192.0.2.1", "10.1.0.0/24", "eu", "192.0.2.2", "fd00::/64"), nil},
	}
	for name, c := range cases {
		_, members := meshtest.Build(c.mesh...)
		if d := cmp.Diff(c.want, summary(Nodes(members, c.nodes))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestManyOverlaps: a mesh of which every cluster has the default pool is one problem, not hundreds.
func TestManyOverlaps(t *testing.T) {
	t.Parallel()
	var mesh []meshtest.Cluster
	around := nodesOf()
	for i := range 30 {
		name := "c" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		mesh = append(mesh, meshtest.Cluster{Name: name})
		around.Nodes[name] = []meshstate.Node{{Name: "n", PodCIDRs: cilium.Prefixes([]string{"10.0.0.0/24"})}}
	}
	_, members := meshtest.Build(mesh...)
	fs := Nodes(members, around)
	if len(fs) != shownPairs+1 || !strings.Contains(fs[shownPairs].Message, "430 more pairs") {
		t.Errorf("%d findings, the last: %s", len(fs), fs[len(fs)-1].Message)
	}
}

const localOnly = `{"metadata":{"namespace":"default","name":"p"},"spec":{"endpointSelector":{"matchLabels":{"a":"b"}},"ingress":[{"fromEndpoints":[{}]}]}}`

func TestPolicies(t *testing.T) {
	t.Parallel()
	us := meshtest.Cluster{Name: "us", Version: "1.19.7"}
	eu := us
	eu.Name = "eu"
	const maybe = `{"metadata":{"namespace":"default","name":"p"},"spec":{"endpointSelector":{"matchLabels":{"c":"d"}},"ingress":[{"fromEndpoints":[{}]}]}}`
	const egress = `{"metadata":{"namespace":"clients","name":"p"},"spec":{"endpointSelector":{},"egress":[{"toEndpoints":[{"matchLabels":{"a":"b","io.kubernetes.pod.namespace":"default"}}]}]}}`
	const denied = `{"metadata":{"namespace":"default","name":"p"},"spec":{"endpointSelector":{},"ingress":[{"fromEntities":["all"]}],"ingressDeny":[{"fromEndpoints":[{"matchLabels":{"io.cilium.k8s.policy.cluster":"us"}}]}]}}`
	const deniedOut = `{"metadata":{"namespace":"clients","name":"p"},"spec":{"endpointSelector":{},"egress":[{"toEndpoints":[{"matchLabels":{"a":"b","io.kubernetes.pod.namespace":"default"},"matchExpressions":[{"key":"io.cilium.k8s.policy.cluster","operator":"Exists"}]}]}],` +
		`"egressDeny":[{"toEndpoints":[{"matchLabels":{"io.cilium.k8s.policy.cluster":"us","io.kubernetes.pod.namespace":"default"}}]}]}}`
	cases := map[string]struct {
		mesh   []meshtest.Cluster
		policy string
		want   []string
	}{
		"clients kept out":      {[]meshtest.Cluster{us, eu}, localOnly, []string{"SVC028 warning eu,us"}},
		"perhaps kept out":      {[]meshtest.Cluster{us, eu}, maybe, []string{"SVC028 info eu,us"}},
		"kept in":               {[]meshtest.Cluster{us, eu}, egress, []string{"SVC029 warning eu,us"}},
		"denied":                {[]meshtest.Cluster{us, eu}, denied, []string{"SVC028 info eu,us"}},
		"denied on the way out": {[]meshtest.Cluster{us, eu}, deniedOut, []string{"SVC029 info eu,us"}},
		"1.18, by default":      {[]meshtest.Cluster{us, {Name: "eu", Version: "1.18.11"}}, localOnly, nil},
		"an unknown version":    {[]meshtest.Cluster{us, {Name: "eu", Version: "x"}}, localOnly, []string{"SVC028 info eu,us"}},
		"not shared":            {[]meshtest.Cluster{us, {Name: "eu", Version: "1.19.7", Service: meshtest.Annotate(cilium.AnnotationShared, "false")}}, localOnly, nil},
		"nobody else is global": {[]meshtest.Cluster{{Name: "us", Version: "1.19.7", Service: meshtest.Annotate(cilium.AnnotationGlobal, "-")}, eu}, localOnly, nil},
		"other pods":            {[]meshtest.Cluster{us, {Name: "eu", Version: "1.19.7", Service: func(s *corev1.Service) { s.Spec.Selector = map[string]string{"a": "x"} }}}, localOnly, nil},
	}
	for name, c := range cases {
		st, members := meshtest.Build(c.mesh...)
		local, _ := cilium.PolicyDefaultLocal(members[1].Config, members[1].Version)
		p, err := policy.Cilium([]byte(c.policy), "eu", local)
		if err != nil {
			t.Fatal(err)
		}
		around := &meshstate.Around{Policies: map[string][]policy.Policy{"eu": {p}}}
		var got []string
		for _, f := range Policies(st, members, []routing.Key{meshtest.Nginx}, around) {
			got = append(got, f.ID+" "+f.Severity+" "+strings.Join(f.Clusters, ","))
			if !strings.HasPrefix(f.Fix, "kubectl --context kind-eu -n ") || !strings.HasSuffix(f.Fix, " edit ciliumnetworkpolicy/p") {
				t.Errorf("%s: fix: %s", name, f.Fix)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	local := meshtest.Annotate(cilium.AnnotationGlobal, "-")
	cases := map[string]struct {
		mesh []meshtest.Cluster
		want []string
	}{
		"no KPR":             {[]meshtest.Cluster{{Name: "us"}, {Name: "eu", Config: kpr}}, []string{"SVC035 us"}},
		"sockets of hosts":   {[]meshtest.Cluster{{Name: "us", Config: func(c *cilium.Config) { c.HostSocketLB = true }}, {Name: "eu", Config: kpr}}, nil},
		"nothing is global":  {[]meshtest.Cluster{{Name: "us", Service: local}, {Name: "eu", Service: local}}, nil},
		"nowhere, in either": {[]meshtest.Cluster{{Name: "us"}, {Name: "eu"}}, []string{"SVC035 us,eu"}},
	}
	for name, c := range cases {
		st, members := meshtest.Build(c.mesh...)
		if d := cmp.Diff(c.want, summary(Hosts(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestMirroredForKubeProxy: where Cilium mirrors the EndpointSlices of a Service, kube-proxy balances over remote endpoints too, unless a traffic policy is Local.
func TestMirroredForKubeProxy(t *testing.T) {
	t.Parallel()
	external := func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
	internal := func(s *corev1.Service) {
		s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	}
	for name, c := range map[string]struct {
		sync     bool
		value    string // of the annotation, "-" for none
		policy   func(*corev1.Service)
		nodePort bool // SVC020 is expected
		hosts    bool // SVC035 is expected
	}{
		"synchronized":            {true, "true", nil, false, false},
		"off":                     {false, "true", nil, true, true},
		"not requested":           {true, "-", nil, true, true},
		"neither":                 {false, "-", nil, true, true},
		"forbidden":               {true, "false", nil, true, true},
		"junk":                    {true, "yes", nil, true, true},
		"synchronized, external":  {true, "true", external, true, false},
		"off, external":           {false, "true", external, true, true},
		"not requested, external": {true, "-", external, true, true},
		"synchronized, internal":  {true, "true", internal, false, true},
	} {
		us := meshtest.Cluster{Name: "us", Service: with(nodePort, meshtest.Annotate(cilium.AnnotationSyncEndpointSlices, c.value)), Routing: func(r *routing.Cluster) { r.EndpointSliceSync = c.sync }}
		if c.policy != nil {
			us.Service = with(us.Service, c.policy)
		}
		st, members := meshtest.Build(us, meshtest.Cluster{Name: "eu", Service: nodePort, Config: kpr})
		got := summary(slices.Concat(Services(st, members, []routing.Key{meshtest.Nginx}), Hosts(st, members, []routing.Key{meshtest.Nginx})))
		if slices.Contains(got, "SVC020 us") != c.nodePort || slices.Contains(got, "SVC035 us") != c.hosts {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestNotExamined: what could not be read makes the document incomplete, unless nothing that is asked for needs it.
func TestNotExamined(t *testing.T) {
	t.Parallel()
	forbidden := &failure.Error{Class: failure.Forbidden, Err: errors.New("no")}
	around := &meshstate.Around{Unread: []meshstate.Unread{{Cluster: "eu", Resource: meshstate.ResourceCiliumNodes, Err: forbidden}}}
	unreadable := func(c *routing.Cluster) { c.Namespaces, c.NamespacesHidden = nil, true }
	st, members := meshtest.Build(meshtest.Cluster{Name: "us", Version: "1.20.2", Routing: unreadable}, meshtest.Cluster{Name: "eu", Version: "1.20.2"})
	doc := All(st, members, []routing.Key{meshtest.Nginx}, around, "", nil)
	var got []string
	for _, n := range doc.NotExamined {
		got = append(got, n.Cluster+": "+n.Message)
	}
	want := []string{
		`us: no permission: a ClusterRole needs {apiGroups: [""], resources: [namespaces], verbs: [get, list]}; not examined: SVC019, SVC047; to skip: --ignore SVC019,SVC047`,
		`eu: no permission: a ClusterRole needs {apiGroups: [cilium.io], resources: [ciliumnodes], verbs: [list]}; not examined: SVC036, SVC037, SVC038, SVC043; to skip: --ignore SVC036,SVC037,SVC038,SVC043`,
	}
	if d := cmp.Diff(want, got); d != "" || doc.Complete {
		t.Errorf("complete %v: %s", doc.Complete, d)
	}
	ignored := Ignored{"SVC019", "SVC047", "SVC036", "SVC037", "SVC038", "SVC043"}
	if doc := All(st, members, []routing.Key{meshtest.Nginx}, &meshstate.Around{}, "", ignored); !doc.Complete {
		t.Errorf("not complete: %+v", doc.NotExamined)
	}
	q := Around(st, members, []routing.Key{meshtest.Nginx}, "", ignored)
	if q.Nodes(members[0]) || !q.Policies(members[0]) {
		t.Error("reads nodes that nobody needs, or no policies")
	}
	if q := Around(st, members, []routing.Key{meshtest.Nginx}, "", Ignored{"SVC028", "SVC029"}); !q.Nodes(members[0]) || q.Policies(members[0]) {
		t.Error("reads policies that nobody needs, or no nodes")
	}
	if q := Around(st, members, nil, "", nil); q.Policies(members[0]) {
		t.Error("reads policies although nothing is global")
	}
}

// TestHiddenNamespaces: keys of namespaces are looked for in every version, and whether Services are exported only where namespaces decide about it.
func TestHiddenNamespaces(t *testing.T) {
	t.Parallel()
	const all = `us: no permission: a ClusterRole needs {apiGroups: [""], resources: [namespaces], verbs: [get, list]}; not examined: `
	const one = `us: no permission: a Role in namespace default needs {apiGroups: [""], resources: [namespaces], verbs: [get]}; not examined: `
	local := meshtest.Annotate(cilium.AnnotationGlobal, "-")
	for name, c := range map[string]struct {
		us        meshtest.Cluster
		namespace string
		ignored   Ignored
		want      []string
	}{
		"1.20":                 {meshtest.Cluster{Version: "1.20.2"}, "", nil, []string{all + "SVC019, SVC047; to skip: --ignore SVC019,SVC047"}},
		"1.19":                 {meshtest.Cluster{Version: "1.19.7"}, "", nil, []string{all + "SVC047; to skip: --ignore SVC047"}},
		"1.20, nothing global": {meshtest.Cluster{Version: "1.20.2", Service: local}, "", nil, []string{all + "SVC047; to skip: --ignore SVC047"}},
		"1.20, one ignored":    {meshtest.Cluster{Version: "1.20.2"}, "", Ignored{"SVC019"}, []string{all + "SVC047; to skip: --ignore SVC047"}},
		"1.19, it is ignored":  {meshtest.Cluster{Version: "1.19.7"}, "", Ignored{"SVC047"}, nil},
		"1.19, one namespace":  {meshtest.Cluster{Version: "1.19.7"}, "default", nil, []string{one + "SVC047; to skip: --ignore SVC047"}},
	} {
		c.us.Name, c.us.Routing = "us", func(c *routing.Cluster) { c.Namespaces, c.NamespacesHidden = nil, true }
		st, members := meshtest.Build(c.us, meshtest.Cluster{Name: "eu"})
		doc := All(st, members, []routing.Key{meshtest.Nginx}, &meshstate.Around{}, c.namespace, c.ignored)
		var got []string
		for _, n := range doc.NotExamined {
			got = append(got, n.Cluster+": "+n.Message)
		}
		if d := cmp.Diff(c.want, got); d != "" || doc.Complete != (c.want == nil) {
			t.Errorf("%s: complete %v: %s", name, doc.Complete, d)
		}
	}
}

// BenchmarkExamine looks at 10,000 Services in 3 clusters.
func BenchmarkAll(b *testing.B) {
	st, members := meshtest.Build(meshtest.Cluster{Name: "us", Version: "1.19.7"}, meshtest.Cluster{Name: "eu", Version: "1.19.7"}, meshtest.Cluster{Name: "ap", Version: "1.19.7"})
	var keys []routing.Key
	for i := range 10000 {
		key := routing.Key{Namespace: "default", Name: "s" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))}
		keys = append(keys, key)
		for _, c := range st.Clusters {
			svc := *c.Services[meshtest.Nginx]
			svc.Key = key
			c.Services[key] = &svc
		}
	}
	p, err := policy.Cilium([]byte(localOnly), "eu", true)
	if err != nil {
		b.Fatal(err)
	}
	around := &meshstate.Around{Policies: map[string][]policy.Policy{"eu": {p}}}
	for b.Loop() {
		All(st, members, keys, around, "", nil)
	}
}
