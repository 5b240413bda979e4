package clusters

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

func installedObjects(name string) []runtime.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "kube-system", Name: name} }
	return []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "uid-1"}},
		&corev1.ConfigMap{ObjectMeta: meta(cilium.ConfigMapName), Data: map[string]string{"cluster-name": name, "cluster-id": "7"}},
		&corev1.Secret{ObjectMeta: meta(cilium.SecretClusterMesh), Data: map[string][]byte{"us": []byte("endpoints:"), "eu": []byte("endpoints:")}},
		&appsv1.DaemonSet{ObjectMeta: meta(cilium.DaemonSetName), Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: cilium.ContainerAgent, Image: "quay.io/cilium/cilium:v1.18.11"}}}}}},
		&appsv1.Deployment{ObjectMeta: meta(cilium.DeploymentMeshAPI)},
	}
}

// said is what identify found out.
type said struct {
	Name, UID, Version string
	ID                 uint32
	Peers              []string
	PeersKnown         bool
	KVStoreMesh        string
	Class              failure.Class
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	without := func(objs []runtime.Object, n int) []runtime.Object {
		return append(append([]runtime.Object{}, objs[:n]...), objs[n+1:]...)
	}
	cases := map[string]struct {
		objects []runtime.Object
		deny    string // the resource that may not be read
		want    said
	}{
		"all is there":            {installedObjects("us"), "", said{"us", "uid-1", "1.18.11", 7, []string{"eu"}, true, "false", ""}},
		"the UID may not be read": {installedObjects("us"), "namespaces", said{"us", "", "1.18.11", 7, []string{"eu"}, true, "false", ""}},
		"Secrets may not be read": {installedObjects("us"), "secrets", said{"us", "uid-1", "1.18.11", 7, nil, false, "false", ""}},
		"no peers":                {without(installedObjects("us"), 2), "", said{"us", "uid-1", "1.18.11", 7, nil, true, "false", ""}},
		"no version":              {without(installedObjects("us"), 3), "", said{"us", "uid-1", "", 7, []string{"eu"}, true, "false", ""}},
		"no mesh API":             {without(installedObjects("us"), 4), "", said{"us", "uid-1", "1.18.11", 7, []string{"eu"}, true, "", ""}},
		// Two contexts of one cluster are told apart from two clusters by the UID, with Cilium or without.
		"no Cilium":                    {without(installedObjects("us"), 1), "", said{"kind-us", "uid-1", "", 0, nil, false, "", failure.NoCilium}},
		"its settings are not numbers": {append(without(installedObjects("us"), 1), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: cilium.ConfigMapName}, Data: map[string]string{"cluster-id": "x"}}), "", said{"kind-us", "uid-1", "", 0, nil, false, "", failure.Other}},
		"its settings may not be read": {installedObjects("us"), "configmaps", said{"kind-us", "uid-1", "", 0, nil, false, "", failure.Forbidden}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(c.objects...)
			if c.deny != "" {
				client.PrependReactor("*", c.deny, func(k8stesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: c.deny}, "", nil)
				})
			}
			m := &Member{Name: "kind-us", Context: "kind-us", Client: client}
			got := said{}
			if err := m.identify(t.Context(), ""); err != nil {
				got.Class = failure.Classify(err).Class
			}
			got.Name, got.UID, got.ID, got.Peers, got.PeersKnown = m.Name, m.UID, m.Config.ClusterID, m.Peers, m.PeersKnown
			if m.Version.Known() {
				got.Version = m.Version.String()
			}
			if m.KVStoreMesh != nil {
				got.KVStoreMesh = map[bool]string{true: "true", false: "false"}[*m.KVStoreMesh]
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			// One connection: what is asked first is asked alone, and all else at once.
			if first := client.Actions()[0]; first.GetResource().Resource != "configmaps" {
				t.Errorf("asked first for %s", first.GetResource().Resource)
			}
		})
	}
}

// TestIdentifyAgain: a member takes Cilium's name when that is read for the first time, and keeps what it is called after that.
func TestIdentifyAgain(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		before Member
		want   string
	}{
		"it did not answer":            {Member{}, "eu"},
		"its settings were not read":   {Member{UID: "uid-1"}, "eu"},
		"called by its context":        {Member{UID: "uid-1", CiliumNamespace: "kube-system"}, "kind-eu"},
		"so, and its UID is not known": {Member{CiliumNamespace: "kube-system"}, "kind-eu"},
	}
	for name, c := range cases {
		m := c.before
		m.Name, m.Context, m.Client = "kind-eu", "kind-eu", fake.NewClientset(installedObjects("eu")...)
		m.Err = &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")}
		got, err := (&Flags{Timeout: time.Minute}).Identify(t.Context(), &m)
		if err != nil || got.Name != c.want || got.Err != nil || m.Err == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
