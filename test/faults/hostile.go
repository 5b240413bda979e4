package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// injected begins a line of its own where a line break of a cluster reaches the output.
const injected = "injected: a line that no command printed"

// evil is what a cluster may put into any text: it clears the screen, sets the title, changes the colour by an 8-bit control character, turns the direction of writing, and
// begins a new line.
const evil = "\x1b[2J\x1b]0;title\x07\u009b31m\u202eevil\u2066\u061c\u2028\r\n" + injected + "\n"

// threat is one way in which a cluster or a kubeconfig is hostile.
type threat struct {
	Fault

	// entries is added to the names of the faulty cluster's entries in the kubeconfig.
	entries string
	// arrives is what of the threat must be seen in at least one output, without what could control a terminal.
	arrives string
}

// threats are what a hostile API server answers and what a hostile kubeconfig names.
func threats() []threat {
	long := strings.Repeat("long ", 4000)
	poisoned := func(p poison) func(*Layer, http.ResponseWriter, *http.Request) {
		return func(l *Layer, w http.ResponseWriter, r *http.Request) { p.answer(l, w, r) }
	}
	return []threat{
		{Fault: Fault{Name: "hostile texts", answer: poisoned(poison{with: evil})}, arrives: "evil"},
		{Fault: Fault{Name: "hostile names", answer: poisoned(poison{with: evil, names: true})}, arrives: "evil"},
		{Fault: Fault{Name: "hostile settings", answer: poisoned(poison{with: evil, settings: true})}, arrives: "evil"},
		{Fault: Fault{Name: "long texts", answer: poisoned(poison{with: long})}, arrives: "long long"},
		{Fault: Fault{Name: "long names", answer: poisoned(poison{with: long, names: true})}, arrives: "long long"},
		{Fault: Fault{Name: "hostile errors", Class: failure.Other, answer: hostileError}, arrives: "evil"},
		{Fault: Fault{Name: "hostile page", Class: failure.Other, answer: func(_ *Layer, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(evil)) // the client may be gone
		}}, arrives: "evil"},
		{Fault: Fault{Name: "hostile kubeconfig"}, entries: evil, arrives: "evil"},
		{Fault: Fault{Name: "hostile kubeconfig, and errors", Class: failure.Other, answer: hostileError}, entries: evil, arrives: "evil"},
	}
}

func hostileError(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	w.Header().Add("Warning", `299 - "`+strings.NewReplacer("\r", "", "\n", "").Replace(evil)+`"`)
	statusAnswer(w, http.StatusInternalServerError, "InternalError", evil)
}

// poison adds a text to the strings of answers: to those that may be anything, else also to names, or to the settings by which Cilium knows the cluster.
type poison struct {
	with            string
	names, settings bool
}

// answer forwards a request, and adds the text to its answer.
func (p poison) answer(l *Layer, w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" || r.URL.Query().Get("watch") != "" {
		l.forward.ServeHTTP(w, r)
		return
	}
	r.Header.Set("Accept", "application/json") // client-go asks for protobuf
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	l.forward.ServeHTTP(answer, r)
	body := answer.Body.Bytes()
	var doc any
	if json.Unmarshal(body, &doc) == nil {
		doc = p.into(doc, "")
		if changed, err := json.Marshal(doc); err == nil {
			body = changed
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body) // the client may be gone
}

// What a client needs to read an object at all stays, and so do names, and what Cilium knows the cluster by, unless these are to be hostile.
var (
	needed   = []string{"kind", "apiVersion", "resourceVersion", "uid", "fieldsV1", "fieldsType", "cpu", "memory", "ephemeral-storage"}
	named    = []string{"name", "namespace", "type", "protocol", "addressType", "clusterIP", "clusterIPs", "addresses", "ip", "podIP", "podIPs", "ipFamilies", "phase", "status"}
	settings = []string{"cluster-name", "cluster-id", "max-connected-clusters"}
)

func (p poison) into(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		encoded := v["kind"] == "Secret" || key == "items" && v["type"] != nil // in a list, objects have no kind; a Secret has a type
		for k, inner := range v {
			if slices.Contains(needed, k) || k == "data" && encoded || !p.names && slices.Contains(named, k) || !p.settings && slices.Contains(settings, k) {
				continue
			}
			v[k] = p.into(inner, k)
		}
	case []any:
		for n, inner := range v {
			v[n] = p.into(inner, key)
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err != nil && v != "" {
			return v + p.with
		}
	}
	return v
}

// Hostile runs every command against an API server whose answers contain what could control a terminal, and with a kubeconfig whose names do, and fails if any of it
// reaches the output, or a terminal. The short form leaves out most formats, and most threats to commands that write.
func (m Matrix) Hostile(t *testing.T, prepare func(e *Env)) {
	e := newEnv(t, m)
	prepare(e)
	h := hostility{Env: e, arrived: map[string]int{}, tried: map[string]bool{}, unseen: map[string]bool{}, short: os.Getenv("FAULTS") == "short"}
	only := regexp.MustCompile(os.Getenv("ONLY"))
	limit := make(chan struct{}, together)
	var reading sync.WaitGroup
	for _, r := range m.Rows {
		if r.Offline || r.Variant != "" || !only.MatchString(r.Command) {
			continue
		}
		writing := cli.IsWriting(m.find(t, r))
		if !writing {
			h.unseen[r.name()] = true
		}
		for _, format := range h.formats(r, writing) {
			for n, each := range threats() {
				if r.serial() || writing { // what they change is restored, and they run alone
					if !h.short || n < fewThreats {
						h.try(r, format, each, false)
					}
					continue
				}
				limit <- struct{}{}
				reading.Go(func() {
					defer func() { <-limit }()
					h.try(r, format, each, false)
				})
			}
		}
		reading.Wait()
		for n, each := range threats() {
			if !h.short || n < fewThreats {
				h.try(r, nil, each, true)
			}
		}
	}
	for _, each := range threats() {
		if h.tried[each.Name] && h.arrived[each.Name] == 0 && only.String() == "" {
			t.Errorf("%s: nothing of it is in any output: it proves nothing", each.Name)
		}
	}
	for command := range h.unseen {
		t.Errorf("%s: no text and no name of the hostile cluster is in any output: it proves nothing", command)
	}
	t.Logf("%d runs; what of the threats is in how many outputs: %v", h.runs, h.arrived)
}

// fewThreats is how many threats the short form tries where a run is slow: texts, names and settings.
const fewThreats = 3

// hostility counts what came of threats. It is safe for concurrent use.
type hostility struct {
	*Env

	short   bool
	mu      sync.Mutex
	runs    int
	arrived map[string]int // outputs that contain what is harmless of a threat
	tried   map[string]bool
	unseen  map[string]bool // commands that read, of which no output contained a text or a name of the cluster
}

// try runs a command with a threat, in a terminal or not.
func (h *hostility) try(r Row, format []string, each threat, terminal bool) {
	r.Args = append(withoutOutput(r.Args), format...)
	if each.Class == "" {
		r.Args = append(r.Args, r.Reach...)
	}
	if !slices.Contains(h.matrix.Global, "--contexts") && !slices.Contains(format, output.Wide) { // with -o wide, the mesh is detected
		r.Args = append(r.Args, "--contexts", "kind-*")
	}
	how := h.exec
	if terminal {
		how, format = h.onTerminal, []string{"in a terminal"}
	}
	got := h.runIn(r, each.Fault, each.entries, how)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs++
	h.tried[each.Name] = true
	if strings.Contains(got.stdout+got.stderr, each.arrives) {
		h.arrived[each.Name]++
		if each.Class == "" && each.entries == "" { // the cluster was read
			delete(h.unseen, r.name())
		}
	}
	for stream, text := range map[string]string{"stdout": got.stdout, "stderr": got.stderr} {
		for _, why := range reachesTerminal(text) {
			if strings.HasPrefix(why, lineBreak) && (terminal || slices.Contains(format, "go-template="+templates["go-template="])) {
				continue // a cell that is too wide continues in the next line; a template prints texts as they are, as that of kubectl does
			}
			h.T.Errorf("%s %v, %s: %s: %s", r.name(), format, each.Name, stream, why)
		}
		if trace.MatchString(text) {
			h.T.Errorf("%s %v, %s: a panic\n%s", r.name(), format, each.Name, text)
		}
	}
	if got.tooLong {
		h.T.Errorf("%s %v, %s: it does not end", r.name(), format, each.Name)
	}
}

// templates are the values of formats that need one.
var templates = map[string]string{"jsonpath=": "{}", "jsonpath-as-json=": "{}", "go-template=": "{{.}}", "custom-columns=": "ALL:."}

// formats are the formats in which a row is tried: all that its command offers, or, for a command that writes, the default only.
func (h *hostility) formats(r Row, writing bool) [][]string {
	out := [][]string{nil}
	if writing || r.serial() {
		return out
	}
	offered := h.exec(h.kubeconfig(nil, "", false), h.Dir, nil, slices.Concat([]string{cobra.ShellCompNoDescRequestCmd}, strings.Fields(r.Command), []string{"-o", ""}))
	for line := range strings.Lines(offered.stdout) {
		name := strings.TrimSpace(line)
		switch {
		case name == "" || strings.HasPrefix(name, ":") || strings.HasSuffix(name, "file="):
		case h.short && !slices.Contains([]string{"wide", "json", "yaml", "mermaid", "svg", "junit"}, name):
		case strings.HasSuffix(name, "="):
			out = append(out, []string{"-o", name + templates[name]})
		default:
			out = append(out, []string{"-o", name})
		}
	}
	if len(out) < 4 {
		h.T.Errorf("%s: only %d formats are offered: %q", r.name(), len(out), offered.stdout)
	}
	return out
}

// lineBreak begins the report of a line that a cluster began.
const lineBreak = "a line break of the cluster: "

// withoutOutput leaves -o FORMAT out.
func withoutOutput(args []string) []string {
	out := slices.Clone(args)
	if n := slices.Index(out, "-o"); n >= 0 {
		out = slices.Delete(out, n, n+2)
	}
	return out
}

// reachesTerminal says which characters of a text a terminal would obey, and whether a line of a cluster became one of the output.
func reachesTerminal(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		n := strings.IndexFunc(line, func(r rune) bool {
			return r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
		})
		if n >= 0 {
			out = append(out, fmt.Sprintf("%q", line[max(0, n-40):min(len(line), n+20)]))
		}
		if strings.HasPrefix(line, injected) {
			out = append(out, lineBreak+line)
		}
		if len(out) > 2 {
			return out
		}
	}
	return out
}
