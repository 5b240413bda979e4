package install

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// dnsPort is where the lab's DNS server listens on the first node.
const dnsPort = 53

// BeforeHelm returns what a cluster needs before Cilium's chart is installed in it: the definitions that Cilium's operator
// registers (crds, as YAML), the cluster's DNS and, if ca is not nil, that CA. Where Helm signs, it is marked so that Helm adopts it; certgen
// signs with any CA that it finds.
func BeforeHelm(c state.Cluster, crds [][]byte, ca *pki.Pair) ([]Object, error) {
	s := site{Cluster: c}
	objects := make([]Object, 0, len(crds)+3)
	for _, data := range crds {
		content := map[string]any{}
		if err := yaml.Unmarshal(data, &content); err != nil {
			return nil, fmt.Errorf("definition of a resource of Cilium: %w", err)
		}
		objects = append(objects, Object{Unstructured: &unstructured.Unstructured{Object: content}, Manager: managerOperator})
	}
	objects = append(objects, clusterDNS(s), dnsEndpoints(s))
	if ca != nil {
		meta := helmMeta(secretCA, nil)
		if s.method() == Certgen {
			meta = bareMeta(secretCA)
		}
		objects = append(objects, object(managerUser, &corev1.Secret{
			ObjectMeta: meta, Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{"ca.crt": ca.Cert, "ca.key": ca.Key},
		}))
	}
	return objects, nil
}

// NewCA makes a CA as Cilium's chart does.
func NewCA(now time.Time) (*pki.Pair, error) {
	certs, err := newCertificates(site{Cluster: state.Cluster{Install: string(Helm)}, now: now})
	if err != nil {
		return nil, err
	}
	return &certs.ca, nil
}

// dnsEndpoints are the endpoints of Service kube-dns: the lab's server on the first node. No pod has the Service's labels.
func dnsEndpoints(s site) Object {
	return object(managerKubeadm, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kube-dns-lab", Namespace: Namespace,
			Labels: map[string]string{
				discoveryv1.LabelServiceName: "kube-dns", discoveryv1.LabelManagedBy: "meshlab", "k8s-app": "kube-dns",
			},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{s.Nodes[0].Address}, NodeName: ptr.To(s.Nodes[0].Name),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("dns"), Port: ptr.To[int32](dnsPort), Protocol: ptr.To(corev1.ProtocolUDP)},
			{Name: ptr.To("dns-tcp"), Port: ptr.To[int32](dnsPort), Protocol: ptr.To(corev1.ProtocolTCP)},
		},
	})
}
