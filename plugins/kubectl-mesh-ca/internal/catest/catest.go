// Package catest makes members with fake API servers that hold what an installation of Cilium leaves. It is imported by tests only.
package catest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Namespace is Cilium's in these clusters.
const Namespace = "kube-system"

// Install says how a cluster is made.
type Install struct {
	CA      *pkitest.CA // nil for a cluster without cilium-ca
	LeafCA  *pkitest.CA // who signed the leaf certificates; CA by default
	Method  string      // helm (default), certgen, cert-manager or hand
	CAOwner string      // as Method, and argocd; Method by default
	Version string      // 1.18.11 by default
	// Edit changes the objects before the API server gets them.
	Edit func(map[string]*corev1.Secret)
	// Workloads changes clustermesh-apiserver and the agents before the API server gets them, and Objects are there besides.
	Workloads func(*appsv1.Deployment, *appsv1.DaemonSet)
	Objects   []runtime.Object
	// CronJobs exist, with the image Certgen; without one they have no containers.
	CronJobs []string
	Certgen  string
	// UseBundle mounts ConfigMap cilium-root-ca.crt in place of the leaf certificates' ca.crt; Bundle is what it holds, nil for no ConfigMap.
	UseBundle bool
	Bundle    []byte
	// EtcdStarted is when etcd started; zero for no pod.
	EtcdStarted time.Time
}

// Written is when all Secrets were written.
var Written = pkitest.Now.Add(-pkitest.Day)

// Member makes a member and its API server.
func Member(t testing.TB, name string, in Install) (*clusters.Member, *fake.Clientset) {
	t.Helper()
	if in.Version == "" {
		in.Version = "1.18.11"
	}
	if in.Method == "" {
		in.Method = "helm"
	}
	if in.CAOwner == "" {
		in.CAOwner = in.Method
	}
	if in.LeafCA == nil {
		in.LeafCA = in.CA
	}
	secrets := map[string]*corev1.Secret{}
	add := func(name, owner string, kind corev1.SecretType, data map[string][]byte) {
		secrets[name] = &corev1.Secret{ObjectMeta: owned(name, owner), Type: kind, Data: data}
	}
	if in.CA != nil {
		if in.CAOwner == "cert-manager" {
			add("cilium-ca", in.CAOwner, corev1.SecretTypeTLS, in.CA.TLSSecret())
		} else {
			add("cilium-ca", in.CAOwner, corev1.SecretTypeOpaque, in.CA.CASecret())
		}
	}
	if in.LeafCA != nil {
		for leaf, data := range in.LeafCA.LeafSecrets(t, name) {
			add(leaf, in.Method, corev1.SecretTypeTLS, data)
		}
	}
	add("cilium-clustermesh", "helm", corev1.SecretTypeOpaque, map[string][]byte{})
	add("cilium-kvstoremesh", "helm", corev1.SecretTypeOpaque, map[string][]byte{})
	if in.Edit != nil {
		in.Edit(secrets)
	}
	deployment, daemonSet, relay := meshAPI(in.Version), agents(in.Version), hubbleRelay(in.Version)
	if in.UseBundle {
		for _, spec := range []*corev1.PodSpec{&deployment.Spec.Template.Spec, &daemonSet.Spec.Template.Spec, &relay.Spec.Template.Spec} {
			useBundle(spec.Volumes)
		}
	}
	if in.Workloads != nil {
		in.Workloads(deployment, daemonSet)
	}
	objs := append([]runtime.Object{deployment, daemonSet, relay}, in.Objects...)
	if in.Bundle != nil {
		objs = append(objs, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cilium-root-ca.crt", Namespace: Namespace}, Data: map[string]string{"ca.crt": string(in.Bundle)}})
	}
	if !in.EtcdStarted.IsZero() {
		objs = append(objs, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "clustermesh-apiserver-0", Namespace: Namespace, Labels: map[string]string{"k8s-app": "clustermesh-apiserver"}},
			Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "etcd", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: in.EtcdStarted}}}}}},
		})
	}
	for _, s := range secrets {
		s.Namespace = Namespace
		objs = append(objs, s)
	}
	for _, j := range in.CronJobs {
		job := CronJob(j, in.Certgen)
		if in.Certgen == "" {
			job.Spec = batchv1.CronJobSpec{}
		}
		objs = append(objs, job)
	}
	client := fake.NewClientset(objs...)
	Tame(client)
	return &clusters.Member{
		Name: name, Context: "kind-" + name, Server: "https://" + name + ".example:6443", CiliumNamespace: Namespace, Config: cilium.Config{ClusterName: name, ClusterID: 1},
		Version: cilium.ParseVersion(in.Version), Client: client,
	}, client
}

// CronJob is one of certgen.
func CronJob(name, image string) *batchv1.CronJob {
	j := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace}}
	j.Spec.JobTemplate.Spec.Template.Spec.Containers = []corev1.Container{{Name: "certgen", Image: cmp.Or(image, "quay.io/cilium/certgen:v0.4.11")}}
	return j
}

// owned is the metadata that a tool leaves.
func owned(name, owner string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, Namespace: Namespace, UID: types.UID("uid-" + name), ResourceVersion: "7"}
	manager := map[string]string{"helm": "helm", "certgen": "cilium-certgen", "cert-manager": "cert-manager-certificates-issuing", "hand": "kubectl-create", "argocd": "argocd-controller"}[owner]
	m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1", Time: &metav1.Time{Time: Written}, FieldsV1: metav1.NewFieldsV1(`{"f:data":{".":{},"f:ca.crt":{},"f:tls.crt":{}},"f:type":{}}`)}}
	switch owner {
	case "helm":
		m.Labels = map[string]string{"app.kubernetes.io/managed-by": "Helm"}
		m.Annotations = helmRelease()
	case "cert-manager":
		m.Annotations = map[string]string{"cert-manager.io/certificate-name": name}
	case "argocd":
		m.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "cilium:/Secret:kube-system/" + name}
	}
	return m
}

func helmRelease() map[string]string {
	return map[string]string{"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": Namespace}
}

// Tame gives the fake API server the two things that it lacks: it answers access reviews with yes, and a dry-run writes nothing.
func Tame(client *fake.Clientset) {
	client.PrependReactor("create", "selfsubjectaccessreviews", func(a ktesting.Action) (bool, runtime.Object, error) {
		review := As[*authv1.SelfSubjectAccessReview](As[ktesting.CreateAction](a).GetObject()).DeepCopy()
		review.Status.Allowed = true
		return true, review, nil
	})
	client.PrependReactor("*", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
		if !DryRun(a) {
			return false, nil, nil
		}
		secret, err := afterDryRun(client, a)
		return true, secret, err
	})
}

// afterDryRun is a Secret as a write would leave it; the fake would store it.
func afterDryRun(client *fake.Clientset, a ktesting.Action) (*corev1.Secret, error) {
	create, ok := a.(ktesting.CreateActionImpl)
	if ok {
		return As[*corev1.Secret](create.GetObject()), nil
	}
	if _, ok := a.(ktesting.DeleteActionImpl); ok {
		return nil, nil //nolint:nilnil // a deletion answers with no object
	}
	patch := As[ktesting.PatchActionImpl](a)
	obj, err := client.Tracker().Get(a.GetResource(), a.GetNamespace(), patch.GetName())
	if err != nil {
		return nil, err
	}
	secret := As[*corev1.Secret](obj).DeepCopy()
	var sent struct{ Data map[string]*[]byte }
	if err := json.Unmarshal(patch.GetPatch(), &sent); err != nil {
		return nil, err
	}
	for k, v := range sent.Data {
		delete(secret.Data, k)
		if v != nil {
			secret.Data[k] = *v
		}
	}
	return secret, nil
}

// DryRun reports whether an action is a server-side dry-run.
func DryRun(a ktesting.Action) bool {
	switch a := a.(type) {
	case ktesting.CreateActionImpl:
		return len(a.GetCreateOptions().DryRun) > 0
	case ktesting.PatchActionImpl:
		return len(a.GetPatchOptions().DryRun) > 0
	case ktesting.DeleteActionImpl:
		return len(a.GetDeleteOptions().DryRun) > 0
	}
	return false
}

// Locks reports whether an action puts the mark of a running command on cilium-ca, or removes it.
func Locks(a ktesting.Action) bool {
	p, ok := a.(ktesting.PatchActionImpl)
	return ok && p.GetPatchOptions().FieldManager == "mesh-ca-lock"
}

// Deny makes the API server refuse a verb on a Secret in access reviews; an empty name means any.
func Deny(client *fake.Clientset, verb, name string) {
	client.PrependReactor("create", "selfsubjectaccessreviews", func(a ktesting.Action) (bool, runtime.Object, error) {
		review := As[*authv1.SelfSubjectAccessReview](As[ktesting.CreateAction](a).GetObject()).DeepCopy()
		r := review.Spec.ResourceAttributes
		review.Status.Allowed = r.Verb != verb || (name != "" && r.Name != name)
		return true, review, nil
	})
}

// As is a type assertion that ends the test with a message where it does not hold.
func As[T any](v any) T {
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("%T where %T is expected", v, t))
	}
	return t
}

// Writes lists what was written to Secrets, dry-runs marked, as "verb name {keys}".
func Writes(client *fake.Clientset) []string {
	var out []string
	for _, a := range client.Actions() {
		if a.GetResource().Resource != "secrets" {
			continue
		}
		dry := ""
		if DryRun(a) {
			dry = "dry-run "
		}
		switch a := a.(type) {
		case ktesting.CreateActionImpl:
			out = append(out, fmt.Sprintf("%screate %s", dry, As[*corev1.Secret](a.GetObject()).Name))
		case ktesting.PatchActionImpl:
			out = append(out, fmt.Sprintf("%spatch %s", dry, a.GetName()))
		case ktesting.UpdateActionImpl:
			out = append(out, fmt.Sprintf("%supdate %s", dry, As[*corev1.Secret](a.GetObject()).Name))
		case ktesting.DeleteActionImpl:
			out = append(out, fmt.Sprintf("%sdelete %s", dry, a.GetName()))
		}
	}
	return out
}

// Patch is the body of the last patch that was really sent.
func Patch(t testing.TB, client *fake.Clientset) map[string]any {
	t.Helper()
	var body map[string]any
	for _, a := range client.Actions() {
		if p, ok := a.(ktesting.PatchActionImpl); ok && !DryRun(a) {
			body = map[string]any{}
			if err := json.Unmarshal(p.GetPatch(), &body); err != nil {
				t.Fatal(err)
			}
		}
	}
	return body
}

func meshAPI(version string) *appsv1.Deployment {
	admin := corev1.VolumeMount{Name: "etcd-admin-client", MountPath: "/var/lib/cilium/etcd-secrets"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "clustermesh-apiserver", Namespace: Namespace, Annotations: helmRelease()}}
	image := "quay.io/cilium/clustermesh-apiserver:v" + version
	d.Spec.Template.Spec = corev1.PodSpec{
		Containers: []corev1.Container{
			{Name: "etcd", Image: image, Command: []string{"/usr/bin/etcd"}, Args: []string{"--client-cert-auth", "--trusted-ca-file=/var/lib/etcd-secrets/ca.crt", "--cert-file=/var/lib/etcd-secrets/tls.crt", "--key-file=/var/lib/etcd-secrets/tls.key"}, VolumeMounts: []corev1.VolumeMount{{Name: "etcd-server-secrets", MountPath: "/var/lib/etcd-secrets"}, {Name: "etcd-data-dir", MountPath: "/var/run/etcd"}}},
			{Name: "apiserver", Image: image, VolumeMounts: []corev1.VolumeMount{admin}},
			{Name: "kvstoremesh", Image: image, VolumeMounts: []corev1.VolumeMount{admin, {Name: "kvstoremesh-secrets", MountPath: "/var/lib/cilium/clustermesh"}}},
		},
		Volumes: []corev1.Volume{
			projected("etcd-server-secrets", files("clustermesh-apiserver-server-cert", "tls.crt", "tls.key", "ca.crt")),
			projected("etcd-admin-client", files("clustermesh-apiserver-admin-cert", "tls.crt", "tls.key", "ca.crt")),
			{Name: "etcd-data-dir", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			projected("kvstoremesh-secrets", files("cilium-kvstoremesh"), files("clustermesh-apiserver-remote-cert", "common-etcd-client.crt", "common-etcd-client.key", "common-etcd-client-ca.crt")),
		},
	}
	return d
}

func agents(version string) *appsv1.DaemonSet {
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "cilium", Namespace: Namespace, Annotations: helmRelease()}}
	d.Spec.Template.Spec = corev1.PodSpec{
		Containers: []corev1.Container{{Name: "cilium-agent", Image: "quay.io/cilium/cilium:v" + version, VolumeMounts: []corev1.VolumeMount{{Name: "clustermesh-secrets", MountPath: "/var/lib/cilium/clustermesh"}, {Name: "hubble-tls", MountPath: "/var/lib/cilium/tls/hubble"}}}},
		Volumes: []corev1.Volume{
			projected("clustermesh-secrets", files("cilium-clustermesh"),
				files("clustermesh-apiserver-remote-cert", "common-etcd-client.crt", "common-etcd-client.key", "common-etcd-client-ca.crt"),
				files("clustermesh-apiserver-local-cert", "local-etcd-client.crt", "local-etcd-client.key", "local-etcd-client-ca.crt")),
			projected("hubble-tls", files("hubble-server-certs", "server.crt", "server.key", "client-ca.crt")),
		},
	}
	return d
}

func hubbleRelay(version string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "hubble-relay", Namespace: Namespace, Annotations: helmRelease()}}
	d.Spec.Template.Spec = corev1.PodSpec{
		Containers: []corev1.Container{{Name: "hubble-relay", Image: "quay.io/cilium/hubble-relay:v" + version, VolumeMounts: []corev1.VolumeMount{{Name: "tls", MountPath: "/var/lib/hubble-relay/tls"}}}},
		Volumes:    []corev1.Volume{projected("tls", files("hubble-relay-client-certs", "client.crt", "client.key", "hubble-server-ca.crt"))},
	}
	return d
}

// useBundle takes every CA file from a ConfigMap, as tls.caBundle does.
func useBundle(volumes []corev1.Volume) {
	for _, v := range volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if len(s.Secret.Items) != 3 {
				continue
			}
			bundle := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "cilium-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: s.Secret.Items[2].Path}}}
			s.Secret.Items = s.Secret.Items[:2]
			v.Projected.Sources = append(v.Projected.Sources, corev1.VolumeProjection{ConfigMap: bundle})
		}
	}
}

// files projects a Secret: tls.crt, tls.key and ca.crt at the given paths, or every key when there are none.
func files(secret string, paths ...string) corev1.VolumeProjection {
	p := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}
	for i, path := range paths {
		p.Items = append(p.Items, corev1.KeyToPath{Key: []string{"tls.crt", "tls.key", "ca.crt"}[i], Path: path})
	}
	return corev1.VolumeProjection{Secret: p}
}

func projected(name string, sources ...corev1.VolumeProjection) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}
}
