package podexec

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Marks of a proxy in a pod's path. A label that only requests an injection is not a mark, because the pod may be older than the label.
const (
	labelDataplaneMode = "istio.io/dataplane-mode" // of a pod, or of its namespace
	noDataplane        = "none"
)

// mark is an annotation or a label that the injector or the CNI plugin of a mesh adds to a pod. An empty value matches every value.
type mark struct{ key, value, proxy string }

// Sources: pkg/kube/inject and cni/pkg/util of istio 1.24; pkg/k8s/labels.go of linkerd2 edge-25; pkg/plugins/runtime/k8s/metadata of kuma 2.9;
// control-plane/connect-inject/constants of consul-k8s 1.6; docs of Kmesh 1.0, Open Service Mesh 1.2 and NGINX Service Mesh 2.0.
var marks = []mark{
	{"sidecar.istio.io/status", "", "Istio sidecar"},
	{"ambient.istio.io/redirection", "enabled", "Istio ambient"},
	{"kmesh.net/redirection", "enabled", "Kmesh"},
	{"linkerd.io/proxy-version", "", "Linkerd sidecar"},
	{"kuma.io/sidecar-injected", "true", "Kuma sidecar"},
	{"consul.hashicorp.com/connect-inject-status", "injected", "Consul sidecar"},
	{"osm-proxy-uuid", "", "Open Service Mesh sidecar"},
	{"injector.nsm.nginx.com/status", "injected", "NGINX Service Mesh sidecar"},
}

func (m mark) isIn(found map[string]string) bool {
	v, ok := found[m.key]
	return ok && (m.value == "" || strings.EqualFold(v, m.value))
}

// sidecarNames and sidecarImages identify the containers that meshes add: by their name, and by the last part of the image's name.
var (
	sidecarNames = map[string]string{
		"istio-proxy": "Istio sidecar", "linkerd-proxy": "Linkerd sidecar", "kuma-sidecar": "Kuma sidecar", "consul-dataplane": "Consul sidecar",
		"nginx-mesh-sidecar": "NGINX Service Mesh sidecar",
	}
	sidecarImages = map[string]string{
		"proxyv2": "Istio sidecar", "kuma-dp": "Kuma sidecar", "consul-dataplane": "Consul sidecar", "envoy": "Envoy sidecar", "aws-appmesh-envoy": "Envoy sidecar",
	}
)

// proxyInPod returns the proxy in the pod that handles its connections, and how it was recognized. It returns "" if there is none.
func proxyInPod(pod *corev1.Pod) string {
	for _, m := range marks {
		if m.isIn(pod.Annotations) {
			return m.proxy + " (annotation " + m.key + ")"
		}
		if m.isIn(pod.Labels) {
			return m.proxy + " (label " + m.key + ")"
		}
	}
	containers := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if ptr.Deref(c.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways { // a native sidecar
			containers = append(containers, c)
		}
	}
	for _, c := range containers {
		name := c.Name
		if strings.HasPrefix(name, "consul-dataplane-") { // there is one for each port
			name = "consul-dataplane"
		}
		proxy := sidecarNames[name]
		if proxy == "" {
			image, _, _ := strings.Cut(c.Image, "@")
			image, _, _ = strings.Cut(path.Base(image), ":")
			proxy = sidecarImages[image]
		}
		if proxy != "" {
			return proxy + " (container " + c.Name + ")"
		}
	}
	return ""
}

// dataplane returns the proxy on the node that handles the pod's connections, by the label of the pod or else of its namespace. It returns ""
// if there is none.
func dataplane(pod *corev1.Pod, namespace map[string]string) string {
	mode, where := pod.Labels[labelDataplaneMode], "pod"
	if mode == "" {
		mode, where = namespace[labelDataplaneMode], "namespace"
	}
	switch {
	case pod.Spec.HostNetwork, mode == "", strings.EqualFold(mode, noDataplane):
		return ""
	case strings.EqualFold(mode, "ambient"):
		mode = "Istio ambient"
	}
	return mode + " (" + where + " label " + labelDataplaneMode + ")"
}

// otherDNS reports whether the search path in the pod's resolv.conf may differ from that of its cluster.
// Source: pkg/kubelet/network/dns of Kubernetes 1.34.
func otherDNS(spec *corev1.PodSpec) bool {
	switch spec.DNSPolicy {
	case corev1.DNSDefault, corev1.DNSNone:
		return true
	case corev1.DNSClusterFirst, "":
		if spec.HostNetwork {
			return true
		}
	}
	c := spec.DNSConfig
	return c != nil && (len(c.Searches) > 0 || len(c.Options) > 0)
}
