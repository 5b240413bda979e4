package change

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Kind is a kind of object, and how its API is called.
type Kind struct {
	Name   string // as kubectl prints it: "service"
	Secret bool   // what an API server says of it may hold a key
	// Graceful: a deleted object is there until its processes have ended.
	Graceful bool
	api      func(client kubernetes.Interface, namespace string) api
}

// The kinds that steps write.
var (
	Service = Kind{Name: "service", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*corev1.Service]{c.CoreV1().Services(namespace)}
	}}
	Secret = Kind{Name: "secret", Secret: true, api: func(c kubernetes.Interface, namespace string) api {
		return typed[*corev1.Secret]{c.CoreV1().Secrets(namespace)}
	}}
	ConfigMap = Kind{Name: "configmap", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*corev1.ConfigMap]{c.CoreV1().ConfigMaps(namespace)}
	}}
	Deployment = Kind{Name: "deployment", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*appsv1.Deployment]{c.AppsV1().Deployments(namespace)}
	}}
	DaemonSet = Kind{Name: "daemonset", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*appsv1.DaemonSet]{c.AppsV1().DaemonSets(namespace)}
	}}
	CronJob = Kind{Name: "cronjob", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*batchv1.CronJob]{c.BatchV1().CronJobs(namespace)}
	}}
	Job = Kind{Name: "job", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*batchv1.Job]{c.BatchV1().Jobs(namespace)}
	}}
	Pod = Kind{Name: "pod", Graceful: true, api: func(c kubernetes.Interface, namespace string) api {
		return typed[*corev1.Pod]{c.CoreV1().Pods(namespace)}
	}}
)

// Target is one object of one member.
type Target struct {
	Member    *clusters.Member
	Kind      Kind
	Namespace string
	Name      string
}

// String names the object as messages do: "service default/nginx".
func (t Target) String() string { return t.Kind.Name + " " + t.Namespace + "/" + t.Name }

// Get reads the object.
func (t Target) Get(ctx context.Context) (metav1.Object, error) {
	got, err := t.client().get(ctx, t.Name)
	return got, t.Redact(err)
}

// Create writes a new object.
func (t Target) Create(ctx context.Context, obj metav1.Object, manager string, dryRun bool) (metav1.Object, error) {
	got, err := t.client().create(ctx, obj, metav1.CreateOptions{FieldManager: manager, DryRun: dry(dryRun)})
	return got, t.Redact(err)
}

// Delete removes the object, if it is still the one that was read. An empty version stands for any.
func (t Target) Delete(ctx context.Context, uid types.UID, version string, dryRun bool) error {
	// A Job's pods go with it, as with kubectl.
	o := metav1.DeleteOptions{DryRun: dry(dryRun), PropagationPolicy: ptr.To(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &uid}}
	if version != "" {
		o.Preconditions.ResourceVersion = &version
	}
	return t.Redact(t.client().remove(ctx, t.Name, o))
}

// Fields are what a patch writes. A nil value removes a key, whoever owns it.
type Fields struct {
	Annotations map[string]*string
	Data        map[string][]byte
	Spec        map[string]any
	Status      map[string]any // written through the subresource of that name, with nothing else
}

// Patch sends a JSON merge patch with uid and resourceVersion as preconditions.
func (t Target) Patch(ctx context.Context, uid types.UID, version string, f Fields, manager string, dryRun bool) (metav1.Object, error) {
	meta := map[string]any{"uid": uid, "resourceVersion": version}
	if f.Annotations != nil {
		meta["annotations"] = f.Annotations
	}
	body := map[string]any{"metadata": meta}
	if f.Data != nil {
		body["data"] = f.Data // base64 by encoding/json
	}
	if f.Spec != nil {
		body["spec"] = f.Spec
	}
	var subresources []string
	if f.Status != nil {
		body["status"], subresources = f.Status, []string{"status"}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	got, err := t.client().patch(ctx, t.Name, raw, metav1.PatchOptions{FieldManager: manager, DryRun: dry(dryRun)}, subresources...)
	return got, t.Redact(err)
}

func (t Target) client() api { return t.Kind.api(t.Member.Client, t.Namespace) }

func dry(dryRun bool) []string {
	if dryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// api is what steps need of a typed client.
type api interface {
	get(ctx context.Context, name string) (metav1.Object, error)
	create(ctx context.Context, obj metav1.Object, o metav1.CreateOptions) (metav1.Object, error)
	patch(ctx context.Context, name string, body []byte, o metav1.PatchOptions, subresources ...string) (metav1.Object, error)
	remove(ctx context.Context, name string, o metav1.DeleteOptions) error
}

// client is the part that client-go's typed clients have in common.
type client[T metav1.Object] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
	Create(ctx context.Context, obj T, o metav1.CreateOptions) (T, error)
	Patch(ctx context.Context, name string, pt types.PatchType, body []byte, o metav1.PatchOptions, subresources ...string) (T, error)
	Delete(ctx context.Context, name string, o metav1.DeleteOptions) error
}

type typed[T metav1.Object] struct{ client client[T] }

func (c typed[T]) get(ctx context.Context, name string) (metav1.Object, error) {
	return object(c.client.Get(ctx, name, metav1.GetOptions{}))
}

func (c typed[T]) create(ctx context.Context, obj metav1.Object, o metav1.CreateOptions) (metav1.Object, error) {
	own, ok := obj.(T)
	if !ok {
		return nil, fmt.Errorf("%T cannot be created here", obj)
	}
	return object(c.client.Create(ctx, own, o))
}

func (c typed[T]) patch(ctx context.Context, name string, body []byte, o metav1.PatchOptions, subresources ...string) (metav1.Object, error) {
	return object(c.client.Patch(ctx, name, types.MergePatchType, body, o, subresources...))
}

func (c typed[T]) remove(ctx context.Context, name string, o metav1.DeleteOptions) error {
	return c.client.Delete(ctx, name, o)
}

// object keeps the empty object of a failed call from passing for one.
func object[T metav1.Object](got T, err error) (metav1.Object, error) {
	if err != nil {
		return nil, err
	}
	return got, nil
}

// Absent is the difference of an object that does not exist.
func Absent(t Target) *Difference { return &Difference{Field: t.String(), Gone: true} }

// EqualData reports whether two Secrets' data are equal, byte for byte.
func EqualData(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, func(x, y []byte) bool { return string(x) == string(y) })
}
