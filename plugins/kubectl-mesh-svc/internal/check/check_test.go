package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// TestNoneReady: a number has the right form, and zero is written in words.
func TestNoneReady(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "it has no endpoints", 1: "its only endpoint is not ready", 2: "none of its 2 endpoints is ready"} {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu", Slice: func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = nil
			for i := range n {
				s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.9.0." + string(rune('1'+i))}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}})
			}
		}})
		var got []string
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
			if f.ID == finding.NoEndpoints.ID {
				got = append(got, f.Message)
			}
		}
		if d := cmp.Diff([]string{"eu: " + want}, got); d != "" {
			t.Error(d)
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

func TestServices(t *testing.T) {
	t.Parallel()
	us := meshtest.Cluster{Name: "us"}
	local := meshtest.Annotate(cilium.AnnotationGlobal, "-")
	cases := map[string]struct {
		mesh []meshtest.Cluster
		want []string
	}{
		"nothing is wrong":              {[]meshtest.Cluster{us, {Name: "eu"}}, nil},
		"global nowhere":                {[]meshtest.Cluster{{Name: "us", Service: local}, {Name: "eu", Service: local}}, nil},
		"global in one":                 {[]meshtest.Cluster{us, {Name: "eu", Service: local}}, []string{"SVC001 eu"}},
		"no Service in one":             {[]meshtest.Cluster{us, {Name: "eu"}, {Name: "ap", Absent: true}}, []string{"SVC002 ap"}},
		"global says yes":               {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationGlobal, "yes")}}, []string{"SVC003 eu"}},
		"not shared":                    {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationShared, "False")}}, []string{"SVC004 eu"}},
		"drained":                       {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.DrainedBy("eu", "false")}}, []string{"SVC045 eu"}},
		"drained in two":                {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.DrainedBy("eu", "false")}, {Name: "ap", Service: meshtest.DrainedBy("ap", "false")}}, []string{"SVC045 eu,ap"}},
		"drained, a mark of no meaning": {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationShared, "false", drainrecord.AnnotationDrained, "?")}}, []string{"SVC045 eu"}},
		"drained, shared since":         {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.DrainedBy("eu", "true")}}, []string{"SVC045 eu"}},
		"drained, local since":          {[]meshtest.Cluster{us, {Name: "eu", Service: with(local, meshtest.DrainedBy("eu", "false"))}}, []string{"SVC001 eu", "SVC045 eu"}},
		"the mark of another":           {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.DrainedBy("ap", "false")}}, []string{"SVC004 eu"}},
		"shared junk":                   {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationShared, "yes")}}, []string{"SVC005 eu"}},
		"none on 1.18":                  {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationAffinity, "none")}}, []string{"SVC006 eu"}},
		"none on 1.20":                  {[]meshtest.Cluster{{Name: "us", Version: "1.20.2"}, {Name: "eu", Version: "1.20.2", Service: meshtest.Annotate(cilium.AnnotationAffinity, "none")}}, nil},
		"none on who knows":             {[]meshtest.Cluster{us, {Name: "eu", Version: "x", Service: meshtest.Annotate(cilium.AnnotationAffinity, "none")}}, []string{"SVC007 eu"}},
		"affinity junk on 1.20":         {[]meshtest.Cluster{{Name: "us", Version: "1.20.2"}, {Name: "eu", Version: "1.20.2", Service: meshtest.Annotate(cilium.AnnotationAffinity, "Local ")}}, []string{"SVC007 eu"}},
		"local against remote":          {[]meshtest.Cluster{{Name: "us", Service: meshtest.Annotate(cilium.AnnotationAffinity, "local")}, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationAffinity, "remote")}}, []string{"SVC008 us,eu"}},
		"an alias beside the key":       {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationGlobalAlias, "true")}}, []string{"SVC009 eu"}},
		"an alias waits for its chance": {[]meshtest.Cluster{{Name: "us", Service: local}, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationGlobal, "false", cilium.AnnotationGlobalAlias, "true")}}, []string{"SVC009 eu"}},
		"port name": {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.Ports[0].Name = "web" }, Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("web") }}},
			[]string{"SVC010 eu,us", "SVC010 us,eu"}},
		"unnamed on 1.18": {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.Ports[0].Name = "" }, Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("") }}}, nil},
		"unnamed on 1.17": {[]meshtest.Cluster{{Name: "us", Version: "1.17.9"}, {Name: "eu", Version: "1.17.9", Service: func(s *corev1.Service) { s.Spec.Ports[0].Name = "" }, Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("") }}},
			[]string{"SVC010 eu,us", "SVC010 us,eu"}},
		"protocol": {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.Ports[0].Protocol = "UDP" }, Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Protocol = ptr.To(corev1.ProtocolUDP) }}},
			[]string{"SVC011 eu,us", "SVC011 us,eu"}},
		"family": {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"fd00::1"} }, Slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"fd00::9"} }}},
			[]string{"SVC012 eu,us", "SVC012 us,eu"}},
		"headless in one":           {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", nil }}}, []string{"SVC013 eu"}},
		"nothing ready":             {[]meshtest.Cluster{us, {Name: "eu", Slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = ptr.To(false) }}}, []string{"SVC014 eu"}},
		"no selector, no endpoints": {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.Selector = nil }, Slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }}}, nil},
		"session affinity":          {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }}}, []string{"SVC015 eu"}},
		"internal traffic policy": {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
		}}}, []string{"SVC016 eu"}},
		"another proxy":                   {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Labels[cilium.LabelServiceProxyName] = "x" }}}, []string{"SVC017 eu"}},
		"another proxy, no name":          {[]meshtest.Cluster{us, {Name: "eu", Service: labelled("")}}, []string{"SVC017 eu"}},
		"labelled as headless":            {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Labels[cilium.LabelHeadless] = "false" }}}, []string{"SVC017 eu"}},
		"labelled as headless, and it is": {[]meshtest.Cluster{{Name: "us", Service: headless, Routing: synced}, {Name: "eu", Service: with(headless, func(s *corev1.Service) { s.Labels[cilium.LabelHeadless] = "" }), Routing: synced}}, nil},
		"the proxy is Cilium":             {[]meshtest.Cluster{us, {Name: "eu", Service: labelled("cilium"), Routing: proxied}}, nil},
		"the proxy is another":            {[]meshtest.Cluster{us, {Name: "eu", Service: labelled("x"), Routing: proxied}}, []string{"SVC017 eu"}},
		"no proxy is named":               {[]meshtest.Cluster{us, {Name: "eu", Routing: proxied}}, []string{"SVC017 eu"}},
		"type NodePort":                   {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationType, "NodePort")}}, []string{"SVC017 eu"}},
		"type LoadBalancer":               {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationType, "LoadBalancer")}}, []string{"SVC017 eu"}},
		"type ClusterIP":                  {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationType, "ClusterIP")}}, nil},
		"type in lower case":              {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationType, "nodeport")}}, nil},
		"type NodePort on 1.16":           {[]meshtest.Cluster{{Name: "us", Version: "1.17.9"}, {Name: "eu", Version: "1.16.19", Service: meshtest.Annotate(cilium.AnnotationType, "NodePort")}}, nil},
		"type NodePort, external name":    {[]meshtest.Cluster{{Name: "us", Service: external}, {Name: "eu", Service: with(external, meshtest.Annotate(cilium.AnnotationType, "NodePort"))}}, []string{"SVC021 us,eu"}},
		"namespace gate":                  {[]meshtest.Cluster{us, {Name: "eu", Version: "1.20.2", Routing: gated}}, []string{"SVC019 eu"}},
		"namespace gate, not seen":        {[]meshtest.Cluster{us, {Name: "eu", Version: "1.20.2", Routing: func(c *routing.Cluster) { gated(c); c.Namespaces, c.NamespacesHidden = nil, true }}}, nil},
		"namespace gate, clients only":    {[]meshtest.Cluster{us, {Name: "eu", Version: "1.20.2", Routing: gated, Service: func(s *corev1.Service) { s.Spec.Selector = nil }, Slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }}}, nil},
		"namespace gate, not shared":      {[]meshtest.Cluster{us, {Name: "eu", Version: "1.20.2", Routing: gated, Service: meshtest.Annotate(cilium.AnnotationShared, "false")}}, []string{"SVC004 eu"}},
		"namespace gate before 1.20":      {[]meshtest.Cluster{us, {Name: "eu", Version: "1.19.6", Routing: gated}}, nil},
		"node ports":                      {[]meshtest.Cluster{{Name: "us", Service: nodePort}, {Name: "eu", Service: nodePort}}, []string{"SVC020 us,eu"}},
		"node ports with KPR":             {[]meshtest.Cluster{{Name: "us", Service: nodePort, Config: kpr}, {Name: "eu", Service: nodePort, Config: kpr}}, nil},
		"a node port in one":              {[]meshtest.Cluster{us, {Name: "eu", Service: nodePort, Config: kpr}}, []string{"SVC023 us,eu"}},
		"external name everywhere":        {[]meshtest.Cluster{{Name: "us", Service: external}, {Name: "eu", Service: external}}, []string{"SVC021 us,eu"}},
		"external name in one":            {[]meshtest.Cluster{us, {Name: "eu", Service: external}}, []string{"SVC024 eu"}},
		"external name, not global":       {[]meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { external(s); local(s) }}}, []string{"SVC024 eu"}},
		"no namespace in one":             {[]meshtest.Cluster{us, {Name: "eu"}, {Name: "ap", Absent: true, Routing: noNamespace}}, []string{"SVC022 ap"}},
		"namespaces unreadable": {[]meshtest.Cluster{us, {Name: "eu"}, {Name: "ap", Absent: true, Routing: func(c *routing.Cluster) { c.Namespaces, c.NamespacesHidden = nil, true }}},
			[]string{"SVC002 ap"}},
		"namespace nobody needs":       {[]meshtest.Cluster{{Name: "us", Service: local}, {Name: "eu", Absent: true, Routing: noNamespace}}, nil},
		"one target port on 1.18.9":    {[]meshtest.Cluster{{Name: "us", Version: "1.18.9", Service: twoPorts, Slice: oneTarget}, {Name: "eu", Service: twoPorts, Slice: oneTarget}}, []string{"SVC025 us"}},
		"one target port on 1.18.10":   {[]meshtest.Cluster{{Name: "us", Version: "1.18.10", Service: twoPorts, Slice: oneTarget}, {Name: "eu", Version: "1.19.4", Service: twoPorts, Slice: oneTarget}}, nil},
		"one target port on 1.17":      {[]meshtest.Cluster{{Name: "us", Version: "1.17.9", Service: twoPorts, Slice: oneTarget}, {Name: "eu", Version: "1.17.9", Service: twoPorts, Slice: oneTarget}}, nil},
		"one target port on who knows": {[]meshtest.Cluster{{Name: "us", Version: "x", Service: twoPorts, Slice: oneTarget}, {Name: "eu", Service: twoPorts, Slice: oneTarget}}, []string{"SVC025 us"}},
		"one target port, not shared": {[]meshtest.Cluster{{Name: "us", Version: "1.19.3", Service: twoPorts, Slice: oneTarget}, {Name: "eu", Service: func(s *corev1.Service) { twoPorts(s); meshtest.Annotate(cilium.AnnotationShared, "false")(s) }, Slice: oneTarget}},
			[]string{"SVC004 eu"}},
		"headless without sync":           {[]meshtest.Cluster{{Name: "us", Service: headless}, {Name: "eu", Service: headless, Routing: synced}}, []string{"SVC026 us"}},
		"headless with sync":              {[]meshtest.Cluster{{Name: "us", Service: headless, Routing: synced}, {Name: "eu", Service: headless, Routing: synced}}, nil},
		"headless without requested sync": {[]meshtest.Cluster{{Name: "us", Service: with(headless, meshtest.Annotate(cilium.AnnotationSyncEndpointSlices, "False"))}, {Name: "eu", Service: headless, Routing: synced}}, nil},
		"headless, sync junk":             {[]meshtest.Cluster{{Name: "us", Service: with(headless, meshtest.Annotate(cilium.AnnotationSyncEndpointSlices, "yes")), Routing: synced}, {Name: "eu", Service: headless, Routing: synced}}, []string{"SVC026 us"}},
		"headless by alias": {[]meshtest.Cluster{{Name: "us", Service: with(headless, meshtest.Annotate(cilium.AnnotationGlobal, "-", cilium.AnnotationGlobalAlias, "true")), Routing: synced}, {Name: "eu", Service: headless, Routing: synced}},
			[]string{"SVC009 us", "SVC026 us"}},
		"headless on 1.15":    {[]meshtest.Cluster{{Name: "us", Version: "1.15.19", Service: headless}, {Name: "eu", Version: "1.16.0", Service: headless, Routing: synced}}, []string{"SVC026 us"}},
		"nobody to be seen":   {[]meshtest.Cluster{{Name: "us", Service: headless}, {Name: "eu", Service: with(headless, meshtest.Annotate(cilium.AnnotationShared, "false")), Routing: synced}}, []string{"SVC004 eu"}},
		"sync asked for, off": {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationSyncEndpointSlices, "true")}}, []string{"SVC027 eu"}},
		"sync asked for, on":  {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationSyncEndpointSlices, "true"), Routing: synced}}, nil},
		"sync without effect": {[]meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationSyncEndpointSlices, "1"), Routing: synced}}, []string{"SVC027 eu"}},
		"external traffic policy": {[]meshtest.Cluster{{Name: "us", Service: nodePort, Config: kpr}, {Name: "eu", Config: kpr, Service: func(s *corev1.Service) {
			nodePort(s)
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}}}, []string{"SVC016 eu"}},
		"the same twice":        {[]meshtest.Cluster{{Name: "us", Service: meshtest.Annotate(cilium.AnnotationAffinity, "none")}, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationAffinity, "none")}}, []string{"SVC006 us,eu"}},
		"not the same":          {[]meshtest.Cluster{{Name: "us", Service: meshtest.Annotate(cilium.AnnotationAffinity, "none")}, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationAffinity, "a")}}, []string{"SVC006 eu", "SVC006 us"}},
		"port name among three": {[]meshtest.Cluster{us, {Name: "eu"}, {Name: "ap", Service: func(s *corev1.Service) { s.Spec.Ports[0].Name = "web" }, Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("web") }}}, []string{"SVC010 ap,us,eu", "SVC010 us,eu,ap"}},
	}
	found := map[string]bool{}
	for name, c := range cases {
		for _, w := range c.want {
			found[strings.Fields(w)[0]] = true
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := meshtest.Build(c.mesh...)
			if d := cmp.Diff(c.want, summary(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
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
		"aliases only": {meshtest.Annotate(cilium.AnnotationGlobal, "-", cilium.AnnotationGlobalAlias, "true", cilium.AnnotationAffinityAlias, "local", cilium.AnnotationSharedAlias, "false"),
			"service.cilium.io/global=true io.cilium/global-service- service.cilium.io/shared=false io.cilium/shared-service- service.cilium.io/affinity=local io.cilium/service-affinity-"},
		"the new key decides":     {meshtest.Annotate(cilium.AnnotationGlobalAlias, "false"), "io.cilium/global-service-"},
		"an alias that says none": {meshtest.Annotate(cilium.AnnotationAffinityAlias, "none"), "io.cilium/service-affinity-"},
		"text for a shell":        {meshtest.Annotate(cilium.AnnotationSharedAlias, "$(id)"), "'service.cilium.io/shared=$(id)' io.cilium/shared-service-"},
	}
	for name, c := range cases {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu", Service: c.svc})
		want := "kubectl --context kind-eu -n default annotate service nginx " + c.want
		fixes := []string{}
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
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

// TestGlobalInOneCluster: the finding tells that this has no effect only where no cluster that was not read may have the Service.
func TestGlobalInOneCluster(t *testing.T) {
	t.Parallel()
	const effect = "; global in only one cluster has no effect"
	for name, c := range map[string]struct {
		change func(*meshstate.State)
		want   string
	}{
		"all are read":     {func(*meshstate.State) {}, effect},
		"a peer is not":    {func(st *meshstate.State) { st.Clusters[0].Peers = append(st.Clusters[0].Peers, "sa") }, ""},
		"a peer of others": {func(st *meshstate.State) { st.Clusters[1].Peers = append(st.Clusters[1].Peers, "sa") }, effect},
		"a gap":            {func(st *meshstate.State) { st.Clusters[2] = routing.Cluster{Name: "ap", Gap: "timeout"} }, ""},
		"unknown peers":    {func(st *meshstate.State) { st.Clusters[0].Peers, st.Clusters[0].PeersKnown = nil, false }, ""},
	} {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu", Absent: true}, meshtest.Cluster{Name: "ap", Absent: true})
		c.change(st)
		found := false
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
			found = found || f.ID == finding.ServiceMissing.ID && strings.HasSuffix(f.Message, "clients there cannot resolve the name"+c.want)
		}
		if !found {
			t.Errorf("%s: no finding ends with %q", name, c.want)
		}
	}
}

// TestDerived: what the MCS-API controller made is looked at, and no advice is given to change it. A ServiceExport need not be in the first cluster.
func TestDerived(t *testing.T) {
	t.Parallel()
	imported := func(s *corev1.Service) { s.Labels[cilium.LabelImportedService] = "web" }
	selector := meshtest.Cluster{Service: imported}
	mirrored := meshtest.Cluster{Service: with(imported, func(s *corev1.Service) { s.Spec.Selector = nil })}
	importedOnly := meshtest.Cluster{Service: mirrored.Service, Slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }}
	cases := map[string]struct {
		name   string
		us, eu meshtest.Cluster
		want   []string
		fix    string
	}{
		"exported by both":          {"derived-gapqrqeg1j", selector, selector, []string{"SVC005 us", "SVC018 us,eu"}, "kubectl --context kind-us -n default edit serviceexport web"},
		"exported by another one":   {"derived-gapqrqeg1j", importedOnly, selector, []string{"SVC018 us,eu"}, "kubectl --context kind-eu -n default edit serviceexport web"},
		"mirrored from another one": {"derived-gapqrqeg1j", importedOnly, mirrored, []string{"SVC018 us,eu"}, "kubectl --context kind-eu -n default edit serviceexport web"},
		"exported by none":          {"derived-gapqrqeg1j", importedOnly, importedOnly, []string{"SVC018 us,eu"}, "kubectl --context kind-us -n default get serviceexports"},
		"somebody's own name":       {"derived-production", meshtest.Cluster{}, meshtest.Cluster{}, []string{"SVC005 us"}, "kubectl mesh-svc share derived-production -n default --in us --contexts kind-us,kind-eu"},
	}
	for name, c := range cases {
		c.us.Name, c.eu.Name = "us", "eu"
		junk := meshtest.Annotate(cilium.AnnotationShared, "yes")
		if c.us.Service != nil {
			junk = with(c.us.Service, junk)
		}
		c.us.Service = junk
		st, members := meshtest.Build(c.us, c.eu)
		key := routing.Key{Namespace: "default", Name: c.name}
		for i := range st.Clusters {
			st.Clusters[i].Services = map[routing.Key]*routing.Service{key: st.Clusters[i].Services[meshtest.Nginx]}
		}
		fs := Services(st, members, []routing.Key{key})
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
	us := meshtest.Cluster{Name: "us"}
	for name, c := range map[string]struct {
		id, fix string
		cs      []meshtest.Cluster
	}{
		"of the system":    {"SVC004", "kubectl mesh-svc share nginx -n default --in eu --include-system --contexts kind-us,kind-eu", []meshtest.Cluster{us, {Name: "eu", Service: with(meshtest.Annotate(cilium.AnnotationShared, "false"), labelled("kube"))}}},
		"of an unlabelled": {"SVC004", "kubectl mesh-svc share nginx -n default --in eu --contexts kind-us,kind-eu", []meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationShared, "false"), Routing: proxied}}},
		"of nobody's":      {"SVC004", "kubectl mesh-svc share nginx -n default --in eu --contexts kind-us,kind-eu", []meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationShared, "false")}}},
		"a field": {"SVC016", `kubectl --context kind-eu -n default patch service nginx -p '{"spec":{"internalTrafficPolicy":"Cluster"}}'`, []meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
		}}}},
		"a label that nobody serves":      {"SVC017", "kubectl --context kind-eu -n default label service nginx service.kubernetes.io/headless-", []meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) { s.Labels[cilium.LabelHeadless] = "" }}}},
		"a cluster IP that nobody serves": {"SVC017", "kubectl --context kind-eu -n default annotate service nginx service.cilium.io/type-", []meshtest.Cluster{us, {Name: "eu", Service: meshtest.Annotate(cilium.AnnotationType, "NodePort")}}},
		"not global in the only cluster": {"SVC003", "kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true --overwrite", []meshtest.Cluster{
			{Name: "us", Service: meshtest.Annotate(cilium.AnnotationGlobal, "yes")}, {Name: "eu", Absent: true}}},
		"the same by its alias": {"SVC003", "kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true io.cilium/global-service- --overwrite", []meshtest.Cluster{
			{Name: "us", Service: meshtest.Annotate(cilium.AnnotationGlobal, "-", cilium.AnnotationGlobalAlias, "yes")}, {Name: "eu", Absent: true}}},
		"synchronized by the alias only": {"SVC027", "kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true io.cilium/global-service- --overwrite", []meshtest.Cluster{
			{Name: "us", Service: meshtest.Annotate(cilium.AnnotationGlobal, "-", cilium.AnnotationGlobalAlias, "true", cilium.AnnotationSyncEndpointSlices, "true"), Routing: synced}, {Name: "eu", Absent: true}}},
		"no command for it": {"SVC024", "", []meshtest.Cluster{us, {Name: "eu", Service: func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs = corev1.ServiceTypeExternalName, "", nil
		}}}},
	} {
		st, members := meshtest.Build(c.cs...)
		found := false
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
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

// TestTypeUnknownVersion: before 1.17 the annotation has no effect.
func TestTypeUnknownVersion(t *testing.T) {
	t.Parallel()
	st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu", Version: "x", Service: meshtest.Annotate(cilium.AnnotationType, "NodePort")})
	want := []string{`SVC017 warning service/default/nginx: eu: service.cilium.io/type is "NodePort": Cilium does not serve the cluster IP, if Cilium (version unknown) is 1.17 or later => ` +
		"kubectl --context kind-eu -n default annotate service nginx service.cilium.io/type-"}
	if d := cmp.Diff(want, lines(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
		t.Error(d)
	}
}

// TestMissingFixes: the commands create what is missing in every cluster that lacks it.
func TestMissingFixes(t *testing.T) {
	t.Parallel()
	manifest := `'{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"service.cilium.io/global":"true"},"name":"nginx","namespace":"default"},"spec":{"ports":[{"name":"http","port":80}]}}'`
	cases := map[string]struct {
		mesh []meshtest.Cluster
		want string
	}{
		"one":       {[]meshtest.Cluster{{Name: "us"}, {Name: "eu", Absent: true}}, "echo " + manifest + " | kubectl --context kind-eu create -f -"},
		"two":       {[]meshtest.Cluster{{Name: "us"}, {Name: "eu", Absent: true}, {Name: "ap", Absent: true}}, "for c in kind-eu kind-ap; do echo " + manifest + ` | kubectl --context "$c" create -f -; done`},
		"namespace": {[]meshtest.Cluster{{Name: "us"}, {Name: "eu", Absent: true, Routing: noNamespace}}, "kubectl --context kind-eu create namespace default"},
		"two files": {[]meshtest.Cluster{{Name: "us"}, {Name: "eu", Absent: true, Routing: noNamespace}, {Name: "ap", Absent: true, Routing: noNamespace}},
			"kubectl --context kind-eu create namespace default && kubectl --context ap create namespace default --kubeconfig '/a b'"},
	}
	for name, c := range cases {
		st, members := meshtest.Build(c.mesh...)
		if name == "two files" {
			members[2].Context, members[2].ContextInFile, members[2].Kubeconfig = "/a b::ap", "ap", "/a b"
		}
		fs := Services(st, members, []routing.Key{meshtest.Nginx})
		if len(fs) != 1 || fs[0].Fix != c.want {
			t.Errorf("%s: %+v", name, fs)
		}
	}
}
