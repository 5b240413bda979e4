package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	authnv1 "k8s.io/api/authentication/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Mesh is a mesh of fake API servers that keep resourceVersions as real ones do, and from which the caller can be cut off for good at any write, as
// when its process is killed.
type Mesh struct {
	Members []*clusters.Member
	API     map[string]*fake.Clientset

	mu        sync.Mutex
	version   int
	writes    int
	fault     Fault
	at        int // the write at which the fault happens, counted from 1; 0 never
	interrupt func()
	dead      bool // nothing is answered any more
	blind     bool // nothing can be read any more
}

// Fault is what happens at a write.
type Fault string

// The faults. Those that are not for good happen once.
const (
	CutBefore   Fault = "cut off for good before the write"
	CutAfter    Fault = "cut off for good after the write"
	ErrorBefore Fault = "an internal error, and no write"
	ErrorAfter  Fault = "an internal error after the write"
	LostBefore  Fault = "the connection is lost before the write"
	LostAfter   Fault = "the connection is lost after the write"
	Interrupt   Fault = "Ctrl-C during the write"
	Blind       Fault = "nothing can be read after the write"
)

// Faults are all of them.
var Faults = []Fault{CutBefore, CutAfter, ErrorBefore, ErrorAfter, LostBefore, LostAfter, Interrupt, Blind}

var errCut = errors.New("the connection is cut")

// NewMesh returns clusters with Service shop/NAME and one ready endpoint of each; annotations are those of each Service in every cluster.
func NewMesh(t testing.TB, names []string, services map[string]map[string]string) *Mesh {
	t.Helper()
	f := &Mesh{API: map[string]*fake.Clientset{}}
	for n, name := range names {
		var objects []runtime.Object
		for svc, ann := range services {
			objects = append(objects, Service(svc, ann), Slice(svc, fmt.Sprintf("10.%d.0.1", n+1)))
		}
		api := fake.NewClientset(objects...)
		m := &clusters.Member{Name: name, Context: "kind-" + name, CiliumNamespace: "kube-system", UID: "uid-" + name, Client: api,
			Version: cilium.ParseVersion("1.20.2"), PeersKnown: true, Config: cilium.Config{ClusterName: name, ClusterID: uint32(n + 1), MaxConnectedClusters: 255, DefaultGlobalNamespace: true}}
		for _, p := range names {
			if p != name {
				m.Peers = append(m.Peers, p)
			}
		}
		f.Add(m, api)
	}
	return f
}

// Add adds a member, whose API server then behaves as those of the mesh do.
func (f *Mesh) Add(m *clusters.Member, api *fake.Clientset) {
	if f.API == nil {
		f.API = map[string]*fake.Clientset{}
	}
	f.API[m.Name] = api
	f.Members = append(f.Members, m)
	api.PrependReactor("*", "*", f.reactor(api))
}

// Service is a Service of namespace shop.
func Service(name string, ann map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1", Annotations: ann},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"172.20.1.1"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
}

// Slice is the EndpointSlice of a Service, with one ready endpoint.
func Slice(svc, ip string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: svc + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: svc}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(80)), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}}}
}

// Cut cuts the caller off for good at a write, counted from 1; with after the write happens, and its answer is lost.
func (f *Mesh) Cut(at int, after bool) {
	fault := CutBefore
	if after {
		fault = CutAfter
	}
	f.Break(at, fault, nil)
}

// Break makes a fault happen at a write, counted from 1. interrupt is called for Interrupt.
func (f *Mesh) Break(at int, fault Fault, interrupt func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.fault, f.interrupt, f.writes, f.dead, f.blind = at, fault, interrupt, 0, false, false
}

// Revive takes a fault back, as when the command is run again.
func (f *Mesh) Revive() { f.Break(0, "", nil) }

// Writes returns how many writes were sent since the last Break or Revive.
func (f *Mesh) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Dead reports whether the caller was cut off.
func (f *Mesh) Dead() bool { return f.dead }

func (f *Mesh) reactor(api *fake.Clientset) k8stesting.ReactionFunc {
	store := k8stesting.ObjectReaction(api.Tracker())
	return func(a k8stesting.Action) (bool, runtime.Object, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case f.dead:
			return true, nil, errCut
		case a.GetResource().Resource == "selfsubjectaccessreviews":
			return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: true}}, nil
		case a.GetResource().Resource == "selfsubjectreviews":
			return true, &authnv1.SelfSubjectReview{Status: authnv1.SelfSubjectReviewStatus{UserInfo: authnv1.UserInfo{Username: "alice"}}}, nil
		case a.GetVerb() == "get", a.GetVerb() == "list":
			if f.blind {
				return true, nil, errCut
			}
			return false, nil, nil
		}
		dryRun, name, sent := written(a)
		if dryRun {
			obj, err := afterDryRun(api, a)
			return true, obj, err
		}
		f.writes++
		now := f.writes == f.at
		if now {
			if handled, obj, err := f.failBefore(); handled {
				return handled, obj, err
			}
		}
		obj, err := f.write(store, api, a, name, sent)
		if now && err == nil {
			err = f.failAfter()
		}
		return true, obj, err
	}
}

// failBefore is the fault that keeps a write from happening.
func (f *Mesh) failBefore() (handled bool, obj runtime.Object, err error) {
	switch f.fault {
	case CutBefore:
		f.dead = true
		return true, nil, errCut
	case ErrorBefore:
		return true, nil, apierrors.NewInternalError(errors.New("etcd is gone"))
	case LostBefore:
		return true, nil, io.ErrUnexpectedEOF
	case Interrupt:
		f.interrupt()
	}
	return false, nil, nil
}

// failAfter is the fault that follows a write.
func (f *Mesh) failAfter() error {
	switch f.fault {
	case CutAfter:
		f.dead = true
		return errCut
	case ErrorAfter:
		return apierrors.NewInternalError(errors.New("etcd is slow"))
	case LostAfter:
		return io.ErrUnexpectedEOF
	case Blind:
		f.blind = true
	}
	return nil
}

// write stores an object, if it is still at the resourceVersion that was sent.
func (f *Mesh) write(store k8stesting.ReactionFunc, api *fake.Clientset, a k8stesting.Action, name, sent string) (runtime.Object, error) {
	gvr := a.GetResource()
	if a.GetVerb() != "create" && sent != "" {
		old, err := api.Tracker().Get(gvr, a.GetNamespace(), name)
		if err != nil {
			return nil, err
		}
		if now := accessor(old).GetResourceVersion(); now != sent {
			return nil, apierrors.NewConflict(gvr.GroupResource(), name, fmt.Errorf("it is at %s, not at %s", now, sent))
		}
	}
	_, obj, err := store(a)
	if err != nil || obj == nil || a.GetVerb() == "delete" {
		return obj, err
	}
	f.version++
	o := accessor(obj)
	o.SetResourceVersion(strconv.Itoa(100 + f.version))
	if o.GetUID() == "" {
		o.SetUID(types.UID(fmt.Sprintf("made-%d", f.version)))
	}
	return obj, api.Tracker().Update(gvr, obj, a.GetNamespace())
}

// afterDryRun is an object as a write would leave it: the fake would store it.
func afterDryRun(api *fake.Clientset, a k8stesting.Action) (runtime.Object, error) {
	switch a := a.(type) {
	case k8stesting.CreateActionImpl:
		return a.GetObject(), nil
	case k8stesting.UpdateActionImpl:
		return a.GetObject(), nil
	case k8stesting.PatchActionImpl:
		obj, err := api.Tracker().Get(a.GetResource(), a.GetNamespace(), a.Name)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(obj)
		if err != nil {
			return nil, err
		}
		if raw, err = jsonpatch.MergePatch(raw, a.GetPatch()); err != nil {
			return nil, err
		}
		out := reflect.New(reflect.TypeOf(obj).Elem()).Interface()
		if err := json.Unmarshal(raw, out); err != nil {
			return nil, err
		}
		patched, ok := out.(runtime.Object)
		if !ok {
			return nil, fmt.Errorf("%T is not an object", out)
		}
		return patched, nil
	case k8stesting.DeleteActionImpl:
		return api.Tracker().Get(a.GetResource(), a.GetNamespace(), a.Name)
	}
	return nil, fmt.Errorf("a dry run of %T", a)
}

func accessor(obj runtime.Object) metav1.Object {
	o, err := meta.Accessor(obj)
	if err != nil {
		panic(err)
	}
	return o
}

// written returns the object of a write, and the resourceVersion that it was sent with.
func written(a k8stesting.Action) (dryRun bool, name, version string) {
	switch a := a.(type) {
	case k8stesting.CreateActionImpl:
		return len(a.CreateOptions.DryRun) > 0, "", ""
	case k8stesting.UpdateActionImpl:
		o := accessor(a.Object)
		return len(a.UpdateOptions.DryRun) > 0, o.GetName(), o.GetResourceVersion()
	case k8stesting.DeleteActionImpl:
		return len(a.DeleteOptions.DryRun) > 0, a.Name, ptr.Deref(a.DeleteOptions.Preconditions.ResourceVersion, "")
	case k8stesting.PatchActionImpl:
		var body struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(a.GetPatch(), &body); err != nil {
			panic(err)
		}
		return len(a.PatchOptions.DryRun) > 0, a.Name, body.Metadata.ResourceVersion
	}
	return false, "", ""
}

// State is every annotation of the Services of a cluster, and every record, for comparing.
func (f *Mesh) State(t testing.TB, cluster string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := f.API[cluster].CoreV1().Services("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range list.Items {
		for k, v := range svc.Annotations {
			out[svc.Name+" "+k] = v
		}
	}
	for name, api := range f.API {
		cms, err := api.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, cm := range cms.Items {
			out[name+" "+cm.Name] = strings.Join([]string{cm.Data["state"], cm.Data["services"]}, " ")
		}
	}
	return out
}
