package globalsvc

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// cluster is one cluster with Service default/nginx, good unless told otherwise.
type cluster struct {
	name    string
	version string
	svc     func(*corev1.Service)
	slice   func(*discoveryv1.EndpointSlice)
	absent  bool
	cluster func(*routing.Cluster)
	config  func(*cilium.Config)
}

var nginx = routing.Key{Namespace: "default", Name: "nginx"}

func build(cs ...cluster) (*meshstate.State, []*clusters.Member) {
	st := &meshstate.State{Services: map[string]map[routing.Key]*corev1.Service{}}
	var members []*clusters.Member
	for n, c := range cs {
		if c.version == "" {
			c.version = "1.18.11"
		}
		m := &clusters.Member{Name: c.name, Context: "kind-" + c.name, Version: cilium.ParseVersion(c.version), PeersKnown: true,
			Config: cilium.Config{ClusterName: c.name, ClusterID: uint32(n + 1), MaxConnectedClusters: 255}}
		for _, o := range cs {
			if o.name != c.name {
				m.Peers = append(m.Peers, o.name)
			}
		}
		if c.config != nil {
			c.config(&m.Config)
		}
		rc := routing.Cluster{Name: c.name, Context: m.Context, Version: m.Version, DefaultGlobalNamespace: true,
			Services: map[routing.Key]*routing.Service{}, Namespaces: map[string]map[string]string{"default": {}}, NamespacesKnown: true,
			Peers: slices.Clone(m.Peers), PeersKnown: true}
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", Annotations: map[string]string{cilium.AnnotationGlobal: "true"}, Labels: map[string]string{}},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "172.20.1.1", ClusterIPs: []string{"172.20.1.1"}, Selector: map[string]string{"a": "b"},
				Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
		slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "nginx"}},
			Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0." + string(rune('1'+n))}}}}
		if c.svc != nil {
			c.svc(svc)
		}
		if c.slice != nil {
			c.slice(slice)
		}
		if c.cluster != nil {
			c.cluster(&rc)
		}
		st.Services[c.name] = map[routing.Key]*corev1.Service{}
		if !c.absent {
			st.Services[c.name][nginx] = svc
			rc.Services[nginx] = routing.FromService(svc, []*discoveryv1.EndpointSlice{slice})
		}
		st.Clusters = append(st.Clusters, rc)
		members = append(members, m)
	}
	return st, members
}

// TestNoneReady: a number has the right form, and zero is written in words.
func TestNoneReady(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "it has no endpoints", 1: "its only endpoint is not ready", 2: "none of its 2 endpoints is ready"} {
		st, members := build(cluster{name: "us"}, cluster{name: "eu", slice: func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = nil
			for i := range n {
				s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.9.0." + string(rune('1'+i))}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}})
			}
		}})
		var got []string
		for _, f := range Check(st, members, []routing.Key{nginx}) {
			if f.ID == finding.NoEndpoints.ID {
				got = append(got, f.Message)
			}
		}
		if d := cmp.Diff([]string{"eu: " + want}, got); d != "" {
			t.Error(d)
		}
	}
}

// ann sets annotations; "-" removes one.
func ann(kv ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i+1] == "-" {
				delete(s.Annotations, kv[i])
				continue
			}
			s.Annotations[kv[i]] = kv[i+1]
		}
	}
}

// drainedBy is what a drain of the cluster leaves, and the value that shared has now.
func drainedBy(cluster, shared string) func(*corev1.Service) {
	return ann(cilium.AnnotationShared, shared, AnnotationDrained, *Mark{Drain: "d", Cluster: cluster}.value())
}

func summary(fs []v1alpha1.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.ID+" "+strings.Join(f.Clusters, ","))
	}
	slices.Sort(out)
	return out
}

func TestCheck(t *testing.T) {
	t.Parallel()
	us := cluster{name: "us"}
	local := ann(cilium.AnnotationGlobal, "-")
	cases := map[string]struct {
		mesh []cluster
		want []string
	}{
		"nothing is wrong":              {[]cluster{us, {name: "eu"}}, nil},
		"global nowhere":                {[]cluster{{name: "us", svc: local}, {name: "eu", svc: local}}, nil},
		"global in one":                 {[]cluster{us, {name: "eu", svc: local}}, []string{"SVC001 eu"}},
		"no Service in one":             {[]cluster{us, {name: "eu"}, {name: "ap", absent: true}}, []string{"SVC002 ap"}},
		"global says yes":               {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationGlobal, "yes")}}, []string{"SVC003 eu"}},
		"not shared":                    {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationShared, "False")}}, []string{"SVC004 eu"}},
		"drained":                       {[]cluster{us, {name: "eu", svc: drainedBy("eu", "false")}}, []string{"SVC045 eu"}},
		"drained in two":                {[]cluster{us, {name: "eu", svc: drainedBy("eu", "false")}, {name: "ap", svc: drainedBy("ap", "false")}}, []string{"SVC045 eu,ap"}},
		"drained, a mark of no meaning": {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationShared, "false", AnnotationDrained, "?")}}, []string{"SVC045 eu"}},
		"drained, shared since":         {[]cluster{us, {name: "eu", svc: drainedBy("eu", "true")}}, []string{"SVC045 eu"}},
		"drained, local since":          {[]cluster{us, {name: "eu", svc: with(local, drainedBy("eu", "false"))}}, []string{"SVC001 eu", "SVC045 eu"}},
		"the mark of another":           {[]cluster{us, {name: "eu", svc: drainedBy("ap", "false")}}, []string{"SVC004 eu"}},
		"shared junk":                   {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationShared, "yes")}}, []string{"SVC005 eu"}},
		"none on 1.18":                  {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationAffinity, "none")}}, []string{"SVC006 eu"}},
		"none on 1.20":                  {[]cluster{{name: "us", version: "1.20.2"}, {name: "eu", version: "1.20.2", svc: ann(cilium.AnnotationAffinity, "none")}}, nil},
		"none on who knows":             {[]cluster{us, {name: "eu", version: "x", svc: ann(cilium.AnnotationAffinity, "none")}}, []string{"SVC007 eu"}},
		"affinity junk on 1.20":         {[]cluster{{name: "us", version: "1.20.2"}, {name: "eu", version: "1.20.2", svc: ann(cilium.AnnotationAffinity, "Local ")}}, []string{"SVC007 eu"}},
		"local against remote":          {[]cluster{{name: "us", svc: ann(cilium.AnnotationAffinity, "local")}, {name: "eu", svc: ann(cilium.AnnotationAffinity, "remote")}}, []string{"SVC008 us,eu"}},
		"an alias beside the key":       {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationGlobalAlias, "true")}}, []string{"SVC009 eu"}},
		"an alias waits for its chance": {[]cluster{{name: "us", svc: local}, {name: "eu", svc: ann(cilium.AnnotationGlobal, "false", cilium.AnnotationGlobalAlias, "true")}}, []string{"SVC009 eu"}},
		"port name": {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Ports[0].Name = "web" }, slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("web") }}},
			[]string{"SVC010 eu,us", "SVC010 us,eu"}},
		"unnamed on 1.18": {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Ports[0].Name = "" }, slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("") }}}, nil},
		"unnamed on 1.17": {[]cluster{{name: "us", version: "1.17.9"}, {name: "eu", version: "1.17.9", svc: func(s *corev1.Service) { s.Spec.Ports[0].Name = "" }, slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("") }}},
			[]string{"SVC010 eu,us", "SVC010 us,eu"}},
		"protocol": {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Ports[0].Protocol = "UDP" }, slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Protocol = ptr.To(corev1.ProtocolUDP) }}},
			[]string{"SVC011 eu,us", "SVC011 us,eu"}},
		"family": {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"fd00::1"} }, slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"fd00::9"} }}},
			[]string{"SVC012 eu,us", "SVC012 us,eu"}},
		"headless in one":           {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", nil }}}, []string{"SVC013 eu"}},
		"nothing ready":             {[]cluster{us, {name: "eu", slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = ptr.To(false) }}}, []string{"SVC014 eu"}},
		"no selector, no endpoints": {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Selector = nil }, slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }}}, nil},
		"session affinity":          {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }}}, []string{"SVC015 eu"}},
		"internal traffic policy": {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
		}}}, []string{"SVC016 eu"}},
		"another proxy":              {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Labels[cilium.LabelServiceProxyName] = "x" }}}, []string{"SVC017 eu"}},
		"another proxy, no name":     {[]cluster{us, {name: "eu", svc: labelled("")}}, []string{"SVC017 eu"}},
		"the proxy is Cilium":        {[]cluster{us, {name: "eu", svc: labelled("cilium"), cluster: proxied}}, nil},
		"the proxy is another":       {[]cluster{us, {name: "eu", svc: labelled("x"), cluster: proxied}}, []string{"SVC017 eu"}},
		"no proxy is named":          {[]cluster{us, {name: "eu", cluster: proxied}}, []string{"SVC017 eu"}},
		"namespace gate":             {[]cluster{us, {name: "eu", version: "1.20.2", cluster: gated}}, []string{"SVC019 eu"}},
		"namespace gate, not seen":   {[]cluster{us, {name: "eu", version: "1.20.2", cluster: func(c *routing.Cluster) { gated(c); c.Namespaces, c.NamespacesKnown = nil, false }}}, nil},
		"namespace gate before 1.20": {[]cluster{us, {name: "eu", version: "1.19.6", cluster: gated}}, nil},
		"node ports":                 {[]cluster{{name: "us", svc: nodePort}, {name: "eu", svc: nodePort}}, []string{"SVC020 us,eu"}},
		"node ports with KPR":        {[]cluster{{name: "us", svc: nodePort, config: kpr}, {name: "eu", svc: nodePort, config: kpr}}, nil},
		"a node port in one":         {[]cluster{us, {name: "eu", svc: nodePort, config: kpr}}, []string{"SVC023 us,eu"}},
		"external name everywhere":   {[]cluster{{name: "us", svc: external}, {name: "eu", svc: external}}, []string{"SVC021 us,eu"}},
		"external name in one":       {[]cluster{us, {name: "eu", svc: external}}, []string{"SVC024 eu"}},
		"external name, not global":  {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { external(s); local(s) }}}, []string{"SVC024 eu"}},
		"no namespace in one":        {[]cluster{us, {name: "eu"}, {name: "ap", absent: true, cluster: noNamespace}}, []string{"SVC022 ap"}},
		"namespaces unreadable": {[]cluster{us, {name: "eu"}, {name: "ap", absent: true, cluster: func(c *routing.Cluster) { c.Namespaces, c.NamespacesKnown = nil, false }}},
			[]string{"SVC002 ap"}},
		"namespace nobody needs":       {[]cluster{{name: "us", svc: local}, {name: "eu", absent: true, cluster: noNamespace}}, nil},
		"one target port on 1.18.9":    {[]cluster{{name: "us", version: "1.18.9", svc: twoPorts, slice: oneTarget}, {name: "eu", svc: twoPorts, slice: oneTarget}}, []string{"SVC025 us"}},
		"one target port on 1.18.10":   {[]cluster{{name: "us", version: "1.18.10", svc: twoPorts, slice: oneTarget}, {name: "eu", version: "1.19.4", svc: twoPorts, slice: oneTarget}}, nil},
		"one target port on 1.17":      {[]cluster{{name: "us", version: "1.17.9", svc: twoPorts, slice: oneTarget}, {name: "eu", version: "1.17.9", svc: twoPorts, slice: oneTarget}}, nil},
		"one target port on who knows": {[]cluster{{name: "us", version: "x", svc: twoPorts, slice: oneTarget}, {name: "eu", svc: twoPorts, slice: oneTarget}}, []string{"SVC025 us"}},
		"one target port, not shared": {[]cluster{{name: "us", version: "1.19.3", svc: twoPorts, slice: oneTarget}, {name: "eu", svc: func(s *corev1.Service) { twoPorts(s); ann(cilium.AnnotationShared, "false")(s) }, slice: oneTarget}},
			[]string{"SVC004 eu"}},
		"headless without sync":           {[]cluster{{name: "us", svc: headless}, {name: "eu", svc: headless, cluster: synced}}, []string{"SVC026 us"}},
		"headless with sync":              {[]cluster{{name: "us", svc: headless, cluster: synced}, {name: "eu", svc: headless, cluster: synced}}, nil},
		"headless without requested sync": {[]cluster{{name: "us", svc: with(headless, ann(cilium.AnnotationSyncEndpointSlices, "False"))}, {name: "eu", svc: headless, cluster: synced}}, nil},
		"headless, sync junk":             {[]cluster{{name: "us", svc: with(headless, ann(cilium.AnnotationSyncEndpointSlices, "yes")), cluster: synced}, {name: "eu", svc: headless, cluster: synced}}, []string{"SVC026 us"}},
		"headless by alias": {[]cluster{{name: "us", svc: with(headless, ann(cilium.AnnotationGlobal, "-", cilium.AnnotationGlobalAlias, "true")), cluster: synced}, {name: "eu", svc: headless, cluster: synced}},
			[]string{"SVC009 us", "SVC026 us"}},
		"headless on 1.15":    {[]cluster{{name: "us", version: "1.15.19", svc: headless}, {name: "eu", version: "1.16.0", svc: headless, cluster: synced}}, []string{"SVC026 us"}},
		"nobody to be seen":   {[]cluster{{name: "us", svc: headless}, {name: "eu", svc: with(headless, ann(cilium.AnnotationShared, "false")), cluster: synced}}, []string{"SVC004 eu"}},
		"sync asked for, off": {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationSyncEndpointSlices, "true")}}, []string{"SVC027 eu"}},
		"sync asked for, on":  {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationSyncEndpointSlices, "true"), cluster: synced}}, nil},
		"sync without effect": {[]cluster{us, {name: "eu", svc: ann(cilium.AnnotationSyncEndpointSlices, "1"), cluster: synced}}, []string{"SVC027 eu"}},
		"external traffic policy": {[]cluster{{name: "us", svc: nodePort, config: kpr}, {name: "eu", config: kpr, svc: func(s *corev1.Service) {
			nodePort(s)
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}}}, []string{"SVC016 eu"}},
		"the same twice":        {[]cluster{{name: "us", svc: ann(cilium.AnnotationAffinity, "none")}, {name: "eu", svc: ann(cilium.AnnotationAffinity, "none")}}, []string{"SVC006 us,eu"}},
		"not the same":          {[]cluster{{name: "us", svc: ann(cilium.AnnotationAffinity, "none")}, {name: "eu", svc: ann(cilium.AnnotationAffinity, "a")}}, []string{"SVC006 eu", "SVC006 us"}},
		"port name among three": {[]cluster{us, {name: "eu"}, {name: "ap", svc: func(s *corev1.Service) { s.Spec.Ports[0].Name = "web" }, slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("web") }}}, []string{"SVC010 ap,us,eu", "SVC010 us,eu,ap"}},
	}
	found := map[string]bool{}
	for name, c := range cases {
		for _, w := range c.want {
			found[strings.Fields(w)[0]] = true
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := build(c.mesh...)
			if d := cmp.Diff(c.want, summary(Check(st, members, []routing.Key{nginx}))); d != "" {
				t.Error(d)
			}
		})
	}
	elsewhere := []string{"SVC018", "SVC028", "SVC029"}
	for _, r := range finding.Service() {
		if !found[r.ID] && r.ID < "SVC030" && !slices.Contains(elsewhere, r.ID) {
			t.Errorf("%s (%s) is found in no case", r.ID, r.Title)
		}
	}
}

// TestAliasFixKeepsWhatHolds: following the advice changes nothing but the keys.
func TestAliasFixKeepsWhatHolds(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		svc  func(*corev1.Service)
		want string
	}{
		"aliases only": {ann(cilium.AnnotationGlobal, "-", cilium.AnnotationGlobalAlias, "true", cilium.AnnotationAffinityAlias, "local", cilium.AnnotationSharedAlias, "false"),
			"service.cilium.io/global=true io.cilium/global-service- service.cilium.io/shared=false io.cilium/shared-service- service.cilium.io/affinity=local io.cilium/service-affinity-"},
		"the new key decides":     {ann(cilium.AnnotationGlobalAlias, "false"), "io.cilium/global-service-"},
		"an alias that says none": {ann(cilium.AnnotationAffinityAlias, "none"), "io.cilium/service-affinity-"},
		"text for a shell":        {ann(cilium.AnnotationSharedAlias, "$(id)"), "'service.cilium.io/shared=$(id)' io.cilium/shared-service-"},
	}
	for name, c := range cases {
		st, members := build(cluster{name: "us"}, cluster{name: "eu", svc: c.svc})
		want := "kubectl --context kind-eu -n default annotate service nginx " + c.want
		fixes := []string{}
		for _, f := range Check(st, members, []routing.Key{nginx}) {
			if f.ID == finding.AliasLeft.ID {
				fixes = append(fixes, f.Fix)
			}
		}
		if d := cmp.Diff([]string{want}, fixes); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func nodePort(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }

func external(s *corev1.Service) {
	s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.Selector = corev1.ServiceTypeExternalName, "", nil, nil
}

func headless(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", nil }

func with(fs ...func(*corev1.Service)) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for _, f := range fs {
			f(s)
		}
	}
}

func kpr(c *cilium.Config) { c.KubeProxyReplacement = true }

func proxied(c *routing.Cluster) { c.ServiceProxyName = "cilium" }

func labelled(proxy string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Labels[cilium.LabelServiceProxyName] = proxy }
}

func synced(c *routing.Cluster) { c.EndpointSliceSync = true }

func noNamespace(c *routing.Cluster) { c.Namespaces = map[string]map[string]string{} }

func twoPorts(s *corev1.Service) {
	s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "metrics", Port: 81})
}

// oneTarget gives both ports the same target.
func oneTarget(s *discoveryv1.EndpointSlice) {
	s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: ptr.To("metrics"), Port: s.Ports[0].Port})
}

// TestDerived: what the MCS-API controller made is looked at, and no advice is given to change it.
func TestDerived(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		name string
		svc  func(*corev1.Service)
		want []string
		fix  string
	}{
		"by its label":        {"derived-web", func(s *corev1.Service) { s.Labels[labelMCSService] = "web" }, []string{"SVC005 us", "SVC018 us"}, "kubectl --context kind-us -n default edit serviceexport web"},
		"by its name":         {"derived-0123456789", func(*corev1.Service) {}, []string{"SVC005 us", "SVC018 us"}, "kubectl --context kind-us -n default get serviceexports"},
		"somebody's own name": {"derived-data", func(*corev1.Service) {}, []string{"SVC005 us"}, "kubectl mesh-svc share derived-data -n default --in us --contexts kind-us"},
	}
	for name, c := range cases {
		st, members := build(cluster{name: "us", svc: with(c.svc, ann(cilium.AnnotationShared, "yes"))})
		key := routing.Key{Namespace: "default", Name: c.name}
		st.Clusters[0].Services = map[routing.Key]*routing.Service{key: st.Clusters[0].Services[nginx]}
		fs := Check(st, members, []routing.Key{key})
		if d := cmp.Diff(c.want, summary(fs)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		for _, f := range fs {
			if f.Fix != c.fix {
				t.Errorf("%s: %s says %q", name, f.ID, f.Fix)
			}
		}
	}
}

// TestFixes: the command fits what is wrong, and where there is none the rule says what to do.
func TestFixes(t *testing.T) {
	t.Parallel()
	us := cluster{name: "us"}
	for name, c := range map[string]struct {
		id, fix string
		cs      []cluster
	}{
		"of the system":    {"SVC004", "kubectl mesh-svc share nginx -n default --in eu --include-system --contexts kind-us,kind-eu", []cluster{us, {name: "eu", svc: with(ann(cilium.AnnotationShared, "false"), labelled("kube"))}}},
		"of an unlabelled": {"SVC004", "kubectl mesh-svc share nginx -n default --in eu --contexts kind-us,kind-eu", []cluster{us, {name: "eu", svc: ann(cilium.AnnotationShared, "false"), cluster: proxied}}},
		"of nobody's":      {"SVC004", "kubectl mesh-svc share nginx -n default --in eu --contexts kind-us,kind-eu", []cluster{us, {name: "eu", svc: ann(cilium.AnnotationShared, "false")}}},
		"a field": {"SVC016", `kubectl --context kind-eu -n default patch service nginx -p '{"spec":{"internalTrafficPolicy":"Cluster"}}'`, []cluster{us, {name: "eu", svc: func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
		}}}},
		"no command for it": {"SVC024", "", []cluster{us, {name: "eu", svc: func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs = corev1.ServiceTypeExternalName, "", nil
		}}}},
	} {
		st, members := build(c.cs...)
		found := false
		for _, f := range Check(st, members, []routing.Key{nginx}) {
			if f.ID != c.id {
				continue
			}
			found = true
			if f.Fix != c.fix || (f.Advice == "") != (f.Fix != "") {
				t.Errorf("%s: fix %q, advice %q", name, f.Fix, f.Advice)
			}
		}
		if !found {
			t.Errorf("%s: no %s", name, c.id)
		}
	}
}

// TestMissingFixes: the commands create what is missing in every cluster that lacks it.
func TestMissingFixes(t *testing.T) {
	t.Parallel()
	manifest := `'{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"service.cilium.io/global":"true"},"name":"nginx","namespace":"default"},"spec":{"ports":[{"name":"http","port":80}]}}'`
	cases := map[string]struct {
		mesh []cluster
		want string
	}{
		"one":       {[]cluster{{name: "us"}, {name: "eu", absent: true}}, "echo " + manifest + " | kubectl --context kind-eu create -f -"},
		"two":       {[]cluster{{name: "us"}, {name: "eu", absent: true}, {name: "ap", absent: true}}, "for c in kind-eu kind-ap; do echo " + manifest + ` | kubectl --context "$c" create -f -; done`},
		"namespace": {[]cluster{{name: "us"}, {name: "eu", absent: true, cluster: noNamespace}}, "kubectl --context kind-eu create namespace default"},
		"two files": {[]cluster{{name: "us"}, {name: "eu", absent: true, cluster: noNamespace}, {name: "ap", absent: true, cluster: noNamespace}},
			"kubectl --context kind-eu create namespace default && kubectl --context ap create namespace default --kubeconfig '/a b'"},
	}
	for name, c := range cases {
		st, members := build(c.mesh...)
		if name == "two files" {
			members[2].Context, members[2].ContextInFile, members[2].Kubeconfig = "/a b::ap", "ap", "/a b"
		}
		fs := Check(st, members, []routing.Key{nginx})
		if len(fs) != 1 || fs[0].Fix != c.want {
			t.Errorf("%s: %+v", name, fs)
		}
	}
}

func gated(c *routing.Cluster) {
	c.Namespaces["default"] = map[string]string{cilium.AnnotationNamespaceGlobal: "false"}
}

// datapath reads settings of cilium-config that say how packets travel.
func datapath(data map[string]string) func(*cilium.Config) {
	return func(c *cilium.Config) {
		if parsed, err := cilium.ParseConfig(data); err == nil {
			c.Datapath = parsed.Datapath
		}
	}
}

func set300(name string) cluster {
	return cluster{name: name, config: func(c *cilium.Config) { c.MaxConnectedClusters = 300 }}
}

// TestAllowedID: an id that the agents refuse is a warning where they are told not to.
func TestAllowedID(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[bool]finding.Severity{false: finding.Error, true: finding.Warning} {
		_, members := build(cluster{name: "us"}, cluster{name: "eu", config: func(c *cilium.Config) { c.ClusterID, c.IPAM, c.UnsafePolicyMarks = 128, "eni", allowed }})
		if fs := CheckClusters(members); len(fs) != 1 || fs[0].Severity != string(want) || strings.Contains(fs[0].Message, "allow-unsafe") != allowed {
			t.Errorf("allowed %v: %+v", allowed, fs)
		}
	}
}

func TestCheckClusters(t *testing.T) {
	t.Parallel()
	us := cluster{name: "us"}
	set := func(f func(*cilium.Config)) cluster { return cluster{name: "eu", config: f} }
	cases := map[string]struct {
		mesh []cluster
		edit func([]*clusters.Member)
		want []string
	}{
		"nothing is wrong":       {[]cluster{us, {name: "eu"}}, nil, nil},
		"equal ids":              {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 1 })}, nil, []string{"SVC030 us,eu"}},
		"id 0":                   {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 0 })}, nil, []string{"SVC030 eu"}},
		"equal names":            {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = "us" })}, nil, []string{"SVC031 us,eu"}},
		"no name":                {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = "default" })}, nil, []string{"SVC040 eu"}},
		"neither name nor id":    {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName, c.ClusterID = "default", 0 })}, nil, []string{"SVC030 eu", "SVC031 eu"}},
		"no name on 1.16":        {[]cluster{{name: "us", version: "1.16.9"}, {name: "eu", version: "1.16.9", config: func(c *cilium.Config) { c.ClusterName = "default" }}}, nil, []string{"SVC040 eu"}},
		"max clusters":           {[]cluster{us, set(func(c *cilium.Config) { c.MaxConnectedClusters = 511 })}, nil, []string{"SVC032 us,eu"}},
		"one minor apart":        {[]cluster{{name: "us", version: "1.19.6"}, {name: "eu", version: "1.20.2"}}, nil, nil},
		"two minors apart":       {[]cluster{{name: "us", version: "1.16.9"}, {name: "eu"}}, nil, []string{"SVC033 us,eu"}},
		"unknown version":        {[]cluster{us, {name: "eu", version: "latest"}}, nil, nil},
		"one-sided":              {[]cluster{us, {name: "eu"}}, func(ms []*clusters.Member) { ms[1].Peers = nil }, []string{"SVC034 us,eu"}},
		"peers not known":        {[]cluster{us, {name: "eu"}}, func(ms []*clusters.Member) { ms[1].Peers, ms[1].PeersKnown = nil, false }, nil},
		"one is not read":        {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 1 })}, func(ms []*clusters.Member) { ms[1].Err = &failure.Error{Class: failure.Timeout} }, nil},
		"modes differ":           {[]cluster{{name: "us", config: datapath(nil)}, set(datapath(map[string]string{"routing-mode": "native"}))}, nil, []string{"SVC039 us,eu"}},
		"protocols differ":       {[]cluster{{name: "us", config: datapath(nil)}, set(datapath(map[string]string{"tunnel-protocol": "geneve"}))}, nil, []string{"SVC039 us,eu"}},
		"protocols nobody uses":  {[]cluster{{name: "us", config: datapath(map[string]string{"routing-mode": "native"})}, set(datapath(map[string]string{"routing-mode": "native", "tunnel-protocol": "geneve"}))}, nil, nil},
		"the default port":       {[]cluster{{name: "us", config: datapath(nil)}, set(datapath(map[string]string{"tunnel-port": "8472"}))}, nil, nil},
		"another port":           {[]cluster{{name: "us", config: datapath(nil)}, set(datapath(map[string]string{"tunnel-port": "8473"}))}, nil, []string{"SVC039 us,eu"}},
		"a long name":            {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = strings.Repeat("a", 33) })}, nil, []string{"SVC040 eu"}},
		"a name of 32":           {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = strings.Repeat("a", 32) })}, nil, nil},
		"a name with a dot":      {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = "a.b" })}, nil, []string{"SVC040 eu"}},
		"id above the limit":     {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 256 })}, nil, []string{"SVC041 eu"}},
		"id 128 on ENI":          {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM = 128, "eni" })}, nil, []string{"SVC041 eu"}},
		"id 128 on ENI, allowed": {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM, c.UnsafePolicyMarks = 128, "eni", true })}, nil, []string{"SVC041 eu"}},
		"id 127 on ENI":          {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM = 127, "eni" })}, nil, nil},
		"id 128 elsewhere":       {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM = 128, "cluster-pool" })}, nil, nil},
		"max 300":                {[]cluster{set300("us"), set300("eu")}, nil, []string{"SVC042 eu", "SVC042 us"}},
		"policies differ":        {[]cluster{us, set(func(c *cilium.Config) { c.PolicyDefaultLocalCluster = ptr.To(true) })}, nil, []string{"SVC044 us,eu"}},
		"policies by default":    {[]cluster{us, {name: "eu", version: "1.19.6"}}, nil, []string{"SVC044 us,eu"}},
		"equal policies":         {[]cluster{us, {name: "eu", version: "1.19.6", config: func(c *cilium.Config) { c.PolicyDefaultLocalCluster = ptr.To(false) }}}, nil, nil},
		"three of one name":      {[]cluster{us, {name: "eu", config: func(c *cilium.Config) { c.ClusterName = "us" }}, {name: "ap", config: func(c *cilium.Config) { c.ClusterName = "us" }}}, nil, []string{"SVC031 us,eu,ap"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, members := build(c.mesh...)
			if c.edit != nil {
				c.edit(members)
			}
			if d := cmp.Diff(c.want, summary(CheckClusters(members))); d != "" {
				t.Error(d)
			}
		})
	}
}
