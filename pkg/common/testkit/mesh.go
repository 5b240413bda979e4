package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

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

	mu      sync.Mutex
	version int
	writes  int
	cutAt   int  // cut off at this write, counted from 1; 0 never
	after   bool // the write happens, its answer is lost
	dead    bool
}

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
		f.API[name] = api
		api.PrependReactor("*", "*", f.reactor(api))
		m := &clusters.Member{Name: name, Context: "kind-" + name, CiliumNamespace: "kube-system", UID: "uid-" + name, Client: api,
			Version: cilium.ParseVersion("1.20.2"), PeersKnown: true, Config: cilium.Config{ClusterName: name, ClusterID: uint32(n + 1), MaxConnectedClusters: 255, DefaultGlobalNamespace: true}}
		for _, p := range names {
			if p != name {
				m.Peers = append(m.Peers, p)
			}
		}
		f.Members = append(f.Members, m)
	}
	return f
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

// Cut cuts the caller off at a write, counted from 1; with after the write happens, and its answer is lost.
func (f *Mesh) Cut(at int, after bool) {
	f.cutAt, f.after, f.writes, f.dead = at, after, 0, false
}

func (f *Mesh) Revive() { f.Cut(0, false) }

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
			return false, nil, nil
		}
		dryRun, name, sent := written(a)
		if dryRun && a.GetResource().Resource == "configmaps" {
			return true, &corev1.ConfigMap{}, nil
		} else if dryRun {
			svc, err := afterDryRun(api, a)
			return true, svc, err
		}
		f.writes++
		f.dead = f.writes == f.cutAt
		if f.dead && !f.after {
			return true, nil, errCut
		}
		gvr := a.GetResource()
		if a.GetVerb() != "create" && sent != "" {
			old, err := api.Tracker().Get(gvr, a.GetNamespace(), name)
			if err != nil {
				return true, nil, err
			}
			if now := accessor(old).GetResourceVersion(); now != sent {
				return true, nil, apierrors.NewConflict(gvr.GroupResource(), name, fmt.Errorf("it is at %s, not at %s", now, sent))
			}
		}
		handled, obj, err := store(a)
		if err != nil || obj == nil || a.GetVerb() == "delete" {
			return handled, obj, f.answer(err)
		}
		f.version++
		o := accessor(obj)
		o.SetResourceVersion(strconv.Itoa(100 + f.version))
		if o.GetUID() == "" {
			o.SetUID(types.UID(fmt.Sprintf("made-%d", f.version)))
		}
		err = api.Tracker().Update(gvr, obj, a.GetNamespace())
		return true, obj, f.answer(err)
	}
}

// afterDryRun is a Service as a patch of ours would leave it.
func afterDryRun(api *fake.Clientset, a k8stesting.Action) (*corev1.Service, error) {
	patch, ok := a.(k8stesting.PatchActionImpl)
	if !ok {
		return &corev1.Service{}, nil
	}
	obj, err := api.Tracker().Get(a.GetResource(), a.GetNamespace(), patch.Name)
	if err != nil {
		return nil, err
	}
	var sent struct {
		Metadata struct{ Annotations map[string]*string }
	}
	if err := json.Unmarshal(patch.GetPatch(), &sent); err != nil {
		return nil, err
	}
	svc, ok := obj.DeepCopyObject().(*corev1.Service)
	if !ok {
		return nil, fmt.Errorf("%T is no Service", obj)
	}
	for k, v := range sent.Metadata.Annotations {
		if v == nil {
			delete(svc.Annotations, k)
			continue
		}
		metav1.SetMetaDataAnnotation(&svc.ObjectMeta, k, *v)
	}
	return svc, nil
}

// answer loses the answer of the write at which the caller is cut off.
func (f *Mesh) answer(err error) error {
	if f.dead {
		return errCut
	}
	return err
}

func accessor(obj runtime.Object) metav1.Object {
	o, err := meta.Accessor(obj)
	if err != nil {
		panic(err)
	}
	return o
}

// written says what a write is about, and the resourceVersion that it was sent with.
func written(a k8stesting.Action) (dryRun bool, name, version string) {
	switch a := a.(type) {
	case k8stesting.CreateActionImpl:
		return len(a.CreateOptions.DryRun) > 0, "", ""
	case k8stesting.UpdateActionImpl:
		o := accessor(a.Object)
		return len(a.UpdateOptions.DryRun) > 0, o.GetName(), o.GetResourceVersion()
	case k8stesting.DeleteActionImpl:
		return false, a.Name, ptr.Deref(a.DeleteOptions.Preconditions.ResourceVersion, "")
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
