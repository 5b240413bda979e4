package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

const global, alias = "service.cilium.io/global", "io.cilium/global-service"

var globalize = annotate.Values{global: ptr.To("true"), alias: nil}

func all(*corev1.Service) bool { return true }

// diff returns the lines that went and came, in the order of the files.
func diff(before, after string) string {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	var out []string
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	for _, l := range a {
		if l != "" {
			out = append(out, "-"+l)
		}
	}
	for _, l := range b {
		if l != "" {
			out = append(out, "+"+l)
		}
	}
	return strings.Join(out, "")
}

const head = "# top\napiVersion: v1 # one\nkind: Service\nmetadata:\n"

// TestEdit: the lines that differ are shown; everything else is as it was, byte for byte.
func TestEdit(t *testing.T) {
	t.Parallel()
	unglobalize := annotate.Values{global: nil, alias: nil}
	three := annotate.Values{global: ptr.To("true"), "service.cilium.io/affinity": ptr.To("local"), alias: nil}
	cases := map[string]struct {
		in     string
		values annotate.Values
		want   string
	}{
		"no annotations":               {head + "  name: web # the web\n  # about labels\n  labels:\n    app: web\nspec:\n  ports: []\n", globalize, "+  annotations:\n+    " + global + ": \"true\"\n"},
		"indented by four":             {head + "    name: web\nspec: {}\n", globalize, "+    annotations:\n+        " + global + ": \"true\"\n"},
		"after the others":             {head + "  name: web\n  annotations:\n    # of a\n    a: b # c\n    # the end\nspec: {}\n", globalize, "+    " + global + ": \"true\"\n"},
		"a value that is wrong":        {head + "  name: web\n  annotations:\n    " + global + ": 'false'   # why\n    z: \"1\"\n", globalize, "-    " + global + ": 'false'   # why\n+    " + global + ": 'true'   # why\n"},
		"true without quotes":          {head + "  name: web\n  annotations:\n    " + global + ": true\n", globalize, "-    " + global + ": true\n+    " + global + ": \"true\"\n"},
		"it has it already":            {head + "  name: web\n  annotations:\n    " + global + ": 'true'\n", globalize, ""},
		"the alias goes":               {head + "  name: web\n  annotations:\n    a: b\n    " + alias + ": \"true\"\n    c: d\n    " + global + ": \"true\"\n", globalize, "-    " + alias + ": \"true\"\n"},
		"in place of the alias":        {head + "  name: web\n  annotations:\n    " + alias + ": \"true\" # old\nspec: {}\n", three, "-    " + alias + ": \"true\" # old\n+    service.cilium.io/affinity: \"local\"\n+    " + global + ": \"true\" # old\n"},
		"none is left":                 {head + "  name: web\n  annotations:\n    # why\n    " + global + ": \"true\"\nspec: {}\n", unglobalize, "-  annotations:\n-    # why\n-    " + global + ": \"true\"\n+    # why\n"},
		"none is left at the end":      {head + "  name: web\n  annotations:\n    " + global + ": \"true\"", unglobalize, "-  annotations:\n-    " + global + ": \"true\""},
		"no line break at the end":     {head + "  name: web\n  annotations:\n    a: b", globalize, "-    a: b+    a: b\n+    " + global + ": \"true\""},
		"CRLF":                         {"apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: web\r\nspec: {}\r\n", globalize, "+  annotations:\r\n+    " + global + ": \"true\"\r\n"},
		"a block scalar before":        {head + "  name: web\n  annotations:\n    text: |\n      # no comment\n      x\n\n\n  labels: {}\n", globalize, "+    " + global + ": \"true\"\n"},
		"a block scalar as value":      {head + "  name: web\n  annotations:\n    " + global + ": |-\n      no\n    a: b\n", globalize, "-    " + global + ": |-\n-      no\n+    " + global + ": \"true\"\n"},
		"empty flow":                   {head + "  name: web\n  annotations: {} # none\n", globalize, "-  annotations: {} # none\n+  annotations: {" + global + ": \"true\"} # none\n"},
		"flow":                         {head + "  name: web\n  annotations: {a: b, " + alias + ": 'true', c: \"d, }\"}\n", globalize, "-  annotations: {a: b, " + alias + ": 'true', c: \"d, }\"}\n+  annotations: {a: b, c: \"d, }\", " + global + ": \"true\"}\n"},
		"flow, the last goes":          {head + "  name: web\n  annotations: { a: b, " + global + ": 'true' }\n", unglobalize, "-  annotations: { a: b, " + global + ": 'true' }\n+  annotations: { a: b }\n"},
		"flow, all go":                 {head + "  name: web\n  annotations: {" + alias + ": 'true', " + global + ": 'true'}\n", unglobalize, "-  annotations: {" + alias + ": 'true', " + global + ": 'true'}\n+  annotations: {}\n"},
		"flow in flow, all go":         {"{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {" + global + ": \"true\"}}}\n", unglobalize, "-{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {" + global + ": \"true\"}}}\n+{apiVersion: v1, kind: Service, metadata: {name: web}}\n"},
		"JSON, all go":                 {"{\n  \"apiVersion\": \"v1\", \"kind\": \"Service\",\n  \"metadata\": {\n    \"name\": \"web\",\n    \"annotations\": {\"" + global + "\": \"true\"}\n  }\n}\n", unglobalize, "-    \"name\": \"web\",\n-    \"annotations\": {\"" + global + "\": \"true\"}\n+    \"name\": \"web\"\n"},
		"flow in flow, a comment":      {"{apiVersion: v1, kind: Service, metadata: {name: web, # x\n  annotations: {" + global + ": \"true\"}}}\n", unglobalize, "-  annotations: {" + global + ": \"true\"}}}\n+  annotations: {}}}\n"},
		"empty flow, nothing goes":     {"{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {}}}\n", unglobalize, ""},
		"null":                         {head + "  name: web\n  annotations: null\n", globalize, "-  annotations: null\n+  annotations: {" + global + ": \"true\"}\n"},
		"nothing behind the colon":     {head + "  name: web\n  annotations: # none yet\n  labels: {}\n", globalize, "-  annotations: # none yet\n+  annotations: {" + global + ": \"true\"} # none yet\n"},
		"metadata in flow":             {"{apiVersion: v1, kind: Service, metadata: {name: web}}\n", globalize, "-{apiVersion: v1, kind: Service, metadata: {name: web}}\n+{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {" + global + ": \"true\"}}}\n"},
		"JSON":                         {"{\n\t\"apiVersion\": \"v1\", \"kind\": \"Service\",\n  \"metadata\": {\n    \"name\": \"web\",\n    \"annotations\": {\n      \"a\": \"b\"\n    }\n  }\n}\n", globalize, "-      \"a\": \"b\"\n+      \"a\": \"b\",\n+      \"" + global + "\": \"true\"\n"},
		"JSON without annotations":     {"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\"}}", globalize, "-{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\"}}+{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\", \"annotations\": {\"" + global + "\": \"true\"}}}"},
		"a list":                       {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: web\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: other\n", globalize, "+    annotations:\n+      " + global + ": \"true\"\n"},
		"a ServiceList of the API":     {"apiVersion: v1\nkind: ServiceList\nmetadata: {resourceVersion: \"7\"}\nitems:\n- metadata:\n    name: web\n  spec: {}\n- metadata: {name: dns}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: x}\n", globalize, "-  spec: {}\n-- metadata: {name: dns}\n+    annotations:\n+      " + global + ": \"true\"\n+  spec: {}\n+- metadata: {name: dns, annotations: {" + global + ": \"true\"}}\n"},
		"a ServiceList in JSON":        {"{\n\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\n\"items\":[{\"metadata\":\n{\"name\":\"web\"}}]}", globalize, "-{\"name\":\"web\"}}]}+{\"name\":\"web\", \"annotations\": {\"" + global + "\": \"true\"}}}]}"},
		"the second of three":          {"%YAML 1.1\n---\nkind: ConfigMap\napiVersion: v1\n---\n# the Service\n" + head + "  name: wéb\n...\n---\n# nothing\n", globalize, "+  annotations:\n+    " + global + ": \"true\"\n"},
		"a Service of somebody else":   {"apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\n", globalize, ""},
		"a byte order mark":            {"\xef\xbb\xbfapiVersion: v1\nkind: Service\nmetadata: {name: web}\n", globalize, "-metadata: {name: web}\n+metadata: {name: web, annotations: {" + global + ": \"true\"}}\n"},
		"an anchor that is not used":   {head + "  name: &n web\n  annotations: &a\n    a: b\nspec: {}\n", globalize, "+    " + global + ": \"true\"\n"},
		"an alias elsewhere":           {head + "  name: &n web\n  labels: {app: *n}\nspec:\n  selector: {app: *n}\n", globalize, "+  annotations:\n+    " + global + ": \"true\"\n"},
		"tabs and blanks at line ends": {head + "  name: web  \n  annotations:\t\n    a: b\t# c\n\n\nspec: {}\n", globalize, "+    " + global + ": \"true\"\n"},
		"a quoted key":                 {head + "  name: web\n  annotations:\n    \"" + global + "\": \"no\"\n", globalize, "-    \"" + global + "\": \"no\"\n+    \"" + global + "\": \"true\"\n"},
		"a value over two lines":       {head + "  name: web\n  annotations:\n    a: \"b\n      c\"\n", globalize, "+    " + global + ": \"true\"\n"},
		"a folded plain value":         {head + "  name: web\n  annotations:\n    plain: this is\n      folded plain  \n\n\n     # no comment of the plugin\n", globalize, "+    " + global + ": \"true\"\n"},
		"with an empty line in it":     {head + "  name: web\n  annotations:\n    plain: this  is \t\n\n\n        folded\n      plain # c\n    a: b\n", globalize, "+    " + global + ": \"true\"\n"},
		"folded, begins below its key": {head + "  name: web\n  annotations:\n    plain:\n      this is\n      folded plain", globalize, "-      folded plain+      folded plain\n+    " + global + ": \"true\""},
		"folded, CRLF":                 {"apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: web\r\n  annotations:\r\n    plain: this is\r\n\r\n      folded\r\n", globalize, "+    " + global + ": \"true\"\r\n"},
		"folded, in flow":              {head + "  name: web\n  annotations: {plain: this is\n    folded plain }\n", globalize, "-    folded plain }\n+    folded plain, " + global + ": \"true\" }\n"},
		"folded, as our value":         {head + "  name: web\n  annotations:\n    a: b\n    " + global + ": no,\n      or yes\n    " + alias + ": x\n     y\n    c: d\n", globalize, "-    " + global + ": no,\n-      or yes\n-    " + alias + ": x\n-     y\n+    " + global + ": \"true\"\n"},
		"folded, a label":              {head + "  name: web\n  labels:\n    plain: this is\n      folded\n", globalize, "+  annotations:\n+    " + global + ": \"true\"\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Edit("f.yaml", []byte(c.in), all, c.values)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, diff(c.in, string(r.Text))); d != "" {
				t.Error(d)
			}
			again, err := Edit("f.yaml", r.Text, all, c.values)
			if err != nil || string(again.Text) != string(r.Text) {
				t.Errorf("a second time: %v\n%s", err, again.Text)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	cases := map[string][2]string{
		"no YAML":                  {"a: b\n  c: d\n", "f.yaml:2: this is not valid YAML: mapping values are not allowed"},
		"in the second document":   {"a: b\n---\nc: [\n", "f.yaml:"},
		"a template":               {"apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n", "it looks like a template"},
		"no name":                  {"apiVersion: v1\nkind: Service\n", "f.yaml:1: a Service without metadata.name"},
		"annotations are an alias": {head + "  name: web\n  annotations: *x\n", "f.yaml:"},
		"aliased annotations":      {head + "  name: web\n  annotations: &x {a: b}\nspec: *x\n", "f.yaml:6: annotations is also used by an alias (*x)"},
		"a merge":                  {"x: &x {a: b}\n---\n" + head + "  <<: {b: c}\n  name: web\n", "merges another mapping"},
		"twice":                    {head + "  name: web\n  annotations:\n    a: b\n    a: c\n", "f.yaml:8: annotations contains a twice"},
		"no mapping":               {head + "  name: web\n  annotations: [a]\n", "f.yaml:6: annotations is not a mapping"},
		"a value that is a list":   {head + "  name: web\n  annotations: {a: [b]}\n", "f.yaml:6: annotation a is not a string"},
		"UTF-16":                   {"\xff\xfea\x00", "UTF-16"},
	}
	for name, c := range cases {
		r, err := Edit("f.yaml", []byte(c[0]), all, globalize)
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %q (%v)", name, err, c[1], r)
		}
	}
}

// TestWhere: the error names the line to fix, whatever line the parser reports.
func TestWhere(t *testing.T) {
	t.Parallel()
	const four = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n"
	json := func(lines ...string) string { return "{\n" + strings.Join(lines, "\n") + "\n}\n" }
	cases := map[string]struct {
		in   string
		line int
		text string
	}{
		"labels one to the left":      {four + " labels: {}\nspec: {}\n", 5, "did not find expected key"},
		"the first line":              {"a: b: c\n", 1, "mapping values are not allowed"},
		"a key one to the left":       {four + "spec:\n  ports:\n  - port: 80\n    name: http\n   targetPort: 8\n  selector: {}\n", 9, "did not find expected"},
		"a template":                  {four + "---\n{{- if}}\nb: c\n", 6, "it looks like a template"},
		"an anchor that is not there": {four + "  labels: *x\n\n# a comment\n\nspec: {}\n", 5, "unknown anchor 'x'"},
		"a control character":         {four + "  labels: {a: \"\x01\"}\nspec: {}\n", 5, "control characters are not allowed"},
		"no UTF-8":                    {four + "spec: {}\n# \xff\na: b\n", 6, "UTF-8"},
		"no UTF-8, far behind":        {four + strings.Repeat("# about the Service\n", 1000) + "# \xff\n" + strings.Repeat("# more\n", 1000), 1005, "UTF-8"},
		"a tab":                       {four + "  labels:\n\ta: b\n", 6, "found character that cannot start any token"},
		"a key without a colon":       {four + "  labels\nspec: {}\n", 5, "could not find expected ':'"},
		"an item among keys":          {four + "  - a\nspec: {}\n", 5, "did not find expected key"},
		"a key among items":           {"a:\n- b\n- c\n- d\n d: e\n- f\n", 5, ""},
		"a bracket too many":          {four + "  labels: {}}\nspec: {}\n", 5, ""},
		"an escape of JSON":           {json(`"a": "b",`, `"c": "\/",`, `"d": "e"`), 3, "found unknown escape character"},
		"a comma is missing":          {json(`"a": "b",`, `"c": "d"`, `"e": "f",`, `"g": "h"`), 4, "did not find expected ',' or '}'"},
		"in a list":                   {json(`"a": [`, `"b"`, `"c"`, `"d"`, `]`), 4, "did not find expected ',' or ']'"},
		"the wrong bracket":           {json(`"a": [`, `"b",`, `"c"`, `},`, `"d": "e"`), 5, "did not find expected ',' or ']'"},
		"no value":                    {json(`"a": "b",`, `"c": ],`, `"d": "e"`), 3, "did not find expected node content"},
		"the file ends":               {"{\n\"a\": {\n\"b\": \"c\"\n\n", 3, "did not find expected ',' or '}', opened in line 2"},
		"the file ends after a comma": {"{\n\"a\": [\n\"b\",\n", 3, "did not find expected node content"},
		"not closed, with more below": {four + "  labels: {a: b\nspec:\n  type: x\n", 6, "did not find expected ',' or '}', opened in line 5"},
		"a quote is not closed":       {four + "  labels:\n    a: \"b\n    c: d\nspec: {}\n", 6, "found unexpected end of stream"},
		"not closed, the first line":  {"a: 'b\nc: d\ne: f\n", 1, "found unexpected end of stream"},
		"not closed, in JSON":         {json(`"a": "b",`, `"c": "d,`, `'e'`), 3, "found unexpected end of stream"},
		"after a closed one":          {"a: 'b\n  c'\nd: 'e\n  f'\n b: c\n", 5, ""},
		"CRLF":                        {strings.ReplaceAll(four+" labels: {}\nspec: {}\n", "\n", "\r\n"), 5, "did not find expected key"},
		"no line break at the end":    {four + " labels: {}", 5, "did not find expected key"},
		"a byte order mark":           {"\xef\xbb\xbf" + four + " labels: {}\n", 5, "did not find expected key"},
		"two JSON documents":          {json(`"a": "b"`) + "\n" + json(`"c": "d"`), 5, "a second JSON document begins here"},
		"two in one line":             {"{\"a\": \"b\"}{\"c\": \"d\"}", 1, "a second JSON document begins here"},
		"a brace too many":            {json(`"a": "b"`) + "}\n", 4, "did not find expected <document start>"},
	}
	for name, c := range cases {
		_, err := Edit("f.yaml", []byte(c.in), all, globalize)
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("f.yaml:%d: ", c.line)) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want line %d and %q", name, err, c.line, c.text)
		}
	}
}

// meaning reads a manifest by another library, the one that kubectl uses, and takes the annotations of Services out.
func meaning(raw []byte) (out []any, ok bool) {
	docs, err := parse("f", raw)
	if err != nil {
		return nil, false
	}
	if len(docs) > 1 { // the other library reads one document only
		return nil, false
	}
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return nil, false
	}
	strip(v)
	return []any{v}, true
}

func strip(v any) {
	switch x := v.(type) {
	case []any:
		for _, i := range x {
			strip(i)
		}
	case map[string]any:
		if m, ok := x["metadata"].(map[string]any); ok && (x["kind"] == "Service" || x["kind"] == nil) {
			delete(m, "annotations")
		}
		for _, i := range x {
			strip(i)
		}
	}
}

// FuzzEdit: whatever parses is edited or refused; the result parses, means the same but for the annotations, and is stable.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(head + "  name: web\n  annotations:\n    a: b # c\n    " + alias + ": |\n      x\n"))
	f.Add([]byte("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\",\"annotations\":{\"a\":\"b\"}}}"))
	f.Add([]byte("apiVersion: v1\r\nkind: List\r\nitems:\r\n- {apiVersion: v1, kind: Service, metadata: {name: &a web, annotations: {" + global + ": no, ? x : y}}}\r\n"))
	f.Add([]byte("kind: ServiceList\napiVersion: v1\nitems:\n- metadata: {name: web}\n- metadata:\n    name: dns\n    annotations:\n      a: b\n"))
	f.Add([]byte("? apiVersion\n: v1\nkind: Service\nmetadata: !!map\n  ? name\n  : web\n  annotations: ~\n"))
	f.Add([]byte(head + "  name: web\n  annotations:\n    plain: this is\n\n      folded\t\n     plain # c\n    " + global + ": no,\n     or yes\n"))
	f.Add([]byte("apiVersion: v1\r\nkind: Service\r\nmetadata: {name: web, annotations: {a: this is\r\n\r\n folded, " + alias + ":\r\n b\r\n c }}\r\n"))
	f.Add([]byte("x: &x {a: &n web, namespace: ~}\n" + head + "  name: *n\n  labels: {<<: [*x, *x]}\n---\n&l\napiVersion: v1\nkind: List\nitems: [*l, {<<: *l, kind: Service}]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Edit("f", raw, all, globalize)
		if e := (&Error{}); errors.As(err, &e) && strings.HasPrefix(e.Text, "this is not valid YAML") && (e.Line < 1 || e.Line > len(newText(raw).lines)) {
			t.Fatalf("there is no such line: %v\n%q", err, raw)
		}
		if err != nil {
			return
		}
		if _, err := parse("f", r.Text); err != nil {
			t.Fatalf("the result is not valid YAML: %v\n%q", err, r.Text)
		}
		again, err := Edit("f", r.Text, all, globalize)
		if err != nil {
			t.Fatalf("a second time: %v\n%q", err, r.Text)
		}
		for _, s := range again.Services {
			if _, ok := s.Annotations[alias]; ok || s.Annotations[global] != "true" {
				t.Fatalf("not edited: %v\n%q", s.Annotations, r.Text)
			}
		}
		if string(again.Text) != string(r.Text) {
			t.Fatalf("a second time it is not the same:\n%q\n%q", r.Text, again.Text)
		}
		if len(r.Services) == 0 && string(raw) != string(r.Text) {
			t.Fatalf("changed without a Service: %q", r.Text)
		}
		if before, ok := meaning(raw); ok {
			after, ok := meaning(r.Text)
			if d := cmp.Diff(before, after); !ok || d != "" {
				t.Fatalf("it means something else (%v): %s\n%q\n%q", ok, d, raw, r.Text)
			}
		}
	})
}
