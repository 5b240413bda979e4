//go:build unix

package killtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// pods answers for what runs in the pods of one API server.
type pods interface {
	// exec returns what a command prints.
	exec(namespace, pod, container string, command []string) (string, error)
	// logs returns the lines of a log, each with its time.
	logs(namespace, pod, container string) ([]logLine, error)
	// serve is a connection to a port of a pod.
	serve(ctx context.Context, namespace, pod string, port int, conn net.Conn) error
}

type logLine struct {
	at   time.Time
	text string
}

// kubelet is the server that an API server calls for exec, logs and port-forward.
type kubelet struct {
	pods   pods
	server *http.Server
}

// startKubelet listens where the lab has planned a node. Only the API server may call: it shows the certificate that the lab made for it.
func startKubelet(c labCluster, p pods) (*kubelet, error) {
	pair, err := tls.LoadX509KeyPair(c.KubeletServingCert, c.KubeletServingKey)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(c.KubeletClientCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	node := c.Nodes[0]
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(node.KubeletAddress, strconv.Itoa(node.KubeletPort)))
	if err != nil {
		return nil, err
	}
	k := &kubelet{pods: p}
	k.server = &http.Server{
		Handler: k.handler(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		// Streams need HTTP/1.1.
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}
	go func() { _ = k.server.ServeTLS(listener, "", "") }()
	return k, nil
}

func (k *kubelet) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.exec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.forward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.logs)
	return mux
}

// stream is one of a connection, with the end of its opening.
type stream struct {
	httpstream.Stream

	replied <-chan struct{}
}

// streams upgrades a request, and returns its streams as they come.
func streams(w http.ResponseWriter, r *http.Request, protocol string) (httpstream.Connection, <-chan stream, error) {
	if _, err := httpstream.Handshake(r, w, []string{protocol}); err != nil {
		return nil, nil, err
	}
	const most = 8
	out := make(chan stream, most)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, replied <-chan struct{}) error {
		out <- stream{s, replied}
		return nil
	})
	if conn == nil {
		return nil, nil, errors.New("the connection was not upgraded")
	}
	return conn, out, nil
}

const streamTimeout = 30 * time.Second

// exec runs a command without input, by version 4 of the protocol: the result is a Status on the stream for errors.
func (k *kubelet) exec(w http.ResponseWriter, r *http.Request) {
	conn, incoming, err := streams(w, r, "v4.channel.k8s.io")
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	want := []string{corev1.StreamTypeError, corev1.StreamTypeStdout, corev1.StreamTypeStderr}
	have := map[string]httpstream.Stream{}
	for len(have) < len(want) {
		select {
		case s := <-incoming:
			<-s.replied
			have[s.Headers().Get(corev1.StreamType)] = s
		case <-time.After(streamTimeout):
			return
		case <-conn.CloseChan():
			return
		}
	}
	text, failure := k.pods.exec(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"), r.URL.Query()["command"])
	status := metav1.Status{Status: metav1.StatusSuccess}
	if failure != nil {
		status = metav1.Status{Status: metav1.StatusFailure, Message: failure.Error()}
	}
	result, err := json.Marshal(status)
	if err != nil {
		return
	}
	_, _ = io.WriteString(have[corev1.StreamTypeStdout], text)
	_, _ = have[corev1.StreamTypeError].Write(result)
	for _, name := range want {
		_ = have[name].Close()
	}
	waitClosed(conn)
}

// waitClosed gives the other side the time to read what was sent.
func waitClosed(conn httpstream.Connection) {
	select {
	case <-conn.CloseChan():
	case <-time.After(streamTimeout):
	}
}

// forward connects one port: a pair of streams is one connection.
func (k *kubelet) forward(w http.ResponseWriter, r *http.Request) {
	conn, incoming, err := streams(w, r, "portforward.k8s.io")
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	var failed, data httpstream.Stream
	for failed == nil || data == nil {
		select {
		case s := <-incoming:
			<-s.replied
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				failed = s
			} else {
				data = s
			}
		case <-time.After(streamTimeout):
			return
		case <-conn.CloseChan():
			return
		}
	}
	port, err := strconv.Atoi(data.Headers().Get(corev1.PortHeader))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamTimeout)
	defer cancel()
	here, there := net.Pipe()
	go func() {
		_, _ = io.Copy(there, data)
		_ = there.Close()
	}()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(data, there)
		close(done)
	}()
	err = k.pods.serve(ctx, r.PathValue("namespace"), r.PathValue("pod"), port, here)
	_ = here.Close()
	<-done
	if err != nil {
		_, _ = io.WriteString(failed, err.Error())
	}
	_, _ = failed.Close(), data.Close()
	waitClosed(conn)
}

// logs prints a log with the time of each line, as `kubectl logs --timestamps` does.
func (k *kubelet) logs(w http.ResponseWriter, r *http.Request) {
	lines, err := k.pods.logs(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	query := r.URL.Query()
	var since time.Time
	if text := query.Get("sinceTime"); text != "" {
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if text := query.Get("tailLines"); text != "" {
		most, err := strconv.Atoi(text)
		if err != nil || most < 0 {
			http.Error(w, "tailLines", http.StatusBadRequest)
			return
		}
		lines = lines[max(0, len(lines)-most):]
	}
	var out strings.Builder
	for _, l := range lines {
		if !l.at.Before(since) {
			fmt.Fprintf(&out, "%s %s\n", l.at.UTC().Format(time.RFC3339Nano), l.text)
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, out.String())
}
