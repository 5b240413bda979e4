package verb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

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
	for _, c := range []struct{ affinity, shared, needsIn string }{
		{"", "", ""}, {"local", "true", ""}, {"none", "", ""}, {"remote", "", "globalize --affinity remote"}, {"", "false", "globalize --shared=false"}, {"remote", "false", "globalize --shared=false"},
	} {
		if e, err := Globalize(c.affinity, c.shared); err != nil || e.NeedsIn != c.needsIn {
			t.Errorf("--affinity %q --shared %q: --in is required by %q, want %q (%v)", c.affinity, c.shared, e.NeedsIn, c.needsIn, err)
		}
	}
	if _, err := Globalize("", "yes"); err == nil {
		t.Error("--shared yes was accepted")
	}
}
