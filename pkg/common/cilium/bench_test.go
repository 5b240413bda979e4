package cilium

import "testing"

// BenchmarkWrongServiceKeys is what a check spends on the labels and annotations of one ordinary Service.
func BenchmarkWrongServiceKeys(b *testing.B) {
	ann := map[string]string{AnnotationGlobal: "true", "meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
	labels := map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "web-1.2.3"}
	for b.Loop() {
		WrongServiceKeys(ann, labels)
	}
}
