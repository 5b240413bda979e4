// Package web is the HTTP server of the image meshlab/web: it says who answers in the ways that
// the servers of real demos do, and misbehaves on request. It knows nothing of
// Kubernetes, namespaces or the lab; all that it is told comes by flags or environment.
//
// Each flag may be set by the environment variable of the same name in capitals, with
// underscores (--error-rate, ERROR_RATE). STYLE is one of
//
//	text      BODY, a template; by default "Hello from $POD in cluster $CLUSTER"
//	json      {"cluster":"us","pod":"web-0","node":"us-worker","namespace":"default"}
//	galaxy    {"Galaxy": "Alderaan", "Cluster": "Cluster-1"}, as Cilium's rebel-base demo; CLUSTER is the value there
//	echo      host name, pod address and the request's headers, as echoserver
//	header    "ok" and the headers X-Cluster and X-Pod
//	aks       the page of the AKS hello-world image with TITLE in it
//	silent    "ok" and nothing that tells who answers
//
// In BODY and TITLE, $NAME and ${NAME} stand for CLUSTER, POD, POD_IP, NODE, NAMESPACE or any
// other environment variable. The lab sets MESHLAB_CLUSTER, POD, POD_IP, NODE and NAMESPACE
// in each container; CLUSTER is MESHLAB_CLUSTER unless it is set.
package web

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Style is a way of telling who answers.
type Style string

// The styles.
const (
	StyleText   Style = "text"
	StyleJSON   Style = "json"
	StyleGalaxy Style = "galaxy"
	StyleEcho   Style = "echo"
	StyleHeader Style = "header"
	StyleAKS    Style = "aks"
	StyleSilent Style = "silent"
)

// Config is what a server does.
type Config struct {
	Port      int
	Style     Style
	Body      string
	Title     string
	Status    int
	Delay     time.Duration // before the answer
	ErrorRate float64       // part of the answers that have ErrorCode, from 0 to 1
	ErrorCode int
	Seed      uint64 // of the errors' order; 0 takes a new one
	Hang      bool   // never answer
	Size      int64  // pad the body to at least this many bytes
	Binary    bool   // put bytes of all values, control characters included, after the body
	Chunked   bool   // no Content-Length
	KeepAlive bool
	Reset     bool          // close the connection instead of answering
	Drain     time.Duration // keep serving so long after SIGTERM
	Log       bool          // a line on stdout for each request
	TLS       bool          // HTTPS, with a certificate that nobody trusts

	getenv func(string) string
}

// Parse reads flags and, for those that are absent, the environment.
func Parse(args []string, getenv func(string) string, usage io.Writer) (*Config, error) {
	c := &Config{getenv: getenv}
	fs := flag.NewFlagSet("web", flag.ContinueOnError)
	fs.SetOutput(usage)
	style := "text"
	fs.IntVar(&c.Port, "port", 80, "port to listen on")
	fs.StringVar(&style, "style", style, "text, json, galaxy, echo, header, aks or silent")
	fs.StringVar(&c.Body, "body", "", "template of the text style")
	fs.StringVar(&c.Title, "title", "Welcome to Azure Kubernetes Service (AKS) 'App One' on cluster $CLUSTER", "title of the aks style")
	fs.IntVar(&c.Status, "status", 200, "HTTP status of the answers")
	fs.DurationVar(&c.Delay, "delay", 0, "wait before each answer")
	fs.Float64Var(&c.ErrorRate, "error-rate", 0, "part of the answers that are errors, 0 to 1")
	fs.IntVar(&c.ErrorCode, "error-code", 503, "HTTP status of those errors")
	fs.Uint64Var(&c.Seed, "seed", 0, "seed of the errors' order; 0: another one each time")
	fs.BoolVar(&c.Hang, "hang", false, "accept requests and never answer")
	fs.Int64Var(&c.Size, "size", 0, "pad the body to at least so many bytes")
	fs.BoolVar(&c.Binary, "binary", false, "put bytes of all values after the body")
	fs.BoolVar(&c.Chunked, "chunked", false, "send the body in chunks, without its length")
	fs.BoolVar(&c.KeepAlive, "keepalive", true, "let a client use a connection again")
	fs.BoolVar(&c.Reset, "reset", false, "close the connection instead of answering")
	fs.DurationVar(&c.Drain, "drain", 0, "keep serving so long after SIGTERM")
	fs.BoolVar(&c.Log, "log", false, "print a line for each request")
	fs.BoolVar(&c.TLS, "tls", false, "serve HTTPS with a self-signed certificate, made at the start")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := getenv(name); v != "" && !given[f.Name] {
			if err := fs.Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
			}
		}
	})
	c.Style = Style(style)
	switch c.Style {
	case StyleText, StyleJSON, StyleGalaxy, StyleEcho, StyleHeader, StyleAKS, StyleSilent:
	default:
		errs = append(errs, fmt.Errorf("--style %q is none of text, json, galaxy, echo, header, aks, silent", style))
	}
	if c.ErrorRate < 0 || c.ErrorRate > 1 {
		errs = append(errs, fmt.Errorf("--error-rate %v is not from 0 to 1", c.ErrorRate))
	}
	return c, errors.Join(errs...)
}

// lookup is what a template's names stand for.
func (c *Config) lookup(name string) string {
	if v := c.getenv(name); v != "" {
		return v
	}
	switch name {
	case "CLUSTER":
		return c.getenv("MESHLAB_CLUSTER")
	case "POD", "HOSTNAME":
		name, err := os.Hostname()
		if err != nil {
			return ""
		}
		return name
	}
	return ""
}
