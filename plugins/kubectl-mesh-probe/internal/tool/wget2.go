package tool

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

var wget2Version = regexp.MustCompile(`GNU Wget2 V?(\d+\.\d+(?:\.\d+)?)`)

// wget2 is GNU wget2. It sends several requests at once, so their replies cannot be told apart: each has its own process.
type wget2 struct{ wget }

// newWget2 reads the help of a wget. It returns false if it is not GNU wget2.
func newWget2(help string, command ...string) (Tool, bool) {
	m := wget2Version.FindStringSubmatch(help)
	if m == nil {
		return nil, false
	}
	return wget2{newWget(command, m[1], help)}, true
}

// Traits implements Tool.
func (w wget2) Traits() Traits {
	return Traits{Name: "GNU wget2", Version: w.version, Flag: "wget", MaxBatch: 1, LimitsTime: true}
}

// Refuse implements Tool.
func (w wget2) Refuse(r request.Request) error {
	if err := refuseMethod(w.Traits(), r, http.MethodGet); err != nil {
		return err
	}
	return refuseHeaders(w.Traits(), r)
}

// Program implements Tool.
func (w wget2) Program(r request.Request, _ string) wire.Program {
	words := append([]string{}, w.command...)
	words = append(words, w.optional("--no-config", "--no-hsts")...)
	words = append(words, "-q", "--save-headers", "--content-on-error", "--tries=1", "-T"+seconds(r.Timeout), "--no-proxy", "--max-redirect=0",
		"-O", "-", "-U", r.UserAgent)
	if slices.Contains(w.options, "--http2") {
		words = append(words, "--no-http2") // it saves the header of an HTTP/2 reply without a status line
	}
	if !slices.ContainsFunc(r.Headers, isAcceptEncoding) {
		words = append(words, "--header", "Accept-Encoding: identity") // else it asks for compressed bodies
	}
	words = append(words, w.tls(r)...)
	return wire.Program{URL: r.Target.String(), Words: append(words, w.headers(r)...)}
}

func isAcceptEncoding(header string) bool {
	name, _, _ := reply.SplitHeader(header)
	return strings.EqualFold(name, "Accept-Encoding")
}

// Cut implements Tool.
func (wget2) Cut(b reply.Block) (reply.Cut, error) { return reply.CutRaw(b), nil }
