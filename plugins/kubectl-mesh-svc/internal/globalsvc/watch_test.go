package globalsvc

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// TestTracker plays what happens to a mesh, one step after the other, and looks at what is shown of each.
func TestTracker(t *testing.T) {
	t.Parallel()
	nginx := routing.Key{Namespace: "default", Name: "nginx"}
	web := routing.Key{Namespace: "default", Name: "web"}
	st, members := state(t, "us=nginx,web", "eu=nginx", "ap=")
	set := func(cluster int, key routing.Key, change func(*routing.Service)) func() {
		return func() {
			svc := *st.Clusters[cluster].Services[key]
			change(&svc)
			st.Clusters[cluster].Services[key] = &svc
		}
	}
	annotate := func(cluster int, key routing.Key, values ...string) func() {
		return set(cluster, key, func(s *routing.Service) {
			s.Annotations = map[string]string{}
			for i := 0; i < len(values); i += 2 {
				s.Annotations[values[i]] = values[i+1]
			}
		})
	}
	var lost routing.Cluster
	change := func(cluster, field, from, to string) v1alpha1.ServiceChange {
		return v1alpha1.ServiceChange{Cluster: cluster, Field: field, From: from, To: to}
	}
	g := cilium.AnnotationGlobal
	steps := []struct {
		name string
		do   func()
		want map[string][]v1alpha1.ServiceChange // by Service that is shown
	}{
		{"nothing is global", func() {}, map[string][]v1alpha1.ServiceChange{}},
		{"one becomes global", annotate(0, nginx, g, "true"), map[string][]v1alpha1.ServiceChange{"nginx": nil}},
		{"nothing new", func() {}, map[string][]v1alpha1.ServiceChange{}},
		{"a label that no row shows", set(0, nginx, func(s *routing.Service) { s.Labels = map[string]string{"a": "b"} }), map[string][]v1alpha1.ServiceChange{}},
		{"two values in another cluster", annotate(1, nginx, g, "true", cilium.AnnotationAffinity, "local"),
			map[string][]v1alpha1.ServiceChange{"nginx": {change("eu", "global", "false", "true"), change("eu", "shared", "false", "true"), change("eu", "affinity", "none", "local")}}},
		{"endpoints", set(0, nginx, func(s *routing.Service) { s.Endpoints = []routing.Endpoint{{Ready: true}, {}} }),
			map[string][]v1alpha1.ServiceChange{"nginx": {change("us", "readyEndpoints", "0", "1")}}},
		{"drained", annotate(1, nginx, g, "true", cilium.AnnotationAffinity, "local", cilium.AnnotationShared, "false", AnnotationDrained, *Mark{Cluster: "eu"}.value()),
			map[string][]v1alpha1.ServiceChange{"nginx": {change("eu", "shared", "true", "false"), change("eu", "drained", "false", "true")}}},
		{"restored", annotate(1, nginx, g, "true", cilium.AnnotationAffinity, "local"),
			map[string][]v1alpha1.ServiceChange{"nginx": {change("eu", "shared", "false", "true"), change("eu", "drained", "true", "false")}}},
		{"a cluster is lost", func() {
			lost = st.Clusters[0]
			st.Clusters[0] = routing.Cluster{Name: "us", Gap: "refused"}
			st.Errors["us"] = &failure.Error{Class: failure.Refused, Err: errors.New("no")}
			members[0].Err = st.Errors["us"]
		}, map[string][]v1alpha1.ServiceChange{"nginx": {change("us", "read", "true", "false")}}},
		{"it is back", func() {
			st.Clusters[0] = lost
			delete(st.Errors, "us")
			members[0].Err = nil
		}, map[string][]v1alpha1.ServiceChange{"nginx": {change("us", "read", "false", "true")}}},
		{"deleted in one", func() { delete(st.Clusters[1].Services, nginx) }, map[string][]v1alpha1.ServiceChange{"nginx": {change("eu", "present", "true", "false")}}},
		{"global nowhere any more: once", annotate(0, nginx), map[string][]v1alpha1.ServiceChange{"nginx": {change("us", "global", "true", "false"), change("us", "shared", "true", "false")}}},
		{"and not again", set(0, nginx, func(s *routing.Service) { s.Endpoints = nil }), map[string][]v1alpha1.ServiceChange{}},
	}
	tr := NewTracker(false)
	for _, s := range steps {
		s.do()
		doc := tr.Changed(st, members, []routing.Key{nginx, web})
		got := map[string][]v1alpha1.ServiceChange{}
		for _, svc := range doc.Services {
			got[svc.Name] = svc.Changes
		}
		if d := cmp.Diff(s.want, got); d != "" {
			t.Errorf("%s: %s", s.name, d)
		}
		if doc.Complete != (len(st.Errors) == 0) {
			t.Errorf("%s: complete %v", s.name, doc.Complete)
		}
	}
	if keys := tr.Keys(); len(keys) != 0 {
		t.Errorf("what is not listed is remembered: %v", keys)
	}
}

// TestTrackerFindings: a finding is shown with its Service, and a change of nothing but findings is one.
func TestTrackerFindings(t *testing.T) {
	t.Parallel()
	st, members := state(t, "us=nginx", "eu=nginx")
	key := routing.Key{Namespace: "default", Name: "nginx"}
	for i := range st.Clusters {
		st.Clusters[i].Services[key].Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	}
	tr := NewTracker(false)
	if got := tr.Changed(st, members, st.Keys()).Findings; len(got) != 0 {
		t.Fatalf("findings %v", got)
	}
	renamed := *st.Clusters[1].Services[key]
	renamed.Annotations = map[string]string{cilium.AnnotationGlobal: "true", cilium.AnnotationGlobalAlias: "true"}
	st.Clusters[1].Services[key] = &renamed
	doc := tr.Changed(st, members, st.Keys())
	want := []v1alpha1.ServiceChange{{Field: "findings", From: "", To: "SVC009"}}
	if len(doc.Services) != 1 || len(doc.Findings) != 1 {
		t.Fatalf("%d services, findings %v", len(doc.Services), doc.Findings)
	}
	if d := cmp.Diff(want, doc.Services[0].Changes); d != "" {
		t.Error(d)
	}
}

// TestGraph: the share of an edge is the mean over the Services that it counts; who cannot be read is unknown.
func TestGraph(t *testing.T) {
	t.Parallel()
	st, members := state(t, "us=nginx,web", "eu=nginx", "ap=")
	nginx := routing.Key{Namespace: "default", Name: "nginx"}
	for i := range 2 {
		svc := st.Clusters[i].Services[nginx]
		svc.Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
		for n := range i + 1 {
			svc.Endpoints = append(svc.Endpoints, endpoint(10+i, n))
		}
	}
	st.Clusters[2] = routing.Cluster{Name: "ap", Gap: "timeout"}
	if got := GlobalKeys(st); len(got) != 1 || got[0] != nginx {
		t.Errorf("global: %v", got)
	}
	doc := Graph(st, members, st.Keys())
	got := map[string]v1alpha1.GraphEdge{}
	for _, e := range doc.Edges {
		got[e.From+">"+e.To] = e
	}
	want := map[string]v1alpha1.GraphEdge{
		// web has no endpoints and is not global: nobody answers its clients in us.
		// ap may answer too, so that the others' shares are what they have at most.
		"us>us": {From: "us", To: "us", Services: 1, Share: ptr.To(1.0 / 3), High: 1.0 / 3},
		"us>eu": {From: "us", To: "eu", Services: 1, Share: ptr.To(2.0 / 3), High: 2.0 / 3},
		"us>ap": {From: "us", To: "ap", Unknown: 1, High: 1},
		"eu>us": {From: "eu", To: "us", Services: 1, Share: ptr.To(1.0 / 3), High: 1.0 / 3},
		"eu>eu": {From: "eu", To: "eu", Services: 1, Share: ptr.To(2.0 / 3), High: 2.0 / 3},
		"eu>ap": {From: "eu", To: "ap", Unknown: 1, High: 1, Code: "not-read"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	nodes := []v1alpha1.GraphCluster{{Name: "us", Read: true, Services: 2, Unanswered: 1, ReadyEndpoints: 1}, {Name: "eu", Read: true, Services: 1, ReadyEndpoints: 2}, {Name: "ap"}}
	if d := cmp.Diff(nodes, doc.Clusters); d != "" {
		t.Error(d)
	}
	st.Clusters = st.Clusters[:2]
	for _, e := range Graph(st, members, []routing.Key{nginx}).Edges {
		if *e.Share != e.Low || *e.Share != e.High || e.Low == 0 {
			t.Errorf("all is read: %+v", e)
		}
	}
}

func endpoint(cluster, n int) routing.Endpoint {
	return routing.Endpoint{Addr: netip.AddrFrom4([4]byte{10, byte(cluster), 0, byte(n + 1)}), Ready: true, Serving: true, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
}
