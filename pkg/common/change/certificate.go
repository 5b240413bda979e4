package change

import (
	"context"
	"errors"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Certificate is the kind of cert-manager. Its objects are *unstructured.Unstructured: cert-manager's types are not needed for the one condition that is written.
var Certificate = Kind{Name: "certificate", api: func(c kubernetes.Interface, namespace string) api {
	return custom{client: c.Discovery().RESTClient(), path: []string{"apis", "cert-manager.io", "v1", "namespaces", namespace, "certificates"}}
}}

// custom is an API without typed clients. The client is nil in tests with fake API servers, which have none.
type custom struct {
	client rest.Interface
	path   []string
}

// errNoClient says that custom resources cannot be reached.
var errNoClient = errors.New("this client reaches no custom resources")

// ready reports whether requests can be sent. A nil *rest.RESTClient is what the fake clients return.
func (c custom) ready() error {
	if r, ok := c.client.(*rest.RESTClient); c.client == nil || ok && r == nil {
		return errNoClient
	}
	return nil
}

func (c custom) get(ctx context.Context, name string) (metav1.Object, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	return parsed(c.client.Get().AbsPath(append(c.path, name)...).SetHeader("Accept", "application/json").Do(ctx))
}

func (c custom) patch(ctx context.Context, name string, body []byte, o metav1.PatchOptions, subresources ...string) (metav1.Object, error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	r := c.client.Patch(types.MergePatchType).AbsPath(append(append(c.path, name), subresources...)...).SetHeader("Accept", "application/json").Body(body)
	if o.FieldManager != "" {
		r = r.Param("fieldManager", o.FieldManager)
	}
	if len(o.DryRun) > 0 {
		r = r.Param("dryRun", strings.Join(o.DryRun, ","))
	}
	return parsed(r.Do(ctx))
}

func (custom) create(context.Context, metav1.Object, metav1.CreateOptions) (metav1.Object, error) {
	return nil, errNoClient
}

func (custom) remove(context.Context, string, metav1.DeleteOptions) error { return errNoClient }

func parsed(r rest.Result) (metav1.Object, error) {
	raw, err := r.Raw()
	if err != nil {
		if status := r.Error(); status != nil {
			return nil, status
		}
		return nil, err
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	return out, nil
}
