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
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
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
	dirty   map[routing.Key]bool // without a name: what the namespace has
	all     bool                 // every Service is dirty: a member came or went, or namespaces of it
	changes []changed            // since the last Next
	pending int                  // members of which nothing is known yet
	begun   bool                 // there was a first update
}

// MemberChanged says that a member was lost or is there again.
type MemberChanged struct {
	Member *clusters.Member
	Err    *failure.Error // nil: it is there
}

// changed is that while it is gathered.
type changed struct {
	feed *feed
	err  *failure.Error
}

// Update is what changed since the last one. The state is asked for the Services that are in it.
type Update struct {
	Keys    []routing.Key
	Changed []MemberChanged
	// Members are all members as they are now. They are copies: a later update has others.
	Members []*clusters.Member
}

// feed is one member as the watcher sees it.
type feed struct {
	w       *Watcher
	m       *clusters.Member // as it is now, under the lock
	shown   *clusters.Member // as the caller knows it; only the caller's calls replace it
	changed bool             // they differ
	content
	read  bool // there is something to go by
	asked bool // it was read or failed at least once
}

// content is what a member holds. Its methods take in one object, or its end, and return the Services that it concerns;
// a key without a name means all that any member has in the namespace.
type content struct {
	services  map[routing.Key]*routing.Service              // without endpoints
	endpoints map[routing.Key]map[string][]routing.Endpoint // by EndpointSlice
	serviceOf map[types.NamespacedName]routing.Key          // of each EndpointSlice: its label may change
	// wrongKeys holds, by EndpointSlice, the keys that only look like one of Cilium's, for the few slices that have any.
	wrongKeys  map[routing.Key]map[string][]cilium.WrongKey
	namespaces map[string]map[string]string
	// namespaceOwners is the controllers that write a namespace, for those that any does.
	namespaceOwners map[string]*owners.Object
	// namespacesHidden says that namespaces may not be read: one that is not there may exist.
	namespacesHidden bool
}

func newContent() *content {
	return &content{
		services: map[routing.Key]*routing.Service{}, endpoints: map[routing.Key]map[string][]routing.Endpoint{},
		serviceOf: map[types.NamespacedName]routing.Key{}, wrongKeys: map[routing.Key]map[string][]cilium.WrongKey{},
		namespaces: map[string]map[string]string{}, namespaceOwners: map[string]*owners.Object{},
	}
}

// Watch begins to follow the members that a selection has, those that could not be read included: identify is asked
// again for them, and for each member that was lost. It ends with the context. Next returns the members as they are then.
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
		if u := w.take(); u.Keys != nil || u.Changed != nil || first {
			w.begun = true
			return u, nil
		}
	}
}

// take returns what is dirty and forgets it.
func (w *Watcher) take() Update {
	w.mu.Lock()
	defer w.mu.Unlock()
	var u Update
	for _, f := range w.feeds {
		if f.changed {
			f.shown = f.m.After(f.shown)
			f.changed = false
		}
		u.Members = append(u.Members, f.shown)
	}
	for _, c := range w.changes {
		u.Changed = append(u.Changed, MemberChanged{c.feed.shown, c.err})
	}
	w.spread()
	u.Keys = slices.SortedFunc(maps.Keys(w.dirty), func(a, b routing.Key) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	w.dirty, w.all, w.changes = map[routing.Key]bool{}, false, nil
	return u
}

// spread marks the Services of keys that cover more than one Service. The caller holds the lock.
func (w *Watcher) spread() {
	namespaces := map[string]bool{}
	for k := range w.dirty {
		if k.Name == "" {
			namespaces[k.Namespace] = true
			delete(w.dirty, k)
		}
	}
	if !w.all && len(namespaces) == 0 {
		return
	}
	for _, f := range w.feeds {
		for k := range f.services {
			if w.all || namespaces[k.Namespace] {
				w.dirty[k] = true
			}
		}
	}
}

// State is a snapshot of some Services in all members.
func (w *Watcher) State(keys []routing.Key) *State {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := &State{Errors: map[string]*failure.Error{}}
	for _, f := range w.feeds {
		st.Members = append(st.Members, f.shown)
		if !f.read {
			st.Errors[f.m.Name] = f.m.Err
			st.Clusters = append(st.Clusters, routing.Cluster{Name: f.m.Name, Context: f.m.Context, Gap: string(f.m.Err.Class)})
			continue
		}
		c := clusterOf(f.m)
		c.Namespaces, c.NamespacesHidden, c.NamespaceOwners = maps.Clone(f.namespaces), f.namespacesHidden, maps.Clone(f.namespaceOwners)
		for _, k := range keys {
			if svc := f.services[k]; svc != nil {
				whole := *svc
				whole.WrongSliceKeys = maps.Clone(f.wrongKeys[k])
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

// touch marks Services as changed. The caller holds the lock.
func (w *Watcher) touch(keys []routing.Key) {
	for _, k := range keys {
		w.dirty[k] = true
	}
	if len(keys) > 0 {
		w.signal()
	}
}

func (w *Watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // one is waiting already
	}
}

func (c *content) service(svc *corev1.Service, gone bool) []routing.Key {
	converted := routing.FromService(svc, nil)
	if gone {
		delete(c.services, converted.Key)
	} else {
		c.services[converted.Key] = converted
	}
	return []routing.Key{converted.Key}
}

func (c *content) slice(s *discoveryv1.EndpointSlice, gone bool) []routing.Key {
	var concerned []routing.Key
	id := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	if was, known := c.serviceOf[id]; known {
		concerned = append(concerned, was)
		delete(c.serviceOf, id)
		delete(c.endpoints[was], s.Name)
		if len(c.endpoints[was]) == 0 {
			delete(c.endpoints, was)
		}
		delete(c.wrongKeys[was], s.Name)
		if len(c.wrongKeys[was]) == 0 {
			delete(c.wrongKeys, was)
		}
	}
	if gone {
		return concerned
	}
	k, endpoints := routing.FromSlice(s)
	if c.endpoints[k] == nil {
		c.endpoints[k] = map[string][]routing.Endpoint{}
	}
	c.serviceOf[id], c.endpoints[k][s.Name] = k, endpoints
	if wrong := cilium.WrongSliceKeys(s.Annotations, s.Labels); len(wrong) > 0 {
		if c.wrongKeys[k] == nil {
			c.wrongKeys[k] = map[string][]cilium.WrongKey{}
		}
		c.wrongKeys[k][s.Name] = wrong
	}
	return append(concerned, k)
}

func (c *content) namespace(ns *corev1.Namespace, gone bool) []routing.Key {
	was, there := c.namespaces[ns.Name]
	delete(c.namespaceOwners, ns.Name)
	if o := owners.Of(ns.ObjectMeta); o != nil && !gone {
		c.namespaceOwners[ns.Name] = o
	}
	if !gone && there && maps.Equal(was, ns.Annotations) {
		return nil
	}
	delete(c.namespaces, ns.Name)
	if !gone {
		c.namespaces[ns.Name] = ns.Annotations
	}
	return []routing.Key{{Namespace: ns.Name}}
}

func kindOptions(q Query) (services, slices, namespaces metav1.ListOptions) {
	slices.LabelSelector = discoveryv1.LabelServiceName
	if q.Namespace != "" {
		namespaces.FieldSelector = "metadata.name=" + q.Namespace
	}
	return services, slices, namespaces
}
