package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// injected begins a line of its own where a line break of a cluster reaches the output.
const injected = "injected: a line that no command printed"

// evil is what a cluster may put into any text: it clears the screen, sets the title, changes the colour by an 8-bit control character, turns the direction of writing, and
// begins a new line.
const evil = "\x1b[2J\x1b]0;title\x07\u009b31m\u202eevil\u2066\u061c\u2028\r\n" + injected + "\n"

// hostileFaults are what a hostile API server answers: texts only, names as well, and texts of thousands of characters.
func hostileFaults() []Fault {
	long := strings.Repeat("long ", 4000)
	poisoned := func(names bool, with string) func(*Layer, http.ResponseWriter, *http.Request) {
		return func(l *Layer, w http.ResponseWriter, r *http.Request) { l.poison(w, r, names, with) }
	}
	return []Fault{
		{Name: "hostile texts", answer: poisoned(false, evil)},
		{Name: "hostile names", answer: poisoned(true, evil)},
		{Name: "long texts", answer: poisoned(false, long)},
		{Name: "hostile errors", answer: func(_ *Layer, w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Warning", `299 - "`+strings.NewReplacer("\r", "", "\n", "").Replace(evil)+`"`)
			statusAnswer(w, http.StatusInternalServerError, "InternalError", evil)
		}},
		{Name: "hostile page", answer: func(_ *Layer, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(evil)) // the client may be gone, which is its own affair
		}},
	}
}

// poison forwards a request, and adds a text to the strings of its answer.
func (l *Layer) poison(w http.ResponseWriter, r *http.Request, names bool, with string) {
	if r.Header.Get("Upgrade") != "" || r.URL.Query().Get("watch") != "" {
		l.forward.ServeHTTP(w, r)
		return
	}
	r.Header.Set("Accept", "application/json") // client-go asks for protobuf
	answer := httptest.NewRecorder()
	l.forward.ServeHTTP(answer, r)
	body := answer.Body.Bytes()
	var doc any
	if json.Unmarshal(body, &doc) == nil {
		doc = poisoned(doc, "", names, with)
		if changed, err := json.Marshal(doc); err == nil {
			body = changed
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body) // the client may be gone, which is its own affair
}

// What a client needs to read an object at all stays, and so do the names, unless names are to be hostile too.
var (
	needed = []string{"kind", "apiVersion", "resourceVersion", "uid", "fieldsV1", "fieldsType"}
	named  = []string{"name", "namespace", "type", "protocol", "addressType", "clusterIP", "clusterIPs", "addresses", "ip", "podIP", "podIPs", "ipFamilies", "phase", "status"}
)

func poisoned(v any, key string, names bool, with string) any {
	switch v := v.(type) {
	case map[string]any:
		encoded := v["kind"] == "Secret" || key == "items" // in a list, objects have no kind
		for k, inner := range v {
			if slices.Contains(needed, k) || k == "data" && encoded || !names && slices.Contains(named, k) {
				continue
			}
			v[k] = poisoned(inner, k, names, with)
		}
	case []any:
		for n, inner := range v {
			v[n] = poisoned(inner, key, names, with)
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err != nil && v != "" {
			return v + with
		}
	}
	return v
}

// Hostile runs every command against an API server whose answers contain what could control a terminal, and fails if any of it reaches the output.
func (m Matrix) Hostile(t *testing.T, prepare func(e *Env)) {
	e := newEnv(t, m)
	prepare(e)
	runs := 0
	for _, r := range m.Rows {
		if r.Offline {
			continue
		}
		for _, output := range [][]string{nil, {"-o", "wide"}, {"-o", "json"}, {"-o", "yaml"}} {
			if r.serial() && output != nil || cli.IsWriting(m.find(t, r)) && output != nil {
				continue // what they change is restored each time, which takes long
			}
			row := r
			row.Args = append(withoutOutput(r.Args), output...)
			for _, f := range hostileFaults() {
				got := e.run(row, f)
				runs++
				for stream, text := range map[string]string{"stdout": got.stdout, "stderr": got.stderr} {
					for _, why := range reachesTerminal(text) {
						t.Errorf("%s %v, %s: %s: %s", r.name(), output, f.Name, stream, why)
					}
					if trace.MatchString(text) {
						t.Errorf("%s %v, %s: a panic\n%s", r.name(), output, f.Name, text)
					}
				}
				if got.tooLong {
					t.Errorf("%s %v, %s: it does not end", r.name(), output, f.Name)
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}

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
			out = append(out, "a line break of the cluster: "+line)
		}
		if len(out) > 2 {
			return out
		}
	}
	return out
}
