package tool

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

var gnuVersion = regexp.MustCompile(`GNU Wget (\d+\.\d+(?:\.\d+)?)`)

// gnu is GNU wget 1.
type gnu struct{ wget }

// newGNU reads the help of a wget. It returns false if it is not GNU wget 1.
func newGNU(help string, command ...string) (Tool, bool) {
	m := gnuVersion.FindStringSubmatch(help)
	if m == nil {
		return nil, false
	}
	return gnu{newWget(command, m[1], help)}, true
}

// Traits implements Tool.
func (g gnu) Traits() Traits {
	return Traits{Name: "GNU wget", Version: g.version, Flag: "wget", MaxBatch: maxURLs, LimitsTime: true}
}

// Refuse implements Tool.
func (g gnu) Refuse(r request.Request) error {
	methods := []string{http.MethodGet}
	if slices.Contains(g.options, "--method") {
		methods = request.Methods
	}
	if err := refuseMethod(g.Traits(), r, methods...); err != nil {
		return err
	}
	return refuseHeaders(g.Traits(), r)
}

// Program implements Tool.
func (g gnu) Program(r request.Request, _ string) wire.Program {
	var words []string
	if !slices.Contains(g.options, "--no-config") {
		words = append(words, "env", "HOME=/nonexistent", "WGETRC=") // before 1.14: the places where it looks for a configuration
	}
	words = append(words, g.command...)
	words = append(words, g.optional("--no-config", "--content-on-error", "--no-hsts")...)
	progress := "--progress=dot:giga"
	if slices.Contains(g.options, "--show-progress") {
		progress = "--no-show-progress" // the dots cost a third of the time
	}
	words = append(words, "-v", progress, "-S", "--save-headers", "-t1", "-T"+seconds(r.Timeout), "--no-proxy", "--no-http-keep-alive",
		"--max-redirect=0", "-O", "-", "-U", r.UserAgent)
	if r.Method != http.MethodGet {
		words = append(words, "--method="+r.Method)
	}
	words = append(words, g.tls(r)...)
	return wire.Program{URL: r.Target.String(), Words: append(words, g.headers(r)...)}
}

// Cut implements Tool.
func (gnu) Cut(b reply.Block) (reply.Cut, error) { return reply.CutGNU(b), nil }
