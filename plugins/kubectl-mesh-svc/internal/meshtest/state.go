package meshtest

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// State puts Services NAME into clusters that are all peers of one another; a cluster is "us=nginx,web".
func State(t *testing.T, specs ...string) (*meshstate.State, []*clusters.Member) {
	t.Helper()
	st := &meshstate.State{Errors: map[string]*failure.Error{}, Services: map[string]map[routing.Key]*corev1.Service{}}
	var members []*clusters.Member
	for n, spec := range specs {
		cluster, list, _ := strings.Cut(spec, "=")
		m := &clusters.Member{Name: cluster, Context: "kind-" + cluster, CiliumNamespace: "cilium"}
		m.Config.ClusterID = uint32(n + 1)
		st.Services[cluster] = map[routing.Key]*corev1.Service{}
		c := routing.Cluster{Name: cluster, Version: cilium.ParseVersion("1.18.11"), PeersKnown: true, NamespacesHidden: true, Services: map[routing.Key]*routing.Service{}}
		for _, other := range specs {
			if peer, _, _ := strings.Cut(other, "="); peer != cluster {
				c.Peers = append(c.Peers, peer)
			}
		}
		for s := range strings.SplitSeq(list, ",") {
			if s == "" {
				continue
			}
			ns, name, ok := strings.Cut(s, "/")
			if !ok {
				ns, name = "default", s
			}
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"172.20.1.1"}, Ports: []corev1.ServicePort{{Port: 80}}}}
			if name == derivedFromWeb[ns] {
				Derived(svc)
			}
			key := routing.Key{Namespace: ns, Name: name}
			st.Services[cluster][key], c.Services[key] = svc, routing.FromService(svc, nil)
		}
		st.Clusters = append(st.Clusters, c)
		members = append(members, m)
	}
	return st, members
}

// derivedFromWeb are the names that Cilium derives from ServiceImport web, by namespace.
var derivedFromWeb = map[string]string{"default": "derived-gapqrqeg1j", "shop": "derived-isrlchlhrq"}

// Derived makes a Service the one that Cilium derives from ServiceImport web of its namespace.
func Derived(s *corev1.Service) {
	s.Name = derivedFromWeb[s.Namespace]
	s.Labels = map[string]string{cilium.LabelImportedService: "web"}
}
