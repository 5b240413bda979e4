package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	want := seeded{
		Faults: []fault{
			{Kind: "shared-false", Namespace: "n", Service: "x", Clusters: []string{"a", "b"}, Detail: "false", Findings: []finding{{"SVC004", "service/n/x", []string{"a", "b"}}}},
			{Kind: "namespace-missing", Namespace: "m", Clusters: []string{"c"}, Detail: "gone", Findings: []finding{{"SVC022", "namespace/m", []string{"c"}}}},
		},
		Mesh: []finding{{"SVC035", "", []string{"a"}}},
	}
	shared := func(clusters ...string) v1alpha1.Finding {
		return v1alpha1.Finding{ID: "SVC004", Object: "service/n/x", Clusters: clusters, Message: "not shared"}
	}
	gone := v1alpha1.Finding{ID: "SVC022", Object: "namespace/m", Clusters: []string{"c"}, Message: "no namespace"}
	hosts := v1alpha1.Finding{ID: "SVC035", Clusters: []string{"a"}, Message: "hosts"}
	for name, tc := range map[string]struct {
		got  []v1alpha1.Finding
		want result
	}{
		"all is found":                 {[]v1alpha1.Finding{shared("b", "a"), gone, hosts}, result{expected: 3, found: 3}},
		"one finding for each cluster": {[]v1alpha1.Finding{shared("a"), shared("b"), gone, hosts}, result{expected: 3, found: 3}},
		"a cluster is missed":          {[]v1alpha1.Finding{shared("a"), gone, hosts}, result{expected: 3, found: 2, unfound: 1, missed: []string{"SVC004 service/n/x in b; seeded: shared-false in n/x (a, b): false"}}},
		"a fault is missed":            {[]v1alpha1.Finding{shared("a", "b"), hosts}, result{expected: 3, found: 2, unfound: 1, missed: []string{"SVC022 namespace/m in c; seeded: namespace-missing in namespace m (c): gone"}}},
		"not seeded":                   {[]v1alpha1.Finding{shared("a", "b"), gone}, result{expected: 3, found: 2, missed: []string{"SVC035 in a; seeded: how the lab is set up"}}},
		"a cluster too many":           {[]v1alpha1.Finding{shared("a", "b", "c"), gone, hosts}, result{expected: 3, found: 3, extra: []string{"SVC004 service/n/x in c; reported: not shared; seeded: shared-false in n/x (a, b): false"}}},
		"another finding": {
			[]v1alpha1.Finding{shared("a", "b"), gone, hosts, {ID: "SVC001", Object: "service/n/y", Clusters: []string{"a"}, Message: "local"}},
			result{expected: 3, found: 3, extra: []string{"SVC001 service/n/y in a; reported: local"}},
		},
		"a finding without clusters": {
			[]v1alpha1.Finding{shared("a", "b"), gone, hosts, {ID: "SVC033", Message: "versions"}},
			result{expected: 3, found: 3, extra: []string{"SVC033 in ; reported: versions"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, compare(want, tc.got), cmp.AllowUnexported(result{})); d != "" {
				t.Error(d)
			}
		})
	}
}
