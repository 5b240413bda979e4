// Package vnode is the nodes of the lab's clusters: it registers them, binds pods to them in the
// place of a scheduler, runs the pods' containers through package podnet and
// reports what became of them, and serves the kubelet API for exec, logs and port-forward. What a pod is made of
// is the business of package images; which backends it reaches, of package chooser.
//
// Differences from a kubelet: an image that is not the lab's is shown running and
// ready without a process; volumes are empty directories, except on machines; only readiness probes are run. Of a security context only
// readOnlyRootFilesystem is applied: processes run as root of their pod, whatever runAsUser says.
package vnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// apiTimeout bounds one request to an API server, which may be frozen.
const apiTimeout = 5 * time.Second

// Runtime runs pods; podnet.Client is one.
type Runtime interface {
	AddPod(ctx context.Context, pod podwire.Pod) (ip string, err error)
	DelPod(ctx context.Context, name string) error
	StartContainer(ctx context.Context, s podwire.Start, stdout, stderr *os.File) (*podnet.Process, error)
	Exec(ctx context.Context, e podwire.Exec, stdin, stdout, stderr *os.File) (*podnet.Process, error)
	ExecTTY(ctx context.Context, e podwire.Exec) (*podnet.Process, *os.File, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Config is what the nodes of one cluster need.
type Config struct {
	Cluster state.Cluster
	Client  kubernetes.Interface
	// Runtime is nil where this machine allows no namespaces; all pods are then shown running without a process, and
	// NoRuntime says why nothing can be executed in them.
	Runtime   Runtime
	NoRuntime error
	// Machines are the nodes that are machines of their own, by name. Where a node is one, its runtime replaces Runtime, a
	// CNI plugin chooses the addresses of its pods, and pods have volumes and may have hostNetwork.
	Machines map[string]Machine
	// Kubernetes is the host and the port by which pods on machines reach the API server.
	Kubernetes [2]string
	// Programs finds images that are not the lab's but that the lab has programs for; nil means none.
	Programs func(c *corev1.Container) (images.Image, bool)
	Images   *images.Store
	LogDir   string
	// VolumeDir contains the volumes of the pods on machines.
	VolumeDir string
	Log       io.Writer
}

// Machine is a node that is a machine of its own.
type Machine struct {
	Runtime Runtime
	// Disk is a directory that stands for the machine's disk.
	Disk string
}

// Cluster is the nodes of one cluster.
type Cluster struct {
	Config
	client   kubernetes.Interface
	nodes    map[string]*node
	binder   *binder
	nodeList corelisters.NodeLister

	mu     sync.Mutex
	pods   map[types.UID]*worker
	byName map[types.NamespacedName]*worker
	execs  execCount
}

type node struct {
	state.Node
	pool    *pool
	runtime Runtime
	// machine is nil for nodes that share one network.
	machine *Machine
}

// New prepares the nodes of one cluster.
func New(cfg Config) (*Cluster, error) {
	c := &Cluster{
		Config: cfg, client: cfg.Client, nodes: map[string]*node{},
		pods: map[types.UID]*worker{}, byName: map[types.NamespacedName]*worker{},
	}
	c.binder = newBinder(c)
	for _, n := range cfg.Cluster.Nodes {
		cidr, err := netip.ParsePrefix(n.PodCIDR)
		if err != nil {
			return nil, fmt.Errorf("node %q: %w", n.Name, err)
		}
		entry := &node{Node: n, pool: newPool(cidr), runtime: cfg.Runtime}
		if m, ok := cfg.Machines[n.Name]; ok {
			entry.runtime, entry.machine = m.Runtime, &m
		}
		c.nodes[n.Name] = entry
	}
	return c, nil
}

// Run serves the kubelet API, registers the nodes, calls ready once they are registered, and
// runs pods until the context ends. It waits for an API server that is not there yet.
func (c *Cluster) Run(ctx context.Context, ready func()) error {
	stop, err := c.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	factory := informers.NewSharedInformerFactory(c.client, 0)
	pods := factory.Core().V1().Pods().Informer()
	c.nodeList = factory.Core().V1().Nodes().Lister()
	factory.Core().V1().Nodes().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.observe(ctx, obj) },
		UpdateFunc: func(_, obj any) { c.observe(ctx, obj) },
		DeleteFunc: func(obj any) { c.forget(obj) },
	}); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := c.register(ctx, n); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if ctx.Err() != nil {
		return nil
	}
	ready()
	go c.heartbeat(ctx)
	c.binder.run(ctx)
	return nil
}

// observe hands a pod to the binder and, if it is ours, to its worker.
func (c *Cluster) observe(ctx context.Context, obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	c.binder.observe(pod)
	n := c.nodes[pod.Spec.NodeName]
	if n == nil {
		return // not bound yet; a pod that is deleted before needs nobody's word that it has ended
	}
	c.mu.Lock()
	w := c.pods[pod.UID]
	if w == nil {
		w = newWorker(c, n, pod)
		c.pods[pod.UID] = w
		go w.run(ctx)
	}
	c.byName[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = w
	c.mu.Unlock()
	w.update(pod)
}

// forget ends the worker of a pod that is gone.
func (c *Cluster) forget(obj any) {
	if t, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = t.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	c.binder.forget(pod.UID)
	c.mu.Lock()
	w := c.pods[pod.UID]
	delete(c.pods, pod.UID)
	if key := (types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}); c.byName[key] == w {
		delete(c.byName, key)
	}
	c.mu.Unlock()
	if w != nil {
		w.remove()
	}
}

// find returns the worker of a pod.
func (c *Cluster) find(namespace, name string) *worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName[types.NamespacedName{Namespace: namespace, Name: name}]
}

// nodeObjects are the Node objects of this lab's nodes, with what users changed in them.
func (c *Cluster) nodeObjects() []*corev1.Node {
	all, err := c.nodeList.List(labels.Everything())
	if err != nil {
		return nil
	}
	ours := all[:0:0]
	for _, n := range all {
		if c.nodes[n.Name] != nil {
			ours = append(ours, n)
		}
	}
	return ours
}

// patchStatus writes a pod's status. The uid keeps it from another pod of the same name.
func (c *Cluster) patchStatus(ctx context.Context, pod *corev1.Pod, status any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubelet"}, "status")
	return err
}

func (c *Cluster) reportUnschedulable(ctx context.Context, pod *corev1.Pod) error {
	const message = "no node of the lab matches the pod's node selector, affinity and tolerations"
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodScheduled && cond.Message == message {
			return nil
		}
	}
	return c.patchStatus(ctx, pod, corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
		LastTransitionTime: metav1.Now(),
	}}})
}

func (c *Cluster) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Log, "cluster %s: %s\n", c.Cluster.Name, fmt.Sprintf(format, args...))
}

// errNoProcess answers commands for a container that is only shown.
var errNoProcess = errors.New("the lab shows this container running, but it has no process: its image is not one of the lab's (meshlab/...)")
