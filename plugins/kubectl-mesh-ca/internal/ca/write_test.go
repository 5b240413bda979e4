package ca_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// TestKeepsTrust: a pair that trusts each other must do so afterwards, unless it is separated on purpose.
func TestKeepsTrust(t *testing.T) {
	t.Parallel()
	of := func(v pki.Verdict) []pki.Pair { return []pki.Pair{{Client: "us", Server: "eu", Verdict: v}} }
	never, always := func(string, string) bool { return false }, func(string, string) bool { return true }
	for name, c := range map[string]struct {
		before, after pki.Verdict
		separates     func(string, string) bool
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
