package podexec

import (
	"context"
	"io"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/podstream"
)

// Exec runs commands in one container. It implements wire.Transport.
type Exec struct {
	cluster *podstream.Cluster
	pod     Pod
}

// New returns an Exec for a pod.
func New(config *rest.Config, client kubernetes.Interface, pod Pod) *Exec {
	return &Exec{cluster: podstream.New(config, client), pod: pod}
}

// Exec implements wire.Transport.
func (e *Exec) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	to := podstream.Container{Namespace: e.pod.Namespace, Pod: e.pod.Name, Name: e.pod.Container}
	return e.cluster.Exec(ctx, to, command, podstream.Streams{Stdin: stdin, Stdout: stdout, Stderr: stderr})
}
