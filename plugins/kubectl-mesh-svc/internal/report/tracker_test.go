package report

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// TestTracker plays what happens to a mesh, one step after the other, and looks at what is shown of each.
func TestTracker(t *testing.T) {
	t.Parallel()
	nginx := routing.Key{Namespace: "default", Name: "nginx"}
	web := routing.Key{Namespace: "default", Name: "web"}
	st, members := meshtest.State(t, "us=nginx,web", "eu=nginx", "ap=")
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
		{"drained", annotate(1, nginx, g, "true", cilium.AnnotationAffinity, "local", cilium.AnnotationShared, "false", drainrecord.AnnotationDrained, *drainrecord.Mark{Cluster: "eu"}.Text()),
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
	st, members := meshtest.State(t, "us=nginx", "eu=nginx")
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

// TestTrackerHasWhatListHas: at the same moment, a watch has the findings of a list, those of the namespace and of EndpointSlices too, each once.
func TestTrackerHasWhatListHas(t *testing.T) {
	t.Parallel()
	st, members := meshtest.State(t, "us=nginx,plain,web", "eu=nginx,plain,web", "ap=")
	for i := range st.Clusters {
		c := &st.Clusters[i]
		c.NamespacesHidden, c.Namespaces = false, map[string]map[string]string{"default": {}}
		for key, svc := range c.Services {
			if key.Name != "plain" {
				svc.Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
			}
		}
	}
	st.Clusters[2].Namespaces = map[string]map[string]string{}
	nginx := routing.Key{Namespace: "default", Name: "nginx"}
	st.Clusters[1].Services[nginx].WrongSliceKeys = map[string][]cilium.WrongKey{"nginx-1": cilium.WrongSliceKeys(map[string]string{"service.cilium.io/wieght": "3"}, nil)}
	findings := func(doc v1alpha1.ServiceList) []string {
		var out []string
		for _, f := range doc.Findings {
			out = append(out, f.ID+" "+f.Object)
		}
		return out
	}
	want := []string{"SVC022 namespace/default", "SVC047 service/default/nginx"}
	if d := cmp.Diff(want, findings(List(st, members, true))); d != "" {
		t.Errorf("list: %s", d)
	}
	tr := NewTracker(true)
	if d := cmp.Diff(want, findings(tr.Changed(st, members, st.Keys()))); d != "" {
		t.Errorf("watch: %s", d)
	}
	// The namespace is made: what is missing there now is the Service.
	st.Clusters[2].Namespaces["default"] = nil
	doc := tr.Changed(st, members, st.Keys())
	got := map[string][]v1alpha1.ServiceChange{}
	for _, s := range doc.Services {
		got[s.Name] = s.Changes
	}
	if d := cmp.Diff(map[string][]v1alpha1.ServiceChange{
		"nginx": {{Field: "findings", From: "SVC022,SVC047", To: "SVC002,SVC047"}}, "web": {{Field: "findings", From: "SVC022", To: "SVC002"}},
	}, got); d != "" {
		t.Error(d)
	}
}
