package verb

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
)

// Request describes what a writing verb changes.
type Request struct {
	Edit
	Namespace string
	// Names are the Services; empty with a bulk request.
	Names []string
	// Bulk: every Service that was read (-l, --all, -A).
	Bulk          bool
	IncludeSystem bool
	// Selector is that of a bulk request; nil for all.
	Selector labels.Selector
	// Named: the clusters that were read are those that the user named; the mesh may have others.
	Named bool
	// Force also writes what a drain took out of service.
	Force bool
	// Mesh is the clusters that were read, for the commands that are printed.
	Mesh commandline.Mesh
}

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
	if why := exempt.Always(r.Action, key, svc.Labels); why != "" {
		if len(r.Names) > 0 {
			return false, "", fmt.Errorf("service %s is refused: %s", key, why)
		}
		return false, why, nil
	}
	if why := exempt.UnlessIncluded(svc.Namespace, string(svc.Spec.Type), svc.Labels, "", ""); why != "" && !r.IncludeSystem {
		if len(r.Names) > 0 {
			return false, "", fmt.Errorf("service %s: %s; use --include-system if you mean it", key, why)
		}
		return false, why, nil
	}
	return true, "", nil
}
