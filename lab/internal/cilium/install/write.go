package install

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// retryInterval is the pause after a refusal that time cures: a custom resource is
// served a moment after its definition was written.
const retryInterval = 50 * time.Millisecond

// Write writes objects into a cluster, each with the traces of its author. What is
// there already, of an attempt that was interrupted, is left as it is.
func Write(ctx context.Context, c state.Cluster, objects []Object) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // no throttling: it is our own server
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := writeWithRetry(ctx, client, o); err != nil {
			return fmt.Errorf("write %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func writeWithRetry(ctx context.Context, client dynamic.Interface, o Object) error {
	for {
		err := write(ctx, client, o)
		if !apierrors.IsNotFound(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsConflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(retryInterval):
		}
	}
}

func write(ctx context.Context, client dynamic.Interface, o Object) error {
	resource, err := resourceOf(o.GroupVersionKind())
	if err != nil {
		return err
	}
	var to dynamic.ResourceInterface = client.Resource(resource)
	if o.GetNamespace() != "" {
		to = client.Resource(resource).Namespace(o.GetNamespace())
	}
	if o.Apply {
		_, err := to.Apply(ctx, o.GetName(), o.Unstructured, metav1.ApplyOptions{FieldManager: o.Manager, Force: true})
		return err
	}
	written, err := to.Create(ctx, o.Unstructured, metav1.CreateOptions{FieldManager: o.Manager})
	if apierrors.IsAlreadyExists(err) {
		written, err = to.Get(ctx, o.GetName(), metav1.GetOptions{})
	}
	if err != nil || o.StatusManager == "" {
		return err
	}
	written.Object["status"] = o.Object["status"]
	_, err = to.UpdateStatus(ctx, written, metav1.UpdateOptions{FieldManager: o.StatusManager})
	return err
}

// resourceOf knows the resources that an installation consists of, which spares the
// lab a discovery of each server.
func resourceOf(gvk schema.GroupVersionKind) (schema.GroupVersionResource, error) {
	for _, k := range append(ciliumKinds(), certManagerKinds()...) {
		if gvk.Group == k.group && gvk.Kind == k.kind {
			return k.resource(), nil
		}
	}
	plural, ok := map[schema.GroupKind]string{
		{Kind: "ConfigMap"}:                                 "configmaps",
		{Kind: "Secret"}:                                    "secrets",
		{Kind: "Service"}:                                   "services",
		{Kind: "ServiceAccount"}:                            "serviceaccounts",
		{Group: "apps", Kind: "DaemonSet"}:                  "daemonsets",
		{Group: "apps", Kind: "Deployment"}:                 "deployments",
		{Group: "batch", Kind: "CronJob"}:                   "cronjobs",
		{Group: "batch", Kind: "Job"}:                       "jobs",
		{Group: crdGroup, Kind: "CustomResourceDefinition"}: "customresourcedefinitions",
		{Group: "discovery.k8s.io", Kind: "EndpointSlice"}:  "endpointslices",
	}[gvk.GroupKind()]
	if !ok {
		return schema.GroupVersionResource{}, fmt.Errorf("no resource known for %s", gvk)
	}
	return gvk.GroupVersion().WithResource(plural), nil
}

const crdGroup = "apiextensions.k8s.io"
