package write

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// TestPlanOnADrainedService: what another verb writes must neither bring a drained Service back silently, nor be undone by undrain.
func TestPlanOnADrainedService(t *testing.T) {
	t.Parallel()
	globalize := func(shared string) verb.Edit {
		e, err := verb.Globalize("", shared)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	drained := meshtest.Annotations(meshtest.Global, cilium.AnnotationShared+"=false", meshtest.CartMark(nil))
	since := meshtest.Annotations(meshtest.Global, cilium.AnnotationShared+"=true", meshtest.CartMark(nil))
	cases := map[string]struct {
		edit  verb.Edit
		ann   map[string]string
		force bool
		want  string // result, what shared will be, whether the mark stays
		notes int
	}{
		"share":                        {verb.Share(), drained, false, "refused", 0},
		"unshare":                      {verb.Unshare(), drained, false, "refused", 0},
		"globalize --shared=true":      {globalize("true"), drained, false, "refused", 0},
		"globalize --shared=false":     {globalize("false"), drained, false, "refused", 0},
		"a mark of no meaning":         {verb.Share(), meshtest.Annotations(drained, drainrecord.AnnotationDrained+"=?"), false, "refused", 0},
		"share, forced":                {verb.Share(), drained, true, "planned <absent> unmarked", 0},
		"unshare, forced":              {verb.Unshare(), drained, true, `planned "false" unmarked`, 0},
		"globalize, forced":            {globalize("true"), drained, true, "planned <absent> unmarked", 0},
		"globalize alone":              {globalize(""), drained, false, `unchanged "false" marked`, 1},
		"globalize alone, local since": {globalize(""), meshtest.Annotations(drained, cilium.AnnotationGlobal+"=no"), false, `planned "false" marked`, 1},
		"unglobalize":                  {verb.Unglobalize(), drained, false, `planned "false" marked`, 0},
		"somebody shared it since":     {verb.Share(), since, false, "planned <absent> unmarked", 0},
		"unshare what is shared since": {verb.Unshare(), since, false, `planned "false" unmarked`, 0},
		"the mark of another":          {verb.Share(), meshtest.Annotations(meshtest.Global, cilium.AnnotationShared+"=false", drainrecord.AnnotationDrained+`={"cluster":"eu"}`), false, "planned <absent> unmarked", 0},
		"not drained":                  {verb.Unshare(), meshtest.Global, false, `planned "false" unmarked`, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: c.ann, Ready: 1}, "eu": {Annotations: meshtest.Global, Ready: 1}})
			p, err := planner{verb.Request{Edit: c.edit, Namespace: "shop", Names: []string{"cart"}, Force: c.force}, st}.plan([]*clusters.Member{us})
			if err != nil {
				t.Fatal(err)
			}
			i := p.Items[0]
			got := i.Result
			if got != v1alpha1.ResultRefused {
				after := maps.Clone(c.ann)
				for key, value := range i.After {
					delete(after, key)
					if value != nil {
						after[key] = *value
					}
				}
				word := "unmarked"
				if drainrecord.MarkOn(after) != nil {
					word = "marked"
				}
				shared := "<absent>"
				if v, ok := after[cilium.AnnotationShared]; ok {
					shared = fmt.Sprintf("%q", v)
				}
				got = fmt.Sprintf("%s %s %s", got, shared, word)
			} else if !strings.Contains(i.Message, "kubectl mesh-svc undrain us") || !strings.Contains(i.Message, "--force-conflicts") {
				t.Errorf("the message does not say how to proceed: %s", i.Message)
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if notes := (planner{st: st}).stillDrained(p); len(notes) != c.notes || c.notes > 0 && !strings.HasPrefix(notes[0], "drained in us: shop/cart; ") {
				t.Errorf("notes %q", notes)
			}
		})
	}
	// Of a bulk request, what is not meant is skipped and not refused.
	st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: drained, Ready: 1}, "eu": {Annotations: meshtest.Global, Ready: 1}})
	selector, err := labels.Parse("app=other")
	if err != nil {
		t.Fatal(err)
	}
	p, err := planner{verb.Request{Edit: verb.Share(), Bulk: true, Selector: selector}, st}.plan([]*clusters.Member{us})
	if err != nil || results(p) != "us/cart:skipped" {
		t.Errorf("%v %s", err, results(p))
	}
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
	globalize, err := verb.Globalize("", "")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		mesh    []string
		in      []int // target members; nil for all
		request verb.Request
		want    string
		err     string
	}{
		"all clusters":                           {[]string{"us=nginx", "eu=nginx"}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}}, "us/nginx:planned eu/nginx:planned", ""},
		"absent in one":                          {[]string{"us=nginx", "eu=nginx", "ap="}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}}, "us/nginx:planned eu/nginx:planned ap/nginx:absent", ""},
		"in one cluster only":                    {[]string{"us=nginx", "eu="}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}}, "", "exists in cluster us only"},
		"in one cluster, and a peer is not read": {[]string{"us=nginx", "eu="}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}}, "us/nginx:planned eu/nginx:absent", ""},
		"bulk, and a peer is not read":           {[]string{"us=lonely", "eu=other"}, nil, verb.Request{Edit: globalize, Bulk: true}, "us/lonely:planned eu/other:skipped", ""},
		"named, and a peer is not read":          {[]string{"us=nginx", "eu="}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}, Named: true}, "", "in at least two of the named clusters (us, eu)"},
		"in one that is named": {[]string{"us=nginx"}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}, Named: true}, "",
			"in at least two of the named clusters (us). Name more contexts with --contexts; or omit it, so that the whole mesh is read, and use --in us"},
		"nowhere":                {[]string{"us=", "eu="}, nil, verb.Request{Edit: globalize, Names: []string{"nginx"}}, "", "not found in any cluster that was read: us, eu"},
		"not in the target":      {[]string{"us=nginx", "eu=nginx", "ap="}, []int{2}, verb.Request{Edit: verb.Unshare(), Names: []string{"nginx"}}, "", "not in the clusters to change"},
		"one of them":            {[]string{"us=nginx", "eu=nginx"}, []int{1}, verb.Request{Edit: verb.Unshare(), Names: []string{"nginx"}}, "eu/nginx:planned", ""},
		"unglobalize a lone one": {[]string{"us=nginx", "eu="}, nil, verb.Request{Edit: verb.Unglobalize(), Names: []string{"nginx"}}, "us/nginx:unchanged eu/nginx:absent", ""},
		"share is there already": {[]string{"us=nginx"}, nil, verb.Request{Edit: verb.Share(), Names: []string{"nginx"}}, "us/nginx:unchanged", ""},
		"kubernetes":             {[]string{"us=kubernetes", "eu=kubernetes"}, nil, verb.Request{Edit: globalize, Names: []string{"kubernetes"}, IncludeSystem: true}, "", "is refused"},
		"unglobalize kubernetes": {[]string{"us=kubernetes", "eu=kubernetes"}, nil, verb.Request{Edit: verb.Unglobalize(), Names: []string{"kubernetes"}}, "us/kubernetes:unchanged eu/kubernetes:unchanged", ""},
		"derived":                {[]string{"us=derived-gapqrqeg1j", "eu="}, nil, verb.Request{Edit: globalize, Names: []string{"derived-gapqrqeg1j"}, IncludeSystem: true}, "", "ServiceImport"},
		"called derived-":        {[]string{"us=derived-production", "eu=derived-production"}, nil, verb.Request{Edit: globalize, Names: []string{"derived-production"}}, "us/derived-production:planned eu/derived-production:planned", ""},
		"cilium's own":           {[]string{"us=cilium/hubble", "eu=cilium/hubble"}, nil, verb.Request{Edit: globalize, Namespace: "cilium", Names: []string{"hubble"}}, "", "--include-system"},
		"bulk, in one cluster":   {[]string{"us=nginx,lonely", "eu=nginx"}, nil, verb.Request{Edit: globalize, Bulk: true}, "us/lonely:skipped us/nginx:planned eu/nginx:planned", ""},
		"bulk skips":             {[]string{"us=nginx,kubernetes,derived-gapqrqeg1j,kube-system/dns", "eu=nginx"}, nil, verb.Request{Edit: globalize, Bulk: true}, "us/derived-gapqrqeg1j:skipped us/kubernetes:skipped us/nginx:planned us/dns:skipped eu/nginx:planned", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := meshtest.State(t, c.mesh...)
			if strings.HasSuffix(name, "a peer is not read") {
				st.Clusters[0].Peers = append(st.Clusters[0].Peers, "sa")
			}
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
			p, err := planner{c.request, st}.plan(targets)
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
