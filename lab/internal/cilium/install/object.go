package install

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/certgen"
)

// The field managers of the programs whose traces the lab imitates. A program that
// sets none is known by the first word of its user agent, its file name.
const (
	managerHelm      = "helm"
	managerCiliumCLI = "cilium" // cilium-cli upgrades the Helm release itself
	managerCertgen   = certgen.Manager
	managerIssuing   = "cert-manager-certificates-issuing"
	managerIssuers   = "cert-manager-issuers"
	managerReadiness = "cert-manager-certificates-readiness"
	managerOperator  = "cilium-operator-generic"
	managerAgent     = "cilium-agent"
	managerKubeadm   = "kubeadm"
	managerUser      = "kubectl-create"
)

// Object is an object and who wrote it how.
type Object struct {
	*unstructured.Unstructured
	// Manager is the field manager.
	Manager string
	// Apply is true if it was written by server-side apply.
	Apply bool
	// StatusManager wrote the status, if it is not empty.
	StatusManager string
}

// object turns a typed object into an Object. A type that the scheme does not know
// is a mistake in this package.
func object(manager string, typed runtime.Object) Object {
	kinds, _, err := scheme.Scheme.ObjectKinds(typed)
	if err != nil {
		panic(fmt.Sprintf("install: %v", err))
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		panic(fmt.Sprintf("install: %v", err))
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kinds[0])
	return Object{Unstructured: u, Manager: manager}
}

// raw is an object of a type that the scheme does not know.
func raw(manager, apiVersion, kind string, meta metav1.ObjectMeta, content map[string]any) Object {
	u := &unstructured.Unstructured{Object: content}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetName(meta.Name)
	u.SetNamespace(meta.Namespace)
	u.SetLabels(meta.Labels)
	u.SetAnnotations(meta.Annotations)
	return Object{Unstructured: u, Manager: manager}
}

// helmMeta is the metadata of an object of the Helm release.
func helmMeta(name string, labels map[string]string) metav1.ObjectMeta {
	all := map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	for key, value := range labels {
		all[key] = value
	}
	return metav1.ObjectMeta{
		Name: name, Namespace: Namespace, Labels: all,
		Annotations: map[string]string{
			"meta.helm.sh/release-name":      "cilium",
			"meta.helm.sh/release-namespace": Namespace,
		},
	}
}

// component are the labels that the charts give to the parts of Cilium.
func component(app, name string) map[string]string {
	return map[string]string{"k8s-app": app, "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "cilium"}
}

func serviceAccounts(s site) []Object {
	names := []string{"cilium", "cilium-operator", meshAPIServer}
	if s.method() == Certgen {
		names = append(names, meshCertgen, hubbleCertgen)
	}
	objects := make([]Object, 0, len(names))
	for _, name := range names {
		objects = append(objects, object(managerHelm, &corev1.ServiceAccount{ObjectMeta: helmMeta(name, nil)}))
	}
	return objects
}
