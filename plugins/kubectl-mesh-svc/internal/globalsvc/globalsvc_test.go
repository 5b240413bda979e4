package globalsvc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// state puts Services NAME into clusters; a cluster is "us=nginx,web".
func state(t *testing.T, specs ...string) (*meshstate.State, []*clusters.Member) {
	t.Helper()
	st := &meshstate.State{Errors: map[string]*failure.Error{}, Services: map[string]map[routing.Key]*corev1.Service{}}
	var members []*clusters.Member
	for n, spec := range specs {
		cluster, list, _ := strings.Cut(spec, "=")
		m := &clusters.Member{Name: cluster, Context: "kind-" + cluster, CiliumNamespace: "cilium"}
		m.Config.ClusterID = uint32(n + 1)
		st.Services[cluster] = map[routing.Key]*corev1.Service{}
		c := routing.Cluster{Name: cluster, Version: cilium.ParseVersion("1.18.11"), Services: map[routing.Key]*routing.Service{}}
		for s := range strings.SplitSeq(list, ",") {
			if s == "" {
				continue
			}
			ns, name, ok := strings.Cut(s, "/")
			if !ok {
				ns, name = "default", s
			}
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"172.20.1.1"}, Ports: []corev1.ServicePort{{Port: 80}}}}
			key := routing.Key{Namespace: ns, Name: name}
			st.Services[cluster][key], c.Services[key] = svc, routing.FromService(svc, nil)
		}
		st.Clusters = append(st.Clusters, c)
		members = append(members, m)
	}
	return st, members
}

func results(p *annotate.Plan) string {
	var out []string
	for _, i := range p.Items {
		out = append(out, i.Member.Name+"/"+i.Name+":"+i.Result)
	}
	return strings.Join(out, " ")
}

func TestPlan(t *testing.T) {
	t.Parallel()
	globalize, err := Globalize("", "")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		mesh    []string
		in      []int // target members; nil for all
		request Request
		want    string
		err     string
	}{
		"all clusters":        {[]string{"us=nginx", "eu=nginx"}, nil, Request{Edit: globalize, Names: []string{"nginx"}}, "us/nginx:planned eu/nginx:planned", ""},
		"absent in one":       {[]string{"us=nginx", "eu=nginx", "ap="}, nil, Request{Edit: globalize, Names: []string{"nginx"}}, "us/nginx:planned eu/nginx:planned ap/nginx:absent", ""},
		"in one cluster only": {[]string{"us=nginx", "eu="}, nil, Request{Edit: globalize, Names: []string{"nginx"}}, "", "exists in cluster us only"},
		"in one that is named": {[]string{"us=nginx"}, nil, Request{Edit: globalize, Names: []string{"nginx"}, Named: true}, "",
			"in at least two of the named clusters (us). Name more contexts with --contexts; or omit it, so that the whole mesh is read, and use --in us"},
		"nowhere":                {[]string{"us=", "eu="}, nil, Request{Edit: globalize, Names: []string{"nginx"}}, "", "not found in any cluster that was read: us, eu"},
		"not in the target":      {[]string{"us=nginx", "eu=nginx", "ap="}, []int{2}, Request{Edit: Unshare(), Names: []string{"nginx"}}, "", "not in the clusters to change"},
		"one of them":            {[]string{"us=nginx", "eu=nginx"}, []int{1}, Request{Edit: Unshare(), Names: []string{"nginx"}}, "eu/nginx:planned", ""},
		"unglobalize a lone one": {[]string{"us=nginx", "eu="}, nil, Request{Edit: Unglobalize(), Names: []string{"nginx"}}, "us/nginx:unchanged eu/nginx:absent", ""},
		"share is there already": {[]string{"us=nginx"}, nil, Request{Edit: Share(), Names: []string{"nginx"}}, "us/nginx:unchanged", ""},
		"kubernetes":             {[]string{"us=kubernetes", "eu=kubernetes"}, nil, Request{Edit: globalize, Names: []string{"kubernetes"}, IncludeSystem: true}, "", "is refused"},
		"derived":                {[]string{"us=derived-abc", "eu="}, nil, Request{Edit: globalize, Names: []string{"derived-abc"}, IncludeSystem: true}, "", "ServiceImport"},
		"cilium's own":           {[]string{"us=cilium/hubble", "eu=cilium/hubble"}, nil, Request{Edit: globalize, Namespace: "cilium", Names: []string{"hubble"}}, "", "--include-system"},
		"bulk, in one cluster":   {[]string{"us=nginx,lonely", "eu=nginx"}, nil, Request{Edit: globalize, Bulk: true}, "us/lonely:skipped us/nginx:planned eu/nginx:planned", ""},
		"bulk skips":             {[]string{"us=nginx,kubernetes,derived-x,kube-system/dns", "eu=nginx"}, nil, Request{Edit: globalize, Bulk: true}, "us/derived-x:skipped us/kubernetes:skipped us/nginx:planned us/dns:skipped eu/nginx:planned", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := state(t, c.mesh...)
			targets := members
			if c.in != nil {
				targets = nil
				for _, i := range c.in {
					targets = append(targets, members[i])
				}
			}
			if c.request.Namespace == "" {
				c.request.Namespace = "default"
			}
			p, err := Plan(st, targets, c.request)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if err == nil {
				if d := cmp.Diff(c.want, results(p)); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// TestField11Idle: the command in the note makes those Services global that were meant, there and nowhere else.
func TestField11Idle(t *testing.T) {
	t.Parallel()
	st, members := state(t, "us=nginx,api,alone", "eu=nginx,api")
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
		edit := Unshare()
		edit.Action = c.verb
		r := Request{Edit: edit, Namespace: "default", Names: c.names, Mesh: commandline.MeshOf(members)}
		p, err := Plan(st, members, r)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, Idle(st, p, r), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s %s: %s", c.verb, c.names, d)
		}
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	yes, no, local := ptr.To("true"), ptr.To("false"), ptr.To("local")
	edit := func(affinity, shared string) annotate.Values {
		e, err := Globalize(affinity, shared)
		if err != nil {
			t.Fatal(err)
		}
		return e.Values
	}
	none, err := Affinity("none")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ got, want annotate.Values }{
		"globalize drops the alias": {edit("", ""), annotate.Values{cilium.AnnotationGlobal: yes, cilium.AnnotationGlobalAlias: nil}},
		"with affinity and shared": {edit("local", "false"), annotate.Values{cilium.AnnotationGlobal: yes, cilium.AnnotationGlobalAlias: nil,
			cilium.AnnotationAffinity: local, cilium.AnnotationAffinityAlias: nil, cilium.AnnotationShared: no, cilium.AnnotationSharedAlias: nil}},
		"none is never written":     {none.Values, annotate.Values{cilium.AnnotationAffinity: nil, cilium.AnnotationAffinityAlias: nil}},
		"unglobalize removes both":  {Unglobalize().Values, annotate.Values{cilium.AnnotationGlobal: nil, cilium.AnnotationGlobalAlias: nil}},
		"share removes both":        {Share().Values, annotate.Values{cilium.AnnotationShared: nil, cilium.AnnotationSharedAlias: nil}},
		"unshare writes false once": {Unshare().Values, annotate.Values{cilium.AnnotationShared: no, cilium.AnnotationSharedAlias: nil}},
	}
	for name, c := range cases {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for _, c := range [][2]string{{"Local ", "did you mean local?"}, {"cluster-a", "must be one of: local, remote, none"}, {"", "must be one of: local, remote, none"}} {
		if _, err := Affinity(c[0]); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("affinity %q: %v", c[0], err)
		}
	}
	if _, err := Globalize("", "yes"); err == nil {
		t.Error("--shared yes was accepted")
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	g, ga, aff := cilium.AnnotationGlobal, cilium.AnnotationGlobalAlias, cilium.AnnotationAffinity
	// globalize --affinity local on a Service that had only the alias and affinity remote.
	rec := annotate.RecordItem{Cluster: "us", Namespace: "default", Name: "nginx", UID: "u1",
		Before: annotate.Values{g: nil, ga: ptr.To("true"), aff: ptr.To("remote")}, After: annotate.Values{g: ptr.To("true"), ga: nil, aff: ptr.To("local")}}
	cases := map[string]struct {
		uid   string
		ann   map[string]string
		want  string
		left  bool
		after annotate.Values // what is written, nil for all of the record
	}{
		"as we left it":            {"u1", map[string]string{g: "true", aff: "local"}, "planned", false, rec.Before},
		"never written":            {"u1", map[string]string{ga: "true", aff: "remote"}, "unchanged", false, rec.Before},
		"half of it":               {"u1", map[string]string{ga: "true", aff: "local"}, "planned", false, rec.Before},
		"one setting is theirs":    {"u1", map[string]string{g: "true", aff: "none"}, "planned", true, annotate.Values{g: nil, ga: ptr.To("true")}},
		"a key and its alias":      {"u1", map[string]string{g: "false", aff: "local"}, "planned", true, annotate.Values{aff: ptr.To("remote")}},
		"the key was taken away":   {"u1", map[string]string{aff: "local"}, "planned", true, annotate.Values{aff: ptr.To("remote")}},
		"all of it is theirs":      {"u1", map[string]string{g: "false", aff: "none"}, "skipped", true, annotate.Values{}},
		"the rest is back already": {"u1", map[string]string{g: "false", aff: "remote"}, "skipped", true, annotate.Values{aff: ptr.To("remote")}},
		"the Service is a new one": {"u2", map[string]string{g: "true"}, "skipped", true, rec.Before},
	}
	for name, c := range cases {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", UID: types.UID(c.uid), Annotations: c.ann}}
		item, left := Undo(&clusters.Member{Name: "us"}, svc, rec, commandline.Mesh{})
		if item.Result != c.want || left != c.left {
			t.Errorf("%s: got %s, left %v; want %s, %v", name, item.Result, left, c.want, c.left)
		}
		if d := cmp.Diff(c.after, item.After); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestDescribeSaysWhatALossDoes(t *testing.T) {
	t.Parallel()
	st, members := state(t, "us=nginx", "eu=nginx")
	doc := Describe(st, members, routing.Key{Namespace: "default", Name: "nginx"})
	if len(doc.Predictions) != 2 || len(doc.Failures) != 0 || !doc.Complete {
		t.Errorf("%d predictions, %d failures, complete %v", len(doc.Predictions), len(doc.Failures), doc.Complete)
	}
	if c := doc.Predictions[0].Outcomes[0].Shares[1].Code; c != "not-global-here" {
		t.Errorf("code %s", c)
	}
}

// TestSharesBesideAnUnreadCluster: its own part is unknown, and those of the others are bounds. Where it cannot answer they are not.
func TestSharesBesideAnUnreadCluster(t *testing.T) {
	t.Parallel()
	st, members := build(cluster{name: "us"}, cluster{name: "eu"}, cluster{name: "ap", svc: ann(cilium.AnnotationShared, "false")})
	st.Clusters[1] = routing.Cluster{Name: "eu", Gap: "refused"}
	share := func(cluster string, share float64, n int, code string) v1alpha1.Share {
		return v1alpha1.Share{Cluster: cluster, Share: ptr.To(share), Backends: ptr.To(n), Used: ptr.To(n > 0), Code: code}
	}
	bounds := func(s v1alpha1.Share, high float64) v1alpha1.Share {
		s.Low, s.High = ptr.To(0.0), ptr.To(high)
		return s
	}
	p := Describe(st, members, nginx).Predictions[0]
	want := []v1alpha1.Share{bounds(share("us", 1, 1, "local"), 1), bounds(v1alpha1.Share{Cluster: "eu", Code: "not-read"}, 1), bounds(share("ap", 0, 0, "not-shared"), 0)}
	quiet := cmpopts.IgnoreFields(v1alpha1.Share{}, "Reason")
	if d := cmp.Diff(want, p.Outcomes[0].Shares, quiet); d != "" || p.Complete {
		t.Errorf("complete is %v, %s", p.Complete, d)
	}
	st.Clusters[0].Services[nginx].Annotations = nil
	p = Describe(st, members, nginx).Predictions[0]
	want = []v1alpha1.Share{share("us", 1, 1, "local"), share("eu", 0, 0, "not-global-here"), share("ap", 0, 0, "not-global-here")}
	if d := cmp.Diff(want, p.Outcomes[0].Shares, quiet); d != "" || !p.Complete {
		t.Errorf("not global: complete is %v, %s", p.Complete, d)
	}
}

// TestUndoDuringADrain: undo does not restore a value over a drain, which may have written the same value.
func TestUndoDuringADrain(t *testing.T) {
	t.Parallel()
	g, s, mark := cilium.AnnotationGlobal, cilium.AnnotationShared, AnnotationDrained
	text := func(drain string) *string { return Mark{Drain: drain, Cluster: "us"}.value() }
	drained := map[string]string{g: "true", s: "false", mark: *text("now")}
	no := ptr.To("false")
	cases := map[string]struct {
		before, after annotate.Values
		ann           map[string]string
		want          string
		left          bool
		writes        annotate.Values
	}{
		"unshare":                  {annotate.Values{s: nil}, annotate.Values{s: no}, drained, "skipped", true, annotate.Values{}},
		"share":                    {annotate.Values{s: no}, annotate.Values{s: nil}, drained, "skipped", true, annotate.Values{}},
		"globalize --shared=false": {annotate.Values{g: nil, s: nil}, annotate.Values{g: ptr.To("true"), s: no}, drained, "planned", true, annotate.Values{g: nil}},
		"globalize":                {annotate.Values{g: nil}, annotate.Values{g: ptr.To("true")}, drained, "planned", false, annotate.Values{g: nil}},
		"the drain itself":         {annotate.Values{s: nil, mark: nil}, annotate.Values{s: no, mark: text("now")}, drained, "planned", false, annotate.Values{s: nil, mark: nil}},
		"an earlier drain":         {annotate.Values{s: nil, mark: nil}, annotate.Values{s: no, mark: text("then")}, drained, "skipped", true, annotate.Values{}},
		"taken out of the drain":   {annotate.Values{s: no, mark: text("now")}, annotate.Values{s: nil, mark: nil}, map[string]string{g: "true"}, "planned", false, annotate.Values{s: no, mark: text("now")}},
		"unshare, not drained":     {annotate.Values{s: nil}, annotate.Values{s: no}, map[string]string{g: "true", s: "false"}, "planned", false, annotate.Values{s: nil}},
	}
	for name, c := range cases {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", UID: "u1", Annotations: c.ann}}
		rec := annotate.RecordItem{Cluster: "us", Namespace: "default", Name: "nginx", UID: "u1", Before: c.before, After: c.after}
		item, left := Undo(&clusters.Member{Name: "us"}, svc, rec, commandline.Mesh{})
		if item.Result != c.want || left != c.left || left && !strings.Contains(item.Message, "kubectl mesh-svc undrain us") {
			t.Errorf("%s: got %s, left %v, %q; want %s, %v", name, item.Result, left, item.Message, c.want, c.left)
		}
		if d := cmp.Diff(c.writes, item.After); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if len(rec.Before) != len(c.before) {
			t.Errorf("%s: the record was changed", name)
		}
	}
}

func TestListAndDescribeSayWhatIsDrained(t *testing.T) {
	t.Parallel()
	st, members := build(cluster{name: "us", svc: drainedBy("us", "false")}, cluster{name: "eu"}, cluster{name: "ap", svc: drainedBy("us", "false")})
	want := []bool{true, false, false} // the mark in ap is that of a drain of us
	for what, in := range map[string][]v1alpha1.ServiceCluster{
		"list": List(st, members, false).Services[0].Clusters, "describe": Describe(st, members, nginx).Clusters,
	} {
		var got []bool
		for _, c := range in {
			got = append(got, c.Drained)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

func TestListLeavesOutWhatIsGlobalNowhere(t *testing.T) {
	t.Parallel()
	st, members := state(t, "us=nginx,web", "eu=nginx")
	st.Clusters[0].Services[routing.Key{Namespace: "default", Name: "web"}].Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	if got := List(st, members, false).Services; len(got) != 1 || got[0].Name != "web" || got[0].Clusters[1].Present {
		t.Errorf("%+v", got)
	}
	if got := List(st, members, true).Services; len(got) != 2 {
		t.Errorf("%+v", got)
	}
}
