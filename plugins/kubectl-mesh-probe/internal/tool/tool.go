// Package tool knows the programs of a client pod that can send HTTP requests: curl, GNU wget, GNU wget2 and busybox wget. Each has
// a file with its version, its command line, and what it cannot do. How it prints replies is in package reply. Those that only open a
// connection are in dial.go.
package tool

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// Tool is one program of a client pod.
type Tool interface {
	Traits() Traits
	// Refuse returns an error if the tool cannot send this request.
	Refuse(r request.Request) error
	// Program returns how the pod runs the tool. The nonce starts the records of a tool that prints them.
	Program(r request.Request, nonce string) wire.Program
	// Record reads the record that the tool printed behind a reply.
	Record(rec reply.Record, bodyLimit int) (reply.Reply, error)
	// Cut finds the replies in the output of a batch that has ended.
	Cut(b reply.Block) (reply.Cut, error)
}

// Traits are the properties of a tool that decide how requests are batched.
type Traits struct {
	Name    string
	Version string
	// Flag is the value of --tool that selects it.
	Flag string
	// MaxBatch is how many requests one process can send.
	MaxBatch int
	// LimitsTime says that the tool itself ends a request that takes too long.
	LimitsTime bool
	// WholeSeconds says that the tool's own time limit is rounded up to whole seconds.
	WholeSeconds bool
	// Measures says that the tool measures each request.
	Measures bool
	// NeedsLength says that the replies of a batch can be told apart only if each has a known length.
	NeedsLength bool
}

// String returns the tool's name and version.
func (t Traits) String() string { return strings.TrimSpace(t.Name + " " + t.Version) }

// How many URLs a command line has at most, and how many requests one curl sends.
const (
	maxURLs         = 1000
	maxCurlRequests = 4000
)

// noRecords is a tool that prints no records.
type noRecords struct{}

// Record implements Tool.
func (noRecords) Record(reply.Record, int) (reply.Reply, error) {
	return reply.Reply{}, errors.New("the pod's output is broken: a record of a tool that prints none")
}

// wget is what busybox wget, GNU wget and GNU wget2 have in common.
type wget struct {
	noRecords
	command []string // the words that start it
	version string
	// options are those of optionalOptions that this build knows.
	options []string
}

// optionalOptions are options that not every version or build of wget knows.
var optionalOptions = []string{"--content-on-error", "--http2", "--method", "--no-check-certificate", "--no-config", "--no-hsts", "--show-progress"}

func newWget(command []string, version, help string) wget {
	w := wget{command: command, version: version}
	for _, o := range optionalOptions {
		if regexp.MustCompile(regexp.QuoteMeta(o) + `\b`).MatchString(help) {
			w.options = append(w.options, o)
		}
	}
	return w
}

// optional returns those of the options that this build knows.
func (w wget) optional(options ...string) []string {
	return slices.DeleteFunc(options, func(o string) bool { return !slices.Contains(w.options, o) })
}

// tls are the options for HTTPS of GNU wget and wget2.
func (w wget) tls(r request.Request) []string {
	var out []string
	if r.Insecure {
		out = append(out, "--no-check-certificate")
	}
	if len(r.CACert) > 0 {
		out = append(out, "--ca-certificate="+wire.TrustFile)
	}
	return out
}

// headers are the options that send the request's headers.
func (w wget) headers(r request.Request) []string {
	var out []string
	for _, h := range r.Headers {
		out = append(out, "--header", h)
	}
	return out
}

// refuseHeaders returns an error if the request has secret headers, because every wget takes headers on its command line.
func refuseHeaders(t Traits, r request.Request) error {
	names := request.SecretHeaders(r.Headers)
	if len(names) == 0 || r.AllowVisibleHeaders {
		return nil
	}
	return fmt.Errorf("%s takes headers on its command line, where the pod's process list shows the value of %s; use a client pod with curl, or add --allow-visible-headers",
		t, strings.Join(names, ", "))
}

// refuseMethod returns an error if the tool cannot send the method, the data or the address of a request. methods are those that it can send.
func refuseMethod(t Traits, r request.Request, methods ...string) error {
	switch {
	case r.Data != nil:
		return fmt.Errorf("%s takes --data on its command line, where the pod's process list shows it; use a client pod with curl", t)
	case !r.Resolve.IsZero():
		return fmt.Errorf("%s has no option like --resolve; use a client pod with curl", t)
	case !slices.Contains(methods, r.Method):
		return fmt.Errorf("%s cannot send %s requests; use --method GET or a client pod with curl", t, r.Method)
	}
	return nil
}
