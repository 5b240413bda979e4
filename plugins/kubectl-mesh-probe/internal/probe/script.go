package probe

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

//go:embed script.sh
var script string

// plan is how one tool is run: the data lines that follow "run".
type plan struct {
	tool Tool
	box  Toolbox
	cfg  Config
	glob bool // the URL is multiplied by curl, else by the script
	url  string
	conf []string // curl's configuration
	args []string // the words of the command
}

func newPlan(cfg Config, box Toolbox, tool Tool, nonce string) plan {
	p := plan{tool: tool, box: box, cfg: cfg, url: cfg.Target.String()}
	seconds := strconv.Itoa(wholeSeconds(cfg.Timeout))
	exact := strconv.FormatFloat(cfg.Timeout.Seconds(), 'f', -1, 64)
	switch tool.Kind {
	case KindCurl:
		p.glob = true
		p.url = curlQuote(curlGlobEscape(p.url))
		p.conf = curlConfig(cfg, tool, nonce, exact)
		p.args = append(p.args, tool.Command...)
		p.args = append(p.args, "-q", "-K", "-")
		return p
	case KindBusybox:
		p.args = append(p.args, tool.Command...)
		p.args = append(p.args, "-q", "-O", "-", "-Y", "off", "-U", cfg.UserAgent)
		if tool.Headers {
			p.args = append(p.args, "-S")
		}
		if tool.Timeout {
			p.args = append(p.args, "-T", seconds)
		}
		if cfg.Insecure {
			// A build without this option does not verify.
			p.args = append(p.args, tool.optional("--no-check-certificate")...)
		}
	case KindGNU:
		if !slices.Contains(tool.Options, "--no-config") {
			p.args = append(p.args, "env", "HOME=/nonexistent", "WGETRC=") // before 1.14: where it would find a configuration
		}
		p.args = append(p.args, tool.Command...)
		p.args = append(p.args, tool.optional("--no-config", "--content-on-error", "--no-hsts")...)
		p.args = append(p.args, "-v", "--progress=dot:giga", "-S", "--save-headers", "-t1", "-T"+exact, "--no-proxy", "--no-http-keep-alive",
			"--max-redirect=0", "-O", "-", "-U", cfg.UserAgent)
		if cfg.Method == http.MethodHead {
			p.args = append(p.args, "--method=HEAD")
		}
		p.args = append(p.args, wgetTLS(cfg)...)
	case KindWget2:
		p.args = append(p.args, tool.Command...)
		p.args = append(p.args, tool.optional("--no-config", "--no-hsts")...)
		p.args = append(p.args, "-q", "--save-headers", "--content-on-error", "--tries=1", "-T"+exact, "--no-proxy", "--max-redirect=0",
			"-O", "-", "-U", cfg.UserAgent)
		p.args = append(p.args, wgetTLS(cfg)...)
	}
	for _, h := range cfg.Headers {
		p.args = append(p.args, "--header", h)
	}
	return p
}

// trustFile is where the tool finds the certificates of --cacert: a file that the script has deleted and holds open.
const trustFile = "/dev/fd/9"

// wgetTLS are the options of GNU wget and wget2.
func wgetTLS(cfg Config) []string {
	var out []string
	if cfg.Insecure {
		out = append(out, "--no-check-certificate")
	}
	if len(cfg.CACert) > 0 {
		out = append(out, "--ca-certificate="+trustFile)
	}
	return out
}

// curlConfig writes curl's settings. Each value is quoted for curl's own reader; no shell ever sees it.
//
// Replies and records all go to curl's stdout, which it buffers: a dozen small writes for each request would each be a
// message through the API server (measured: three times as slow). The price is that a record comes late, at the latest with
// the end of its block, and that a curl which has to be ended takes some with it; those requests are sent again.
func curlConfig(cfg Config, tool Tool, nonce, timeout string) []string {
	option := func(name, value string) string { return fmt.Sprintf(`%s = "%s"`, name, curlQuote(value)) }
	record := nonce + " " + reply.CurlRecord
	if tool.Many {
		record = nonce + " " + reply.CurlRecordExit
	}
	conf := []string{
		"silent", "show-error", "http1.1",
		option("noproxy", "*"),
		option("max-time", timeout),
		option("user-agent", cfg.UserAgent),
		option("header", "Connection: close"), // curl has no other way to open a connection for each request
		option("output", "-"),
		option("write-out", record+`\n`),
	}
	if cfg.Method == http.MethodHead {
		conf = append(conf, "head")
	} else {
		conf = append(conf, "include")
	}
	for _, h := range cfg.Headers {
		conf = append(conf, option("header", h))
	}
	if cfg.Insecure {
		conf = append(conf, "insecure")
	}
	if len(cfg.CACert) > 0 {
		conf = append(conf, option("cacert", trustFile))
	}
	return conf
}

// lines are what the script's run() reads.
func (p plan) lines() []string {
	mode, readTimeout := "list", ""
	if p.glob {
		mode = "glob"
	}
	if p.box.ReadTimeout {
		readTimeout = "-t " + strconv.Itoa(int(deadMan/time.Second))
	}
	out := []string{"run", mode, readTimeout, p.url, strconv.Itoa(len(p.conf))}
	out = append(out, p.conf...)
	out = append(out, strconv.Itoa(len(p.args)))
	return append(out, p.args...)
}

// cut reads the output of one finished block of any tool but curl's batches.
func (p plan) cut(b reply.Block) reply.Cut {
	switch p.tool.Kind {
	case KindBusybox:
		return reply.CutBusybox(b)
	case KindGNU:
		return reply.CutGNU(b)
	}
	return reply.CutRaw(b)
}

// wholeSeconds rounds up: busybox wget and timeout take no fractions.
func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

// curlGlobEscape keeps curl from reading brackets and braces of a URL as a range or a list.
func curlGlobEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(s)
}

// curlQuote writes a value between double quotes of curl's configuration.
func curlQuote(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }
