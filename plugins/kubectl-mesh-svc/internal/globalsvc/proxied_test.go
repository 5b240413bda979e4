package globalsvc

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
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// gateway is a cluster in which default/nginx is the Service of a Gateway.
func gateway(name string, more ...string) cluster {
	return cluster{name: name, version: "1.20.2", svc: func(s *corev1.Service) {
		s.Spec.Selector, s.Spec.Type, s.Annotations = nil, corev1.ServiceTypeLoadBalancer, withAnnotations(global, more...)
		s.Spec.ExternalTrafficPolicy, s.Spec.SessionAffinity = corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceAffinityClientIP
	}, slice: func(s *discoveryv1.EndpointSlice) {
		s.Ports = []discoveryv1.EndpointPort{{Port: ptr.To[int32](9999)}}
		s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"192.192.192.192"}}}
	}}
}

func ordinary(name string) cluster { return cluster{name: name, version: "1.20.2"} }

// TestField05CheckSaysGlobalMeansNothing: at most a note, whatever else the Service says.
func TestField05CheckSaysGlobalMeansNothing(t *testing.T) {
	t.Parallel()
	note := "the L7 proxy of the client's cluster answers for the Service (its endpoint is Cilium's placeholder); the global annotation has no effect"
	for name, c := range map[string]struct {
		mesh []cluster
		want []string
	}{
		"everywhere":      {[]cluster{gateway("us"), gateway("eu")}, []string{"SVC046 info service/default/nginx: us, eu: " + note + " => "}},
		"in one, alone":   {[]cluster{gateway("us"), {name: "eu", version: "1.20.2", absent: true}}, []string{"SVC046 info service/default/nginx: us: " + note + " => "}},
		"global in one":   {[]cluster{gateway("us"), gateway("eu", cilium.AnnotationGlobal+"=false")}, []string{"SVC046 info service/default/nginx: us: " + note + " => "}},
		"global nowhere":  {[]cluster{gateway("us", cilium.AnnotationGlobal+"=false"), gateway("eu", cilium.AnnotationGlobal+"=no")}, nil},
		"other settings":  {[]cluster{gateway("us", cilium.AnnotationShared+"=false", cilium.AnnotationAffinity+"=remote"), gateway("eu", cilium.AnnotationShared+"=maybe")}, []string{"SVC046 info service/default/nginx: us, eu: " + note + " => "}},
		"ordinary in one": {[]cluster{gateway("us"), ordinary("eu")}, []string{"SVC046 warning service/default/nginx: us: " + note + "; Cilium exports the placeholder anyway, and connections of clients in eu to it fail => kubectl mesh-svc unglobalize nginx -n default --in us --contexts kind-us,kind-eu"}},
		"not exported":    {[]cluster{gateway("us", cilium.AnnotationShared+"=false"), ordinary("eu"), ordinary("ap")}, []string{"SVC046 info service/default/nginx: us: " + note + " => "}},
		"misspelt":        {[]cluster{gateway("us", "service.io.cilium/global=true"), gateway("eu")}, []string{"SVC046 info service/default/nginx: us, eu: " + note + " => ", "SVC047 info service/default/nginx: us: Cilium does not read annotation service.io.cilium/global => kubectl --context kind-us -n default annotate service nginx service.io.cilium/global-"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := build(c.mesh...)
			if d := cmp.Diff(c.want, lines(Check(st, members, []routing.Key{nginx}))); d != "" {
				t.Error(d)
			}
			for _, f := range CheckHosts(st, members, []routing.Key{nginx}) {
				if f.ID == "SVC035" && !slices.ContainsFunc(c.mesh, func(c cluster) bool { return c.svc == nil && !c.absent }) {
					t.Errorf("hosts: %+v", f)
				}
			}
		})
	}
}

// TestField05EveryCommandSaysProxy: list, describe, graph and the plan of globalize.
func TestField05EveryCommandSaysProxy(t *testing.T) {
	t.Parallel()
	st, members := build(gateway("us"), gateway("eu"))
	d := Describe(st, members, nginx)
	if len(d.Failures) > 0 || len(d.Predictions) != 2 {
		t.Errorf("describe: %+v", d)
	}
	for _, p := range d.Predictions {
		if p.Kind != "proxy" || len(p.Outcomes) > 0 {
			t.Errorf("describe: %+v", p)
		}
	}
	for _, s := range List(st, members, false).Services {
		for _, c := range s.Clusters {
			if !c.Proxied || *c.Ready != 0 || *c.Total != 0 {
				t.Errorf("list: %+v", c)
			}
		}
	}
	g := Graph(st, members, []routing.Key{nginx})
	for _, c := range g.Clusters {
		if c.ReadyEndpoints != 0 || c.Services != 1 || c.Proxied != 1 || c.Unanswered != 0 {
			t.Errorf("graph: %+v", c)
		}
	}
	if len(g.Edges) > 0 {
		t.Errorf("graph: %+v", g.Edges)
	}
	edit, err := Globalize("", "")
	if err != nil {
		t.Fatal(err)
	}
	bulk, err := Plan(st, members, Request{Edit: edit, Bulk: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Plan(st, members, Request{Edit: edit, Namespace: "default", Names: []string{"nginx"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, plan := range []string{strings.Join(Proxied(st, bulk), "\n"), strings.Join(Proxied(st, p), "\n")} {
		if want := "default/nginx in us, eu: the L7 proxy of the client's cluster answers, so the global annotation has no effect; make the Services of its routes global"; plan != want {
			t.Errorf("globalize: %q", plan)
		}
	}
}

// TestField05DrainDoesNotCountThePlaceholder: nobody is left with the placeholder of another cluster, and a Service of its own proxy is not drained.
func TestField05DrainDoesNotCountThePlaceholder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mesh []cluster
		want string // of us
		says string
	}{
		"proxied everywhere":     {[]cluster{gateway("us"), gateway("eu")}, v1alpha1.ResultSkipped, "the L7 proxy of the client's cluster answers"},
		"nobody else has any":    {[]cluster{ordinary("us"), gateway("eu"), {name: "ap", version: "1.20.2", slice: func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }}}, v1alpha1.ResultRefused, "clients in ap would be left without a ready endpoint"},
		"the others have theirs": {[]cluster{ordinary("us"), gateway("eu"), ordinary("ap")}, v1alpha1.ResultPlanned, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := build(c.mesh...)
			p := Drain(st, members[0], &drainrecord.Record{ID: "d", Cluster: "us"}, "eu")
			if len(p.Items) != 1 || p.Items[0].Result != c.want || !strings.Contains(p.Items[0].Message, c.says) {
				t.Errorf("%+v", p.Items[0])
			}
		})
	}
}
