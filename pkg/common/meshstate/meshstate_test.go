package meshstate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

func service(name, app string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": app}}}
}

func slice(svc string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: svc + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: svc}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}}}}
}

func mesh() []*clusters.Member {
	us := fake.NewClientset(service("web", "a"), service("other", "b"), slice("web"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Annotations: map[string]string{"k": "v"}}})
	eu := fake.NewClientset(service("web", ""), service("other", "b"))
	ap := fake.NewClientset()
	ap.PrependReactor("list", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewUnauthorized("who")
	})
	return []*clusters.Member{{Name: "us", Client: us}, {Name: "eu", Client: eu}, {Name: "ap", Client: ap}}
}

func keys(st *State) []string {
	var out []string
	for _, k := range st.Keys() {
		out = append(out, k.String())
	}
	return out
}

func TestReadKeepsGaps(t *testing.T) {
	t.Parallel()
	members := mesh()
	st := Read(t.Context(), members, time.Minute, Query{Namespace: "default"})
	if d := cmp.Diff([]string{"default/other", "default/web"}, keys(st)); d != "" {
		t.Error(d)
	}
	if st.Clusters[2].Gap != "unauthorized" || st.Members[2].Err == nil || members[2].Err != nil || st.Errors["ap"] == nil {
		t.Errorf("gap %q, error %v", st.Clusters[2].Gap, st.Members[2].Err)
	}
	us := st.Clusters[0]
	if n := len(us.Services[st.Keys()[1]].Endpoints); n != 1 || us.Namespaces["default"]["k"] != "v" {
		t.Errorf("%d endpoints, namespace %v", n, us.Namespaces)
	}
}

// TestSelector: a Service that lacks the label in one cluster is still there in that cluster.
func TestSelector(t *testing.T) {
	t.Parallel()
	selector, err := labels.Parse("app=a")
	if err != nil {
		t.Fatal(err)
	}
	st := Read(t.Context(), mesh()[:2], time.Minute, Query{Namespace: "default", Selector: selector, Objects: true})
	if d := cmp.Diff([]string{"default/web"}, keys(st)); d != "" {
		t.Error(d)
	}
	if len(st.Clusters[1].Services) != 1 || len(st.Services["eu"]) != 1 {
		t.Error("eu's Service without the label is taken as missing")
	}
}

// TestObjects: who only reads holds no objects, who writes holds each.
func TestObjects(t *testing.T) {
	t.Parallel()
	if st := Read(t.Context(), mesh()[:2], time.Minute, Query{}); len(st.Services) != 0 || len(st.Keys()) != 2 {
		t.Errorf("%d clusters with objects, Services %v", len(st.Services), st.Keys())
	}
	for _, q := range []Query{{Objects: true}, {Objects: true, Namespace: "default", Name: "web"}} {
		st := Read(t.Context(), mesh()[:2], time.Minute, q)
		for _, k := range st.Keys() {
			if svc := st.Services["us"][k]; svc == nil || svc.Name != k.Name {
				t.Errorf("%+v: us has %v for %s", q, svc, k)
			}
		}
	}
}

// TestPages: no page is lost and none is asked for twice, and the endpoints of a Service's slices meet from different pages.
func TestPages(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	answers := map[string]*discoveryv1.EndpointSliceList{
		"": {ListMeta: metav1.ListMeta{Continue: "next"}, Items: []discoveryv1.EndpointSlice{*slice("web")}},
		"next": {Items: []discoveryv1.EndpointSlice{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-2", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.2"}}}}}},
	}
	client.PrependReactor("list", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, &corev1.ServiceList{Items: []corev1.Service{*service("web", "a")}}, nil
	})
	client.PrependReactor("list", "endpointslices", func(a k8stesting.Action) (bool, runtime.Object, error) {
		o := a.(k8stesting.ListActionImpl).ListOptions
		if o.ResourceVersion != "" || o.Limit == 0 {
			t.Errorf("asked for %+v", o)
		}
		return true, answers[o.Continue], nil
	})
	st := Read(t.Context(), []*clusters.Member{{Name: "us", Client: client}}, time.Minute, Query{})
	var got []string
	for _, e := range st.Clusters[0].Services[st.Keys()[0]].Endpoints {
		got = append(got, e.Addr.String())
	}
	if d := cmp.Diff([]string{"10.1.0.1", "10.1.0.2"}, got); d != "" {
		t.Error(d)
	}
}

// TestDeadlineIsForEachPage: a large cluster that answers is not given up, one that stops answering is.
func TestDeadlineIsForEachPage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		waits []time.Duration // for each page
		want  failure.Class
	}{
		"slow":      {[]time.Duration{8 * time.Second, 8 * time.Second, 8 * time.Second}, ""},
		"gone away": {[]time.Duration{8 * time.Second, time.Hour}, failure.Timeout},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				seen := 0
				list := func(ctx context.Context, o metav1.ListOptions) (*corev1.ServiceList, error) {
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(c.waits[seen]):
					}
					if wantLimit := map[bool]int64{true: firstPage, false: laterPages}[seen == 0]; o.Limit != wantLimit {
						t.Errorf("page %d: limit %d", seen, o.Limit)
					}
					page := &corev1.ServiceList{}
					if seen++; seen < len(c.waits) {
						page.Continue = "more"
					}
					return page, nil
				}
				p := pager{timeout: 10 * time.Second, later: make(chan struct{}, 1)}
				visited := 0
				err := pages(t.Context(), p, metav1.ListOptions{}, list, func(*corev1.ServiceList) error { visited++; return nil })
				class := failure.Class("")
				if err != nil {
					class = failure.Classify(err).Class
				}
				if class != c.want || visited != seen || len(p.later) != 0 {
					t.Errorf("%v; visited %d of %d, %d still counted as asked for", err, visited, seen, len(p.later))
				}
			})
		})
	}
}
