package probe

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// Kind is a program that can send HTTP requests.
type Kind string

// The kinds of tools, and as what they are shown.
const (
	KindCurl    Kind = "curl"
	KindGNU     Kind = "GNU wget"
	KindBusybox Kind = "busybox wget"
	KindWget2   Kind = "GNU wget2"
)

// Tool is one program of the client pod and what it can do.
type Tool struct {
	Kind    Kind
	Command []string // the words that start it
	Version string
	// Many says that one process takes many URLs and its output can be cut into replies.
	Many bool
	// Timeout says that it limits a request's time by itself.
	Timeout bool
	// Headers says that it can show a reply's header.
	Headers bool
	// Latency says that it measures each request.
	Latency bool
	// Options are those of the options below that this build knows.
	Options []string
}

// lateOptions are options of wget that not every version or build has.
var lateOptions = []string{"--content-on-error", "--method", "--no-check-certificate", "--no-config", "--no-hsts"}

// knownOptions finds them in the tool's help.
func knownOptions(help string) []string {
	var out []string
	for _, o := range lateOptions {
		if regexp.MustCompile(regexp.QuoteMeta(o) + `\b`).MatchString(help) {
			out = append(out, o)
		}
	}
	return out
}

// optional returns those of the options that the tool knows.
func (t Tool) optional(options ...string) []string {
	return slices.DeleteFunc(options, func(o string) bool { return !slices.Contains(t.Options, o) })
}

// String names the tool and its version.
func (t Tool) String() string { return strings.TrimSpace(string(t.Kind) + " " + t.Version) }

// Toolbox is what was found in a client pod.
type Toolbox struct {
	Arch string
	// ReadTimeout says that the shell's read can give up (not in dash).
	ReadTimeout bool
	// Head says that there is a `head -c`.
	Head  bool
	Tools []Tool // best first
}

var (
	busyboxVersion = regexp.MustCompile(`BusyBox v(\d+\.\d+(?:\.\d+)?)`)
	gnuVersion     = regexp.MustCompile(`GNU Wget (\d+\.\d+(?:\.\d+)?)`)
	wget2Version   = regexp.MustCompile(`GNU Wget2 V?(\d+\.\d+(?:\.\d+)?)`)
	curlVersion    = regexp.MustCompile(`(?m)^curl (\d+)\.(\d+)(?:\.\d+)?`)
	busyboxTimeout = regexp.MustCompile(`(?m)^\s*-T SEC|\[-T SEC\]|-T SEC`)
)

// parseToolbox reads the sections that detect() in script.sh prints.
func parseToolbox(sections map[string]string) Toolbox {
	var box Toolbox
	for line := range strings.Lines(sections["shell"]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "arch":
			box.Arch = value
		case "read-t":
			box.ReadTimeout = value == "0" || value == "1"
		case "head":
			box.Head = value == "a"
		}
	}
	curl, isCurl := curlTool(sections["curl"])
	var wgets []Tool
	if t, ok := wgetTool(sections["wget"], "wget"); ok {
		wgets = append(wgets, t)
	}
	// A wget that is busybox's own link is not listed twice.
	if t, ok := wgetTool(sections["busybox"], "busybox", "wget"); ok && (len(wgets) == 0 || wgets[0].Kind != KindBusybox) {
		wgets = append(wgets, t)
	}
	// One process for many requests first, and among those the one that measures.
	if isCurl && curl.Many {
		box.Tools = append(box.Tools, curl)
	}
	for _, t := range wgets {
		if t.Many {
			box.Tools = append(box.Tools, t)
		}
	}
	if isCurl && !curl.Many {
		box.Tools = append(box.Tools, curl)
	}
	for _, t := range wgets {
		if !t.Many {
			box.Tools = append(box.Tools, t)
		}
	}
	return box
}

func curlTool(text string) (Tool, bool) {
	m := curlVersion.FindStringSubmatch(text)
	if m == nil {
		return Tool{}, false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return Tool{
		Kind: KindCurl, Command: []string{"curl"}, Version: strings.TrimPrefix(m[0], "curl "),
		// %{exitcode} and %{errormsg} came with 7.75: before, one process for each request.
		Many:    major > 7 || major == 7 && minor >= 75,
		Timeout: true, Headers: true, Latency: true,
	}, true
}

func wgetTool(help string, command ...string) (Tool, bool) {
	if m := busyboxVersion.FindStringSubmatch(help); m != nil && strings.Contains(help, "wget") && !strings.Contains(help, "applet not found") {
		t := Tool{Kind: KindBusybox, Command: command, Version: m[1]}
		// -S since 1.27. -T is a build option, and Debian 12's build, which lacks it, crashes when it is given.
		t.Headers = strings.Contains(help, "-S ") || strings.Contains(help, "[-cqS]")
		t.Timeout = busyboxTimeout.MatchString(help)
		t.Many = t.Headers
		t.Options = knownOptions(help)
		return t, true
	}
	if m := wget2Version.FindStringSubmatch(help); m != nil {
		return Tool{Kind: KindWget2, Command: command, Version: m[1], Timeout: true, Headers: true, Options: knownOptions(help)}, true
	}
	if m := gnuVersion.FindStringSubmatch(help); m != nil {
		return Tool{Kind: KindGNU, Command: command, Version: m[1], Timeout: true, Headers: true, Many: true, Options: knownOptions(help)}, true
	}
	return Tool{}, false
}

// Choose returns the best tool for a run: of the wanted kind ("curl", "wget" or "auto"), and able to do what is asked.
func (b Toolbox) Choose(cfg Config) (Tool, error) {
	var refused error
	for _, t := range b.Tools {
		if cfg.Tool != "auto" && cfg.Tool != "" && (cfg.Tool == "curl") != (t.Kind == KindCurl) {
			continue
		}
		if err := t.refuses(cfg); err != nil {
			refused = cmp.Or(refused, err)
			continue
		}
		return t, nil
	}
	switch {
	case refused != nil:
		return Tool{}, refused
	case len(b.Tools) > 0:
		return Tool{}, fmt.Errorf("%w that --tool %s allows; it has %s", ErrNoTool, cfg.Tool, b.Tools[0].Kind)
	}
	return Tool{}, ErrNoTool
}

// refuses says why a tool cannot do what is asked.
func (t Tool) refuses(cfg Config) error {
	if t.Kind == KindCurl {
		return nil
	}
	if cfg.Method == http.MethodHead && (t.Kind != KindGNU || !slices.Contains(t.Options, "--method")) {
		return fmt.Errorf("%s cannot send HEAD requests; use --method GET or a client pod with curl", t)
	}
	if len(cfg.CACert) > 0 && t.Kind == KindBusybox {
		return fmt.Errorf("%s cannot verify certificates with --cacert; use a client pod with curl or GNU wget, or skip the verification with --insecure", t)
	}
	if names := request.SecretHeaders(cfg.Headers); len(names) > 0 && !cfg.AllowVisibleHeaders {
		return fmt.Errorf("%s takes headers on its command line, where the pod's process list shows the value of %s; use a client pod with curl, or add --allow-visible-headers", t, strings.Join(names, ", "))
	}
	return nil
}
