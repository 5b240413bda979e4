// Package exempt knows which Services the commands leave unchanged, and why. It is pure: it works on values that were read.
package exempt

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

const typeExternalName = string(corev1.ServiceTypeExternalName)

// APIServer is the Service that Kubernetes keeps for the API servers of each cluster.
var APIServer = routing.Key{Namespace: "default", Name: "kubernetes"}

// Unglobalize is the action of the verb that always may change APIServer: it undoes what no other command should have done.
const Unglobalize = "unglobalize"

// Always says why an action leaves a Service of this name and these labels unchanged, whatever its flags; "" if it may change it.
func Always(action string, k routing.Key, labels map[string]string) string {
	switch {
	case k == APIServer && action != Unglobalize:
		return "it is the API server of its cluster; as a global service, it leads clients to the API servers of other clusters"
	case cilium.DerivedService(k.Namespace, k.Name, labels):
		return "Cilium derives it from a ServiceImport and overwrites its annotations; set them in the ServiceExport (spec.exportedAnnotations)"
	}
	return ""
}

// UnlessIncluded says why a Service is changed only with --include-system, "" if it does not require the flag.
func UnlessIncluded(namespace, serviceType string, labels map[string]string, ciliumNamespace, proxyName string) string {
	switch {
	case namespace == "kube-system":
		return "it is in kube-system"
	case ciliumNamespace != "" && namespace == ciliumNamespace:
		return "it is in Cilium's namespace"
	}
	return WithoutEffect(serviceType, labels, proxyName)
}

// WithoutEffect says why the annotations of a Service have no effect, "" if they may have one.
func WithoutEffect(serviceType string, labels map[string]string, proxyName string) string {
	switch {
	case serviceType == typeExternalName:
		return "it is an ExternalName Service and has no endpoints"
	case otherProxy(labels, proxyName):
		return "its label " + cilium.LabelServiceProxyName + " makes Cilium ignore it"
	}
	return ""
}

// otherProxy reports whether a label leaves the Service to another proxy than Cilium: neither an agent with the
// option k8s-service-proxy-name nor an exporter without it takes it.
func otherProxy(labels map[string]string, proxyName string) bool {
	return cilium.Ignored(labels, "") && cilium.Ignored(labels, proxyName)
}

// ProxiedMessage says why a command skips a Service that the L7 proxy answers.
const ProxiedMessage = "the L7 proxy of the client's cluster answers, so the global annotation has no effect; make the Services of its routes global"

// Proxied reports whether the L7 proxy of the cluster answers for a Service there. The settings of Cluster Mesh then have no effect.
func Proxied(svc *routing.Service) bool {
	return svc != nil && svc.Type != typeExternalName && svc.Proxied()
}

// ProxiedIn reports whether the L7 proxy answers for a Service in one of the clusters that were read.
func ProxiedIn(snap *routing.Snapshot, cluster string, key routing.Key) bool {
	c := snap.Find(cluster)
	return c != nil && Proxied(c.Services[key])
}
