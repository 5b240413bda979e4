package meshstate

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// overHTTP is a member whose API server has nothing but what answer writes itself, for which it returns true: fakes know no deadlines.
func overHTTP(t *testing.T, name string, answer func(http.ResponseWriter, *http.Request) bool) *clusters.Member {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case answer(w, r):
		case r.URL.Query().Has("watch"):
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			_ = json.NewEncoder(w).Encode(map[string]runtime.Object{
				"services":       &corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}},
				"endpointslices": &discoveryv1.EndpointSliceList{TypeMeta: metav1.TypeMeta{Kind: "EndpointSliceList", APIVersion: "discovery.k8s.io/v1"}},
				"namespaces":     &corev1.NamespaceList{TypeMeta: metav1.TypeMeta{Kind: "NamespaceList", APIVersion: "v1"}},
			}[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]])
		}
	}))
	t.Cleanup(s.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: s.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return &clusters.Member{Name: name, Context: "kind-" + name, Client: client}
}

// TestWatchThatDoesNotOpen: a member that lists and then hangs is lost, and the others are shown without it.
func TestWatchThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	hangs := overHTTP(t, "eu", func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("watch") {
			<-r.Context().Done()
		}
		return r.URL.Query().Has("watch")
	})
	w := Watch(t.Context(), []*clusters.Member{newServer(webService()).member("us"), hangs}, 200*time.Millisecond, Query{Namespace: "shop"}, same)
	u := next(t, w, "the first state", func(Update) bool { return true })
	if d := cmp.Diff("us:0 eu:?", ready(w)); d != "" {
		t.Error(d)
	}
	if err := u.Members[1].Err; err == nil || err.Class != failure.Timeout || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Errorf("eu: %v", err)
	}
}

// TestWatchOutlivesItsDeadline: only the opening of a watch has a deadline, the first one and each that goes on after it.
func TestWatchOutlivesItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		opened := 0
		k := &kind[*corev1.Service, *corev1.ServiceList]{feed: &feed{w: &Watcher{pager: newPager(timeout)}}, watch: func(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
			if opened++; opened == 2 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			w := watch.NewRaceFreeFake()
			context.AfterFunc(ctx, w.Stop)
			time.AfterFunc(time.Hour, w.Stop)
			return w, nil
		}}
		began := time.Now()
		if err := k.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := k.follow(t.Context())
		if lived := time.Since(began); lived != time.Hour+timeout || failure.Classify(err).Class != failure.Timeout {
			t.Errorf("after %s: %v", lived, err)
		}
	})
}

// TestWatchReadsPageByPage: a member of which each page comes in time is read, however long all of them take.
func TestWatchReadsPageByPage(t *testing.T) {
	t.Parallel()
	pages := map[string]string{"": "second", "second": "third", "third": "fourth", "fourth": ""}
	large := overHTTP(t, "eu", func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		if !strings.HasSuffix(r.URL.Path, "/services") || q.Has("watch") {
			return false
		}
		time.Sleep(100 * time.Millisecond)
		l := &corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}, Items: []corev1.Service{*service("page"+q.Get("continue"), "")}}
		l.Continue = pages[q.Get("continue")]
		_ = json.NewEncoder(w).Encode(l)
		return true
	})
	w := Watch(t.Context(), []*clusters.Member{large}, 300*time.Millisecond, Query{}, same)
	u := next(t, w, "the first state", func(Update) bool { return true })
	if len(u.Keys) != len(pages) || u.Members[0].Err != nil {
		t.Errorf("%v, %v", u.Keys, u.Members[0].Err)
	}
}
