package podexec

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Exec runs commands in one container. It implements wire.Transport.
type Exec struct {
	config *rest.Config
	client rest.Interface
	pod    Pod
}

// New returns an Exec for a pod.
func New(config *rest.Config, client kubernetes.Interface, pod Pod) *Exec {
	config = rest.CopyConfig(config)
	config.Timeout = 0 // a timeout would end the stream
	return &Exec{config: config, client: client.CoreV1().RESTClient(), pod: pod}
}

// Exec implements wire.Transport. It tries WebSocket first and falls back to SPDY, as kubectl does (httpstream must be that of
// k8s.io/streaming: since 0.37, that of apimachinery never matches). It allocates no terminal, because a terminal changes line ends.
func (e *Exec) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	u := e.client.Post().Resource("pods").Namespace(e.pod.Namespace).Name(e.pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: e.pod.Container, Command: command, Stdin: stdin != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(e.config, "POST", u)
	if err != nil {
		return err
	}
	ws, err := remotecommand.NewWebSocketExecutor(e.config, "GET", u.String())
	if err != nil {
		return err
	}
	both, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	if !klog.V(4).Enabled() {
		// client-go logs an error if a command ends before it has read all its input. The script may do that.
		ctx = klog.NewContext(ctx, logr.Discard())
	}
	err = both.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: stderr})
	if forbidden(err) {
		access := permissions.Access{Resource: "pods/exec", Verbs: []string{"create", "get"}}
		return &permissions.MissingError{Permissions: access.In(e.pod.Namespace, ""), Err: err}
	}
	if err != nil {
		return fmt.Errorf("exec in pod %s, container %s: %w", e.pod, e.pod.Container, err)
	}
	return nil
}

// forbidden reports whether the API server refused the request. The error of an upgrade no longer has its type.
func forbidden(err error) bool {
	return err != nil && (apierrors.IsForbidden(err) || strings.Contains(err.Error(), "is forbidden: User"))
}
