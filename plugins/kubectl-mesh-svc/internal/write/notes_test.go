package write

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// TestField11Idle: the command in the note makes those Services global that were meant, there and nowhere else.
func TestField11Idle(t *testing.T) {
	t.Parallel()
	st, members := meshtest.State(t, "us=nginx,api,alone", "eu=nginx,api")
	st.Services["us"][routing.Key{Namespace: "default", Name: "nginx"}].Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	for _, c := range []struct {
		verb  string
		names []string
		want  []string
	}{
		{"globalize", []string{"nginx"}, nil},
		{"unshare", []string{"nginx"}, []string{"nginx is not global in eu: the change has no effect there until it is; run: kubectl mesh-svc globalize nginx -n default --in eu --contexts kind-us,kind-eu"}},
		{"unshare", []string{"api"}, []string{"api is not global in us, eu: the change has no effect there until it is; run: kubectl mesh-svc globalize api -n default --in us,eu --contexts kind-us,kind-eu"}},
		{"unshare", []string{"nginx", "api", "alone"}, []string{
			"api is not global in us, eu: the change has no effect there until it is; run: kubectl mesh-svc globalize api -n default --in us,eu --contexts kind-us,kind-eu",
			"alone is not global in us: the change has no effect there until it is", // and globalize refuses it
			"nginx is not global in eu: the change has no effect there until it is; run: kubectl mesh-svc globalize nginx -n default --in eu --contexts kind-us,kind-eu"}},
	} {
		edit := verb.Unshare()
		edit.Action = c.verb
		r := verb.Request{Edit: edit, Namespace: "default", Names: c.names, Mesh: commandline.MeshOf(members)}
		p, err := planner{r, st}.plan(members)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, planner{r, st}.idle(p), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s %s: %s", c.verb, c.names, d)
		}
	}
}

// TestField16GlobalizeMentionsTheKey: one line for each key, whatever the number of Services; nothing of somebody else's.
func TestField16GlobalizeMentionsTheKey(t *testing.T) {
	t.Parallel()
	st, members := meshtest.State(t, "us=a,b,c", "eu=a,b,c")
	for _, c := range []string{"us", "eu"} {
		for _, name := range []string{"a", "b"} {
			st.Services[c][routing.Key{Namespace: "default", Name: name}].Annotations = map[string]string{"service.io.cilium/global": "true", "example.com/global": "true"}
		}
		st.Services[c][routing.Key{Namespace: "default", Name: "c"}].Labels = map[string]string{cilium.AnnotationGlobal: "true"}
	}
	edit, err := verb.Globalize("", "")
	if err != nil {
		t.Fatal(err)
	}
	request := verb.Request{Edit: edit, Namespace: "default", Names: []string{"a", "b", "c"}}
	p, err := planner{request, st}.plan(members)
	if err != nil {
		t.Fatal(err)
	}
	const rest = ": Cilium does not read it; for the command that removes it, run: kubectl mesh-svc check a b c -n default"
	want := []string{"annotation service.io.cilium/global stays on default/a in us, eu, default/b in us, eu" + rest, "label service.cilium.io/global stays on default/c in us, eu" + rest}
	if d := cmp.Diff(want, planner{request, st}.leftovers(p)); d != "" {
		t.Error(d)
	}
}

// TestField05Proxied: globalize says that the L7 proxy answers, whether the Service is named or one of all.
func TestField05Proxied(t *testing.T) {
	t.Parallel()
	st, members := meshtest.Build(meshtest.Gateway("us"), meshtest.Gateway("eu"))
	edit, err := verb.Globalize("", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []verb.Request{{Edit: edit, Bulk: true}, {Edit: edit, Namespace: "default", Names: []string{"nginx"}}} {
		p, err := planner{request, st}.plan(members)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"default/nginx in us, eu: the L7 proxy of the client's cluster answers, so the global annotation has no effect; make the Services of its routes global"}
		if d := cmp.Diff(want, planner{request, st}.proxied(p)); d != "" {
			t.Error(d)
		}
	}
}
