package rotate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// wroteAs puts an entry for a field manager into managedFields of Secrets, as of now.
func (w *world) wroteAs(p *modeltest.Process, manager string, secrets ...string) {
	for _, name := range secrets {
		secret := p.Secret(name)
		secret.ManagedFields = append(secret.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1", Time: &metav1.Time{Time: w.At},
			FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:tls.crt":{}}}`),
		})
		p.Put("secrets", secret)
	}
}

// TestForeignWrites: what Helm writes in the middle of a rotation is reported, with the field manager and the time, before it is written again. What this
// rotation wrote itself is not.
func TestForeignWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9, mixed, "us", "eu")
	first := firstCA(t, w).Signer()
	if _, err := w.run(rotate.Start, "", -1); err != nil {
		t.Fatal(err)
	}
	us := w.Mesh[0]
	w.wroteAs(us, pki.FieldManager, pki.SecretServer)
	w.wroteAs(us, "mesh-ca-trust", pki.SecretServer)
	about := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, "after the rotation began") })
	}
	status, err := w.run(rotate.Status, "", -1)
	if err != nil || len(about(status.Warnings)) > 0 {
		t.Errorf("%v: %v", err, status.Warnings)
	}
	must(t, w.Sleep(t.Context(), time.Minute))
	w.HelmUpgrade(us)
	want := `us: field manager "helm" wrote secret ` + pki.SecretServer + ", "
	at := " after the rotation began, last at " + w.At.UTC().Format(time.RFC3339)
	isWanted := func(line string) bool { return strings.HasPrefix(line, want) && strings.Contains(line, at) }
	for range 5 {
		must(t, w.Sleep(t.Context(), time.Minute))
	}
	if status, err = w.run(rotate.Status, "", -1); err != nil || !slices.ContainsFunc(status.Warnings, isWanted) {
		t.Errorf("%v: %v, want %s", err, status.Warnings, want)
	}
	begun, heard := len(w.Log), 0
	w.heard = func(line string) {
		if line, warns := strings.CutPrefix(line, "Warning: "); !warns || !isWanted(line) || heard > 0 {
			return
		}
		heard = len(w.Log)
		for _, l := range w.Log[begun:] {
			if strings.Contains(l, "us secrets/"+pki.SecretServer) {
				t.Errorf("%s was written before that was reported", l)
			}
		}
	}
	report, err := w.run(rotate.Continue, "", -1)
	if err != nil || heard == 0 || !slices.ContainsFunc(report.Warnings, isWanted) {
		t.Errorf("%v, heard %d: %v", err, heard, report.Warnings)
	}
	if !slices.ContainsFunc(w.Log[heard:], func(l string) bool { return strings.Contains(l, "us secrets/"+pki.SecretServer) }) {
		t.Error("the certificate of Helm was left")
	}
	w.heard = nil
	for range 3 {
		if report, err = w.run(rotate.Status, "", -1); err != nil {
			t.Fatal(err)
		}
		action := rotate.Continue
		if strings.Contains(report.NextSteps[0].Command, "rotate finish") {
			action = rotate.Finish
		}
		if action == rotate.Finish {
			must(t, w.Sleep(t.Context(), time.Minute))
			w.wroteAs(us, "flux", pki.SecretServer)
		}
		report, err := w.run(action, "", -1)
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		if action == rotate.Finish {
			if !slices.ContainsFunc(report.Warnings, func(text string) bool { return strings.Contains(text, `us: field manager "flux" wrote secret `) }) {
				t.Errorf("the write that finish has overwritten is not reported: %v", report.Warnings)
			}
			break
		}
	}
	w.ends(false, first)
}
