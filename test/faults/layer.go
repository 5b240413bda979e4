package faults

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Layer is a reverse proxy in front of one API server. It is reached by TLS and HTTP/2, as an API server is, and asks for no credentials: it has its own.
type Layer struct {
	fault   Fault
	server  *httptest.Server
	forward http.Handler
	proxy   *proxy
	closers []func()
	address string // where a command finds the API server, or does not

	later  sync.WaitGroup // requests that are forwarded after their answer
	dead   atomic.Bool    // no connection is answered any more
	met    atomic.Int32   // how many requests met the fault
	writes atomic.Int32   // how many requests changed something, or would have
}

// Open starts a layer in front of the API server that config leads to. Close ends it.
func Open(config *rest.Config, fault Fault) (*Layer, error) {
	upstream := rest.CopyConfig(config)
	// Streams to pods need HTTP/1.1.
	upstream.NextProtos = []string{"http/1.1"}
	transport, err := rest.TransportFor(upstream)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	l := &Layer{fault: fault}
	l.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l.server = httptest.NewUnstartedServer(l)
	l.server.EnableHTTP2 = true
	l.server.Config.ErrorLog = quiet()
	pair, err := issue(fault.connect != untrusted)
	if err != nil {
		return nil, err
	}
	l.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	l.server.Listener = &listener{Listener: l.server.Listener, layer: l}
	l.server.StartTLS()
	l.closers = append(l.closers, l.shut)
	l.address = l.server.Listener.Addr().String()
	if err := l.open(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// open prepares what the fault needs beyond the server.
func (l *Layer) open() error {
	var end func()
	var err error
	switch l.fault.connect {
	case refused:
		l.address, err = nobody()
	case dropped:
		l.address, end, err = blackHole()
	case unknownName:
		l.address = "api..invalid:6443" // an empty label: it is found to be wrong without a request to a DNS server
	case connects, untrusted, closedHandshake:
	}
	if err == nil && l.fault.proxy != direct {
		l.proxy, end, err = openProxy(l.fault.proxy, l.address)
	}
	if end != nil {
		l.closers = append(l.closers, end)
	}
	return err
}

// Close ends the layer and every connection to it.
func (l *Layer) Close() {
	for _, end := range l.closers {
		end()
	}
}

func (l *Layer) shut() {
	l.later.Wait()
	l.server.CloseClientConnections()
	l.server.Close()
}

// Cluster is the kubeconfig entry that leads to the layer.
func (l *Layer) Cluster() *clientcmdapi.Cluster {
	c := &clientcmdapi.Cluster{Server: "https://" + l.address, CertificateAuthorityData: authority().pem}
	if l.proxy != nil {
		c.Server = "https://" + l.proxy.name
		if l.fault.proxy != proxyEnv {
			c.ProxyURL = l.proxy.url
		}
	}
	return c
}

// Env is what the fault sets in the environment of a command.
func (l *Layer) Env() []string {
	if l.fault.proxy != proxyEnv {
		return nil
	}
	return []string{"HTTPS_PROXY=" + l.proxy.url}
}

// Met is how many requests met the fault. Faults of connections are not counted.
func (l *Layer) Met() int { return int(l.met.Load()) }

// Writes is how many requests arrived that change something.
func (l *Layer) Writes() int { return int(l.writes.Load()) }

// ServeHTTP forwards a request, or answers it as the fault says.
func (l *Layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.dead.Load() {
		panic(http.ErrAbortHandler)
	}
	changing := mutates(r)
	if changing {
		l.writes.Add(1)
	}
	if l.fault.answer == nil || l.fault.Writes && !changing {
		l.forward.ServeHTTP(w, r)
		return
	}
	if l.fault.Name != "429*" {
		l.met.Add(1)
	}
	l.fault.answer(l, w, r)
}

// mutates reports whether a request changes something that lasts.
func mutates(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	for _, harmless := range []string{"/selfsubject", "/subjectaccessreviews", "/exec", "/portforward", "/attach"} {
		if strings.Contains(r.URL.Path, harmless) {
			return false
		}
	}
	return !r.URL.Query().Has("dryRun")
}

// listener ends connections before TLS where the fault says so.
type listener struct {
	net.Listener

	layer *Layer
}

// Accept returns the next connection that is to be answered.
func (a *listener) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch {
		case a.layer.dead.Load():
			// A reset or an end: it depends on what the client has sent, as it does with a real server.
			_ = c.Close()
		case a.layer.fault.connect == closedHandshake:
			go closeInHandshake(c)
		default:
			return c, nil
		}
	}
}

// closeInHandshake reads the client's first message, so that the connection ends, and is not reset.
func closeInHandshake(c net.Conn) {
	defer func() { _ = c.Close() }()
	head := make([]byte, 5)
	r := bufio.NewReader(c)
	if _, err := io.ReadFull(r, head); err != nil {
		return
	}
	_, err := io.CopyN(io.Discard, r, int64(head[3])<<8|int64(head[4]))
	if err != nil && !errors.Is(err, io.EOF) {
		return
	}
}
