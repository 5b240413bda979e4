package cmd

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// hostPort is HOST:PORT with a number, or with an IPv6 address in brackets. A host without a port, or with the name of one, is a Service.
var hostPort = regexp.MustCompile(`^(\[.*\].*|[^/]*:[0-9]+)$`)

// parseTarget checks a URL or SERVICE[:PORT], and with --tcp HOST:PORT. It returns nil for a Service.
func (f flags) parseTarget(typed string) (*request.Target, error) {
	isURL := strings.Contains(typed, "://")
	if f.tcp && isURL && !strings.HasPrefix(typed, "tcp://") {
		return nil, fmt.Errorf("%q cannot be used with --tcp, which opens a connection and sends nothing; use HOST:PORT", typed)
	}
	host := strings.TrimPrefix(strings.TrimPrefix(typed, "service/"), "svc/")
	if f.tcp && !isURL && hostPort.MatchString(host) {
		url, err := request.ParseTarget("tcp://" + host)
		return &url, err
	}
	if !isURL && !strings.ContainsAny(typed, "\r\n\x00") {
		_, _, err := target.SplitService(typed)
		if err != nil && f.tcp {
			err = fmt.Errorf("%q is neither HOST:PORT nor SERVICE[:PORT]", typed)
		}
		return nil, err
	}
	url, err := request.ParseTarget(typed)
	if err != nil {
		return nil, err
	}
	return &url, nil
}

// maxTargets limits the targets of a run, because each has its own exec streams to each client pod.
const maxTargets = 8

// parseTargets checks what the clients are to call. All targets are of one kind: the flags apply to each of them.
func (f flags) parseTargets(typed []string) ([]probe.Target, error) {
	if len(typed) > maxTargets {
		return nil, fmt.Errorf("a run has at most %d URLs, because each has its own connections through the API server; got %d", maxTargets, len(typed))
	}
	var out []probe.Target
	for _, one := range typed {
		url, err := f.parseTarget(one)
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			if o.Typed == one || url != nil && o.URL != nil && o.URL.Same(*url) {
				return nil, fmt.Errorf("%s was given twice; a run calls each URL once", one)
			}
		}
		out = append(out, probe.Target{Typed: one, URL: url})
	}
	if err := oneKind(out); err != nil && !f.tcp {
		return nil, err
	}
	return out, nil
}

// oneKind refuses HTTP requests and connections without HTTP in one run.
func oneKind(targets []probe.Target) error {
	isTCP := func(t probe.Target) bool { return t.URL != nil && t.URL.TCP() }
	for _, t := range targets[1:] {
		if isTCP(t) != isTCP(targets[0]) {
			return fmt.Errorf("%s and %s cannot be combined: a run either sends HTTP requests or opens connections (--tcp)", targets[0].Typed, t.Typed)
		}
	}
	return nil
}

// onlyHTTP returns the flags that were typed and have no meaning without an HTTP request.
func (f flags) onlyHTTP() []string {
	var out []string
	for _, one := range []struct {
		name  string
		typed bool
	}{
		{"--method", f.method != http.MethodGet}, {"--data", f.dataGiven}, {"--header", len(f.headers) > 0}, {"--resolve", f.resolve != ""},
		{"--insecure", f.insecure}, {"--cacert", f.caCert != ""}, {"--allow-visible-headers", f.allowHeader},
		{"--identify", f.identify != "auto"}, {"--map", len(f.mappings) > 0},
	} {
		if one.typed {
			out = append(out, one.name)
		}
	}
	return out
}
