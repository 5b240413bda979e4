package live

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/podstream"
)

// SelectAgents is the label of the agents' pods. Source: charts 1.16 to 1.20.
const SelectAgents = "k8s-app=cilium"

// Labels and containers of Cilium's pods. Source: charts 1.16 to 1.20.
const (
	selectMeshAPI  = "k8s-app=" + cilium.DeploymentMeshAPI
	selectOperator = "io.cilium/app=operator"

	containerEtcd     = "etcd"
	containerOperator = "cilium-operator"
	portEtcd          = 2379
)

// Cluster asks the clusters themselves. It needs the permissions of ca.LiveAccesses.
type Cluster struct {
	timeout time.Duration
	streams streams
	now     func() time.Time
}

// New returns an Observer that asks the clusters, with a deadline for each request.
func New(timeout time.Duration, now func() time.Time) *Cluster {
	return &Cluster{timeout: timeout, streams: forwarded{}, now: now}
}

// streams is what the fake clients of tests do not have.
type streams interface {
	// exec returns what a command prints on stdout.
	exec(ctx context.Context, m *clusters.Member, to podstream.Container, command []string) ([]byte, error)
	dial(ctx context.Context, m *clusters.Member, namespace, pod string, port int) (net.Conn, error)
	logs(ctx context.Context, m *clusters.Member, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error)
}

// forwarded opens the streams through the API server.
type forwarded struct{}

// maxOutput limits what is kept of the output of a command; the status of an agent has some 100 KiB.
const maxOutput = 16 << 20

func (forwarded) exec(ctx context.Context, m *clusters.Member, to podstream.Container, command []string) ([]byte, error) {
	out, errOut := limited{most: maxOutput}, limited{most: 1 << 10}
	err := podstream.New(m.REST, m.Client).Exec(ctx, to, command, podstream.Streams{Stdout: &out, Stderr: &errOut})
	if line, _, _ := strings.Cut(strings.TrimSpace(errOut.String()), "\n"); err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return out.Bytes(), err
}

func (forwarded) dial(ctx context.Context, m *clusters.Member, namespace, pod string, port int) (net.Conn, error) {
	return podstream.New(m.REST, m.Client).Dial(ctx, namespace, pod, port)
}

func (forwarded) logs(ctx context.Context, m *clusters.Member, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	r, err := m.Client.CoreV1().Pods(namespace).GetLogs(pod, o).Stream(ctx)
	if err != nil {
		return nil, failure.Explain(err)
	}
	return r, nil
}

// limited keeps the beginning of what is written to it.
type limited struct {
	bytes.Buffer
	most int
}

// Write keeps what fits, and takes the rest too, so that the command can end.
func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(0, l.most-l.Len()))])
	return len(p), nil
}

func namespaceOf(m *clusters.Member) string {
	return cmp.Or(m.CiliumNamespace, cilium.DefaultNamespace)
}

// pods lists Cilium's pods with a label that have a container, without those that are finished or end.
func (c *Cluster) pods(ctx context.Context, m *clusters.Member, selector, container string) ([]corev1.Pod, error) {
	list, err := fanout.Within(ctx, c.timeout, func(ctx context.Context) (*corev1.PodList, error) {
		return m.Client.CoreV1().Pods(namespaceOf(m)).List(ctx, metav1.ListOptions{LabelSelector: selector})
	})
	if err != nil {
		return nil, fmt.Errorf("list pods with %s: %w", selector, failure.Explain(err))
	}
	out := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil
		return ended || !slices.ContainsFunc(p.Spec.Containers, func(k corev1.Container) bool { return k.Name == container })
	})
	slices.SortFunc(out, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// NodeNotReady reports whether the node of a pod is not ready, from the pod alone. When a node is lost, the node controller marks its pods as not ready and does not
// touch ContainersReady; a kubelet writes both (Kubernetes pkg/controller/util/node MarkPodsNotReady, pkg/kubelet/status). An agent that was not ready before that is
// not recognized.
func NodeNotReady(p *corev1.Pod) bool {
	is := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range p.Status.Conditions {
		is[c.Type] = c.Status
	}
	return is[corev1.PodReady] == corev1.ConditionFalse && is[corev1.ContainersReady] == corev1.ConditionTrue && len(p.Spec.ReadinessGates) == 0
}

// started returns when a container started; zero if it does not run.
func started(p *corev1.Pod, container string) time.Time {
	for _, s := range p.Status.ContainerStatuses {
		if s.Name == container && s.State.Running != nil {
			return s.State.Running.StartedAt.UTC()
		}
	}
	return time.Time{}
}

// notRunning is the reason for a container without a process.
const notRunning = "the container does not run"

// each calls fn for each pod, several at a time, and returns the results in their order. An error of one is the error: fn returns only
// those that concern all pods, such as a missing permission.
func each[T any](ctx context.Context, pods []corev1.Pod, fn func(*corev1.Pod) ([]T, error)) ([]T, error) {
	results, errs := make([][]T, len(pods)), make([]error, len(pods))
	fanout.Parallel(ctx, len(pods), func(i int) { results[i], errs[i] = fn(&pods[i]) })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	return slices.Concat(results...), nil
}

// missing returns the error if a permission is missing, which concerns every pod of the cluster; nil if the error concerns this pod.
func missing(err error) error {
	var denied *permissions.MissingError
	if errors.As(err, &denied) {
		return denied
	}
	return nil
}

// exec runs a command with a deadline.
func (c *Cluster) exec(ctx context.Context, m *clusters.Member, p *corev1.Pod, container string, command ...string) ([]byte, error) {
	to := podstream.Container{Namespace: p.Namespace, Pod: p.Name, Name: container}
	return fanout.Within(ctx, c.timeout, func(ctx context.Context) ([]byte, error) { return c.streams.exec(ctx, m, to, command) })
}

// lines calls fn for each line of a container's log, with a deadline, until fn returns false. A line that is longer than 1 MiB is an error.
func (c *Cluster) lines(ctx context.Context, m *clusters.Member, p *corev1.Pod, o corev1.PodLogOptions, fn func(string) bool) error {
	o.Timestamps = true
	return fanout.Do(ctx, c.timeout, func(ctx context.Context) error {
		r, err := c.streams.logs(ctx, m, p.Namespace, p.Name, &o)
		if err != nil {
			return fmt.Errorf("log of pod %s, container %s: %w", p.Name, o.Container, err)
		}
		defer func() { _ = r.Close() }()
		scan := bufio.NewScanner(r)
		const longest = 1 << 20
		scan.Buffer(nil, longest)
		for scan.Scan() {
			if !fn(scan.Text()) {
				return nil
			}
		}
		return scan.Err()
	})
}
