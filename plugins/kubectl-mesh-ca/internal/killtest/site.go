//go:build unix

package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

// labCluster is what lab.json says about a cluster: where the lab has planned its nodes, and how its API server and its kubelets know each other.
type labCluster struct {
	Name               string `json:"name"`
	Kubeconfig         string `json:"kubeconfig"`
	KubeletClientCA    string `json:"kubeletClientCA"`
	KubeletServingCert string `json:"kubeletServingCert"`
	KubeletServingKey  string `json:"kubeletServingKey"`
	Nodes              []struct {
		Name           string `json:"name"`
		Address        string `json:"address"`
		KubeletAddress string `json:"kubeletAddress"`
		KubeletPort    int    `json:"kubeletPort"`
	} `json:"nodes"`
}

// readLab reads the clusters of a lab that was started with --no-net: its nodes are left to this package.
func readLab(state string) ([]labCluster, error) {
	data, err := os.ReadFile(filepath.Join(state, "lab.json")) //nolint:gosec // the state directory of a lab
	if err != nil {
		return nil, err
	}
	var lab struct {
		Net      bool         `json:"net"`
		Clusters []labCluster `json:"clusters"`
	}
	if err := json.Unmarshal(data, &lab); err != nil {
		return nil, err
	}
	if lab.Net {
		return nil, fmt.Errorf("the lab in %s has nodes of its own; start it with --no-net", state)
	}
	return lab.Clusters, nil
}

// site is one cluster of the lab, with the node that this package is.
type site struct {
	labCluster

	config  *rest.Config
	client  kubernetes.Interface
	kubelet *kubelet
	secrets listers.SecretLister
	pods    listers.PodLister

	mu      sync.Mutex
	meshes  map[string]*mesh // by namespace
	started map[types.UID]bool
}

// openSite registers the node and begins to do what a scheduler and a kubelet do.
func openSite(ctx context.Context, c labCluster) (*site, error) {
	s := &site{labCluster: c, meshes: map[string]*mesh{}, started: map[types.UID]bool{}}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	const many = 1000
	config.QPS, config.Burst = many, many
	s.config = config
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if s.kubelet, err = startKubelet(c, s); err != nil {
		return nil, err
	}
	if err := s.register(ctx); err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(s.client, 0)
	s.secrets, s.pods = factory.Core().V1().Secrets().Lister(), factory.Core().V1().Pods().Lister()
	factory.Core().V1().Secrets().Informer()
	factory.Core().V1().Pods().Informer()
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return nil, fmt.Errorf("cluster %q: %s could not be listed", c.Name, kind)
		}
	}
	go s.run(ctx)
	return s, nil
}

// register creates the Node.
func (s *site) register(ctx context.Context) error {
	n := s.Nodes[0]
	// Cilium's chart selects nodes by their system.
	names := map[string]string{corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: names}}
	node, err := s.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	node.Status = corev1.NodeStatus{
		Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.KubeletAddress}, {Type: corev1.NodeHostName, Address: n.Name}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(n.KubeletPort)}},
	}
	_, err = s.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

func (s *site) mesh(namespace string) *mesh {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meshes[namespace]
}

func (s *site) join(m *mesh) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meshes[m.namespace] = m
}

// nodeTick is how often the node looks for pods.
const nodeTick = 200 * time.Millisecond

// run binds, starts and removes the pods of the meshes.
func (s *site) run(ctx context.Context) {
	tick := time.NewTicker(nodeTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all, err := s.pods.List(labels.Everything())
		if err != nil {
			return
		}
		for _, p := range all {
			if m := s.mesh(p.Namespace); m != nil {
				// What fails is tried again in the next round.
				_ = s.look(ctx, m, p)
			}
		}
	}
}

// look does the next thing for one pod.
func (s *site) look(ctx context.Context, m *mesh, p *corev1.Pod) error {
	api := s.client.CoreV1().Pods(p.Namespace)
	switch {
	case p.DeletionTimestamp != nil:
		return ignoreGone(api.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &p.UID}}))
	case p.Spec.NodeName == "":
		return api.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: s.Nodes[0].Name}}, metav1.CreateOptions{})
	case p.Status.Phase != corev1.PodPending || time.Since(p.CreationTimestamp.Time) < startTime(p.UID):
		return nil
	}
	s.mu.Lock()
	begun := s.started[p.UID]
	s.started[p.UID] = true
	s.mu.Unlock()
	now := metav1.Now()
	if !begun {
		m.podStarted(s.Name, p)
	}
	fresh := p.DeepCopy()
	fresh.Status.Phase, fresh.Status.PodIP, fresh.Status.StartTime = corev1.PodRunning, s.Nodes[0].KubeletAddress, &now
	fresh.Status.PodIPs = []corev1.PodIP{{IP: fresh.Status.PodIP}}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		fresh.Status.Conditions = append(fresh.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	for _, c := range p.Spec.Containers {
		fresh.Status.ContainerStatuses = append(fresh.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: ptr.To(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	_, err := api.UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	return err
}

// startTime is how long a pod takes to start: one to four seconds.
func startTime(uid types.UID) time.Duration {
	const span = 3000
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	return time.Second + time.Duration(h.Sum32()%span)*time.Millisecond
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// newest returns the pod of clustermesh-apiserver that was created last and runs.
func (s *site) newest(namespace string) *corev1.Pod {
	all, err := s.pods.Pods(namespace).List(labels.SelectorFromSet(labels.Set{"k8s-app": "clustermesh-apiserver"}))
	if err != nil {
		return nil
	}
	var out *corev1.Pod
	for _, p := range all {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && (out == nil || out.CreationTimestamp.Before(&p.CreationTimestamp)) {
			out = p
		}
	}
	return out
}

// source reads the Secrets of one namespace as a kubelet does: from what it watches.
type source struct {
	site      *site
	namespace string
}

// Secret implements modeltest.Source.
func (s source) Secret(name string) *corev1.Secret {
	have, err := s.site.secrets.Secrets(s.namespace).Get(name)
	if err != nil {
		return nil
	}
	return have.DeepCopy()
}

func (s *site) exec(namespace, pod, container string, command []string) (string, error) {
	m := s.mesh(namespace)
	if m == nil {
		return "", fmt.Errorf("nothing runs in namespace %q", namespace)
	}
	return m.exec(s.Name, pod, container, strings.Join(command, " "))
}

func (s *site) logs(namespace, pod, container string) ([]logLine, error) {
	m := s.mesh(namespace)
	if m == nil {
		return nil, fmt.Errorf("nothing runs in namespace %q", namespace)
	}
	p, err := s.pods.Pods(namespace).Get(pod)
	if err != nil {
		return nil, err
	}
	return m.logs(s.Name, container, p)
}

func (s *site) serve(ctx context.Context, namespace, pod string, port int, conn net.Conn) error {
	m := s.mesh(namespace)
	if m == nil {
		return fmt.Errorf("nothing runs in namespace %q", namespace)
	}
	return m.serve(ctx, s.Name, pod, port, conn)
}
