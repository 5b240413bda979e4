package body

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// shrink removes parts of a case while the difference remains, so that the reader sees what matters.
// The first cluster, the client's, stays.
func shrink(cs []Cluster, differs func([]Cluster) bool) []Cluster {
	for again := true; again; {
		again = false
		for i := len(cs) - 1; i > 0; i-- {
			if less := slices.Delete(slices.Clone(cs), i, i+1); differs(less) {
				cs, again = less, true
			}
		}
		for i := range cs {
			with := func(c Cluster) []Cluster { l := slices.Clone(cs); l[i] = c; return l }
			for c := range smaller(cs[i]) {
				if differs(with(c)) {
					cs, again = with(c), true
					break
				}
			}
		}
	}
	return cs
}

func shrinkOne(c Cluster, differs func(Cluster) bool) Cluster {
	return shrink([]Cluster{c}, func(cs []Cluster) bool { return differs(cs[0]) })[0]
}

// smaller yields the cluster with one thing less, each time another.
func smaller(c Cluster) func(yield func(Cluster) bool) {
	return func(yield func(Cluster) bool) {
		for k := range c.Namespace {
			n := c
			n.Namespace = without(c.Namespace, k)
			if !yield(n) {
				return
			}
		}
		if c.Service == nil {
			return
		}
		service := func(change func(*corev1.Service)) Cluster {
			n := c
			n.Service = c.Service.DeepCopy()
			change(n.Service)
			return n
		}
		for k := range c.Service.Annotations {
			if !yield(service(func(s *corev1.Service) { delete(s.Annotations, k) })) {
				return
			}
		}
		for k := range c.Service.Labels {
			if !yield(service(func(s *corev1.Service) { delete(s.Labels, k) })) {
				return
			}
		}
		for i := range c.Service.Spec.Ports {
			if len(c.Service.Spec.Ports) > 1 && !yield(service(func(s *corev1.Service) { s.Spec.Ports = slices.Delete(s.Spec.Ports, i, i+1) })) {
				return
			}
		}
		if len(c.Service.Spec.ClusterIPs) > 1 && !yield(service(func(s *corev1.Service) { s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1] })) {
			return
		}
		for i, s := range c.Slices {
			n := c
			n.Slices = slices.Delete(slices.Clone(c.Slices), i, i+1)
			if !yield(n) {
				return
			}
			slice := func(change func(*discoveryv1.EndpointSlice)) Cluster {
				n := c
				n.Slices = slices.Clone(c.Slices)
				n.Slices[i] = s.DeepCopy()
				change(n.Slices[i])
				return n
			}
			for e := range s.Endpoints {
				if !yield(slice(func(s *discoveryv1.EndpointSlice) { s.Endpoints = slices.Delete(s.Endpoints, e, e+1) })) {
					return
				}
			}
			for p := range s.Ports {
				if !yield(slice(func(s *discoveryv1.EndpointSlice) { s.Ports = slices.Delete(s.Ports, p, p+1) })) {
					return
				}
			}
		}
	}
}

func without(m map[string]string, key string) map[string]string {
	m = maps.Clone(m)
	delete(m, key)
	return m
}
