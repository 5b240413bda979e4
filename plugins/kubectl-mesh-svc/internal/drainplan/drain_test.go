package drainplan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	shared, unshared := cilium.AnnotationShared+"=", cilium.AnnotationShared+"=false"
	ready := meshtest.Cart{Annotations: meshtest.Global, Ready: 1}
	cases := map[string]struct {
		in      map[string]meshtest.Cart
		version string
		want    string // result and message, "" for a Service that is not meant
		former  string // as it goes into the record
	}{
		"shared by default":       {map[string]meshtest.Cart{"us": ready, "eu": ready}, "", "planned", "<absent>"},
		"shared by annotation":    {map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, shared+"TRUE"), Ready: 1}, "eu": ready}, "", "planned", `"TRUE"`},
		"shared by an alias":      {map[string]meshtest.Cart{"us": {Annotations: map[string]string{cilium.AnnotationGlobalAlias: "true", cilium.AnnotationSharedAlias: "true"}, Ready: 1}, "eu": ready}, "", "planned", "<absent>"},
		"not global":              {map[string]meshtest.Cart{"us": {Ready: 1}, "eu": ready}, "", "", ""},
		"not shared":              {map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, unshared), Ready: 1}, "eu": ready}, "", "", ""},
		"junk is not shared":      {map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, shared+"yes"), Ready: 1}, "eu": ready}, "", "", ""},
		"drained already":         {map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, unshared, meshtest.CartMark(ptr.To("true"))), Ready: 1}, "eu": ready}, "", "unchanged already drained", `"true"`},
		"drained, shared again":   {map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, shared+"true", meshtest.CartMark(nil)), Ready: 1}, "eu": ready}, "", "planned", `"true"`},
		"the mark of another":     {map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, unshared, drainrecord.AnnotationDrained+`={"cluster":"eu"}`), Ready: 1}, "eu": ready}, "", "", ""},
		"nobody uses it":          {map[string]meshtest.Cart{"us": ready}, "", "planned", "<absent>"},
		"nobody has anything":     {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global}, "eu": {Annotations: meshtest.Global}}, "", "planned", "<absent>"},
		"the last one":            {map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Global}, "ap": {Annotations: meshtest.Global}}, "", "refused clients in eu, ap would be left without a ready endpoint", ""},
		"one client loses":        {map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Annotations(meshtest.Global, unshared), Ready: 1}, "ap": {Annotations: meshtest.Global}}, "", "refused clients in ap would be left without a ready endpoint", ""},
		"a client that is local":  {map[string]meshtest.Cart{"us": ready, "eu": {}, "ap": ready}, "", "planned", "<absent>"},
		"what is left terminates": {map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Global, Terminating: 1}}, "", "refused clients in eu would be left without a ready endpoint", ""},
		"it terminates itself":    {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Terminating: 1}, "eu": {Annotations: meshtest.Global}}, "", "planned", "<absent>"},
		"affinity drops remotes":  {map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationAffinity+"=none")}, "ap": ready}, "1.18.11", "planned", "<absent>"},
		"some versions lose": {map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationAffinity+"=none")}}, "unknown",
			"refused clients in eu would be left without a ready endpoint", ""},
		"another port name": {map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Global, Ready: 1, Edit: func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "", Port: 81})
		}}}, "", "planned", "<absent>"},
		"internalTrafficPolicy, no endpoints": {map[string]meshtest.Cart{"us": ready, "ap": {Annotations: meshtest.Global, Edit: nodeLocal}}, "", "refused clients in ap would be left without a ready endpoint", ""},
		"internalTrafficPolicy":               {map[string]meshtest.Cart{"us": ready, "ap": {Annotations: meshtest.Global, Ready: 1, Edit: nodeLocal}}, "", "planned", "<absent>"}, // TestUncertain
		"derived": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: meshtest.Derived}}, "",
			"refused Cilium derives it from a ServiceImport and overwrites its annotations; set them in the ServiceExport (spec.exportedAnnotations)", ""},
		"derived, without pods": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Edit: meshtest.Derived}}, "",
			"skipped Cilium derives it from a ServiceImport and overwrites its annotations; set them in the ServiceExport (spec.exportedAnnotations)", ""},
		"the API server": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: func(s *corev1.Service) { s.Namespace, s.Name = "default", "kubernetes" }}}, "",
			"refused it is the API server of its cluster; as a global service, it leads clients to the API servers of other clusters; to remove the global annotation, run: kubectl mesh-svc unglobalize kubernetes -n default --in us --include-system --contexts kind-us", ""},
		"somebody's own derived-": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: func(s *corev1.Service) { s.Name = "derived-production" }}}, "", "planned", "<absent>"},
		"external name": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Edit: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }}}, "",
			"skipped it is an ExternalName Service and has no endpoints", ""},
		"another proxy": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: func(s *corev1.Service) { s.Labels = map[string]string{cilium.LabelServiceProxyName: "x"} }}, "eu": {Annotations: meshtest.Global}}, "",
			"skipped its label service.kubernetes.io/service-proxy-name makes Cilium ignore it", ""},
		"another proxy, no name": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: func(s *corev1.Service) { s.Labels = map[string]string{cilium.LabelServiceProxyName: ""} }}, "eu": {Annotations: meshtest.Global}}, "",
			"skipped its label service.kubernetes.io/service-proxy-name makes Cilium ignore it", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.version == "" {
				c.version = "1.20.2"
			}
			st, us := meshtest.Carts(c.version, c.in)
			rec := &drainrecord.Record{ID: "new"}
			p := Drain(st, us, rec, "eu")
			got, formers := "", ""
			for _, i := range p.Items {
				got = strings.TrimSpace(i.Result + " " + i.Message)
			}
			for _, e := range Entries(st, p, rec) {
				formers = show(e.Former)
			}
			if d := cmp.Diff([]string{c.want, c.former}, []string{got, formers}); d != "" {
				t.Error(d)
			}
		})
	}
}

func show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return fmt.Sprintf("%q", *v)
}

func nodeLocal(s *corev1.Service) {
	s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
}

// TestDrainWithoutKnowing: what a cluster that is not read may have is not taken for nothing.
func TestDrainWithoutKnowing(t *testing.T) {
	t.Parallel()
	in := map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1}, "eu": {Annotations: meshtest.Global}}
	for name, lack := range map[string]func(*meshstate.State, *clusters.Member){
		"a gap": func(st *meshstate.State, _ *clusters.Member) {
			st.Clusters[2] = routing.Cluster{Name: "ap", Gap: "timeout"}
		},
		"a peer that is not read":      func(_ *meshstate.State, us *clusters.Member) { us.Peers = []string{"eu", "ap", "sa"} },
		"unknown peers of the clients": func(st *meshstate.State, _ *clusters.Member) { st.Clusters[1].PeersKnown = false },
		"unknown peers":                func(_ *meshstate.State, us *clusters.Member) { us.PeersKnown = false },
		"hidden namespaces": func(st *meshstate.State, _ *clusters.Member) {
			ready := *st.Clusters[0].Services[meshtest.CartKey]
			st.Clusters[2].Services[meshtest.CartKey] = &ready
			st.Clusters[2].NamespacesHidden, st.Clusters[2].DefaultGlobalNamespace = true, false
		},
	} {
		st, us := meshtest.Carts("1.20.2", in)
		lack(st, us)
		p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
		if got, want := p.Items[0].Message, "clients in eu would be left without a ready endpoint, unless a cluster that could not be read completely has one"; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestDrainWritesTheMarkWithTheValue: one patch holds both, and the alias, which the new key goes before, is not touched.
func TestDrainWritesTheMarkWithTheValue(t *testing.T) {
	t.Parallel()
	st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationSharedAlias+"=true"), Ready: 1}, "eu": {Annotations: meshtest.Global, Ready: 1}})
	p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
	want := map[string]*string{cilium.AnnotationShared: ptr.To("false"), drainrecord.AnnotationDrained: ptr.To(`{"drain":"new","cluster":"us","record":"eu","shared":null}`)}
	if d := cmp.Diff(want, map[string]*string(p.Items[0].After)); d != "" {
		t.Error(d)
	}
	svc := st.Services["us"][meshtest.CartKey].DeepCopy()
	for k, v := range p.Items[0].After {
		svc.Annotations[k] = *v
	}
	if cilium.Shared(svc.Annotations).Value {
		t.Error("the alias still shares it")
	}
	if d := cmp.Diff(&drainrecord.Mark{Drain: "new", Cluster: "us", Record: "eu"}, drainrecord.MarkOn(svc.Annotations)); d != "" {
		t.Error(d)
	}
}

func TestUncertain(t *testing.T) {
	t.Parallel()
	ready, none := meshtest.Cart{Annotations: meshtest.Global, Ready: 1}, meshtest.Cart{Annotations: meshtest.Global}
	hide := func(n int) func(*meshstate.State, *clusters.Member) {
		return func(st *meshstate.State, _ *clusters.Member) { st.Clusters[n].NamespacesHidden = true }
	}
	own := meshtest.Cart{Annotations: meshtest.Global, Ready: 1, Edit: nodeLocal}
	needy := map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}
	stranger := func(n int) func(*meshstate.State, *clusters.Member) {
		return func(st *meshstate.State, _ *clusters.Member) {
			st.Clusters[n].PeersKnown, st.Clusters[n].Peers = false, nil
		}
	}
	const ofAP = "the peers of ap are unknown, and clients of shop/cart may have no other endpoint"
	all := func(*meshstate.State, *clusters.Member) {}
	const onNodes = "in ap, clients on nodes without an endpoint of shop/cart would have no other one (internalTrafficPolicy is Local), and nodes are not read"
	const inEU = "namespaces may not be read in eu, and clients of shop/cart may have no other endpoint"
	for name, c := range map[string]struct {
		version string
		in      map[string]meshtest.Cart
		lack    func(*meshstate.State, *clusters.Member)
		want    []string
	}{
		"clusters": {"1.20.2", nil, func(st *meshstate.State, us *clusters.Member) {
			us.Peers, st.Clusters[1].Gap = []string{"ap", "eu", "sa"}, "timeout"
		}, []string{"eu could not be read (timeout)", "sa is a peer, but was not read"}},
		"peers":                       {"1.20.2", nil, func(_ *meshstate.State, us *clusters.Member) { us.PeersKnown = false }, []string{"the peers of us are unknown"}},
		"namespaces":                  {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}, hide(1), []string{inEU}},
		"namespaces, unknown version": {"unknown", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}, hide(1), []string{inEU}},
		"no gate before 1.20":         {"1.19.7", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}, hide(1), nil},
		"the clients have their own":  {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": ready}, hide(1), nil},
		"no endpoints there":          {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": none, "ap": none}, hide(1), nil}, // it is refused
		"namespaces of clients":       {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}, hide(2), nil},
		"namespaces of the drained":   {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}, hide(0), nil},
		"it may be out of use already": {"1.20.2", map[string]meshtest.Cart{"us": ready, "ap": none}, func(st *meshstate.State, us *clusters.Member) {
			hide(0)(st, us)
			st.Clusters[0].DefaultGlobalNamespace = false
		}, []string{"namespaces may not be read in us, and clients of shop/cart may have no other endpoint"}},
		"a namespace that was read": {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": none}, func(st *meshstate.State, us *clusters.Member) {
			hide(1)(st, us)
			st.Clusters[1].Namespaces = map[string]map[string]string{"shop": nil}
		}, nil},
		"a Service that is not shared":   {"1.20.2", map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationShared+"=false"), Ready: 1}, "eu": ready, "ap": none}, hide(1), nil},
		"peers of clients":               {"1.20.2", needy, stranger(2), []string{ofAP}},
		"peers of a server":              {"1.20.2", needy, stranger(1), nil},
		"peers of clients, of their own": {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": ready}, stranger(2), nil},
		"peers of clients, on nodes":     {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": own}, stranger(2), []string{ofAP}},
		"peers of two clusters": {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": none, "ap": ready}, func(st *meshstate.State, us *clusters.Member) {
			stranger(1)(st, us)
			stranger(2)(st, us)
		}, []string{"the peers of eu are unknown, and clients of shop/cart may have no other endpoint"}},
		"peers and namespaces": {"1.20.2", needy, func(st *meshstate.State, us *clusters.Member) {
			hide(1)(st, us)
			stranger(2)(st, us)
		}, []string{ofAP, inEU}},
		"two slices": {"1.20.2", needy, func(st *meshstate.State, _ *clusters.Member) {
			st.Clusters[1].Services[meshtest.CartKey].Endpoints[0].DisputedConditions = true
		}, []string{"an address is in two EndpointSlices in eu, with different conditions or ports, and clients of shop/cart may have no other endpoint"}},
		"two slices, and another endpoint": {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": {Annotations: meshtest.Global, Ready: 2}, "ap": none}, func(st *meshstate.State, _ *clusters.Member) {
			st.Clusters[1].Services[meshtest.CartKey].Endpoints[0].DisputedConditions = true
		}, nil},
		"one cluster-id": {"1.20.2", needy, func(st *meshstate.State, _ *clusters.Member) {
			for i, id := range []uint32{1, 1, 3} {
				st.Clusters[i].ID, st.Clusters[i].MaxClusters, st.Clusters[i].IDKnown = id, 255, true
			}
		}, []string{"us, eu have the same cluster-id 1, and clients of shop/cart may have no other endpoint"}},
		"nodes":                     {"1.20.2", map[string]meshtest.Cart{"us": ready, "ap": own}, all, []string{onNodes}},
		"nodes, and affinity local": {"1.20.2", map[string]meshtest.Cart{"us": ready, "ap": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationAffinity+"=local"), Ready: 1, Edit: nodeLocal}}, all, []string{onNodes}},
		"nodes, another has one":    {"1.20.2", map[string]meshtest.Cart{"us": ready, "eu": ready, "ap": own}, all, nil},
		"nodes, no own endpoints":   {"1.20.2", map[string]meshtest.Cart{"us": ready, "ap": {Annotations: meshtest.Global, Edit: nodeLocal}}, all, nil}, // it is refused
		"nodes, not global there":   {"1.20.2", map[string]meshtest.Cart{"us": ready, "ap": {Ready: 1, Edit: nodeLocal}}, all, nil},
		"nodes of the drained one":  {"1.20.2", map[string]meshtest.Cart{"us": own, "eu": ready}, all, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, us := meshtest.Carts(c.version, c.in)
			c.lack(st, us)
			if d := cmp.Diff(c.want, Uncertain(st, us)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestManyReasons: the text stays short however many clusters and Services there are.
func TestManyReasons(t *testing.T) {
	t.Parallel()
	const services = "shop/service-00000, shop/service-00001, shop/service-00002, shop/service-00003, shop/service-00004 and 7 more"
	st, m := bigMesh(30, 12)
	for n := range st.Clusters {
		c := &st.Clusters[n]
		switch {
		case n == 0:
		case n < 10: // clients, which have some of the Services without endpoints
			c.PeersKnown = n%2 == 0
			for i, key := range servicesOf(st, c.Name) {
				if (n+i)%3 > 0 {
					c.Services[key].Endpoints = nil
				}
			}
		case n < 20:
			c.NamespacesHidden = true
		case n < 25:
			c.ServiceProxyName = "other"
		default:
			c.ID = 200
		}
	}
	want := []string{
		"the peers of mesh-001, mesh-003, mesh-005, mesh-007, mesh-009 are unknown, and clients of " + services + " may have no other endpoint",
		"namespaces may not be read in mesh-010, mesh-011, mesh-012, mesh-013, mesh-014 and 5 more, and clients of " + services + " may have no other endpoint",
		"k8s-service-proxy-name is set in mesh-020, mesh-021, mesh-022, mesh-023, mesh-024, and may also apply to exported Services, and clients of " + services + " may have no other endpoint",
		"and 1 more",
	}
	if d := cmp.Diff(want, Uncertain(st, m)); d != "" {
		t.Error(d)
	}
}

// TestHeadlessWithoutPorts: DNS answers for a headless Service without ports too, and its clients can be left without an endpoint.
func TestHeadlessWithoutPorts(t *testing.T) {
	t.Parallel()
	headless := func(s *corev1.Service) {
		s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.Ports = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}, nil
	}
	for name, c := range map[string]struct {
		in     map[string]meshtest.Cart
		want   string
		shifts []string
	}{
		"another has one": {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: headless}, "eu": {Annotations: meshtest.Global, Ready: 1, Edit: headless}}, "", []string{"eu {  0} IPv4 [{us 0.5 0} {eu 0.5 1}]"}},
		"the last one":    {map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1, Edit: headless}, "eu": {Annotations: meshtest.Global, Edit: headless}}, "clients in eu would be left without a ready endpoint", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, us := meshtest.Carts("1.20.2", c.in)
			for i := range st.Clusters {
				st.Clusters[i].EndpointSliceSync = true
			}
			p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
			var shifts []string
			for _, s := range Shifts(st, p, "us") {
				shifts = append(shifts, fmt.Sprint(s.Client, " ", s.Port, " ", s.IPFamily, " ", s.Shares))
			}
			if d := cmp.Diff(c.shifts, shifts); d != "" || p.Items[0].Message != c.want {
				t.Errorf("%q %s", p.Items[0].Message, d)
			}
		})
	}
}

func TestUnsearched(t *testing.T) {
	t.Parallel()
	st, _ := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationShared+"=false", meshtest.CartMark(nil))}})
	if d := cmp.Diff([]string{"eu"}, Unsearched(st, "us", []string{"ap"})); d != "" {
		t.Error(d)
	}
	if got := Unsearched(st, "us", []string{"eu"}); len(got) != 0 {
		t.Errorf("it was looked for in eu: %v", got)
	}
}

// TestField05DrainDoesNotCountThePlaceholder: nobody is left with the placeholder of another cluster, and a Service of its own proxy is not drained.
func TestField05DrainDoesNotCountThePlaceholder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mesh []meshtest.Cluster
		want string // of us
		says string
	}{
		"proxied everywhere":     {[]meshtest.Cluster{meshtest.Gateway("us"), meshtest.Gateway("eu")}, v1alpha1.ResultSkipped, "the L7 proxy of the client's cluster answers"},
		"nobody else has any":    {[]meshtest.Cluster{meshtest.Ordinary("us"), meshtest.Gateway("eu"), {Name: "ap", Version: "1.20.2", Slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }}}, v1alpha1.ResultRefused, "clients in ap would be left without a ready endpoint"},
		"the others have theirs": {[]meshtest.Cluster{meshtest.Ordinary("us"), meshtest.Gateway("eu"), meshtest.Ordinary("ap")}, v1alpha1.ResultPlanned, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := meshtest.Build(c.mesh...)
			p := Drain(st, members[0], &drainrecord.Record{ID: "d", Cluster: "us"}, "eu")
			if len(p.Items) != 1 || p.Items[0].Result != c.want || !strings.Contains(p.Items[0].Message, c.says) {
				t.Errorf("%+v", p.Items[0])
			}
		})
	}
}
