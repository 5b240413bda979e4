package tool

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

var (
	busyboxVersion = regexp.MustCompile(`BusyBox v(\d+\.\d+(?:\.\d+)?)`)
	busyboxTimeout = regexp.MustCompile(`(?m)^\s*-T SEC|\[-T SEC\]|-T SEC`)
)

type busybox struct {
	wget
	// showsHeaders says that it knows -S, which is new in 1.27.
	showsHeaders bool
	// timeout says that it knows -T, which is a build option. Debian 12's build does not know it and crashes when it is given.
	timeout bool
}

// newBusybox reads the help of a wget. It returns false if it is not busybox's.
func newBusybox(help string, command ...string) (Tool, bool) {
	m := busyboxVersion.FindStringSubmatch(help)
	if m == nil || !strings.Contains(help, "wget") || strings.Contains(help, "applet not found") {
		return nil, false
	}
	return busybox{
		wget:         newWget(command, m[1], help),
		showsHeaders: strings.Contains(help, "-S ") || strings.Contains(help, "[-cqS]"),
		timeout:      busyboxTimeout.MatchString(help),
	}, true
}

// Traits implements Tool.
func (b busybox) Traits() Traits {
	t := Traits{Name: "busybox wget", Version: b.version, Flag: "wget", MaxBatch: 1, LimitsTime: b.timeout, WholeSeconds: b.timeout, NeedsLength: true}
	if b.showsHeaders {
		t.MaxBatch = maxURLs
	}
	return t
}

// Refuse implements Tool.
func (b busybox) Refuse(r request.Request) error {
	if err := refuseMethod(b.Traits(), r, http.MethodGet); err != nil {
		return err
	}
	if len(r.CACert) > 0 {
		return fmt.Errorf("%s cannot verify certificates with --cacert; use a client pod with curl or GNU wget, or skip the verification with --insecure instead of --cacert", b.Traits())
	}
	return refuseHeaders(b.Traits(), r)
}

// Program implements Tool.
func (b busybox) Program(r request.Request, _ string) wire.Program {
	words := append([]string{}, b.command...)
	words = append(words, "-q", "-O", "-", "-Y", "off", "-U", r.UserAgent)
	if b.showsHeaders {
		words = append(words, "-S")
	}
	if b.timeout {
		words = append(words, "-T", strconv.Itoa(wholeSeconds(r.Timeout)))
	}
	if r.Insecure {
		// A build that does not know this option does not verify.
		words = append(words, b.optional("--no-check-certificate")...)
	}
	return wire.Program{URL: r.Target.String(), Words: append(words, b.headers(r)...)}
}

// Cut implements Tool.
func (b busybox) Cut(block reply.Block) (reply.Cut, error) {
	block.Bare = !b.showsHeaders
	return reply.CutBusybox(block), nil
}

// wholeSeconds rounds up, because busybox, nc and curl before 7.32 take no fractions.
func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
