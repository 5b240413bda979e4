package drill

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// A record that cannot be read or used, and a cluster that does not show its records, do not keep the others from being repaired. They are named.
func TestRepairsWhatItCan(t *testing.T) {
	t.Parallel()
	unreadable := func(ctx context.Context, f *testkit.Mesh) error {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: drillrecord.Name("api"), Labels: map[string]string{drillrecord.LabelDrill: "api"}}}
		_, err := f.API["us"].CoreV1().ConfigMaps("shop").Create(ctx, cm, metav1.CreateOptions{})
		return err
	}
	for name, c := range map[string]struct {
		spoil   func(ctx context.Context, f *testkit.Mesh) error
		service string
		want    string // "" is success
	}{
		"an unreadable record":                    {unreadable, "", "kubectl --context kind-us -n shop delete configmap kubectl-mesh-drill-api"},
		"an unreadable record of another Service": {unreadable, "web", ""},
		"a cluster that does not show its records": {func(_ context.Context, f *testkit.Mesh) error {
			f.API["eu"].PrependReactor("list", "configmaps", func(a k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("RBAC"))
			})
			return nil
		}, "", "a Role in namespace shop needs {apiGroups: [\"\"], resources: [configmaps], verbs: [list]}; to repair one cluster only, add --in CLUSTER"},
		"a record of another cluster": {func(ctx context.Context, f *testkit.Mesh) error {
			cm, err := f.API["us"].CoreV1().ConfigMaps("shop").Get(ctx, drillrecord.Name("web"), metav1.GetOptions{})
			if err != nil {
				return err
			}
			cm.ResourceVersion = ""
			_, err = f.API["eu"].CoreV1().ConfigMaps("shop").Create(ctx, cm, metav1.CreateOptions{})
			return err
		}, "", "kubectl --context kind-eu -n shop delete configmap kubectl-mesh-drill-web"},
	} {
		f, ui := fakeMesh(t), &screen{}
		before := strings.Fields(state(t, f))
		r := drillOn(t, f, drillrecord.Scale, ui)
		if err := errors.Join(r.takeAway(t.Context()), c.spoil(t.Context(), f)); err != nil {
			t.Fatal(err)
		}
		at := place(f)
		at.In, at.Service = "", c.service
		report, err := Repair(t.Context(), at, writer(), ui)
		if after := strings.Fields(state(t, f)); after[0] != before[0] || after[1] != before[1] || ui.asked != 1 {
			t.Errorf("%s: %v, then %v; asked %d times", name, before, after, ui.asked)
		}
		var failed *ResultError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(ui.String(), "Warning: ") || report.Document.State != stateNotRestored || report.Document.Complete):
			t.Errorf("%s: %v, want %q; %+v", name, err, c.want, report)
		}
	}
}

// What somebody else changed is not restored, and the document says so.
func TestRepairLeaves(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	if err := errors.Join(r.takeAway(t.Context()), scaleTo(t.Context(), f, 7)); err != nil {
		t.Fatal(err)
	}
	report, err := Repair(t.Context(), place(f), writer(), ui)
	if err == nil || report.Document.State != stateNotRestored || report.Document.Complete {
		t.Errorf("%v, %+v", err, report.Document)
	}
}

// Who may not read a workload is told which rule is missing.
func TestRuleOfAWorkload(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	f.API["us"].PrependReactor("get", "deployments", func(a k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "web", errors.New("RBAC"))
	})
	_, err := Run(t.Context(), Config{Place: place(f), Write: writer(), With: drillrecord.Scale}, ui)
	const want = "no permission: a Role in namespace shop needs {apiGroups: [apps], resources: [deployments], verbs: [get, patch]}"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// Evicted pods are read back: who may not do that must not evict.
func TestPermissionsOfAnEviction(t *testing.T) {
	t.Parallel()
	f := fakeMesh(t)
	evictable(f, false)
	r := drillOn(t, f, drillrecord.Evict, &screen{})
	var needed []string
	for _, p := range r.steps[0].Permissions() {
		needed = append(needed, p.Verb+" "+p.Resource)
	}
	if got := strings.Join(needed, ", "); got != "create pods/eviction, get pods, list pods" {
		t.Error(got)
	}
}
