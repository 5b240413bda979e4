package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// aksPage is the page of mcr.microsoft.com/azuredocs/aks-helloworld:v1, with %s for the title.
const aksPage = `<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
    <link rel="stylesheet" type="text/css" href="/static/default.css">
    <title>%[1]s</title>

    <script language="JavaScript">
        function send(form){
        }
    </script>

</head>
<body>
    <div id="container">
        <form id="form" name="form" action="/"" method="post"><center>
        <div id="logo">%[1]s</div>
        <div id="space"></div>
        <img src="/static/acs.png" als="acs logo">
        <div id="form">      
        </div>
    </div>     
</body>
</html>`

// Handler answers as the configuration says.
func Handler(c *Config, log io.Writer) http.Handler {
	seed := c.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	h := &handler{config: c, log: log, random: rand.New(rand.NewPCG(seed, 0))}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.Handle("/", h)
	return mux
}

type handler struct {
	config *Config
	log    io.Writer

	mu     sync.Mutex
	random *rand.Rand
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.config
	if c.Log {
		_, _ = fmt.Fprintf(h.log, "%s %s %s\n", r.RemoteAddr, r.Method, r.URL.RequestURI())
	}
	if c.Hang {
		<-r.Context().Done()
		return
	}
	if c.Delay > 0 {
		select {
		case <-time.After(c.Delay):
		case <-r.Context().Done():
			return
		}
	}
	if c.Reset {
		panic(http.ErrAbortHandler) // the server's way to cut a connection
	}
	if !c.KeepAlive {
		w.Header().Set("Connection", "close")
	}
	body, status := h.body(w, r), c.Status
	if h.fails() {
		status = c.ErrorCode
		body = []byte(http.StatusText(status) + "\n")
	}
	if !c.Chunked {
		w.Header().Set("Content-Length", strconv.FormatInt(max(int64(len(body)), c.Size), 10))
	}
	w.WriteHeader(status)
	h.write(w, body)
}

// fails draws whether this answer is an error; with a seed the order is always the same.
func (h *handler) fails() bool {
	if h.config.ErrorRate <= 0 {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.random.Float64() < h.config.ErrorRate
}

// body is the answer in its style; it sets the headers that belong to it.
func (h *handler) body(w http.ResponseWriter, r *http.Request) []byte {
	c := h.config
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	var out []byte
	switch c.Style {
	case StyleJSON:
		head.Set("Content-Type", "application/json")
		out = marshal(map[string]string{
			"cluster": c.lookup("CLUSTER"), "pod": c.lookup("POD"), "node": c.lookup("NODE"), "namespace": c.lookup("NAMESPACE"),
		})
	case StyleGalaxy:
		head.Set("Content-Type", "application/json")
		out = fmt.Appendf(nil, "{\"Galaxy\": \"Alderaan\", \"Cluster\": %s}\n", bytes.TrimSpace(marshal(c.lookup("CLUSTER"))))
	case StyleEcho:
		out = h.echo(r)
	case StyleHeader:
		head.Set("X-Cluster", c.lookup("CLUSTER"))
		head.Set("X-Pod", c.lookup("POD"))
		out = []byte("ok\n")
	case StyleAKS:
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Server", "nginx/1.13.7")
		out = fmt.Appendf(nil, aksPage, html.EscapeString(os.Expand(c.Title, c.lookup)))
	case StyleSilent:
		out = []byte("ok\n")
	default:
		template := c.Body
		if template == "" {
			template = "Hello from $POD in cluster $CLUSTER\n"
		}
		out = []byte(os.Expand(template, c.lookup))
	}
	if c.Binary {
		head.Set("Content-Type", "application/octet-stream")
		for i := range 256 {
			out = append(out, byte(i))
		}
	}
	return out
}

// echo imitates the plain text of registry.k8s.io/echoserver.
func (h *handler) echo(r *http.Request) []byte {
	var b strings.Builder
	local := h.config.lookup("POD_IP")
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local == "" {
		local, _, _ = net.SplitHostPort(addr.String())
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintf(&b, "\nHostname: %s\n\nPod Information:\n\tnode name:\t%s\n\tpod name:\t%s\n\tpod namespace:\t%s\n\tpod IP:\t%s\n",
		h.config.lookup("HOSTNAME"), h.config.lookup("NODE"), h.config.lookup("POD"), h.config.lookup("NAMESPACE"), local)
	fmt.Fprintf(&b, "\nRequest Information:\n\tclient_address=%s\n\tmethod=%s\n\treal path=%s\n\trequest_version=%d.%d\n\nRequest Headers:\n\thost=%s\n",
		client, r.Method, r.URL.RequestURI(), r.ProtoMajor, r.ProtoMinor, r.Host)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "\t%s=%s\n", strings.ToLower(name), strings.Join(r.Header[name], ", "))
	}
	return []byte(b.String())
}

// write sends the body and pads it to the size that was asked for.
func (h *handler) write(w http.ResponseWriter, body []byte) {
	if _, err := w.Write(body); err != nil {
		return // the client has gone
	}
	if f, ok := w.(http.Flusher); ok && h.config.Chunked {
		f.Flush()
	}
	line := bytes.Repeat([]byte("."), 63)
	line = append(line, '\n')
	for left := h.config.Size - int64(len(body)); left > 0; left -= int64(len(line)) {
		if _, err := w.Write(line[:min(left, int64(len(line)))]); err != nil {
			return
		}
	}
}

// marshal cannot fail for strings and maps of strings.
func marshal(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		return []byte("null\n")
	}
	return append(out, '\n')
}
