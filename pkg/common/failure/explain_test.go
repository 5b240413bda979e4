package failure

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func refusal(group, resource, name, text string) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: group, Resource: resource}, name, errors.New(text))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		want string
	}{
		"list": {refusal("", "services", "", `User "eve" cannot list resource "services" in API group "" at the cluster scope`),
			`no permission: a ClusterRole needs {apiGroups: [""], resources: [services], verbs: [list]}`},
		"by name": {refusal("", "secrets", "cilium-clustermesh", `User "eve" cannot get resource "secrets" in API group "" in the namespace "kube-system"`),
			`no permission: a Role in namespace kube-system needs {apiGroups: [""], resources: [secrets], resourceNames: [cilium-clustermesh], verbs: [get]}`},
		"a Service is one of many": {refusal("", "services", "web", `User "eve" cannot patch resource "services" in API group "" in the namespace "shop"`),
			`no permission: a Role in namespace shop needs {apiGroups: [""], resources: [services], verbs: [patch]}`},
		"create knows no names": {refusal("", "configmaps", "x", `User "eve" cannot create resource "configmaps" in API group "" in the namespace "kube-system": RBAC: role not found`),
			`no permission: a Role in namespace kube-system needs {apiGroups: [""], resources: [configmaps], verbs: [create]}`},
		"another group": {refusal("discovery.k8s.io", "endpointslices", "", `User "eve" cannot watch resource "endpointslices" in API group "discovery.k8s.io" in the namespace "shop"`),
			`no permission: a Role in namespace shop needs {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [watch]}`},
		"an admission policy": {refusal("", "services", "web", "exceeded quota"), `services "web" is forbidden: exceeded quota`},
		"something else":      {errors.New("cannot list resource"), "cannot list resource"},
	}
	for name, c := range cases {
		got := Explain(c.err)
		if d := cmp.Diff(c.want, got.Error()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%s: the cause is lost", name)
		}
		if again := Explain(got); again.Error() != got.Error() {
			t.Errorf("%s: explained twice: %v", name, again)
		}
	}
	if e := Classify(cases["list"].err); e.Class != Forbidden || e.Error() != cases["list"].want {
		t.Errorf("class %s, %v", e.Class, e)
	}
}
