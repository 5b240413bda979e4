package ca_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// TestKeepsTrust: a pair that trusts each other must do so afterwards, unless it is separated on purpose.
func TestKeepsTrust(t *testing.T) {
	t.Parallel()
	of := func(v pki.Verdict) []pki.Pair { return []pki.Pair{{Client: "us", Server: "eu", Verdict: v}} }
	never, always := func(pki.Pair) bool { return false }, func(pki.Pair) bool { return true }
	for name, c := range map[string]struct {
		before, after pki.Verdict
		separates     func(pki.Pair) bool
		refused       bool
	}{
		"kept":      {pki.OK, pki.OK, never, false},
		"lost":      {pki.OK, pki.Broken, never, true},
		"unknown":   {pki.OK, pki.Unknown, never, true},
		"separated": {pki.OK, pki.Broken, always, false},
		"never was": {pki.Broken, pki.Broken, never, false},
		"made":      {pki.Broken, pki.OK, never, false},
	} {
		if err := ca.KeepsTrust(of(c.before), of(c.after), c.separates); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeepsTrustSentence: the reasons of both halves are told apart.
func TestKeepsTrustSentence(t *testing.T) {
	t.Parallel()
	for want, reasons := range map[string][2]string{"(one; two)": {"one", "two"}, "(one)": {"one", ""}, "(two)": {"", "two"}} {
		before := []pki.Pair{{Client: "us", Server: "eu", Verdict: pki.OK}}
		after := []pki.Pair{{Client: "us", Server: "eu", Verdict: pki.Broken, Login: pki.Check{Reason: reasons[0]}, Identity: pki.Check{Reason: reasons[1]}}}
		if err := ca.KeepsTrust(before, after, func(pki.Pair) bool { return false }); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestComparesWhatWasWritten: what is read back tells whether a write without a clear answer was done.
func TestComparesWhatWasWritten(t *testing.T) {
	t.Parallel()
	state := &ca.State{Member: &clusters.Member{Name: "us"}}
	const restartedAt = "kubectl.kubernetes.io/restartedAt"
	workload := func(at string) *appsv1.Deployment {
		d := &appsv1.Deployment{}
		if at != "" {
			d.Spec.Template.Annotations = map[string]string{restartedAt: at}
		}
		return d
	}
	agents := func(at string) *appsv1.DaemonSet {
		return &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: workload(at).Spec.Template}}
	}
	lock := func(holder, since string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"run": holder}}, Data: map[string]string{"since": since}}
	}
	ours, other, now := "2026-11-23T12:00:00Z", "2026-11-23T12:00:05Z", pkitest.Now
	mine := "me"
	restart := ca.NewRestart(state, change.Deployment, workload("2026-01-01T00:00:00Z"), now, "test", "")
	first := ca.NewRestart(state, change.DaemonSet, agents(""), now, "test", "")
	taken := ca.NewPatch(state, change.ConfigMap, lock("other", "1"), change.Fields{Annotations: map[string]*string{"run": &mine, "gone": nil}}, "test", "")
	made := ca.NewCreation(state, change.ConfigMap, lock("me", "2"), "test", "")
	for name, c := range map[string]struct {
		write  *ca.Write
		stored metav1.Object
		done   bool
	}{
		"restarted":                     {restart, workload(ours), true},
		"not restarted":                 {restart, workload("2026-01-01T00:00:00Z"), false},
		"the annotation was removed":    {restart, workload(""), false},
		"restarted once more by others": {restart, workload(other), true},
		"agents, restarted":             {first, agents(ours), true},
		"agents, not restarted":         {first, agents(""), false},
		"lock taken":                    {taken, lock("me", "1"), true},
		"lock not taken":                {taken, lock("other", "1"), false},
		"lock made":                     {made, lock("me", "2"), true},
		"lock made by another run":      {made, lock("other", "1"), false},
	} {
		if got := c.write.Diff(c.stored); (got == nil) != c.done {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestAfter: the keys that are written replace those that were read, in the cluster of the write only, and what was read stays as it is.
func TestAfter(t *testing.T) {
	t.Parallel()
	ref := pki.Ref{Kind: pki.Secret, Name: "leaf"}
	state := func(name string) *ca.State {
		return &ca.State{Member: &clusters.Member{Name: name}, Side: pki.Side{Name: name, Objects: map[pki.Ref]pki.Object{ref: {Data: map[string][]byte{"ca.crt": []byte("old"), "tls.crt": []byte("old")}}}}}
	}
	us, eu := state("us"), state("eu")
	leaf := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "leaf"}}
	made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "made"}, Data: map[string][]byte{"ca.crt": []byte("new")}}
	sides := ca.After([]*ca.State{us, eu}, []change.Step{
		ca.NewSecretPatch(eu, leaf, map[string][]byte{"ca.crt": []byte("new")}, "test", ""),
		ca.NewCreation(eu, change.Secret, made, "test", ""),
		ca.NewDeletion(us, change.Secret, leaf, ""), // an object that a guard does not judge
	})
	read := func(n int, name, key string) string {
		return string(sides[n].Objects[pki.Ref{Kind: pki.Secret, Name: name}].Data[key])
	}
	for got, want := range map[string]string{
		"us " + read(0, "leaf", "ca.crt"): "us old", "eu " + read(1, "leaf", "ca.crt"): "eu new", "eu tls " + read(1, "leaf", "tls.crt"): "eu tls old",
		"made " + read(1, "made", "ca.crt"): "made new", "read " + string(eu.Side.Objects[ref].Data["ca.crt"]): "read old",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
