package manifest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestRead: what decides whether a Service is selected is read as the API server gets it, however it is written.
func TestRead(t *testing.T) {
	t.Parallel()
	const common = "x: &x {app: web, tier: front}\ny: &y {app: api, zone: a}\n"
	cases := map[string]struct {
		in                    string
		name, namespace, kind string
		labels                map[string]string
	}{
		"labels are an alias":    {common + head + "  name: web\n  labels: *x\n", "web", "", "", map[string]string{"app": "web", "tier": "front"}},
		"a label is an alias":    {head + "  name: &n web\n  labels: {app: *n}\n", "web", "", "", map[string]string{"app": "web"}},
		"labels are merged":      {common + head + "  name: web\n  labels: {<<: *x, app: own}\n", "web", "", "", map[string]string{"app": "own", "tier": "front"}},
		"of two mappings":        {common + head + "  name: web\n  labels: {<<: [*y, *x]}\n", "web", "", "", map[string]string{"app": "api", "tier": "front", "zone": "a"}},
		"of one that merges":     {common + "z: &z {<<: *y, zone: b}\n" + head + "  name: web\n  labels: {<<: *z}\n", "web", "", "", map[string]string{"app": "api", "zone": "b"}},
		"of one in itself":       {"z: &z {<<: *z, app: web}\n" + head + "  name: web\n  labels: *z\n", "web", "", "", map[string]string{"app": "web"}},
		"a label twice":          {head + "  name: web\n  labels: {app: a, app: b}\n", "web", "", "", map[string]string{"app": "b"}},
		"a key is an alias":      {"x: &x app\n" + head + "  name: web\n  labels: {*x : web}\n", "web", "", "", map[string]string{"app": "web"}},
		"<< in quotes":           {head + "  name: web\n  labels: {\"<<\": a}\n", "web", "", "", map[string]string{"<<": "a"}},
		"name and namespace":     {"x: [&n web, &ns prod]\n" + head + "  name: *n\n  namespace: *ns\n", "web", "prod", "", nil},
		"a namespace is merged":  {"x: &x {namespace: prod}\n" + head + "  <<: *x\n  name: web\n", "web", "prod", "", nil},
		"metadata is an alias":   {"x: &x {name: web, namespace: prod}\napiVersion: v1\nkind: Service\nmetadata: *x\n", "web", "prod", "", nil},
		"the type is an alias":   {"x: &x ExternalName\n" + head + "  name: web\nspec: {type: *x}\n", "web", "", "ExternalName", nil},
		"the spec is merged":     {"x: &x {type: ExternalName}\n" + head + "  name: web\nspec: {<<: *x}\n", "web", "", "ExternalName", nil},
		"the Service is merged":  {"x: &x {apiVersion: v1, kind: Service}\n<<: *x\nmetadata: {name: web}\n", "web", "", "", nil},
		"an item is an alias":    {"x: &x {apiVersion: v1, kind: Service, metadata: {name: web}}\napiVersion: v1\nkind: List\nitems: [*x]\n", "web", "", "", nil},
		"the name is null":       {head + "  name: ~\n  namespace: null\n", "", "", "", nil},
		"the name is not there":  {head + "  generateName: web-\n", "", "", "", nil},
		"a list with itself":     {head + "  name: web\n---\n&l\napiVersion: v1\nkind: List\nitems: [*l, *l]\n", "web", "", "", nil},
		"annotations are a list": {head + "  name: web\n  annotations: [a]\n", "web", "", "", nil},
	}
	for name, c := range cases {
		var got []*corev1.Service
		r, err := Edit("f.yaml", []byte(c.in), func(s *corev1.Service) bool { got = append(got, s); return false }, globalize)
		if err != nil || string(r.Text) != c.in || len(got) != 1 {
			t.Errorf("%s: %v, %d services", name, err, len(got))
			continue
		}
		s := got[0]
		if d := cmp.Diff([]any{c.name, c.namespace, c.kind, c.labels}, []any{s.Name, s.Namespace, string(s.Spec.Type), s.Labels}); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestEditedThroughAliases: name, namespace and labels may be aliases; only what is edited must be written out.
func TestEditedThroughAliases(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"x: [&n web, &ns prod]\n" + head + "  name: *n\n  namespace: *ns\n":       "+  annotations:\n+    " + global + ": \"true\"\n",
		"x: &x {app: web}\n" + head + "  name: web\n  labels: *x\nspec: {}\n":     "+  annotations:\n+    " + global + ": \"true\"\n",
		"x: &x {app: web}\n" + head + "  name: web\n  labels: {<<: *x, a: b} #\n": "+  annotations:\n+    " + global + ": \"true\"\n",
	} {
		r, err := Edit("f.yaml", []byte(in), all, globalize)
		if err != nil {
			t.Errorf("%v\n%s", err, in)
			continue
		}
		if d := cmp.Diff(want, diff(in, string(r.Text))); d != "" {
			t.Error(d)
		}
	}
}

// TestNotMeant: a Service that cannot be edited does not prevent the edit of another.
func TestNotMeant(t *testing.T) {
	t.Parallel()
	const web = head + "  name: web\n"
	for name, other := range map[string]string{
		"a merge":                   "x: &x {kind: Service}\n<<: *x\napiVersion: v1\nmetadata: {name: api}\n",
		"a merge in metadata":       head + "  <<: {a: b}\n  name: api\n",
		"a key twice":               head + "  name: api\n  annotations: {a: b, a: c}\n",
		"generateName":              head + "  generateName: api-\n",
		"annotations of a list":     head + "  name: api\n  annotations: [a]\n",
		"metadata is not a mapping": "apiVersion: v1\nkind: Service\nmetadata: [a]\n",
	} {
		in := other + "---\n" + web
		r, err := Edit("f.yaml", []byte(in), func(s *corev1.Service) bool { return s.Name == "web" }, globalize)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff("+  annotations:\n+    "+global+": \"true\"\n", diff(in, string(r.Text))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if r, err = Edit("f.yaml", []byte(in), all, globalize); err == nil {
			t.Errorf("%s: edited: %s", name, r.Text)
		}
	}
}

// TestTemplate: a Service is refused as part of a template only if its own document is one.
func TestTemplate(t *testing.T) {
	t.Parallel()
	const (
		twice = head + "  name: web\n  annotations: {a: b, a: c}\n"
		alert = "kind: ConfigMap\ndata:\n  a: '{{ $labels.instance }}'\n"
	)
	for name, c := range map[string]struct {
		in   string
		kind ErrorKind
	}{
		"an alert above":          {alert + "---\n" + twice, Refused},
		"an alert below":          {twice + "---\n" + alert, Refused},
		"alerts around it":        {alert + "--- # x\n" + twice + "...\n---\n" + alert, Refused},
		"a template":              {alert + "---\n" + twice + "spec: {type: '{{ .Values.type }}'}\n", Template},
		"a template, the first":   {twice + "spec: {type: '{{ .Values.type }}'}\n---\n" + alert, Template},
		"a comment above it":      {"# {{ .Values.type }}\n" + twice, Template},
		"a name of a template":    {head + "  name: '{{ .Release.Name }}'\n", Template},
		"a name of ytt":           {"#@ load(\"@ytt:data\", \"data\")\n---\n" + head + "  name: #@ data.values.name\n", Template},
		"conditions of ytt":       {head + "  name: web\n  annotations:\n    #@ if data.values.a:\n    a: b\n    #@ else:\n    a: c\n    #@ end\n", Template},
		"ytt in another document": {"kind: ConfigMap\n#@ if a:\na: b\n#@ end\n---\n" + twice, Refused},
		"an address":              {twice + "spec: {type: 'a#@b'}\n", Refused},
		"not YAML":                {head + "  name: {{ .Values.name }}\n", Template},
		"not YAML, and no marks":  {"a: b\n  c: d\n", NotYAML},
	} {
		_, err := Edit("f.yaml", []byte(c.in), all, globalize)
		e := (*Error)(nil)
		if !errors.As(err, &e) || e.Kind != c.kind || strings.Contains(e.Text, "it looks like a template") != (c.kind == Template) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
