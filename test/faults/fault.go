package faults

import (
	"net/http"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// Fault is one thing that can be wrong between a command and an API server.
type Fault struct {
	Name  string
	About string
	// Done says that the API server does what it is asked for, although its answer does not arrive: a command may find that out, or not.
	Done bool
	// Class is the class that a command reports for the cluster. It is empty if the command must work in spite of the fault.
	Class failure.Class
	// Writes says that the fault begins with the first request that changes something. Everything that is read before is right.
	Writes bool
	// Short says that the short form of the matrix includes the fault.
	Short bool
	// Current says that the cluster with the fault is that of the current context.
	Current bool

	// At most one of these is set. Without any, nothing is wrong.
	answer  func(l *Layer, w http.ResponseWriter, r *http.Request) // answers in place of the API server
	connect connection                                             // what happens before the first request
	proxy   proxying                                               // a proxy is between the command and the API server
}

// connection is what happens to a connection.
type connection int

const (
	connects        connection = iota
	untrusted                  // the certificate is signed by another CA
	closedHandshake            // the other end closes the connection in the middle of the TLS handshake
	refused                    // nobody listens
	dropped                    // packets are dropped: the connection is never made
	unknownName                // the name of the API server cannot be looked up
)

// proxying is how a command reaches the API server through an HTTP proxy.
type proxying int

const (
	direct       proxying = iota
	proxyURL              // proxy-url in the kubeconfig
	proxyEnv              // HTTPS_PROXY in the environment
	proxyFails            // the proxy answers with 502
	proxyRefuses          // the proxy is not there
)

// Reading are the faults that a command meets from its first request on. Network faults are those of one cluster; the other clusters answer.
var Reading = []Fault{
	{Name: "late", About: "every answer is late, but within the deadline", answer: late},
	{Name: "409", About: "409 Conflict", Class: failure.Other, answer: status409},
	{Name: "410", About: "410 Expired", Class: failure.Other, answer: status410},
	{Name: "429", About: "429 with Retry-After, always", Class: failure.Timeout, answer: status429},
	{Name: "429*", About: "429 with Retry-After, once", answer: once(status429)},
	{Name: "500", About: "500 Internal Server Error", Class: failure.Other, Short: true, answer: status500},
	{Name: "502", About: "the 502 page of a load balancer", Class: failure.Other, answer: page502},
	{Name: "503", About: "503 Service Unavailable", Class: failure.Other, answer: status503},
	{Name: "cut", About: "the body ends in the middle", Class: failure.Refused, Short: true, answer: cut},
	{Name: "slow", About: "a byte at a time, never the last one", Class: failure.Timeout, answer: slow},
	{Name: "html", About: "an HTML page with status 200", Class: failure.Other, Short: true, answer: html},
	{Name: "json", About: "JSON of another kind with status 200", Class: failure.Other, answer: otherJSON},
	{Name: "mute", About: "the request is accepted and never answered", Class: failure.Timeout, answer: mute},
	{Name: "401", About: "expired credentials", Class: failure.Unauthorized, Short: true, answer: status401},
	{Name: "403", About: "no permission", Class: failure.Forbidden, answer: status403},
	{Name: "404", About: "404 Not Found for everything, as from another server", Class: failure.NotFound, answer: status404},
	{Name: "cert", About: "a certificate of an unknown CA", Class: failure.TLS, Short: true, connect: untrusted},
	{Name: "eof", About: "the TLS handshake is closed, and client-go tries again", Class: failure.Timeout, connect: closedHandshake},
	{Name: "dead", About: "connection refused", Class: failure.Refused, Short: true, connect: refused},
	{Name: "dns", About: "the name of the API server cannot be looked up", Class: failure.DNS, connect: unknownName},
	{Name: "drop", About: "packets are dropped: the connection hangs", Class: failure.Timeout, Short: true, connect: dropped},
	{Name: "prxy", About: "a proxy-url that works", proxy: proxyURL},
	{Name: "env", About: "an HTTPS_PROXY that works", proxy: proxyEnv},
	{Name: "p502", About: "a proxy that answers with 502", Class: failure.Other, proxy: proxyFails},
	{Name: "pnone", About: "a proxy that is not there", Class: failure.Refused, proxy: proxyRefuses},
}

// Writing are the faults that begin with the first request that changes something.
var Writing = []Fault{
	{Name: "late", About: "every answer is late, but within the deadline", Writes: true, answer: late},
	{Name: "409", About: "409 Conflict", Class: failure.Other, Writes: true, answer: status409},
	{Name: "410", About: "410 Expired", Class: failure.Other, Writes: true, answer: status410},
	{Name: "429", About: "429 with Retry-After, always", Class: failure.Timeout, Writes: true, answer: status429},
	{Name: "429*", About: "429 with Retry-After, once", Writes: true, answer: once(status429)},
	{Name: "500", About: "500, and nothing is written", Class: failure.Other, Writes: true, Short: true, answer: status500},
	{Name: "502", About: "a load balancer gives up with 502, and the API server writes a moment later", Done: true, Writes: true, Short: true, answer: late502},
	{Name: "503", About: "503, and nothing is written", Class: failure.Other, Writes: true, answer: status503},
	{Name: "cut", About: "it is written, and the answer ends in the middle", Done: true, Writes: true, Short: true, answer: cut},
	{Name: "slow", About: "it is written, and the answer never ends", Done: true, Writes: true, answer: slow},
	{Name: "html", About: "an HTML page with status 200, and nothing is written", Class: failure.Other, Writes: true, answer: html},
	{Name: "json", About: "JSON of another kind with status 200, and nothing is written", Class: failure.Other, Writes: true, answer: otherJSON},
	{Name: "mute", About: "the request is accepted and never answered, and nothing is written", Class: failure.Timeout, Writes: true, answer: mute},
	{Name: "401", About: "the credentials expire", Class: failure.Unauthorized, Writes: true, answer: status401},
	{Name: "403", About: "writing is forbidden", Class: failure.Forbidden, Writes: true, Short: true, answer: status403},
	{Name: "dies", About: "the API server dies: no request is answered any more", Class: failure.Refused, Writes: true, Short: true, answer: dies},
}
