//go:build unix

package killtest

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

const testNamespace = "mesh"

// modelOf is a mesh without API servers: two clusters of one CA, each with an agent and a pod of clustermesh-apiserver.
func modelOf(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{t: t, namespace: testNamespace, names: []string{"us", "eu"}, sites: map[string]*site{}, rejected: map[string][]logLine{}, dialed: map[string]time.Time{}}
	m.world = modeltest.Empty(t, rand.New(rand.NewPCG(1, 7)), time.Now())
	ca := m.newCA(false)
	for _, name := range m.names {
		index := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
		secrets, pods := cache.NewIndexer(cache.MetaNamespaceKeyFunc, index), cache.NewIndexer(cache.MetaNamespaceKeyFunc, index)
		for secret, data := range ca.LeafSecrets(t, name) {
			must(t, secrets.Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret, Namespace: testNamespace}, Data: data}))
		}
		must(t, pods.Add(runningPod("clustermesh-apiserver", name, "etcd", "kvstoremesh")))
		must(t, pods.Add(runningPod("cilium", name, "cilium-agent")))
		s := &site{labCluster: labCluster{Name: name}, secrets: listers.NewSecretLister(secrets), pods: listers.NewPodLister(pods), meshes: map[string]*mesh{testNamespace: m}}
		m.sites[name] = s
		m.world.Boot(&modeltest.Process{Name: name, Source: source{s, testNamespace}}, m.names...)
	}
	m.world.Keep()
	return m
}

func runningPod(app, cluster string, containers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: app + "-0", Namespace: testNamespace, UID: types.UID(cluster + app), Labels: map[string]string{"k8s-app": app}, CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))}}
	p.Status.Phase, p.Spec.NodeName = corev1.PodRunning, "node"
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c, VolumeMounts: []corev1.VolumeMount{{Name: "mesh", MountPath: pki.DirClusterMesh}}})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: c, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(time.Now().Add(-time.Minute))}}})
	}
	return p
}

// apiServer is as much of one as the observer of mesh-ca needs: it lists pods, and hands streams on to the kubelet.
func apiServer(t *testing.T, s *site) *clusters.Member {
	t.Helper()
	node := (&kubelet{pods: s}).handler()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/pods", func(w http.ResponseWriter, r *http.Request) {
		selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		must(t, err)
		all, err := s.pods.List(selector)
		must(t, err)
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
		for _, p := range all {
			list.Items = append(list.Items, *p)
		}
		w.Header().Set("Content-Type", "application/json")
		must(t, json.NewEncoder(w).Encode(list))
	})
	mux.HandleFunc("/api/v1/namespaces/{namespace}/pods/{pod}/{stream}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			http.Error(w, "this kubelet speaks SPDY", http.StatusForbidden)
			return
		}
		kind := map[string]string{"exec": "exec", "portforward": "portForward", "log": "containerLogs"}[r.PathValue("stream")]
		r.URL.Path = path.Join("/", kind, r.PathValue("namespace"), r.PathValue("pod"), r.URL.Query().Get("container"))
		node.ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	return &clusters.Member{Name: s.Name, CiliumNamespace: testNamespace, REST: config, Client: client}
}

// TestAnswersAreUnderstood: what mesh-ca observes of the model is what the model does, before and after its trust breaks.
func TestAnswersAreUnderstood(t *testing.T) {
	t.Parallel()
	m := modelOf(t)
	member := apiServer(t, m.sites["us"])
	look := func() live.Observation {
		t.Helper()
		o := live.Observe(t.Context(), live.New(time.Minute, time.Now), member, time.Now().Add(-time.Minute))
		if len(o.Unobserved) > 0 || len(o.Served) != 1 || len(o.Files) != 4 || len(o.Clients) != 2 {
			t.Fatalf("not everything was observed: %+v", o)
		}
		return o
	}
	p := m.process("us")
	o := look()
	if s := o.Served[0]; s.Unknown != "" || len(s.Chain) != 1 || string(pki.EncodeCertificates(s.Chain...)) != string(p.Files[pki.SecretServer][pki.KeyTLSCert]) || len(s.Announced) != 1 {
		t.Errorf("etcd: %+v", s)
	}
	for _, f := range o.Files {
		if f.Unknown != "" || len(f.Certs) != 1 || f.Written.Sub(p.Written[pki.SecretRemote]).Abs() > time.Second {
			t.Errorf("file: %+v", f)
		}
	}
	for _, c := range o.Clients {
		at := lastConnect(p, map[string]string{live.KindAgent: "us", live.KindKVStoreMesh: "eu"}[c.Kind])
		if c.Unknown != "" || !c.Connected || c.Peer != "eu" || c.Rebuilt.Sub(at).Abs() > time.Second || c.EtcdID == "" {
			t.Errorf("client: %+v, connected at %s", c, at)
		}
	}
	m.breakTrust(t)
	m.rejections(time.Now())
	o = look()
	if !slices.ContainsFunc(o.Rejected, func(r live.Rejection) bool { return r.Reason == pki.ClientRefused }) {
		t.Errorf("the log of etcd: %+v", o.Rejected)
	}
	for _, c := range o.Clients {
		if c.Kind == live.KindKVStoreMesh && c.Connected {
			t.Errorf("still connected: %+v", c)
		}
	}
}

// breakTrust gives us another CA behind the back of everybody.
func (m *mesh) breakTrust(t *testing.T) {
	t.Helper()
	other := pkitest.NewCA(t, pkitest.Spec{})
	m.process("us").Files = other.LeafSecrets(t, "us")
	m.process("us").Etcd = other.CertPEM
	m.process("us").Clients["us"] = other.CertPEM
}
