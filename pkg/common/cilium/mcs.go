package cilium

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
