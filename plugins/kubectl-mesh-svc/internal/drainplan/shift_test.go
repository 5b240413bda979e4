package drainplan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

func TestShifts(t *testing.T) {
	t.Parallel()
	// Four endpoints: us 2, eu 1, ap 1. Clients in ap prefer their own and see no change; those in eu lose half.
	st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 2}, "eu": {Annotations: meshtest.Global, Ready: 1}, "ap": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationAffinity+"=local"), Ready: 1}})
	p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
	want := []v1alpha1.Shift{{Namespace: "shop", Name: "cart", Client: "eu", Port: v1alpha1.Port{Name: "http", Protocol: "TCP", Port: 80}, IPFamily: "IPv4", Complete: true,
		Shares: []v1alpha1.ShareShift{{Cluster: "us", Before: 0.5, After: 0}, {Cluster: "eu", Before: 0.25, After: 0.5}, {Cluster: "ap", Before: 0.25, After: 0.5}}}}
	if d := cmp.Diff(want, Shifts(st, p, "us")); d != "" {
		t.Error(d)
	}
	if st.Services["us"][meshtest.CartKey].Annotations[cilium.AnnotationShared] != "" || !cilium.Shared(st.Find("us").Services[meshtest.CartKey].Annotations).Value {
		t.Error("predicting changed what was read")
	}
}

// TestShiftsOfUnknownVersions: each set of rules that may hold has its own shift.
func TestShiftsOfUnknownVersions(t *testing.T) {
	t.Parallel()
	st, us := meshtest.Carts("unknown", map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1}, "eu": {Annotations: meshtest.Annotations(meshtest.Global, cilium.AnnotationAffinity+"=none"), Ready: 1}})
	p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
	var got []string
	for _, s := range Shifts(st, p, "us") {
		got = append(got, fmt.Sprint(s.Versions, s.Shares))
	}
	want := []string{"[1.20 1.19.6 and later 1.19 1.15 to 1.17] [{us 0.5 0} {eu 0.5 1}]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
