package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/podstream"
)

// container is the agent's container in its pod, and selector selects these pods. Source: Cilium's chart, 1.16 to 1.20.
const (
	container = "cilium-agent"
	selector  = "k8s-app=cilium"
)

// command prints the maps from which the datapath balances. It reads them without the help of the agent's process, so it also works while
// that hangs.
func command(more ...string) []string {
	return append([]string{"cilium-dbg", "bpf", "lb", "list", "-o", "json"}, more...)
}

// Accesses are the permissions that reading the agents' tables needs. Who may exec in the agents' pods controls the node, so they are granted on request.
func Accesses() []permissions.Access {
	return []permissions.Access{
		{Resource: "pods", Verbs: []string{"list"}, Place: permissions.InMeshNamespace, For: "the agent on the node of each client pod", Without: "the backends of the agent are unknown, and the check is inconclusive"},
		{Resource: "pods/exec", Verbs: []string{"get", "create"}, Place: permissions.InMeshNamespace, For: "reading its table of backends (`cilium-dbg bpf lb list`)", Without: "the backends of the agent are unknown, and the check is inconclusive"},
	}
}

// AccessTable returns the table as Markdown, for docs/rbac.md.
func AccessTable() string {
	return permissions.Table(Accesses(), func(permissions.Access) string { return "`--witness agents`" })
}

// maxTable is how much of an agent's answer is read: a cluster with 50,000 backends prints about 10 MB.
const maxTable = 256 << 20

// Read reads the table of the agent on a node, and returns the name of its pod.
func Read(ctx context.Context, m *clusters.Member, node string) (pod string, t Table, err error) {
	namespace := m.CiliumNamespace
	if namespace == "" {
		namespace = cilium.DefaultNamespace
	}
	pods, err := m.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if apierrors.IsForbidden(err) {
		return "", nil, &permissions.MissingError{Permissions: Accesses()[0].In(namespace, ""), Err: err}
	}
	if err != nil {
		return "", nil, fmt.Errorf("list the agents: %w", err)
	}
	i := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool {
		return p.Spec.NodeName == node && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil
	})
	if i < 0 {
		return "", nil, fmt.Errorf("no agent runs on node %s (pods with label %s in namespace %s)", node, selector, namespace)
	}
	pod = pods.Items[i].Name
	cluster, to := podstream.New(m.REST, m.Client), podstream.Container{Namespace: namespace, Pod: pod, Name: container}
	slots, err := run(ctx, cluster, to, command())
	if err != nil {
		return pod, nil, err
	}
	counts, err := run(ctx, cluster, to, command("--frontends"))
	if err != nil {
		return pod, nil, err
	}
	t, err = Parse(slots, counts)
	return pod, t, err
}

// run runs a command in a container and returns what it printed.
func run(ctx context.Context, cluster *podstream.Cluster, to podstream.Container, command []string) ([]byte, error) {
	out, errOut := &limited{max: maxTable}, &limited{max: 4 << 10}
	err := cluster.Exec(ctx, to, command, podstream.Streams{Stdout: out, Stderr: errOut})
	if err == nil && out.cut {
		err = errors.New("its table is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, quoted(errOut.String()))
	}
	return out.Bytes(), nil
}

// quoted is what a command printed on stderr, as the end of an error.
func quoted(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return ""
	}
	return ": " + s
}

// limited is a buffer that keeps what fits and discards the rest.
type limited struct {
	bytes.Buffer

	max int
	cut bool
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if room := l.max - l.Len(); len(p) > room {
		l.cut = true
		if _, err := l.Buffer.Write(p[:max(0, room)]); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return l.Buffer.Write(p)
}

var _ io.Writer = (*limited)(nil)
