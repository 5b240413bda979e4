// Package podstream opens streams to pods through an API server: a command in a container, and a connection to a port. It knows the Kubernetes clients. It does
// not know which commands are run, nor what is sent.
package podstream

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

// Cluster is the connection to an API server.
type Cluster struct {
	config *rest.Config
	client rest.Interface
}

// New returns the connection for a cluster's configuration and client.
func New(config *rest.Config, client kubernetes.Interface) *Cluster {
	config = rest.CopyConfig(config)
	config.Timeout = 0 // a timeout would end the stream
	return &Cluster{config: config, client: client.CoreV1().RESTClient()}
}

// Container is a container of a pod.
type Container struct{ Namespace, Pod, Name string }

// Streams are those of a command. Without Stdin it reads nothing.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Exec runs a command in a container. It tries WebSocket first and falls back to SPDY, as kubectl does (httpstream must be that of
// k8s.io/streaming: since 0.37, that of apimachinery never matches). It allocates no terminal, because a terminal changes line ends.
// A missing permission is a *permissions.MissingError.
func (c *Cluster) Exec(ctx context.Context, to Container, command []string, s Streams) error {
	u := c.client.Post().Resource("pods").Namespace(to.Namespace).Name(to.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: to.Name, Command: command, Stdin: s.Stdin != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(c.config, "POST", u)
	if err != nil {
		return err
	}
	ws, err := remotecommand.NewWebSocketExecutor(c.config, "GET", u.String())
	if err != nil {
		return err
	}
	both, err := remotecommand.NewFallbackExecutor(ws, spdy, needsSPDY)
	if err != nil {
		return err
	}
	if !klog.V(4).Enabled() {
		// client-go logs an error if a command ends before it has read all its input. The script may do that.
		ctx = klog.NewContext(ctx, logr.Discard())
	}
	err = both.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr})
	if err != nil {
		return explain(err, "pods/exec", to.Namespace, fmt.Sprintf("exec in pod %s/%s, container %s", to.Namespace, to.Pod, to.Name))
	}
	return nil
}

// needsSPDY reports whether an error means that the API server, or a proxy before it, does not let WebSocket through.
func needsSPDY(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// explain names the permission that a request lacked, or what was tried.
func explain(err error, resource, namespace, what string) error {
	if forbidden(err) {
		access := permissions.Access{Resource: resource, Verbs: []string{"create", "get"}}
		return &permissions.MissingError{Permissions: access.In(namespace, ""), Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// forbidden reports whether the API server refused the request. The error of an upgrade no longer has its type.
func forbidden(err error) bool {
	return err != nil && (apierrors.IsForbidden(err) || strings.Contains(err.Error(), "is forbidden: User"))
}
