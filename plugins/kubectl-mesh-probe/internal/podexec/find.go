// Package podexec finds the client pod that a user refers to, as kubectl exec does, and runs commands in it. It knows the Kubernetes
// clients. It does not know which commands are run, nor what their output means.
package podexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// annotationContainer names the container that kubectl exec chooses. Source: kubectl, since 1.21.
const annotationContainer = "kubectl.kubernetes.io/default-container"

// Ref is an object that leads to a pod: TYPE/NAME, or a pod's name.
type Ref struct {
	Kind string // pod, deployment, statefulset, daemonset, replicaset, job or service
	Name string
}

// String returns KIND "NAME", for messages.
func (r Ref) String() string { return fmt.Sprintf("%s %q", r.Kind, r.Name) }

var kinds = map[string]string{
	"pod": "pod", "pods": "pod", "po": "pod",
	"deployment": "deployment", "deployments": "deployment", "deploy": "deployment",
	"statefulset": "statefulset", "statefulsets": "statefulset", "sts": "statefulset",
	"daemonset": "daemonset", "daemonsets": "daemonset", "ds": "daemonset",
	"replicaset": "replicaset", "replicasets": "replicaset", "rs": "replicaset",
	"job": "job", "jobs": "job",
	"service": "service", "services": "service", "svc": "service",
}

// ParseRef reads the value of --from.
func ParseRef(s string) (Ref, error) {
	kind, name, ok := strings.Cut(s, "/")
	if !ok {
		kind, name = "pod", s
	}
	kind, _, _ = strings.Cut(kind, ".") // deployments.apps
	long, known := kinds[strings.ToLower(kind)]
	switch {
	case !known:
		return Ref{}, fmt.Errorf("%q: %q is not a type with pods; must be one of: deploy, sts, ds, rs, job, svc, pod", s, kind)
	case name == "" || strings.ContainsAny(name, "/ \t\n"):
		return Ref{}, fmt.Errorf("%q: must be TYPE/NAME, such as deploy/client, or the name of a pod", s)
	}
	return Ref{long, name}, nil
}

// Pod is the pod and the container in which commands run.
type Pod struct {
	Namespace, Name, Container, Node string
	// HostNetwork says that the pod uses the network of its node, which may balance in another way.
	HostNetwork bool
	// Defaulted lists the containers of which the first was chosen. It is empty if there was no choice.
	Defaulted []string
	// Proxy is the proxy of a service mesh that the pod's connections pass through, and how it was recognized. It may pick the backend
	// instead of Cilium.
	Proxy string
	// IPs are its addresses, unmapped and without a zone.
	IPs []netip.Addr
	// OtherDNS says that the pod's resolv.conf may have another search path than that of its cluster.
	OtherDNS bool
}

// String returns NAMESPACE/NAME.
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// Find returns the pod to run commands in. Of several pods it prefers one that is running, ready and not terminating.
func Find(ctx context.Context, client kubernetes.Interface, namespace string, ref Ref, container string) (Pod, error) {
	pods, err := list(ctx, client, namespace, ref)
	if err != nil {
		return Pod{}, explain(err, ref, namespace)
	}
	pod, err := choose(pods, ref, namespace)
	if err != nil {
		return Pod{}, err
	}
	return Describe(ctx, client, pod, container)
}

// Describe returns what is needed to run commands in a container of a pod, and what affects its connections.
func Describe(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, container string) (Pod, error) {
	return describe(pod, container, func() map[string]string { return namespaceLabels(ctx, client, pod.Namespace) })
}

// describe is Describe. It asks for the labels of the pod's namespace only if they matter.
func describe(pod *corev1.Pod, container string, namespace func() map[string]string) (Pod, error) {
	out := Pod{Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork}
	out.OtherDNS = otherDNS(&pod.Spec)
	for _, one := range pod.Status.PodIPs {
		if addr, err := netip.ParseAddr(one.IP); err == nil {
			out.IPs = append(out.IPs, addr.Unmap().WithZone(""))
		}
	}
	if out.Proxy = proxyInPod(pod); out.Proxy == "" {
		var labels map[string]string
		if !pod.Spec.HostNetwork && pod.Labels[labelDataplaneMode] == "" {
			labels = namespace()
		}
		out.Proxy = dataplane(pod, labels)
	}
	var err error
	out.Container, out.Defaulted, err = pick(pod, container)
	return out, err
}

// namespaceLabels reads the labels of a namespace, if the user may read them.
func namespaceLabels(ctx context.Context, client kubernetes.Interface, name string) map[string]string {
	ns, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return ns.Labels
}

func list(ctx context.Context, client kubernetes.Interface, namespace string, ref Ref) ([]corev1.Pod, error) {
	if ref.Kind == "pod" {
		p, err := client.CoreV1().Pods(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return []corev1.Pod{*p}, nil
	}
	sel, err := selector(ctx, client, namespace, ref)
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: sel.String()})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

func selector(ctx context.Context, client kubernetes.Interface, namespace string, ref Ref) (labels.Selector, error) {
	var ls *metav1.LabelSelector
	var err error
	get := metav1.GetOptions{}
	switch ref.Kind {
	case "deployment":
		o, e := client.AppsV1().Deployments(namespace).Get(ctx, ref.Name, get)
		if err = e; e == nil {
			ls = o.Spec.Selector
		}
	case "statefulset":
		o, e := client.AppsV1().StatefulSets(namespace).Get(ctx, ref.Name, get)
		if err = e; e == nil {
			ls = o.Spec.Selector
		}
	case "daemonset":
		o, e := client.AppsV1().DaemonSets(namespace).Get(ctx, ref.Name, get)
		if err = e; e == nil {
			ls = o.Spec.Selector
		}
	case "replicaset":
		o, e := client.AppsV1().ReplicaSets(namespace).Get(ctx, ref.Name, get)
		if err = e; e == nil {
			ls = o.Spec.Selector
		}
	case "job":
		o, e := client.BatchV1().Jobs(namespace).Get(ctx, ref.Name, get)
		if err = e; e == nil {
			ls = o.Spec.Selector
		}
	case "service":
		o, e := client.CoreV1().Services(namespace).Get(ctx, ref.Name, get)
		if e != nil {
			return nil, e
		}
		if len(o.Spec.Selector) == 0 {
			return nil, fmt.Errorf("service %q has no selector, so it has no pods of its own; name a workload or a pod in --from", ref.Name)
		}
		return labels.SelectorFromSet(o.Spec.Selector), nil
	}
	if err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(ls)
}

// choose prefers pods that are ready, then pods that are running. Of these it chooses the oldest, then the first by name, so that runs can
// be compared.
func choose(pods []corev1.Pod, ref Ref, namespace string) (*corev1.Pod, error) {
	if len(pods) == 0 {
		return nil, fmt.Errorf("%s in namespace %q has no pods", ref, namespace)
	}
	best := slices.MinFunc(pods, better)
	switch rank(&best) {
	case 3:
		return nil, fmt.Errorf("no pod of %s in namespace %q is running; %s is %s", ref, namespace, best.Name, strings.ToLower(string(best.Status.Phase)))
	case 2:
		return nil, fmt.Errorf("every pod of %s in namespace %q is terminating", ref, namespace)
	}
	return &best, nil
}

// better orders pods by how well they serve as a client.
func better(a, b corev1.Pod) int {
	return cmp.Or(cmp.Compare(rank(&a), rank(&b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// rank is 0 for a pod that is ready.
func rank(p *corev1.Pod) int {
	switch {
	case p.Status.Phase != corev1.PodRunning:
		return 3
	case p.DeletionTimestamp != nil:
		return 2
	case !ready(p):
		return 1
	}
	return 0
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// pick chooses the container: the one that the user names, else the one that the annotation names, else the first.
func pick(pod *corev1.Pod, want string) (name string, defaulted []string, err error) {
	names := make([]string, len(pod.Spec.Containers))
	for i, c := range pod.Spec.Containers {
		names[i] = c.Name
	}
	// The user may also name an ephemeral container: kubectl debug adds one with a shell.
	all := slices.Clone(names)
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, c.Name)
	}
	if want != "" {
		if !slices.Contains(all, want) {
			return "", nil, fmt.Errorf("--container %q: pod %s has no such container; it has %s", want, pod.Name, strings.Join(all, ", "))
		}
		return want, nil, nil
	}
	if c := pod.Annotations[annotationContainer]; slices.Contains(names, c) {
		return c, nil, nil
	}
	if len(names) > 1 {
		return names[0], names, nil
	}
	return names[0], nil, nil
}

// explain names the missing object or the missing permission.
func explain(err error, ref Ref, namespace string) error {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s not found in namespace %q", ref, namespace)
	case apierrors.IsForbidden(err) && errors.As(err, &status):
		return missing(status.Status(), namespace, err)
	}
	return fmt.Errorf("%s in namespace %q: %w", ref, namespace, err)
}

// missing reads the permission from the error of the API server. The rule is not limited to one name.
func missing(s metav1.Status, namespace string, err error) error {
	p := permissions.Permission{Verb: "get", Namespace: namespace}
	if s.Details != nil {
		p.Group, p.Resource = s.Details.Group, s.Details.Kind // in a refusal, the kind is the resource
	}
	if strings.Contains(s.Message, "cannot list") {
		p.Verb = "list"
	}
	return &permissions.MissingError{Permissions: []permissions.Permission{p}, Err: err}
}
