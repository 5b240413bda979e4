package podexec

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func annotated(key, value string) change {
	return func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, key, value) }
}

func labelled(key, value string) change {
	return func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, key, value) }
}

func container(name, image string) change {
	return func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name, Image: image})
	}
}

func initContainer(name, image string, always bool) change {
	return func(p *corev1.Pod) {
		c := corev1.Container{Name: name, Image: image}
		if always {
			c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
}

func hostNetwork(p *corev1.Pod) { p.Spec.HostNetwork = true }

// A proxy in the client's path picks the backend instead of Cilium, however it was added.
func TestField18Proxies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		namespace map[string]string
		pod       []change
		want      string // "" for no proxy
	}{
		"none":                               {nil, nil, ""},
		"Istio sidecar":                      {nil, []change{container("istio-proxy", "")}, "Istio"},
		"Istio native sidecar":               {nil, []change{initContainer("istio-proxy", "", true)}, "Istio"},
		"Istio sidecar by its annotation":    {nil, []change{annotated("sidecar.istio.io/status", `{"revision":"default"}`)}, "Istio"},
		"Istio sidecar by its image":         {nil, []change{container("mesh", "registry.example:5000/istio/proxyv2:1.24.1@sha256:00")}, "Istio"},
		"Istio's init container":             {nil, []change{initContainer("istio-init", "docker.io/istio/proxyv2:1.24.1", false)}, ""},
		"injection is only requested":        {map[string]string{"istio-injection": "enabled"}, nil, ""},
		"ambient, pod label":                 {nil, []change{labelled("istio.io/dataplane-mode", "ambient")}, "Istio ambient"},
		"ambient, namespace label":           {map[string]string{"istio.io/dataplane-mode": "ambient"}, nil, "Istio ambient"},
		"ambient, pod opts out":              {map[string]string{"istio.io/dataplane-mode": "ambient"}, []change{labelled("istio.io/dataplane-mode", "none")}, ""},
		"ambient, annotation":                {nil, []change{annotated("ambient.istio.io/redirection", "enabled")}, "Istio ambient"},
		"ambient, annotation disabled":       {nil, []change{annotated("ambient.istio.io/redirection", "disabled")}, ""},
		"ambient, on the node's network":     {map[string]string{"istio.io/dataplane-mode": "ambient"}, []change{hostNetwork}, ""},
		"Kmesh":                              {map[string]string{"istio.io/dataplane-mode": "Kmesh"}, nil, "Kmesh"},
		"Linkerd":                            {nil, []change{container("linkerd-proxy", "")}, "Linkerd"},
		"Linkerd native sidecar":             {nil, []change{initContainer("linkerd-proxy", "", true)}, "Linkerd"},
		"Linkerd by its annotation":          {nil, []change{annotated("linkerd.io/proxy-version", "edge-25.1.1")}, "Linkerd"},
		"Linkerd's init container":           {nil, []change{initContainer("linkerd-init", "cr.l5d.io/linkerd/proxy-init:v2", false)}, ""},
		"Linkerd is only requested":          {nil, []change{annotated("linkerd.io/inject", "enabled")}, ""},
		"Kuma":                               {nil, []change{annotated("kuma.io/sidecar-injected", "true")}, "Kuma"},
		"Kuma not injected":                  {nil, []change{annotated("kuma.io/sidecar-injected", "false")}, ""},
		"Kuma by its container":              {nil, []change{container("kuma-sidecar", "")}, "Kuma"},
		"Kuma native sidecar":                {nil, []change{initContainer("kuma-sidecar", "", true)}, "Kuma"},
		"Consul annotation":                  {nil, []change{annotated("consul.hashicorp.com/connect-inject-status", "injected")}, "Consul"},
		"Consul label":                       {nil, []change{labelled("consul.hashicorp.com/connect-inject-status", "injected")}, "Consul"},
		"Consul, several ports":              {nil, []change{container("consul-dataplane-web", "")}, "Consul"},
		"Open Service Mesh":                  {nil, []change{labelled("osm-proxy-uuid", "1")}, "Open Service Mesh"},
		"NGINX Service Mesh":                 {nil, []change{annotated("injector.nsm.nginx.com/status", "injected")}, "NGINX Service Mesh"},
		"App Mesh":                           {nil, []change{container("envoy", "public.ecr.aws/appmesh/aws-appmesh-envoy:v1")}, "Envoy"},
		"any Envoy":                          {nil, []change{container("sidecar", "envoyproxy/envoy:v1.30")}, "Envoy"},
		"an application named like a mesh":   {nil, []change{container("istio-demo", "example/linkerd-dashboard:1")}, ""},
		"a finished init container of Envoy": {nil, []change{initContainer("copy", "envoyproxy/envoy:v1.30", false)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := []runtime.Object{pod("a", tc.pod...)}
			if tc.namespace != nil {
				objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: tc.namespace}})
			}
			got, err := Find(t.Context(), fake.NewClientset(objects...), "default", Ref{"pod", "a"}, "main")
			if err != nil {
				t.Fatal(err)
			}
			if (got.Proxy == "") != (tc.want == "") || !strings.HasPrefix(got.Proxy, tc.want) {
				t.Errorf("proxy %q, want %q", got.Proxy, tc.want)
			}
		})
	}
}

// Only some pods have the cluster's resolv.conf.
func TestField04PodsWithOtherDNS(t *testing.T) {
	t.Parallel()
	policy := func(policy corev1.DNSPolicy) change { return func(p *corev1.Pod) { p.Spec.DNSPolicy = policy } }
	for name, tc := range map[string]struct {
		pod  []change
		want bool
	}{
		"by default":          {nil, false},
		"ClusterFirst":        {[]change{policy(corev1.DNSClusterFirst)}, false},
		"on the node":         {[]change{policy(corev1.DNSClusterFirst), hostNetwork}, true},
		"on the node, asking": {[]change{policy(corev1.DNSClusterFirstWithHostNet), hostNetwork}, false},
		"Default":             {[]change{policy(corev1.DNSDefault)}, true},
		"None":                {[]change{policy(corev1.DNSNone)}, true},
		"its own search path": {[]change{func(p *corev1.Pod) { p.Spec.DNSConfig = &corev1.PodDNSConfig{Searches: []string{"example"}} }}, true},
		"its own options": {[]change{func(p *corev1.Pod) {
			p.Spec.DNSConfig = &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots"}}}
		}}, true},
		"another server": {[]change{func(p *corev1.Pod) { p.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"10.0.0.1"}} }}, false},
	} {
		got, err := Find(t.Context(), fake.NewClientset(pod("a", tc.pod...)), "default", Ref{"pod", "a"}, "")
		if err != nil || got.OtherDNS != tc.want {
			t.Errorf("%s: %v %v, want %v", name, got.OtherDNS, err, tc.want)
		}
	}
}
