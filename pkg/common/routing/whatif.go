package routing

import "slices"

// WithServices returns a snapshot in which some Services of one cluster are others, to predict
// what a change of them does. The input is not changed.
func (s *Snapshot) WithServices(cluster string, changed map[Key]*Service) *Snapshot {
	out := &Snapshot{Clusters: slices.Clone(s.Clusters)}
	for i := range out.Clusters {
		c := &out.Clusters[i]
		if c.Name != cluster {
			continue
		}
		services := make(map[Key]*Service, len(c.Services))
		for key, svc := range c.Services {
			services[key] = svc
		}
		for key, svc := range changed {
			services[key] = svc
		}
		c.Services = services
	}
	return out
}

// WithoutEndpoints returns a snapshot in which one cluster has no endpoint of
// one Service left, as after the loss of all its pods. The input is not changed.
func (s *Snapshot) WithoutEndpoints(cluster string, key Key) *Snapshot {
	changed := map[Key]*Service{}
	if c := s.Find(cluster); c != nil && c.Services[key] != nil {
		without := *c.Services[key]
		without.Endpoints = nil
		changed[key] = &without
	}
	return s.WithServices(cluster, changed)
}

// ReadyOnly returns a snapshot of the given Services with their ready endpoints alone, and those that may be. Who answers in it
// goes on answering; an endpoint that is terminating does not. The input is not changed.
func (s *Snapshot) ReadyOnly(keys []Key) *Snapshot {
	out := &Snapshot{Clusters: slices.Clone(s.Clusters)}
	for i := range out.Clusters {
		c := &out.Clusters[i]
		services := make(map[Key]*Service, len(keys))
		for _, key := range keys {
			if svc := c.Services[key]; svc != nil {
				ready := *svc
				ready.Endpoints = slices.DeleteFunc(slices.Clone(svc.Endpoints), func(e Endpoint) bool { return !e.Ready && !e.DisputedConditions && !e.isPlaceholder() })
				services[key] = &ready
			}
		}
		c.Services = services
	}
	return out
}

// OnEmptyNodes returns what clients on nodes without an endpoint of a Service may use, in a snapshot for these clients and this Service only; nil if that is what
// all clients of their cluster use. With internalTrafficPolicy Local, Cilium does not use the endpoints on other nodes of the client's own cluster, but uses those
// of other clusters. The input is not changed.
func (s *Snapshot) OnEmptyNodes(client string, key Key) *Snapshot {
	c := s.Find(client)
	if c == nil || c.Services[key] == nil {
		return nil
	}
	if svc := c.Services[key]; !svc.InternalLocal || svc.Headless || svc.Proxied() {
		return nil
	}
	one := &Snapshot{Clusters: slices.Clone(s.Clusters)} // WithoutEndpoints copies all Services
	for i := range one.Clusters {
		one.Clusters[i].Services = nil
		if svc := s.Clusters[i].Services[key]; svc != nil {
			one.Clusters[i].Services = map[Key]*Service{key: svc}
		}
	}
	return one.WithoutEndpoints(client, key)
}
