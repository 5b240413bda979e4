// Package meshstate reads Services, EndpointSlices and Namespaces of all members
// into a routing.Snapshot, with gaps where a member could not be read. It is the
// only reader that mesh-svc and mesh-probe share, so that both predict from the same state.
package meshstate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// pageSize is how many objects one list call returns.
const pageSize = 500

// Query says which Services are read.
type Query struct {
	Namespace string // empty: all namespaces
	Name      string // empty: all of the namespace
	// Selector picks Services by their labels; nil picks all. A Service that matches in one member is read in every member:
	// else one that lacks the label in one cluster would look as if it were missing there.
	Selector labels.Selector
}

// State is a snapshot and the Services as the API returned them.
type State struct {
	routing.Snapshot
	// Errors holds the members that could not be read, by Cilium name.
	Errors map[string]*clusters.Error
	// Services holds each member's Services, by Cilium name.
	Services map[string]map[routing.Key]*corev1.Service
}

// memberState is what one member answered.
type memberState struct {
	services map[routing.Key]*corev1.Service
	cluster  routing.Cluster
}

// Read reads the members at once. A member's error becomes its Err and a gap in the snapshot.
func Read(ctx context.Context, members []*clusters.Member, timeout time.Duration, q Query) *State {
	results := clusters.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (memberState, error) {
		return readMember(ctx, m, q)
	})
	st := &State{Errors: map[string]*clusters.Error{}, Services: map[string]map[routing.Key]*corev1.Service{}}
	for _, r := range results {
		if r.Err != nil {
			r.Member.Err = r.Err
			st.Errors[r.Member.Name] = r.Err
			st.Clusters = append(st.Clusters, routing.Cluster{Name: r.Member.Name, Context: r.Member.Context, Gap: string(r.Err.Class)})
			continue
		}
		st.Clusters = append(st.Clusters, r.Value.cluster)
		st.Services[r.Member.Name] = r.Value.services
	}
	if q.Selector != nil {
		st.keep(q.Selector)
	}
	return st
}

// keep drops the Services that match in no member.
func (st *State) keep(selector labels.Selector) {
	matched := map[routing.Key]bool{}
	for _, services := range st.Services {
		for key, svc := range services {
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

func readMember(ctx context.Context, m *clusters.Member, q Query) (memberState, error) {
	var out memberState
	services, err := listServices(ctx, m, q)
	if err != nil {
		return out, err
	}
	slices, err := listSlices(ctx, m, q)
	if err != nil {
		return out, err
	}
	namespaces, err := listNamespaces(ctx, m, q)
	if err != nil {
		return out, err
	}
	out.services = map[routing.Key]*corev1.Service{}
	out.cluster = routing.Cluster{
		Name: m.Name, Context: m.Context, Version: m.Version, Peers: m.Peers, PeersKnown: m.PeersKnown,
		DefaultGlobalNamespace: m.Config.DefaultGlobalNamespace, EndpointSliceSync: m.Config.EndpointSliceSync,
		ID: m.Config.ClusterID, MaxClusters: m.Config.MaxConnectedClusters, IDKnown: true, ServiceTopology: m.Config.ServiceTopology,
		Namespaces: namespaces, Services: make(map[routing.Key]*routing.Service, len(services)),
	}
	for _, svc := range services {
		key := routing.Key{Namespace: svc.Namespace, Name: svc.Name}
		out.services[key] = svc
		out.cluster.Services[key] = routing.FromService(svc, slices[key])
	}
	return out, nil
}

func listServices(ctx context.Context, m *clusters.Member, q Query) ([]*corev1.Service, error) {
	api := m.Client.CoreV1().Services(q.Namespace)
	if q.Name != "" {
		svc, err := api.Get(ctx, q.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []*corev1.Service{svc}, nil
	}
	var out []*corev1.Service
	err := each(ctx, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return api.List(ctx, o) },
		func(svc *corev1.Service) { out = append(out, svc) })
	return out, err
}

func listSlices(ctx context.Context, m *clusters.Member, q Query) (map[routing.Key][]*discoveryv1.EndpointSlice, error) {
	o := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName}
	if q.Name != "" {
		o.LabelSelector = discoveryv1.LabelServiceName + "=" + q.Name
	}
	api := m.Client.DiscoveryV1().EndpointSlices(q.Namespace)
	out := map[routing.Key][]*discoveryv1.EndpointSlice{}
	err := each(ctx, o, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return api.List(ctx, o) },
		func(s *discoveryv1.EndpointSlice) {
			key := routing.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
			out[key] = append(out[key], s)
		})
	return out, err
}

// listNamespaces reads the annotations that gate exports. Where namespaces may
// not be read they count as not annotated, which is Cilium's default.
func listNamespaces(ctx context.Context, m *clusters.Member, q Query) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	api := m.Client.CoreV1().Namespaces()
	if q.Namespace != "" {
		ns, err := api.Get(ctx, q.Namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
			return out, nil
		case err != nil:
			return nil, err
		}
		out[ns.Name] = ns.Annotations
		return out, nil
	}
	err := each(ctx, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return api.List(ctx, o) },
		func(ns *corev1.Namespace) { out[ns.Name] = ns.Annotations })
	if apierrors.IsForbidden(err) {
		return out, nil
	}
	return out, err
}

// each lists in chunks, so that no answer of a large cluster is held twice.
func each[T runtime.Object](ctx context.Context, o metav1.ListOptions, list pager.ListPageFunc, visit func(T)) error {
	p := pager.New(list)
	p.PageSize = pageSize
	p.PageBufferSize = 0
	return p.EachListItem(ctx, o, func(obj runtime.Object) error {
		item, ok := obj.(T)
		if !ok {
			return fmt.Errorf("unexpected %T in a list", obj)
		}
		visit(item)
		return nil
	})
}
