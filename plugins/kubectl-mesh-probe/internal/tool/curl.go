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

var curlVersion = regexp.MustCompile(`(?m)^curl (\d+)\.(\d+)(?:\.\d+)?`)

// curl prints a record behind each reply.
type curl struct {
	version string
	// exitCodes says that a record contains the exit code of its request: %{exitcode} is new in 7.75. Before, each request needs its own
	// process, which has an exit code.
	exitCodes bool
	// raw says that it knows --data-raw, which is new in 7.43.
	raw bool
	// fractions says that a time limit may have a fraction, which is new in 7.32. Before, curl ignores such a line of its configuration.
	fractions bool
}

// newCurl reads the output of curl -V.
func newCurl(text string) (Tool, bool) {
	m := curlVersion.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	return curl{
		version: strings.TrimPrefix(m[0], "curl "), exitCodes: curlSince(m, 75), raw: curlSince(m, 43), fractions: curlSince(m, curlFractions),
	}, true
}

// curlFractions is the first minor version of curl 7 whose time limits may have a fraction.
const curlFractions = 32

// curlSince reports whether a match of curlVersion is at least this minor version of curl 7.
func curlSince(m []string, minor int) bool {
	major, _ := strconv.Atoi(m[1])
	n, _ := strconv.Atoi(m[2])
	return major > 7 || major == 7 && n >= minor
}

// Traits implements Tool.
func (c curl) Traits() Traits {
	t := Traits{Name: "curl", Version: c.version, Flag: "curl", MaxBatch: 1, LimitsTime: true, WholeSeconds: !c.fractions, Measures: true}
	if c.exitCodes {
		t.MaxBatch = maxCurlRequests
	}
	return t
}

// Refuse implements Tool. curl can send everything. Before 7.43, it reads data that starts with @ as the name of a file.
func (c curl) Refuse(r request.Request) error {
	if !c.raw && len(r.Data) > 0 && r.Data[0] == '@' {
		return fmt.Errorf("%s cannot send --data that starts with @; use a client pod with curl 7.43 or later", c.Traits())
	}
	return nil
}

// Program implements Tool.
func (c curl) Program(r request.Request, nonce string) wire.Program {
	return wire.Program{
		Expand: true, URL: curlQuote(curlEscapeURL(r.Target.String())), Config: c.config(r, nonce), Words: []string{"curl", "-q", "-K", "-"},
	}
}

// config writes curl's settings. Each value is quoted for curl's own parser; no shell ever sees it.
//
// Replies and records all go to curl's stdout, which it buffers. A dozen small writes for each request would each be a message through
// the API server (measured: three times as slow). The price is that a record arrives late, at the latest with the end of its batch, and
// that a curl which has to be ended loses some. Those requests are sent again.
func (c curl) config(r request.Request, nonce string) []string {
	option := func(name, value string) string { return fmt.Sprintf(`%s = "%s"`, name, curlQuote(value)) }
	record := reply.CurlRecord
	if c.exitCodes {
		record = reply.CurlRecordExit
	}
	conf := []string{
		"silent", "show-error", "http1.1",
		option("noproxy", "*"),
		option("max-time", curlSeconds(r.Timeout, c.fractions)),
		option("user-agent", r.UserAgent),
		option("header", "Connection: close"), // curl has no other way to open a connection for each request
		option("output", "-"),
		option("write-out", nonce+" "+record+`\n`),
	}
	if r.Method == http.MethodHead {
		conf = append(conf, "head")
	} else {
		conf = append(conf, "include")
	}
	if r.Method != http.MethodHead && r.Method != http.MethodGet {
		conf = append(conf, option("request", r.Method))
	}
	if r.Data != nil {
		name := "data-binary"
		if c.raw {
			name = "data-raw"
		}
		// The server need not agree to the body before curl sends it.
		conf = append(conf, fmt.Sprintf(`%s = "%s"`, name, curlEscapeData(r.Data)), option("header", "Expect:"))
	}
	if !r.Resolve.IsZero() {
		// No brackets: before 7.57, curl silently ignores an IPv6 address in brackets and asks the DNS.
		conf = append(conf, option("resolve", fmt.Sprintf("%s:%d:%s", r.Resolve.Host, r.Resolve.Port, r.Resolve.Address)))
	}
	for _, h := range r.Headers {
		conf = append(conf, option("header", h))
	}
	if r.Insecure {
		conf = append(conf, "insecure")
	}
	if len(r.CACert) > 0 {
		conf = append(conf, option("cacert", wire.TrustFile))
	}
	return conf
}

// Record implements Tool.
func (c curl) Record(rec reply.Record, bodyLimit int) (reply.Reply, error) {
	return reply.ReadCurl(rec, bodyLimit, 0)
}

// Cut implements Tool.
func (c curl) Cut(b reply.Block) (reply.Cut, error) { return reply.CutCurl(b, c.exitCodes) }

// curlEscapeURL keeps curl from expanding the brackets and braces of a URL.
func curlEscapeURL(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(s)
}

// curlQuote escapes a value for double quotes in curl's configuration.
func curlQuote(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

// curlEscapeData escapes data for double quotes in curl's configuration, in which it is one line.
func curlEscapeData(data []byte) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(string(data))
}

// curlSeconds writes a time limit for a curl that takes fractions of a second, or else rounds it up.
func curlSeconds(d time.Duration, fractions bool) string {
	if fractions {
		return seconds(d)
	}
	return strconv.Itoa(wholeSeconds(d))
}

// seconds writes a duration in seconds, with a fraction if necessary.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
