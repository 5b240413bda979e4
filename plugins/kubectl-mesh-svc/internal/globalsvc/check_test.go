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
			Services: map[routing.Key]*routing.Service{}, Namespaces: map[string]map[string]string{"default": {}}}
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
		"namespace gate":             {[]cluster{us, {name: "eu", version: "1.20.2", cluster: gated}}, []string{"SVC019 eu"}},
		"namespace gate before 1.20": {[]cluster{us, {name: "eu", version: "1.19.6", cluster: gated}}, nil},
		"node port":                  {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }}}, []string{"SVC020 eu"}},
		"node port with KPR":         {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }, config: func(c *cilium.Config) { c.KubeProxyReplacement = true }}}, nil},
		"external name":              {[]cluster{us, {name: "eu", svc: func(s *corev1.Service) { s.Spec.Type, s.Spec.ClusterIPs = corev1.ServiceTypeExternalName, nil }}}, []string{"SVC021 eu"}},
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
	following := []string{"SVC018", "SVC022", "SVC023", "SVC024", "SVC025", "SVC026", "SVC027", "SVC028", "SVC029"} // their checks follow
	for _, r := range finding.Service() {
		if !found[r.ID] && r.ID < "SVC030" && !slices.Contains(following, r.ID) {
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

func gated(c *routing.Cluster) {
	c.Namespaces["default"] = map[string]string{cilium.AnnotationNamespaceGlobal: "false"}
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
		"nothing is wrong":  {[]cluster{us, {name: "eu"}}, nil, nil},
		"equal ids":         {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 1 })}, nil, []string{"SVC030 us,eu"}},
		"id 0":              {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 0 })}, nil, []string{"SVC030 eu"}},
		"equal names":       {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = "us" })}, nil, []string{"SVC031 us,eu"}},
		"no name":           {[]cluster{us, set(func(c *cilium.Config) { c.ClusterName = "default" })}, nil, []string{"SVC031 eu"}},
		"max clusters":      {[]cluster{us, set(func(c *cilium.Config) { c.MaxConnectedClusters = 511 })}, nil, []string{"SVC032 us,eu"}},
		"one minor apart":   {[]cluster{us, {name: "eu", version: "1.19.6"}}, nil, nil},
		"two minors apart":  {[]cluster{us, {name: "eu", version: "1.20.2"}}, nil, []string{"SVC033 us,eu"}},
		"unknown version":   {[]cluster{us, {name: "eu", version: "latest"}}, nil, nil},
		"one-sided":         {[]cluster{us, {name: "eu"}}, func(ms []*clusters.Member) { ms[1].Peers = nil }, []string{"SVC034 us,eu"}},
		"peers not known":   {[]cluster{us, {name: "eu"}}, func(ms []*clusters.Member) { ms[1].Peers, ms[1].PeersKnown = nil, false }, nil},
		"one is not read":   {[]cluster{us, set(func(c *cilium.Config) { c.ClusterID = 1 })}, func(ms []*clusters.Member) { ms[1].Err = &clusters.Error{Class: clusters.ClassTimeout} }, nil},
		"three of one name": {[]cluster{us, {name: "eu", config: func(c *cilium.Config) { c.ClusterName = "us" }}, {name: "ap", config: func(c *cilium.Config) { c.ClusterName = "us" }}}, nil, []string{"SVC031 us,eu,ap"}},
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
