// Package meshstate reads Services, EndpointSlices and Namespaces of all members
// into a routing.Snapshot, with gaps for members that could not be read. mesh-svc and
// mesh-probe share this reader, so that both predict from the same state.
package meshstate

import (
	"cmp"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

const (
	// firstPage and laterPages are how many objects one answer holds. Most clusters are read with the first page, of which there may be
	// two for each of hundreds of clusters at once. Later pages are larger, since each is a round trip.
	firstPage  = 500
	laterPages = 2500
	// maxLater bounds how many later pages are asked for at once: enough to keep the processor busy while others are on their way,
	// and as much memory as large clusters may take, however many they are.
	maxLater = 8
)

// Query says which Services are read.
type Query struct {
	Namespace string // empty: all namespaces
	Name      string // empty: all of the namespace
	// Selector picks Services by their labels; nil picks all. A Service that matches in one member is read in every member:
	// else one that lacks the label in one cluster would look as if it were missing there.
	Selector labels.Selector
	// Objects keeps the Services as the API returned them, which a change needs. They are several times as large as what
	// a snapshot needs of them, so that nothing that only reads asks for them.
	Objects bool
}

// State is a snapshot and, if asked for, the Services as the API returned them.
type State struct {
	routing.Snapshot
	// Members are the members that were asked, in the same order. One that could not be read is a copy with its error.
	Members []*clusters.Member
	// Errors holds the members that could not be read, by Cilium name.
	Errors map[string]*failure.Error
	// Services holds each member's Services, by Cilium name, if Query.Objects says so.
	Services map[string]map[routing.Key]*corev1.Service
}

// Now returns members as they are in the state, by their names. Members that are not in it stay as they are.
func (st *State) Now(members []*clusters.Member) []*clusters.Member {
	byName := map[string]*clusters.Member{}
	for _, m := range st.Members {
		byName[m.Name] = m
	}
	out := make([]*clusters.Member, len(members))
	for i, m := range members {
		out[i] = cmp.Or(byName[m.Name], m)
	}
	return out
}

// reader reads members.
type reader struct {
	Query
	pager
}

// pager asks for lists page by page.
type pager struct {
	timeout time.Duration // for each page
	later   chan struct{} // holds one for each later page that is asked for
}

func newPager(timeout time.Duration) pager {
	return pager{timeout: timeout, later: make(chan struct{}, maxLater)}
}

// memberState is what one member answered.
type memberState struct {
	ungated error                           // why namespaces may not be read; nil where they may
	objects map[routing.Key]*corev1.Service // nil unless they are kept
	cluster routing.Cluster
}

// Read reads the members at once. The error of a member becomes a gap in the snapshot.
//
// timeout applies to each request, not to all requests of a member: a large cluster, or a mesh that keeps this processor
// busy for a long time, must not look like a cluster that does not answer.
func Read(ctx context.Context, members []*clusters.Member, timeout time.Duration, q Query) *State {
	r := newReader(timeout, q)
	return snapshot(ctx, members, q, r.read)
}

func newReader(timeout time.Duration, q Query) *reader {
	return &reader{Query: q, pager: newPager(timeout)}
}

// reads reports whether the reader asks what a query asks. Which of the Services match is decided when all are read.
func (r *reader) reads(q Query) bool {
	return r.Namespace == q.Namespace && r.Name == q.Name && r.Objects == q.Objects
}

// snapshot puts together what read returns of each member.
func snapshot(ctx context.Context, members []*clusters.Member, q Query, read func(context.Context, *clusters.Member) (memberState, error)) *State {
	st := &State{Errors: map[string]*failure.Error{}, Services: map[string]map[routing.Key]*corev1.Service{}}
	for _, r := range fanout.Each(ctx, members, 0, read) {
		if r.Value.ungated != nil {
			r.Member.Unseen(ungated, r.Value.ungated)
		}
		st.Members = append(st.Members, after(r))
		if r.Err != nil {
			st.Errors[r.Member.Name] = r.Err
			st.Clusters = append(st.Clusters, routing.Cluster{Name: r.Member.Name, Context: r.Member.Context, Gap: string(r.Err.Class)})
			continue
		}
		st.Clusters = append(st.Clusters, r.Value.cluster)
		if q.Objects {
			st.Services[r.Member.Name] = r.Value.objects
		}
	}
	if q.Selector != nil {
		st.keep(q.Selector)
	}
	return st
}

// after returns a member as it is after it was asked.
func after[T any](r fanout.Result[*clusters.Member, T]) *clusters.Member {
	if r.Err == r.Member.Err {
		return r.Member
	}
	return r.Member.WithError(r.Err)
}

// keep drops the Services that match in no member.
func (st *State) keep(selector labels.Selector) {
	matched := map[routing.Key]bool{}
	for _, c := range st.Clusters {
		for key, svc := range c.Services {
			if selector.Matches(labels.Set(svc.Labels)) {
				matched[key] = true
			}
		}
	}
	for i, c := range st.Clusters {
		for key := range c.Services {
			if !matched[key] {
				delete(st.Clusters[i].Services, key)
				delete(st.Services[c.Name], key)
			}
		}
	}
}

// read asks for the three kinds at once. What it asks is consistent with every write before it: no list is
// taken from a cache of the API server that may lag behind (resourceVersion 0).
func (r *reader) read(ctx context.Context, m *clusters.Member) (memberState, error) {
	out := memberState{cluster: clusterOf(m)}
	if r.Objects {
		out.objects = map[routing.Key]*corev1.Service{}
	}
	var (
		wg        sync.WaitGroup
		endpoints map[routing.Key][]routing.Endpoint
		odd       []*discoveryv1.EndpointSlice // with annotations that look like Cilium's
		errs      [3]error
	)
	wg.Go(func() { errs[0] = r.services(ctx, m, &out) })
	wg.Go(func() { endpoints, odd, errs[1] = r.endpoints(ctx, m) })
	wg.Go(func() { errs[2] = r.namespaces(ctx, m, &out) })
	wg.Wait()
	// Always the same one of several errors, whichever came first.
	if err := cmp.Or(errs[0], errs[1], errs[2]); err != nil {
		return out, err
	}
	for key, svc := range out.cluster.Services {
		svc.AddEndpoints(endpoints[key])
	}
	for _, s := range odd {
		key, _ := routing.FromSlice(s)
		if svc := out.cluster.Services[key]; svc != nil {
			svc.NoteSlice(s)
		}
	}
	return out, nil
}

// clusterOf is what a member said of itself, before its Services are read.
func clusterOf(m *clusters.Member) routing.Cluster {
	return routing.Cluster{
		Name: m.Name, Context: m.Context, Version: m.Version, Peers: m.Peers, PeersKnown: m.PeersKnown,
		DefaultGlobalNamespace: m.Config.DefaultGlobalNamespace, EndpointSliceSync: m.Config.EndpointSliceSync,
		ID: m.Config.ClusterID, MaxClusters: m.Config.MaxConnectedClusters, IDKnown: true, ServiceTopology: m.Config.ServiceTopology, ServiceProxyName: m.Config.ServiceProxyName,
		Services: map[routing.Key]*routing.Service{},
	}
}

func (r *reader) services(ctx context.Context, m *clusters.Member, s *memberState) error {
	add := func(svc *corev1.Service) {
		converted := routing.FromService(svc, nil)
		s.cluster.Services[converted.Key] = converted
		if s.objects != nil {
			s.objects[converted.Key] = svc
		}
	}
	api := m.Client.CoreV1().Services(r.Namespace)
	if r.Name != "" {
		svc, err := get(ctx, r.timeout, r.Name, api.Get)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		add(svc)
		return nil
	}
	return pages(ctx, r.pager, metav1.ListOptions{}, api.List, func(l *corev1.ServiceList) error {
		for i := range l.Items {
			add(&l.Items[i])
		}
		return nil
	})
}

// endpoints reads the endpoints by Service, those of all its EndpointSlices in a row, and the slices with annotations that look like Cilium's.
func (r *reader) endpoints(ctx context.Context, m *clusters.Member) (map[routing.Key][]routing.Endpoint, []*discoveryv1.EndpointSlice, error) {
	var odd []*discoveryv1.EndpointSlice
	o := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName}
	if r.Name != "" {
		o.LabelSelector = discoveryv1.LabelServiceName + "=" + r.Name
	}
	out := map[routing.Key][]routing.Endpoint{}
	err := pages(ctx, r.pager, o, m.Client.DiscoveryV1().EndpointSlices(r.Namespace).List, func(l *discoveryv1.EndpointSliceList) error {
		for i := range l.Items {
			key, endpoints := routing.FromSlice(&l.Items[i])
			if len(cilium.WrongSliceKeys(l.Items[i].Annotations, l.Items[i].Labels)) > 0 {
				odd = append(odd, l.Items[i].DeepCopy()) // the page is not kept
			}
			if have := out[key]; have != nil {
				endpoints = append(have, endpoints...)
			}
			out[key] = endpoints
		}
		return nil
	})
	return out, odd, err
}

// ungated is the warning if namespaces cannot be read.
const ungated = "the annotations of namespaces are unknown; namespaces count as not annotated"

// namespaces reads the annotations that gate exports, and whether they may be read. Where they may not
// namespaces count as not annotated, which is Cilium's default.
func (r *reader) namespaces(ctx context.Context, m *clusters.Member, s *memberState) error {
	into := &s.cluster
	into.Namespaces, into.WrongKeys = map[string]map[string]string{}, map[string][]cilium.WrongKey{}
	add := func(ns *corev1.Namespace) {
		into.Namespaces[ns.Name] = ns.Annotations
		if o := owners.Of(ns.ObjectMeta); o != nil {
			if into.NamespaceOwners == nil {
				into.NamespaceOwners = map[string]*owners.Object{}
			}
			into.NamespaceOwners[ns.Name] = o
		}
		if wrong := cilium.WrongNamespaceKeys(ns.Annotations, ns.Labels); len(wrong) > 0 {
			into.WrongKeys[ns.Name] = wrong
		}
	}
	api := m.Client.CoreV1().Namespaces()
	var err error
	if r.Namespace != "" {
		var ns *corev1.Namespace
		if ns, err = get(ctx, r.timeout, r.Namespace, api.Get); err == nil {
			add(ns)
		} else if apierrors.IsNotFound(err) {
			err = nil
		}
	} else {
		err = pages(ctx, r.pager, metav1.ListOptions{}, api.List, func(l *corev1.NamespaceList) error {
			for i := range l.Items {
				add(&l.Items[i])
			}
			return nil
		})
	}
	if apierrors.IsForbidden(err) {
		s.ungated, into.NamespacesHidden = err, true
		return nil
	}
	return err
}

// get reads one object.
func get[T any](ctx context.Context, timeout time.Duration, name string, call func(context.Context, string, metav1.GetOptions) (T, error)) (T, error) {
	return fanout.Within(ctx, timeout, func(ctx context.Context) (T, error) { return call(ctx, name, metav1.GetOptions{}) })
}

// pages lists page by page, so that only some of the objects are held beside what is made of them.
func pages[L metav1.ListInterface](ctx context.Context, p pager, o metav1.ListOptions, list func(context.Context, metav1.ListOptions) (L, error), visit func(L) error) error {
	one := func() error {
		page, err := fanout.Within(ctx, p.timeout, func(ctx context.Context) (L, error) { return list(ctx, o) })
		if err != nil {
			return err
		}
		o.Continue = page.GetContinue()
		return visit(page)
	}
	o.Limit = firstPage
	if err := one(); err != nil {
		return err
	}
	for o.Limit = laterPages; o.Continue != ""; {
		select {
		case p.later <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := one()
		<-p.later
		if err != nil {
			return err
		}
	}
	return nil
}
