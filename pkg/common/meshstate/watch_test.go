package meshstate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

var webKey = routing.Key{Namespace: "shop", Name: "web"}

// server is the API server of one member, with watches that a test can break.
type server struct {
	*fake.Clientset
	mu      sync.Mutex
	down    error
	watches []*breakable
}

// breakable is a watch that a test can end; once broken it brings no more events.
type breakable struct {
	*watch.RaceFreeFakeWatcher
	from   watch.Interface // the tracker's
	broken atomic.Bool
}

// Stop also ends the tracker's watch, and with it the goroutine that reads it.
func (b *breakable) Stop() {
	b.from.Stop()
	b.RaceFreeFakeWatcher.Stop()
}

func newServer(objects ...runtime.Object) *server {
	s := &server{Clientset: fake.NewClientset(objects...)}
	s.PrependReactor("*", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.down != nil, nil, s.down
	})
	s.PrependWatchReactor("*", func(a k8stesting.Action) (bool, watch.Interface, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down != nil {
			return true, nil, s.down
		}
		// What the tracker sends goes through a watch that a test can end.
		from, err := s.Tracker().Watch(a.GetResource(), a.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		w := &breakable{RaceFreeFakeWatcher: watch.NewRaceFreeFake(), from: from}
		s.watches = append(s.watches, w)
		go func() {
			for e := range from.ResultChan() {
				if !w.broken.Load() {
					w.Action(e.Type, e.Object)
				}
			}
		}()
		return true, w, nil
	})
	return s
}

// cut ends all watches with an event, and lets the server refuse everything else from now on; nil lets it answer again.
// What happens meanwhile no watch sees: none can be opened before it is over.
func (s *server) cut(event runtime.Object, down error, meanwhile ...func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	for _, w := range s.watches {
		w.broken.Store(true)
	}
	for _, do := range meanwhile {
		do()
	}
	for _, w := range s.watches {
		if event != nil {
			w.Error(event)
		} else {
			w.Stop()
		}
	}
	s.watches = nil
}

func (s *server) member(name string) *clusters.Member {
	return &clusters.Member{Name: name, Context: "kind-" + name, CiliumNamespace: "kube-system", Client: s.Clientset}
}

// next waits for an update that satisfies a condition, so that a test does not depend on how changes are gathered.
func next(t *testing.T, w *Watcher, what string, holds func(Update) bool) Update {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for {
		u, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("%s did not come: %v", what, err)
		}
		if holds(u) {
			return u
		}
	}
}

func same(_ context.Context, m *clusters.Member) (*clusters.Member, error) {
	again := *m
	return &again, nil
}

// ready is how many ready endpoints web has in each member, in order, or - where it is not there and ? where the member is not read.
func ready(w *Watcher) string {
	var out []string
	for _, c := range w.State([]routing.Key{webKey}).Clusters {
		switch svc := c.Services[webKey]; {
		case c.Gap != "":
			out = append(out, c.Name+":?")
		case svc == nil:
			out = append(out, c.Name+":-")
		default:
			out = append(out, c.Name+":"+string(rune('0'+svc.ReadyEndpoints())))
		}
	}
	return strings.Join(out, " ")
}

func webSlice(name string, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

func webService() *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
}

// TestWatch follows two members: a change, a history that is gone, the loss of a member, and its return with another state.
func TestWatch(t *testing.T) {
	t.Parallel()
	us, eu := newServer(webService(), webSlice("a", "10.1.0.1")), newServer(webService())
	w := Watch(t.Context(), []*clusters.Member{us.member("us"), eu.member("eu")}, 10*time.Second, Query{Namespace: "shop"}, same)
	expect := func(what, want string, holds func(Update) bool) *clusters.Member {
		t.Helper()
		return next(t, w, what, func(u Update) bool { return holds(u) && ready(w) == want }).Members[1]
	}
	touched := func(u Update) bool { return len(u.Keys) == 1 && u.Keys[0] == webKey }
	expect("the first state", "us:1 eu:0", touched)

	_, err := eu.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), webSlice("b", "10.2.0.1", "10.2.0.2"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expect("an EndpointSlice", "us:1 eu:2", touched)

	// While the watches are broken with 410 Gone something changes: it is found by reading again, and nobody is lost.
	gone := apierrors.NewResourceExpired("too old").Status()
	eu.cut(&gone, nil, func() {
		if err := eu.Tracker().Delete(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), "shop", "b"); err != nil {
			t.Fatal(err)
		}
	})
	u := next(t, w, "the state after 410 Gone", func(Update) bool { return ready(w) == "us:1 eu:0" })
	if len(u.Changed) != 0 {
		t.Errorf("a compacted history counts as a lost member: %v", u.Changed[0].Err)
	}

	eu.cut(nil, errors.New("connection refused"))
	m := expect("the loss", "us:1 eu:?", func(u Update) bool { return len(u.Changed) == 1 && u.Changed[0].Err != nil && touched(u) })
	if m.Err == nil {
		t.Error("the member is not marked")
	}

	eu.cut(nil, nil)
	m = expect("the return", "us:1 eu:0", func(u Update) bool { return len(u.Changed) == 1 && u.Changed[0].Err == nil && touched(u) })
	if m.Err != nil {
		t.Errorf("the member is still marked: %v", m.Err)
	}
	if err := eu.CoreV1().Services("shop").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("a deletion", "us:1 eu:-", touched)
}

// TestWatchUnread: a member that could not be read at the start is asked who it is until it answers; one that may not be watched
// is not taken for one that was read.
func TestWatchUnread(t *testing.T) {
	t.Parallel()
	us, eu, ap := newServer(webService()), newServer(webService()), newServer(webService())
	ap.PrependWatchReactor("services", func(k8stesting.Action) (bool, watch.Interface, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New(`User "x" cannot watch resource "services" in API group "" in the namespace "shop"`))
	})
	unread := eu.member("kind-eu")
	unread.Err = &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")}
	answers := make(chan struct{})
	identify := func(_ context.Context, m *clusters.Member) (*clusters.Member, error) {
		again := *m
		if m.Name != "kind-eu" {
			return &again, nil
		}
		select {
		case <-answers:
			again.Name, again.Err = "eu", nil
			return &again, nil
		default:
			return nil, m.Err
		}
	}
	members := []*clusters.Member{us.member("us"), unread, ap.member("ap")}
	w := Watch(t.Context(), members, 10*time.Second, Query{Namespace: "shop"}, identify)
	first := next(t, w, "the first state", func(Update) bool { return true })
	if d := cmp.Diff("us:0 kind-eu:? ap:?", ready(w)); d != "" {
		t.Error(d)
	}
	if err := first.Members[2].Err; err == nil || !strings.Contains(err.Error(), "verbs: [watch]") {
		t.Errorf("the missing rule is not named: %v", err)
	}
	close(answers)
	next(t, w, "the member", func(u Update) bool { return len(u.Changed) == 1 })
	if d := cmp.Diff("us:0 eu:0 ap:?", ready(w)); d != "" {
		t.Error(d)
	}
}

// TestWatchSliceOfAnotherService: the endpoints of a slice go where its label points, and are no longer where it pointed before.
func TestWatchSliceOfAnotherService(t *testing.T) {
	t.Parallel()
	api := webService()
	api.Name = "api"
	us := newServer(webService(), api, webSlice("a", "10.1.0.1"), webSlice("b", "10.1.0.2"))
	w := Watch(t.Context(), []*clusters.Member{us.member("us")}, 10*time.Second, Query{Namespace: "shop"}, same)
	next(t, w, "the first state", func(Update) bool { return ready(w) == "us:2" })
	moved := webSlice("a", "10.1.0.1")
	moved.Labels[discoveryv1.LabelServiceName] = "api"
	if _, err := us.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), moved, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	both := []routing.Key{{Namespace: "shop", Name: "api"}, webKey}
	next(t, w, "the move", func(u Update) bool { return slices.Equal(u.Keys, both) })
	if d := cmp.Diff("us:1", ready(w)); d != "" {
		t.Error(d)
	}
	// API servers tell the end of what a selector no longer picks, with its last labels.
	if err := us.DiscoveryV1().EndpointSlices("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	next(t, w, "the end", func(u Update) bool { return slices.Equal(u.Keys, both[:1]) })
	for _, svc := range w.State(both).Clusters[0].Services {
		if n := svc.ReadyEndpoints(); n != map[string]int{"api": 0, "web": 1}[svc.Name] {
			t.Errorf("%s has %d endpoints", svc.Name, n)
		}
	}
}

// namespacesOf says of each member whether its namespaces are known and which there are.
func namespacesOf(w *Watcher) string {
	var out []string
	for _, c := range w.State([]routing.Key{webKey}).Clusters {
		known := map[bool]string{false: "", true: "?"}[c.NamespacesHidden]
		out = append(out, c.Name+":"+strings.Join(slices.Sorted(maps.Keys(c.Namespaces)), ",")+known)
	}
	return strings.Join(out, " ")
}

// TestWatchNamespaces: a namespace that is not there is told from one that may not be read, and one that comes or goes concerns
// the Services that the other members have in it.
func TestWatchNamespaces(t *testing.T) {
	t.Parallel()
	refuse := func(s *server, verbs ...string) {
		for _, verb := range verbs {
			s.PrependReactor(verb, "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "", errors.New("not yours"))
			})
		}
	}
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}} // without annotations, as most are
	us, eu, byName, without, unread := newServer(webService(), shop), newServer(), newServer(shop), newServer(), newServer(shop)
	refuse(byName, "list")
	refuse(without, "list")
	refuse(unread, "list", "get")
	w := Watch(t.Context(), []*clusters.Member{us.member("us"), eu.member("eu"), byName.member("by-name"), without.member("without"), unread.member("unread")},
		10*time.Second, Query{Namespace: "shop"}, same)
	expect := func(what, inEU string) {
		t.Helper()
		next(t, w, what, func(u Update) bool { return slices.Equal(u.Keys, []routing.Key{webKey}) })
		if d := cmp.Diff("us:shop "+inEU+" by-name:shop without: unread:?", namespacesOf(w)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	expect("the first state", "eu:")
	if _, err := eu.CoreV1().Namespaces().Create(t.Context(), shop, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("a namespace", "eu:shop")
	// It goes while the watches are broken, and nothing else changes.
	gone := apierrors.NewResourceExpired("too old").Status()
	eu.cut(&gone, nil, func() {
		if err := eu.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("namespaces"), "", "shop"); err != nil {
			t.Fatal(err)
		}
	})
	expect("its end", "eu:")
}

// TestWatchSaysOnceWhatIsUnseen: a missing permission is warned of once for each member, one that is missing later only by itself.
func TestWatchSaysOnceWhatIsUnseen(t *testing.T) {
	t.Parallel()
	eu := newServer(webService())
	refusal := apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "", errors.New("not yours"))
	eu.PrependReactor("*", "namespaces", func(a k8stesting.Action) (bool, runtime.Object, error) {
		return a.GetVerb() != "watch", nil, refusal
	})
	again := false
	identify := func(_ context.Context, m *clusters.Member) (*clusters.Member, error) {
		found := *m
		found.Unseen("Cilium's version is not known", refusal)
		if again {
			found.Unseen("its peers are not known", refusal)
		}
		again = true
		return &found, nil
	}
	m := eu.member("eu")
	m.Unseen("Cilium's version is not known", refusal)
	members := []*clusters.Member{m}
	said := clusters.TakeUnseen(members)
	w := Watch(t.Context(), members, 10*time.Second, Query{Namespace: "shop"}, identify)
	expect := func(what string, holds func(Update) bool) {
		t.Helper()
		next(t, w, what, func(u Update) bool {
			said = append(said, clusters.TakeUnseen(u.Members)...)
			return holds(u)
		})
	}
	expect("the first state", func(Update) bool { return true })
	for range 2 {
		eu.cut(nil, errors.New("connection refused"))
		expect("the loss", func(u Update) bool { return len(u.Changed) > 0 && u.Changed[len(u.Changed)-1].Err != nil })
		eu.cut(nil, nil)
		expect("the return", func(u Update) bool { return len(u.Changed) > 0 && u.Changed[len(u.Changed)-1].Err == nil })
	}
	if d := cmp.Diff([]string{"eu: Cilium's version is not known", "eu: " + ungated, "eu: its peers are not known"}, said); d != "" {
		t.Error(d)
	}
}

// TestWatchNames: a member that turns out to have the name of another is shown by its context, as it is when members are selected. If the other one is
// only called so by its context, it gets another name.
func TestWatchNames(t *testing.T) {
	t.Parallel()
	unread := func(context string) *clusters.Member {
		m := newServer().member(context)
		m.Context, m.CiliumNamespace, m.Err = context, "", &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")}
		return m
	}
	without := unread("")
	without.Name = "eu"
	cases := map[string]struct {
		other *clusters.Member
		name  string // of the one that answers later, whose context is kind-eu
		want  string
	}{
		"the name of one that is read":         {newServer().member("default"), "default", "default:- kind-eu:-"},
		"the context of one that is not read":  {unread("eu"), "eu", "context/eu:? eu:-"},
		"the guessed name of one not read":     {unread("old-eu").Called("eu"), "eu", "old-eu:? eu:-"},
		"the name of a peer without context":   {without, "eu", "eu:? kind-eu:-"},
		"the context of none":                  {unread("eu"), "ap", "eu:? ap:-"},
		"the name is its own context, and not": {newServer().member("kind-eu"), "kind-eu", "kind-eu:- context/kind-eu:-"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			identify := func(_ context.Context, m *clusters.Member) (*clusters.Member, error) {
				if m.Context != "kind-eu" {
					return nil, m.Err
				}
				found := *m
				found.Name, found.CiliumNamespace = c.name, "kube-system"
				return &found, nil
			}
			if c.other.Err == nil {
				c.other.Context = "other"
			}
			w := Watch(t.Context(), []*clusters.Member{c.other, unread("kind-eu")}, 10*time.Second, Query{Namespace: "shop"}, identify)
			next(t, w, "the member", func(u Update) bool { return u.Members[1].Err == nil })
			if d := cmp.Diff(c.want, ready(w)); d != "" {
				t.Error(d)
			}
		})
	}
}
