package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

func text(t *testing.T, sections []output.Section) string {
	t.Helper()
	var b bytes.Buffer
	if err := (&output.Flags{}).Print(&b, nil, sections); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func drainDocument(services int) v1alpha1.DrainReport {
	doc := v1alpha1.DrainReport{Cluster: "us"}
	doc.Action, doc.DryRun = "drain us", "none"
	doc.Members = []v1alpha1.Member{{Name: "eu"}, {Name: "us", Context: "kind-us", Server: "https://us"}}
	for n := range services {
		name := fmt.Sprintf("svc-%02d", n)
		doc.Changes = append(doc.Changes, v1alpha1.Change{Cluster: "us", Namespace: "shop", Object: "service/" + name, Result: v1alpha1.ResultPlanned,
			Before: map[string]*string{cilium.AnnotationShared: nil, "mark": nil}, After: map[string]*string{cilium.AnnotationShared: ptr.To("false"), "mark": ptr.To("{}")}})
		doc.Shifts = append(doc.Shifts, v1alpha1.Shift{Namespace: "shop", Name: name, Client: "eu", Port: v1alpha1.Port{Port: 80, Protocol: "TCP"}, IPFamily: "IPv4", Complete: true,
			Shares: []v1alpha1.ShareShift{{Cluster: "eu", Before: 0.5, After: 1}, {Cluster: "us", Before: 0.5, After: 0}}})
	}
	return doc
}

func TestDrainPlan(t *testing.T) {
	t.Parallel()
	doc := drainDocument(1)
	doc.Changes = append(doc.Changes, v1alpha1.Change{Cluster: "us", Namespace: "shop", Object: "service/pay", Result: v1alpha1.ResultRefused, Message: "clients in eu would be left"})
	want := `Plan: drain us (context kind-us, https://us)
NAMESPACE   SERVICE   ANNOTATION                 OLD        NEW
shop        svc-00    service.cilium.io/shared   <absent>   "false"

Left unchanged
NAMESPACE   SERVICE   WHY
shop        pay       clients in eu would be left

Predicted shift of new connections
NAMESPACE   SERVICE   CLIENTS-IN   PORT     US          OTHERS
shop        svc-00    eu           80/TCP   50% -> 0%   eu 50% -> 100%

`
	if d := cmp.Diff(want, text(t, DrainPlan(doc, false))); d != "" {
		t.Error(d)
	}
}

// TestDrainOfMany: a long plan is shortened and summed by client cluster; -o wide shows all of it.
func TestDrainOfMany(t *testing.T) {
	t.Parallel()
	doc := drainDocument(300)
	short, all := text(t, DrainPlan(doc, false)), text(t, DrainPlan(doc, true))
	for _, want := range []string{"... and 280 more; -o wide shows all", "; -o wide shows each Service\nANNOTATION                 OLD        NEW       SERVICES   NAMES\nservice.cilium.io/shared   <absent>   \"false\"   300        shop/svc-00, shop/svc-01, shop/svc-02 and 297 more\n", "CLIENTS-IN   SERVICES   AVERAGE SHARE OF US\neu           300        50% -> 0%\n"} {
		if !strings.Contains(short, want) {
			t.Errorf("no %q in\n%s", want, short)
		}
	}
	if n := strings.Count(all, "svc-299"); n != 2 || strings.Contains(short, "svc-299") || strings.Contains(all, "more; -o wide") {
		t.Errorf("the last Service is in the whole plan %d times", n)
	}
}

// TestOrderOfClients: the clients of a Service are in the order of the members, whatever their shifts.
func TestOrderOfClients(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.DrainReport{Cluster: "us"}
	doc.Members = []v1alpha1.Member{{Name: "us"}, {Name: "ap"}, {Name: "eu"}, {Name: "sa"}}
	add := func(name, client string, before, after float64) {
		doc.Shifts = append(doc.Shifts, v1alpha1.Shift{Namespace: "shop", Name: name, Client: client, Complete: true, Port: v1alpha1.Port{Port: 80, Protocol: "TCP"},
			Shares: []v1alpha1.ShareShift{{Cluster: "us", Before: before, After: after}}})
	}
	for n := range manyRows {
		add(fmt.Sprintf("few-%02d", n), "sa", 0, 0.1)
	}
	add("most", "ap", 0.2, 0)
	add("most", "eu", 0, 1)
	add("some", "ap", 0, 0.3)
	add("some", "eu", 0.4, 0)
	var got []string
	for _, line := range strings.Split(text(t, Shifts(doc, false)), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "shop" && !strings.HasPrefix(f[1], "few") || len(f) > 1 && doc.Cluster != f[0] && len(f[0]) == 2 {
			got = append(got, strings.Join(f[:3], " "))
		}
	}
	want := []string{"ap 2 10%", "eu 2 20%", "sa 20 0%", "shop most ap", "shop most eu", "shop some ap", "shop some eu"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDrainResult(t *testing.T) {
	t.Parallel()
	doc := drainDocument(1)
	shared := cilium.AnnotationShared
	row := func(name, result, message string, before, after *string) v1alpha1.Change {
		return v1alpha1.Change{Cluster: "us", Namespace: "shop", Object: "service/" + name, Result: result, Message: message,
			Before: map[string]*string{shared: before}, After: map[string]*string{shared: after}}
	}
	doc.Changes = []v1alpha1.Change{
		row("a", v1alpha1.ResultChanged, "", ptr.To("true"), ptr.To("false")),
		row("b", v1alpha1.ResultUnchanged, "already drained", ptr.To("false"), ptr.To("false")),
		row("c", v1alpha1.ResultUnchanged, "", nil, nil),
		row("d", v1alpha1.ResultRefused, "clients in eu would be left", nil, ptr.To("false")),
		row("e", v1alpha1.ResultChanged, "", nil, nil),
	}
	want := `CLUSTER   NAMESPACE   SERVICE   RESULT      CHANGE
us        shop        a         changed     service.cilium.io/shared: "true" -> "false"
us        shop        b         unchanged   already drained
us        shop        c         unchanged   already has its previous value
us        shop        d         refused     clients in eu would be left
us        shop        e         changed     only the annotation of the drain is removed
`
	if d := cmp.Diff(want, text(t, Drain(doc, false))); d != "" {
		t.Error(d)
	}
}

// TestFieldDDrainCountsByKind: the results of a drain of hundreds of Services are counted as for globalize; failed ones are named.
func TestFieldDDrainCountsByKind(t *testing.T) {
	t.Parallel()
	doc := drainDocument(300)
	for i := range doc.Changes {
		doc.Changes[i].Result = v1alpha1.ResultChanged
	}
	doc.Changes[7].Result, doc.Changes[7].Message = v1alpha1.ResultFailed, "no permission"
	got := text(t, Drain(doc, false))
	for _, want := range []string{"us        changed   299        service.cilium.io/shared: <absent> ->", "shop/svc-00, shop/svc-01, shop/svc-02 and", "us        failed    1          no permission",
		"\n\nCLUSTER   NAMESPACE   SERVICE   RESULT   CHANGE\nus        shop        svc-07    failed   no permission\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") > 8 {
		t.Errorf("the Services are not counted:\n%s", got)
	}
	if all := text(t, Drain(doc, true)); strings.Count(all, "\n") != 301 {
		t.Errorf("-o wide shows %d lines", strings.Count(all, "\n"))
	}
}

// TestFieldDLeftIsCountedByReason: hundreds of Services that are left as they are have one reason.
func TestFieldDLeftIsCountedByReason(t *testing.T) {
	t.Parallel()
	doc := drainDocument(0)
	for n := range 100 {
		doc.Changes = append(doc.Changes, v1alpha1.Change{Cluster: "us", Namespace: "shop", Object: fmt.Sprintf("service/s%03d", n), Result: v1alpha1.ResultRefused, Message: "clients in eu would be left"})
	}
	want := "Left unchanged\nSERVICES   WHY                           NAMES\n100        clients in eu would be left   shop/s000, shop/s001, shop/s002 and 97 more\n"
	if got := text(t, DrainPlan(doc, false)); !strings.Contains(got, want) {
		t.Error(got)
	}
	if got := text(t, DrainPlan(doc, true)); strings.Count(got, "clients in eu") != 100 {
		t.Error(got)
	}
}
