package undo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

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
		item, left := planItem(&clusters.Member{Name: "us"}, svc, rec, commandline.Mesh{})
		if item.Result != c.want || left != c.left {
			t.Errorf("%s: got %s, left %v; want %s, %v", name, item.Result, left, c.want, c.left)
		}
		if d := cmp.Diff(c.after, item.After); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestUndoDuringADrain: undo does not restore a value over a drain, which may have written the same value.
func TestUndoDuringADrain(t *testing.T) {
	t.Parallel()
	g, s, mark := cilium.AnnotationGlobal, cilium.AnnotationShared, drainrecord.AnnotationDrained
	text := func(drain string) *string { return drainrecord.Mark{Drain: drain, Cluster: "us"}.Text() }
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
		item, left := planItem(&clusters.Member{Name: "us"}, svc, rec, commandline.Mesh{})
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
