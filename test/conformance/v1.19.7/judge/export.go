package judge

import (
	"fmt"
	"net/netip"
	"path"

	"github.com/cilium/cilium/pkg/clustermesh/store"
	"github.com/cilium/cilium/pkg/k8s"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

// Export implements body.Judge.
func (j *Judge) Export(c body.Cluster) (body.Exported, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	offer, err := j.export(c)
	if err != nil || offer == nil {
		return nil, false, err
	}
	out := body.Exported{}
	for ip, ports := range offer.Backends {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, false, fmt.Errorf("cluster %s: exported address: %w", c.Name, err)
		}
		out[addr] = map[string]body.Port{}
		for name, p := range ports {
			out[addr][name] = body.Port{Protocol: string(p.Protocol), Port: p.Port}
		}
	}
	return out, true, nil
}

// export returns what the importing side of another cluster reads from etcd, nil if there is nothing.
func (j *Judge) export(c body.Cluster) (*store.ClusterService, error) {
	svc, slices, err := j.seen(c)
	if svc == nil || err != nil {
		return nil, err
	}
	endpoints := make([]*k8s.Endpoints, len(slices))
	for i, s := range slices {
		endpoints[i] = k8s.ParseEndpointSliceV1(j.log, s)
	}
	out, ok := j.converter.Convert(svc, func(string, string) []*k8s.Endpoints { return endpoints })
	if !ok {
		return nil, nil
	}
	// The converter was told of no cluster when it was made: it serves all of them.
	out.Cluster, out.ClusterID = c.Name, c.ID
	data, err := out.Marshal()
	if err != nil {
		return nil, fmt.Errorf("cluster %s: write to etcd: %w", c.Name, err)
	}
	in := store.KeyCreator(store.ClusterNameValidator(c.Name), store.NamespacedNameValidator(), store.ClusterIDValidator(&c.ID))()
	if err := in.Unmarshal(path.Join(svc.Namespace, svc.Name), data); err != nil {
		return nil, fmt.Errorf("cluster %s: read from etcd: %w", c.Name, err)
	}
	return &in.(*store.ValidatingClusterService).ClusterService, nil
}
