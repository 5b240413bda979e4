package tool

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// ErrNoDialer says that the container has no tool that opens a connection and keeps it open.
var ErrNoDialer = errors.New("the container has no bash, nc or curl that can open a connection")

// maxDials is how many connections a batch has at most.
const maxDials = 1000

// dialer opens connections to which nothing is sent. The script measures them and looks at their sockets, so all dialers print the same.
type dialer struct {
	traits    Traits
	bigEndian bool
	words     func(r request.Request) []string
}

// Traits implements Tool.
func (d dialer) Traits() Traits { return d.traits }

// Refuse implements Tool. A connection has no properties that a dialer could not have.
func (dialer) Refuse(request.Request) error { return nil }

// Program implements Tool.
func (d dialer) Program(r request.Request, _ string) wire.Program {
	return wire.Program{Dial: true, Words: d.words(r)}
}

// Record implements Tool.
func (d dialer) Record(rec reply.Record, _ int) (reply.Reply, error) {
	return reply.ReadConnect(rec, d.bigEndian)
}

// Cut implements Tool.
func (d dialer) Cut(b reply.Block) (reply.Cut, error) { return reply.CutConnect(b, d.bigEndian) }

// Bash is the value of --tool that selects bash. The whole script then runs in bash, because /dev/tcp is a part of the shell.
const Bash = "bash"

var (
	bashVersion   = regexp.MustCompile(`(?m)^version (\d+\.\d+)`)
	ncatVersion   = regexp.MustCompile(`(?m)^Ncat (\d+\.\d+)`)
	openbsdNC     = regexp.MustCompile(`(?m)^(OpenBSD netcat|usage: nc \[-46)`)
	traditionalNC = regexp.MustCompile(`(?m)^\[v(1\.1\d[^\]]*)\]`)
)

// FindDialers returns what a pod can open connections with, the best first: bash needs no process for a connection and measures it exactly.
func FindDialers(pod wire.Pod) []Tool {
	var all []Tool
	add := func(t Traits, words func(request.Request) []string) {
		t.MaxBatch = maxDials
		all = append(all, dialer{traits: t, bigEndian: pod.BigEndian, words: words})
	}
	if m := bashVersion.FindStringSubmatch(pod.Help["bash"]); m != nil && !strings.Contains(pod.Help["bash"], "No such file") {
		add(Traits{Name: "bash", Version: m[1], Flag: Bash}, func(r request.Request) []string {
			return []string{fmt.Sprintf("/dev/tcp/%s/%d", r.Target.Host(), r.Target.Port())}
		})
	}
	if !pod.Sockets {
		return all // the script must see whether a process has connected
	}
	for _, command := range []string{"nc", "busybox nc"} {
		if t, option, ok := netcat(pod.Help[strings.ReplaceAll(command, " ", "-")]); ok {
			add(t, func(r request.Request) []string {
				words := append(strings.Fields(command), option...)
				if t.LimitsTime {
					words = append(words, "-w", strconv.Itoa(wholeSeconds(r.Timeout)))
				}
				return append(words, r.Target.Host(), strconv.Itoa(int(r.Target.Port())))
			})
			break
		}
	}
	if m := curlVersion.FindStringSubmatch(pod.Help["curl"]); m != nil && regexp.MustCompile(`(?m)^Protocols:.* telnet\b`).MatchString(pod.Help["curl"]) {
		fractions := curlSince(m, curlFractions)
		add(Traits{Name: "curl", Version: strings.TrimPrefix(m[0], "curl "), Flag: "curl", LimitsTime: true, WholeSeconds: !fractions}, func(r request.Request) []string {
			address := net.JoinHostPort(r.Target.Host(), strconv.Itoa(int(r.Target.Port())))
			return []string{"curl", "-q", "-s", "-S", "-N", "--noproxy", "*", "--connect-timeout", curlSeconds(r.Timeout, fractions), "telnet://" + address}
		})
	}
	return all
}

// netcat reads the help of a nc. option is what makes it print errors.
func netcat(help string) (t Traits, option []string, ok bool) {
	t = Traits{Flag: "nc", LimitsTime: true, WholeSeconds: true}
	if m := busyboxVersion.FindStringSubmatch(help); m != nil && strings.Contains(help, "Usage: nc") {
		t.Name, t.Version, t.LimitsTime = "busybox nc", m[1], strings.Contains(help, "-w")
		return t, nil, true
	}
	if m := ncatVersion.FindStringSubmatch(help); m != nil {
		t.Name, t.Version = "ncat", m[1]
		return t, nil, true
	}
	if m := traditionalNC.FindStringSubmatch(help); m != nil {
		t.Name, t.Version = "traditional nc", m[1]
		return t, []string{"-v"}, true
	}
	t.Name = "OpenBSD nc"
	return t, []string{"-v"}, openbsdNC.MatchString(help)
}

// ChooseDialer returns the first dialer that --tool allows: auto, bash, nc or curl.
func ChooseDialer(dialers []Tool, flag string) (Tool, error) {
	for _, d := range dialers {
		if flag == "auto" || flag == "" || d.Traits().Flag == flag {
			return d, nil
		}
	}
	if len(dialers) > 0 {
		return nil, fmt.Errorf("%w and that --tool %s allows; it has %s", ErrNoDialer, cmp.Or(flag, "auto"), dialers[0].Traits().Name)
	}
	return nil, ErrNoDialer
}
