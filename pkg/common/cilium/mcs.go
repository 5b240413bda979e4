package cilium

import (
	"regexp"
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

// derivedName is how the MCS-API controller names a Service: derived- and ten characters of base32hex.
var derivedName = regexp.MustCompile(`^` + derivedServicePrefix + `[0-9a-v]{10}$`)

const derivedServicePrefix = "derived-"

// DerivedService reports whether the MCS-API controller derives a Service of this name and these labels from a ServiceImport, and overwrites its annotations.
// A Service of a user may be called derived-something too. Source: derivedName and Reconcile in service_controller.go (1.17, read).
func DerivedService(name string, labels map[string]string) bool {
	return derivedName.MatchString(name) || strings.HasPrefix(name, derivedServicePrefix) && labels[LabelImportedService] != ""
}
