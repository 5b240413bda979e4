package cilium

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// MCS-API: a ServiceImport of a namespace stands for the Services of that name that clusters export. Cilium answers its name with the cluster IP of a
// derived Service, which is global. Source: pkg/clustermesh/mcsapi (1.17 and later, read); KEP-1645 for the zone.
const (
	// ClusterSetZone is the DNS zone of ServiceImports: NAME.NAMESPACE.svc.clusterset.local.
	ClusterSetZone = "clusterset.local"
	// AnnotationDerivedService on a ServiceImport names its derived Service.
	AnnotationDerivedService = "multicluster.kubernetes.io/derived-service"
	// LabelImportedService on a derived Service names its ServiceImport.
	LabelImportedService = "multicluster.kubernetes.io/service-name"
)

// DerivedService reports whether the MCS-API controller derives a Service with this name and these labels from a ServiceImport, and overwrites its
// annotations. The controller labels each derived Service. A Service of a user may have such a name, or a copy of the label, but not both.
// Source: Reconcile in service_controller.go (two versions, with and without the EndpointSlice mirror controller, read).
func DerivedService(namespace, name string, labels map[string]string) bool {
	imported := labels[LabelImportedService]
	return imported != "" && name == derivedServiceName(namespace, imported)
}

// derivedServiceName returns the name of the Service that is derived from a ServiceImport: derived- and the first ten characters of a hash.
// Source: derivedName in service_controller.go (the same two versions, read).
func derivedServiceName(namespace, serviceImport string) string {
	const hashCharacters = 10
	hash := sha256.Sum256([]byte(namespace + "/" + serviceImport))
	return "derived-" + strings.ToLower(base32.HexEncoding.EncodeToString(hash[:]))[:hashCharacters]
}
