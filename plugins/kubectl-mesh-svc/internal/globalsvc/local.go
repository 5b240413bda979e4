package globalsvc

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Selects reports whether a request selects a Service of a manifest. For a Service that a bulk request skips it returns the reason.
// It returns an error for a named Service that must not be changed. A manifest without a namespace matches any namespace.
func (r Request) Selects(svc *corev1.Service) (wanted bool, skipped string, err error) {
	switch {
	case len(r.Names) > 0 && !slices.Contains(r.Names, svc.Name),
		r.Namespace != "" && svc.Namespace != "" && svc.Namespace != r.Namespace,
		r.Selector != nil && !r.Selector.Matches(labels.Set(svc.Labels)):
		return false, "", nil
	}
	key := routing.Key{Namespace: cmp.Or(svc.Namespace, r.Namespace, "default"), Name: svc.Name}
	if why := never(key); why != "" {
		if len(r.Names) > 0 {
			return false, "", fmt.Errorf("service %s is refused: %s", key, why)
		}
		return false, why, nil
	}
	if why := protected(svc.Namespace, string(svc.Spec.Type), svc.Labels, "", ""); why != "" && !r.IncludeSystem {
		if len(r.Names) > 0 {
			return false, "", fmt.Errorf("service %s: %s; use --include-system if you mean it", key, why)
		}
		return false, why, nil
	}
	return true, "", nil
}
