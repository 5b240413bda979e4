package meshstate

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// settle is how long changes are gathered after the first one: a rollout changes one EndpointSlice many times.
const settle = 200 * time.Millisecond

// Watcher follows the Services of all members. It holds what is there now and no events: however fast the members
// change, and however slow the reader is, it needs the memory of one state.
type Watcher struct {
	pager
	query Query
	wake  chan struct{} // something is dirty; holds one token

	mu      sync.Mutex
	feeds   []*feed
	dirty   map[routing.Key]bool
	all     bool            // every Service is dirty: a member came or went
	changes []MemberChanged // since the last Next
	pending int             // members of which nothing is known yet
	begun   bool            // there was a first update
}

// MemberChanged says that a member was lost or is there again.
type MemberChanged struct {
	Member *clusters.Member
	Err    *clusters.Error // nil: it is there
}

// Update is what changed since the last one. The state is asked for the Services that are in it.
type Update struct {
	Keys    []routing.Key
	Members []MemberChanged
}

// feed is one member as the watcher sees it.
type feed struct {
	w          *Watcher
	m          *clusters.Member                              // a copy of our own, under the lock
	shown      *clusters.Member                              // the caller's, which only the caller's calls change
	changed    bool                                          // the copy differs
	services   map[routing.Key]*routing.Service              // without endpoints
	endpoints  map[routing.Key]map[string][]routing.Endpoint // by EndpointSlice
	namespaces map[string]map[string]string
	read       bool // there is something to go by
	asked      bool // it was read or failed at least once
}

// Watch begins to follow the members that a selection has, those that could not be read included: identify is asked
// again for them, and for each member that was lost. It ends with the context. The members are brought up to date by Next.
// timeout is for each request, as for Read.
func Watch(ctx context.Context, members []*clusters.Member, timeout time.Duration, q Query, identify func(context.Context, *clusters.Member) (*clusters.Member, error)) *Watcher {
	w := &Watcher{pager: newPager(timeout), query: q, wake: make(chan struct{}, 1), dirty: map[routing.Key]bool{}, pending: len(members)}
	for _, m := range members {
		own := *m
		w.feeds = append(w.feeds, &feed{w: w, m: &own, shown: m})
	}
	for _, f := range w.feeds {
		go f.run(ctx, identify)
	}
	return w
}

// Next waits until something changed, and a moment longer for what changes with it. The first one comes as soon as
// every member was read or failed, and has every Service.
func (w *Watcher) Next(ctx context.Context) (Update, error) {
	for {
		select {
		case <-ctx.Done():
			return Update{}, ctx.Err()
		case <-w.wake:
		}
		w.mu.Lock()
		waiting, first := w.pending > 0, !w.begun
		w.mu.Unlock()
		if waiting {
			continue
		}
		timer := time.NewTimer(settle)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Update{}, ctx.Err()
		case <-timer.C:
		}
		if u := w.take(); u.Keys != nil || u.Members != nil || first {
			w.begun = true
			return u, nil
		}
	}
}

// take returns what is dirty and forgets it.
func (w *Watcher) take() Update {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.feeds {
		if f.changed {
			*f.shown, f.changed = *f.m, false
		}
		if w.all {
			for k := range f.services {
				w.dirty[k] = true
			}
		}
	}
	u := Update{Members: w.changes, Keys: slices.SortedFunc(maps.Keys(w.dirty), func(a, b routing.Key) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})}
	w.dirty, w.all, w.changes = map[routing.Key]bool{}, false, nil
	return u
}

// State is a snapshot of some Services in all members.
func (w *Watcher) State(keys []routing.Key) *State {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := &State{Errors: map[string]*clusters.Error{}}
	for _, f := range w.feeds {
		if !f.read {
			st.Errors[f.m.Name] = f.m.Err
			st.Clusters = append(st.Clusters, routing.Cluster{Name: f.m.Name, Context: f.m.Context, Gap: string(f.m.Err.Class)})
			continue
		}
		c := clusterOf(f.m)
		c.Namespaces = maps.Clone(f.namespaces)
		for _, k := range keys {
			if svc := f.services[k]; svc != nil {
				whole := *svc
				// In an order that does not depend on when they came.
				for _, name := range slices.Sorted(maps.Keys(f.endpoints[k])) {
					whole.AddEndpoints(f.endpoints[k][name])
				}
				c.Services[k] = &whole
			}
		}
		st.Clusters = append(st.Clusters, c)
	}
	if w.query.Selector != nil {
		st.keep(w.query.Selector)
	}
	return st
}

// touch marks a Service as changed. The caller holds the lock.
func (w *Watcher) touch(k routing.Key) {
	w.dirty[k] = true
	w.signal()
}

func (w *Watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // one is waiting already
	}
}

// service takes in one Service, or its end.
func (f *feed) service(svc *corev1.Service, gone bool) {
	converted := routing.FromService(svc, nil)
	if gone {
		delete(f.services, converted.Key)
	} else {
		f.services[converted.Key] = converted
	}
	f.w.touch(converted.Key)
}

// slice takes in one EndpointSlice, or its end.
func (f *feed) slice(s *discoveryv1.EndpointSlice, gone bool) {
	k, endpoints := routing.FromSlice(s)
	if gone {
		delete(f.endpoints[k], s.Name)
		if len(f.endpoints[k]) == 0 {
			delete(f.endpoints, k)
		}
	} else {
		if f.endpoints[k] == nil {
			f.endpoints[k] = map[string][]routing.Endpoint{}
		}
		f.endpoints[k][s.Name] = endpoints
	}
	f.w.touch(k)
}

// namespace takes in a Namespace's annotations, which concern all Services in it.
func (f *feed) namespace(ns *corev1.Namespace, gone bool) {
	if !gone && maps.Equal(f.namespaces[ns.Name], ns.Annotations) {
		return
	}
	delete(f.namespaces, ns.Name)
	if !gone {
		f.namespaces[ns.Name] = ns.Annotations
	}
	for k := range f.services {
		if k.Namespace == ns.Name {
			f.w.touch(k)
		}
	}
}

func kindOptions(q Query) (services, slices, namespaces metav1.ListOptions) {
	slices.LabelSelector = discoveryv1.LabelServiceName
	if q.Namespace != "" {
		namespaces.FieldSelector = "metadata.name=" + q.Namespace
	}
	return services, slices, namespaces
}
