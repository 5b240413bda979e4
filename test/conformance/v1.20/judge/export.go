package judge

import (
	"fmt"
	"net/netip"
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cmnamespace "github.com/cilium/cilium/pkg/clustermesh/namespace"
	"github.com/cilium/cilium/pkg/clustermesh/store"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	slim_discovery_v1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/discovery/v1"

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
	*j.namespace = namespaces{name: svc.Namespace, annotations: c.Namespace, byDefault: c.GlobalByDefault}
	out, ok, err := j.converter.Convert(svc, func(string, string) []*slim_discovery_v1.EndpointSlice { return slices })
	if err != nil {
		return nil, fmt.Errorf("cluster %s: convert for export: %w", c.Name, err)
	}
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

// namespaces answers the exporter's question for the one namespace of a question, with Cilium's rule.
type namespaces struct {
	name        string
	annotations map[string]string
	byDefault   bool
}

var _ cmnamespace.Manager = (*namespaces)(nil)

// IsGlobalNamespaceByName implements Cilium's Manager.
func (n *namespaces) IsGlobalNamespaceByName(name string) (bool, error) {
	if name != n.name {
		return false, fmt.Errorf("namespace %s is not the question's, %s", name, n.name)
	}
	return cmnamespace.IsGlobalNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: n.annotations}}, n.byDefault), nil
}

// IsGlobalNamespaceByObject implements Cilium's Manager.
func (n *namespaces) IsGlobalNamespaceByObject(ns *slim_corev1.Namespace) bool {
	return cmnamespace.IsGlobalNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: ns.GetAnnotations()}}, n.byDefault)
}
