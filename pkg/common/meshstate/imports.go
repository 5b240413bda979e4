package meshstate

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// serviceImports are the versions of MCS-API that serve ServiceImports, the one that Cilium reads first.
var serviceImports = []schema.GroupVersionResource{
	{Group: "multicluster.x-k8s.io", Version: "v1alpha1", Resource: "serviceimports"},
	{Group: "multicluster.x-k8s.io", Version: "v1beta1", Resource: "serviceimports"},
}

// DerivedService returns the name of the derived Service of a ServiceImport of a member, by its annotation; "" if the ServiceImport has
// none. It returns an error if the ServiceImport does not exist or cannot be read.
func DerivedService(ctx context.Context, m *clusters.Member, timeout time.Duration, key routing.Key) (string, error) {
	client, err := dynamic.NewForConfig(m.REST)
	if err != nil {
		return "", err
	}
	return derivedService(ctx, client, timeout, key)
}

func derivedService(ctx context.Context, client dynamic.Interface, timeout time.Duration, key routing.Key) (string, error) {
	var missing error
	for _, gvr := range serviceImports {
		found, err := get(ctx, timeout, key.Name, func(ctx context.Context, name string, o metav1.GetOptions) (*unstructured.Unstructured, error) {
			return client.Resource(gvr).Namespace(key.Namespace).Get(ctx, name, o)
		})
		switch {
		case apierrors.IsNotFound(err):
			missing = err
			continue
		case err != nil:
			return "", failure.Explain(err)
		}
		return found.GetAnnotations()[cilium.AnnotationDerivedService], nil
	}
	return "", missing
}

// DerivedByLabel returns the Service of a cluster that is labelled as derived from a ServiceImport; ok is false if there is none.
func DerivedByLabel(c *routing.Cluster, imported routing.Key) (derived routing.Key, ok bool) {
	for key, svc := range c.Services {
		if key.Namespace == imported.Namespace && svc.Labels[cilium.LabelImportedService] == imported.Name && (!ok || key.Name < derived.Name) {
			derived, ok = key, true
		}
	}
	return derived, ok
}
