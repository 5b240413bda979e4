package faults

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// proxy is an HTTP proxy that knows one name.
type proxy struct {
	url    string
	name   string // host and port that lead to the API server, through the proxy only
	target string
	open   sync.Map // of net.Conn: both ends of the tunnels
}

// proxyName has an address only for the proxy: a command that does not use it fails. Go uses no proxy for addresses of this machine.
const proxyName = "apiserver.mesh.test:6443"

func openProxy(how proxying, target string) (*proxy, func(), error) {
	p := &proxy{name: proxyName, target: target}
	if how == proxyRefuses {
		address, err := nobody()
		p.url = "http://" + address
		return p, nil, err
	}
	handler := http.Handler(p)
	if how == proxyFails {
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no route to host", http.StatusBadGateway) })
	}
	server := httptest.NewServer(handler)
	p.url = server.URL
	return p, func() {
		p.open.Range(func(c, _ any) bool {
			if c, ok := c.(net.Conn); ok {
				_ = c.Close()
			}
			return true
		})
		server.Close()
	}, nil
}

// ServeHTTP makes a tunnel (CONNECT).
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hijacker, ok := w.(http.Hijacker)
	if r.Method != http.MethodConnect || r.Host != p.name || !ok {
		http.Error(w, "unknown host "+r.Host, http.StatusBadGateway)
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.WithoutCancel(r.Context()), "tcp", p.target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := hijacker.Hijack()
	if err != nil {
		_ = server.Close()
		return
	}
	p.open.Store(client, true)
	p.open.Store(server, true)
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			// What ends one direction ends the other.
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
		})
	}
	both.Wait()
	p.open.Delete(client)
	p.open.Delete(server)
}
