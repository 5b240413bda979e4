package view

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// TestSummary: 300 changes in the plan that a user confirms, and in the report after they stopped in the middle.
func TestSummary(t *testing.T) {
	t.Parallel()
	const global, alias, stopped = "service.cilium.io/global", "io.cilium/global-service", "not written: the command ended before it"
	plan := v1alpha1.ChangeReport{Document: document(), Action: "globalize", DryRun: "none"}
	for n := range 300 {
		c := v1alpha1.Change{Cluster: "us", Context: "kind-us", Namespace: "shop", Object: fmt.Sprintf("service/svc-%03d", n%150), Result: v1alpha1.ResultPlanned,
			Before: map[string]*string{global: nil, alias: nil}, After: map[string]*string{global: ptr.To("true"), alias: nil}}
		if n >= 150 {
			c.Cluster, c.Context = "eu", "kind-eu"
		}
		switch n % 150 {
		case 7, 8, 9, 10:
			c.Before = map[string]*string{global: ptr.To("false"), alias: ptr.To("true")}
		case 20, 21:
			c.Result, c.Before, c.After = v1alpha1.ResultAbsent, nil, nil
		case 30, 31, 32:
			c.Result, c.Before = v1alpha1.ResultUnchanged, c.After
		case 40:
			c.Result, c.Message = v1alpha1.ResultRefused, `service.cilium.io/global is owned by "argocd-controller"`
		case 41, 42:
			c.Result, c.Message = v1alpha1.ResultFailed, "no permission"
		case 50:
			c.Result, c.Message = v1alpha1.ResultSkipped, "it is an ExternalName Service and has no endpoints"
		}
		plan.Changes = append(plan.Changes, c)
	}
	golden(t, "plan-300", "", PlanSummary(plan))

	done := plan
	done.Changes = slices.Clone(plan.Changes)
	for n := range done.Changes {
		c := &done.Changes[n]
		switch {
		case c.Result != v1alpha1.ResultPlanned:
		case n < 199:
			c.Result = v1alpha1.ResultChanged
		case n == 199:
			c.Result, c.Message = v1alpha1.ResultUnknown, "no answer to the write: it may or may not have happened"
		default:
			c.Message = stopped
		}
	}
	golden(t, "changes-300", "", Changes(done, false))
	if !Counted(done) || Counted(plan) { // of what is refused as a whole, only the reasons are shown
		t.Error("Counted is false for the results, or true for the plan")
	}

	one := plan
	one.Changes = plan.Changes[:1]
	if got := PlanSummary(one)[0].Title; got != "Plan: globalize, 1 change; -o wide shows each" {
		t.Error(got)
	}

	// A short one is shown in full.
	for n, want := range map[int]bool{longFrom - 1: false, longFrom: true} {
		if doc := (v1alpha1.ChangeReport{Changes: plan.Changes[:n]}); Long(doc) != want {
			t.Errorf("%d changes: %v", n, !want)
		}
	}
}
