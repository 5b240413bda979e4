package modeltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// errCrashed is what every request gets after the process that sends it has ended.
var errCrashed = errors.New("the process ended")

// Server answers as an API server does: it keeps versions, and refuses what is not of the version that was read.
type Server struct {
	mu      sync.Mutex
	version int
	Objects map[string]runtime.Object // by resource/name
	// crashed says before each request whether the process has ended, and once more after a write, with what was written.
	crashed func(write bool) bool
	wrote   func(resource, name string)
	now     func() time.Time
	// etcdStarted is when the etcd of the pod that is listed started; zero for a cluster that shows no pod.
	etcdStarted time.Time
}

// NewServer takes over an installation. Its member answers as the API server of the cluster does.
func NewServer(t testing.TB, name string, in catest.Install) (*Server, *clusters.Member) {
	t.Helper()
	member, client := catest.Member(t, name, in)
	s := &Server{Objects: map[string]runtime.Object{}, crashed: func(bool) bool { return false }, wrote: func(string, string) {}, now: time.Now}
	all := metav1.ListOptions{}
	add := func(resource string, obj runtime.Object) { s.Put(resource, obj) }
	secrets, err := client.CoreV1().Secrets(catest.Namespace).List(t.Context(), all)
	must(t, err)
	for _, o := range secrets.Items {
		add("secrets", &o)
	}
	deployments, err := client.AppsV1().Deployments(catest.Namespace).List(t.Context(), all)
	must(t, err)
	for _, o := range deployments.Items {
		o.Generation, o.Status = 1, appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
		add("deployments", &o)
	}
	daemonSets, err := client.AppsV1().DaemonSets(catest.Namespace).List(t.Context(), all)
	must(t, err)
	for _, o := range daemonSets.Items {
		o.Generation, o.Status = 1, appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberAvailable: 1}
		add("daemonsets", &o)
	}
	for _, job := range in.CronJobs {
		add("cronjobs", catest.CronJob(job, in.Certgen))
	}
	member.Client = s.client()
	return s, member
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func meta(obj runtime.Object) metav1.Object { return catest.As[metav1.Object](obj) }

// Put stores an object with a new version.
func (s *Server) Put(resource string, obj runtime.Object) {
	s.version++
	m := meta(obj)
	m.SetResourceVersion(strconv.Itoa(s.version))
	if m.GetUID() == "" {
		m.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
	}
	s.Objects[resource+"/"+m.GetName()] = obj.DeepCopyObject()
}

// Secret returns a copy of a Secret, nil if it does not exist.
func (s *Server) Secret(name string) *corev1.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.Objects["secrets/"+name].(*corev1.Secret)
	if !ok {
		return nil
	}
	return have.DeepCopy()
}

// Secrets returns copies of all Secrets.
func (s *Server) Secrets() []corev1.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []corev1.Secret
	for _, obj := range s.Objects {
		if secret, ok := obj.(*corev1.Secret); ok {
			out = append(out, *secret.DeepCopy())
		}
	}
	return out
}

func (s *Server) client() *fake.Clientset {
	c := &fake.Clientset{}
	c.AddReactor("create", "selfsubjectaccessreviews", func(a ktesting.Action) (bool, runtime.Object, error) {
		review := catest.As[*authv1.SelfSubjectAccessReview](catest.As[ktesting.CreateAction](a).GetObject()).DeepCopy()
		review.Status.Allowed = true
		return true, review, nil
	})
	c.AddReactor("*", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		obj, err := s.answer(a)
		return true, obj, err
	})
	return c
}

func (s *Server) answer(a ktesting.Action) (runtime.Object, error) {
	write := a.GetVerb() != "get" && a.GetVerb() != "list"
	if s.crashed(write) {
		return nil, errCrashed
	}
	obj, err := s.do(a)
	if err == nil && write {
		name := ""
		if obj != nil {
			name = meta(obj).GetName()
		}
		s.wrote(a.GetResource().Resource, name)
		if s.crashed(false) {
			return nil, errCrashed
		}
	}
	return obj, err
}

func (s *Server) do(a ktesting.Action) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource := a.GetResource().Resource
	missing := func(name string) error { return apierrors.NewNotFound(a.GetResource().GroupResource(), name) }
	switch a := a.(type) {
	case ktesting.ListActionImpl:
		if resource == "secrets" {
			return s.list(a), nil
		}
		return s.pods(a), nil
	case ktesting.GetActionImpl:
		if have := s.Objects[resource+"/"+a.GetName()]; have != nil {
			return have.DeepCopyObject(), nil
		}
		return nil, missing(a.GetName())
	case ktesting.CreateActionImpl:
		obj := a.GetObject().DeepCopyObject()
		if s.Objects[resource+"/"+meta(obj).GetName()] != nil {
			return nil, apierrors.NewAlreadyExists(a.GetResource().GroupResource(), meta(obj).GetName())
		}
		if secret, ok := obj.(*corev1.Secret); ok {
			s.own(secret, a.GetCreateOptions().FieldManager, slices.Collect(maps.Keys(secret.Data))...)
		}
		s.Put(resource, obj)
		return obj, nil
	case ktesting.PatchActionImpl:
		have := s.Objects[resource+"/"+a.GetName()]
		if have == nil {
			return nil, missing(a.GetName())
		}
		return s.patch(resource, have, a)
	case ktesting.DeleteActionImpl:
		have := s.Objects[resource+"/"+a.GetName()]
		if have == nil {
			return nil, missing(a.GetName())
		}
		if p := a.DeleteOptions.Preconditions; p != nil && *p.ResourceVersion != meta(have).GetResourceVersion() {
			return nil, apierrors.NewConflict(a.GetResource().GroupResource(), a.GetName(), errors.New("modified"))
		}
		delete(s.Objects, resource+"/"+a.GetName())
		return have, nil
	}
	return nil, fmt.Errorf("verb %s of %s", a.GetVerb(), resource)
}

// list returns the Secrets with labels.
func (s *Server) list(a ktesting.ListActionImpl) *corev1.SecretList {
	out := &corev1.SecretList{}
	for _, obj := range s.Objects {
		if secret, ok := obj.(*corev1.Secret); ok && a.GetListRestrictions().Labels.Matches(labels.Set(secret.Labels)) {
			out.Items = append(out.Items, *secret.DeepCopy())
		}
	}
	return out
}

// pods returns the pod of clustermesh-apiserver.
func (s *Server) pods(a ktesting.ListActionImpl) *corev1.PodList {
	own := labels.Set{"k8s-app": "clustermesh-apiserver"}
	if s.etcdStarted.IsZero() || !a.GetListRestrictions().Labels.Matches(own) {
		return &corev1.PodList{}
	}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "clustermesh-apiserver-0", Namespace: catest.Namespace, Labels: own}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "etcd", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.etcdStarted)}}}}
	return &corev1.PodList{Items: []corev1.Pod{pod}}
}

// own notes in managedFields who wrote keys of a Secret, and when.
func (s *Server) own(secret *corev1.Secret, manager string, keys ...string) {
	if len(keys) == 0 {
		return
	}
	mine := map[string]any{}
	secret.ManagedFields = slices.DeleteFunc(slices.Clone(secret.ManagedFields), func(f metav1.ManagedFieldsEntry) bool {
		if f.Manager == manager {
			mine = dataFields(f)
		}
		return f.Manager == manager
	})
	for n, f := range secret.ManagedFields {
		theirs := dataFields(f)
		for _, key := range keys {
			delete(theirs, "f:"+key)
		}
		secret.ManagedFields[n].FieldsV1 = fieldsOf(theirs)
	}
	for _, key := range keys {
		mine["f:"+key] = map[string]any{}
	}
	at := metav1.NewTime(s.now())
	secret.ManagedFields = append(secret.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1", Time: &at, FieldsV1: fieldsOf(mine)})
}

func dataFields(f metav1.ManagedFieldsEntry) map[string]any {
	var fields map[string]map[string]any
	if f.FieldsV1 == nil || json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields) != nil || fields["f:data"] == nil {
		return map[string]any{}
	}
	return fields["f:data"]
}

func fieldsOf(data map[string]any) *metav1.FieldsV1 {
	raw, err := json.Marshal(map[string]any{"f:data": data})
	if err != nil {
		panic(err) // maps of maps can always be encoded
	}
	return metav1.NewFieldsV1(string(raw))
}

// patch is a JSON merge patch with the version as precondition.
func (s *Server) patch(resource string, have runtime.Object, a ktesting.PatchActionImpl) (runtime.Object, error) {
	var body, doc map[string]any
	raw, err := json.Marshal(have)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.Unmarshal(a.GetPatch(), &body), json.Unmarshal(raw, &doc)); err != nil {
		return nil, err
	}
	if m, ok := body["metadata"].(map[string]any); ok && m["resourceVersion"] != meta(have).GetResourceVersion() {
		return nil, apierrors.NewConflict(a.GetResource().GroupResource(), a.GetName(), errors.New("the object has been modified"))
	}
	merge(doc, body)
	raw, err = json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	obj := map[string]func() runtime.Object{
		"secrets": func() runtime.Object { return &corev1.Secret{} }, "configmaps": func() runtime.Object { return &corev1.ConfigMap{} },
		"deployments": func() runtime.Object { return &appsv1.Deployment{} }, "cronjobs": func() runtime.Object { return &batchv1.CronJob{} },
		"daemonsets": func() runtime.Object { return &appsv1.DaemonSet{} },
	}[resource]()
	if err := json.Unmarshal(raw, obj); err != nil {
		return nil, err
	}
	switch o := obj.(type) {
	case *appsv1.Deployment:
		o.Generation++
	case *appsv1.DaemonSet:
		o.Generation++
	case *corev1.Secret:
		// An API server does not begin to track an object whose managedFields are empty (apimachinery v0.37, managedfields/internal/skipnonapplied.go).
		if data, ok := body["data"].(map[string]any); ok && len(o.ManagedFields) > 0 {
			s.own(o, a.GetPatchOptions().FieldManager, slices.Collect(maps.Keys(data))...)
		}
	}
	s.Put(resource, obj)
	return obj, nil
}

func merge(into, patch map[string]any) {
	for k, v := range patch {
		sub, isMap := v.(map[string]any)
		have, hasMap := into[k].(map[string]any)
		switch {
		case v == nil:
			delete(into, k)
		case isMap && hasMap:
			merge(have, sub)
		case isMap:
			made := map[string]any{}
			merge(made, sub)
			into[k] = made
		default:
			into[k] = v
		}
	}
}
