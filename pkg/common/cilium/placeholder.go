package cilium

import "net/netip"

// AnnotationL7 makes Cilium's operator send the connections of a Service through Envoy, where loadbalancer.l7.backend is envoy.
// Source: isLBProtocolAnnotationEnabled in operator/pkg/ciliumenvoyconfig/annotations.go (1.20.2, read).
const AnnotationL7 = "service.cilium.io/lb-l7"

// placeholderAddress and placeholderPort are the endpoint of every Service that Cilium's operator and chart make for a Gateway or an
// Ingress. It is IPv4 whatever the families of the Service are, and its port has no name.
var placeholderAddress = netip.AddrFrom4([4]byte{192, 192, 192, 192})

const placeholderPort = 9999

// IsPlaceholder reports whether an endpoint is the placeholder of a Service whose frontends Cilium redirects to the Envoy of the
// client's node. Nothing listens there. The agents skip it in their own cluster only: the exporter offers it like any endpoint, and
// the agents of other clusters import it.
// Source: isIngressDummyEndpoint in pkg/loadbalancer/reflectors/conversions.go, operator/pkg/model/translation,
// templates/cilium-ingress-service.yaml and ClusterServiceToBackendParams in pkg/clustermesh/service_merger.go (1.20.2, read).
func IsPlaceholder(addr netip.Addr, port int32) bool {
	return addr.Unmap() == placeholderAddress && port == placeholderPort
}

// L7Balanced reports whether a Service asks for load balancing by Envoy.
func L7Balanced(ann map[string]string) bool { return ann[AnnotationL7] == "enabled" }
