package vnode

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	// streamIdle is how long a stream may be silent, as in a kubelet.
	streamIdle = 4 * time.Hour
	readHeader = 30 * time.Second
)

// serve offers the kubelet API on every node's address. Only the API server may call, since the
// API runs processes of this machine: its certificate must be signed by the cluster's CA and
// carry the API server's kubelet client name.
func (c *Cluster) serve(ctx context.Context) (stop func(), err error) {
	cfg := c.Cluster
	cert, err := tls.LoadX509KeyPair(cfg.KubeletServingCert, cfg.KubeletServingKey)
	if err != nil {
		return nil, fmt.Errorf("kubelet certificate: %w", err)
	}
	ca, err := os.ReadFile(cfg.KubeletClientCA)
	if err != nil {
		return nil, fmt.Errorf("kubelet client CA: %w", err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("kubelet client CA: no certificate in %s", cfg.KubeletClientCA)
	}
	server := &http.Server{
		Handler:           c.handler(),
		ReadHeaderTimeout: readHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"http/1.1"}, // the streams upgrade the connection, which HTTP/2 cannot
			VerifyConnection: func(s tls.ConnectionState) error {
				if name := s.PeerCertificates[0].Subject.CommonName; name != cfg.KubeletClientName {
					return fmt.Errorf("client %q is not the API server", name)
				}
				return nil
			},
		},
	}
	for _, n := range c.nodes {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(n.KubeletAddress, strconv.Itoa(n.KubeletPort)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("node %q: %w", n.Name, err), server.Close())
		}
		go func() {
			if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				c.logf("node %s: kubelet API: %v", n.Name, err)
			}
		}()
	}
	return func() { _ = server.Close() }, nil
}

func (c *Cluster) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", c.serveLogs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", c.serveExec)
	mux.HandleFunc("/exec/{namespace}/{pod}/{uid}/{container}", c.serveExec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", c.servePortForward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", c.servePortForward)
	for _, path := range []string{"/attach/", "/run/"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the lab has no attach; use kubectl exec or kubectl logs -f", http.StatusNotImplemented)
		})
	}
	return mux
}

// workerOf finds the pod of a request.
func (c *Cluster) workerOf(w http.ResponseWriter, r *http.Request) *worker {
	pod := c.find(r.PathValue("namespace"), r.PathValue("pod"))
	if pod == nil {
		http.Error(w, fmt.Sprintf("pod %s/%s does not run on this node", r.PathValue("namespace"), r.PathValue("pod")), http.StatusNotFound)
	}
	return pod
}

func (c *Cluster) serveExec(w http.ResponseWriter, r *http.Request) {
	pod := c.workerOf(w, r)
	if pod == nil {
		return
	}
	opts, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	container := r.PathValue("container")
	if err := pod.executable(container); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	remotecommand.ServeExec(w, r, &executor{pod}, r.PathValue("pod"), string(pod.uid), container, r.Form["command"], opts,
		streamIdle, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (c *Cluster) servePortForward(w http.ResponseWriter, r *http.Request) {
	pod := c.workerOf(w, r)
	if pod == nil {
		return
	}
	opts, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, &forwarder{pod}, r.PathValue("pod"), string(pod.uid), opts,
		streamIdle, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

func (c *Cluster) serveLogs(w http.ResponseWriter, r *http.Request) {
	pod := c.workerOf(w, r)
	if pod == nil {
		return
	}
	opts, err := parseLogOptions(r, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	logs, err := pod.logs(r.PathValue("container"), r.FormValue("previous") == "true")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	out := flushing{w, http.NewResponseController(w)}
	if err := logs.copyTo(r.Context(), out, opts); err != nil {
		c.logf("logs of %s: %v", r.URL.Path, err)
	}
}

// flushing sends each line at once: somebody may be following.
type flushing struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.control.Flush()
}

func parseLogOptions(r *http.Request, now time.Time) (logOptions, error) {
	o := logOptions{follow: r.FormValue("follow") == "true", timestamps: r.FormValue("timestamps") == "true", tail: -1}
	var err error
	if v := r.FormValue("tailLines"); v != "" {
		if o.tail, err = strconv.Atoi(v); err != nil || o.tail < 0 {
			return o, fmt.Errorf("tailLines %q is not a number of lines", v)
		}
	}
	if v := r.FormValue("limitBytes"); v != "" {
		if o.limit, err = strconv.ParseInt(v, 10, 64); err != nil || o.limit < 1 {
			return o, fmt.Errorf("limitBytes %q is not a number of bytes", v)
		}
	}
	if v := r.FormValue("sinceSeconds"); v != "" {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return o, fmt.Errorf("sinceSeconds %q is not a number of seconds", v)
		}
		o.since = now.Add(-time.Duration(n) * time.Second)
	}
	if v := r.FormValue("sinceTime"); v != "" {
		if o.since, err = time.Parse(time.RFC3339, v); err != nil {
			return o, fmt.Errorf("sinceTime: %w", err)
		}
	}
	return o, nil
}
