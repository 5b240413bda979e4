package replace_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

// TestFaults: what every write promises, for CAs; mesh-svc has the same test.
func TestFaults(t *testing.T) {
	t.Parallel()
	names := []string{"us", "eu", "ap"}
	cas := map[string]pkitest.CA{}
	for _, name := range names {
		cas[name] = pkitest.NewCA(t, pkitest.Spec{})
	}
	installs := map[string]catest.Install{}
	for _, name := range names {
		own := cas[name]
		installs[name] = catest.Install{CA: &own}
	}
	c := testkit.Change{
		Mesh: func(t *testing.T) *testkit.Mesh {
			t.Helper()
			m := &testkit.Mesh{}
			for _, name := range names {
				member, client := catest.Member(t, name, installs[name])
				m.Add(member, client)
			}
			return m
		},
		Command: func(m *testkit.Mesh) testkit.Command {
			return testkit.Command{New: cmd.New, Members: m.Members, Now: pkitest.Now}
		},
		Args:    []string{"sync", "--from", "us", "--to-all", "--yes"},
		Content: data,
	}
	testkit.CheckFaults(t, c)
	c.Args = c.Args[:len(c.Args)-1]
	testkit.CheckUnconfirmed(t, c)
}

// data is that of a Secret.
func data(t *testing.T, m *testkit.Mesh, c v1alpha1.Change) string {
	t.Helper()
	secret, err := m.API[c.Cluster].CoreV1().Secrets(c.Namespace).Get(t.Context(), strings.TrimPrefix(c.Object, "secret/"), metav1.GetOptions{})
	if err != nil {
		return ""
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(secret.Data)) {
		if k == "ca.crt" || k == "ca.key" {
			out = append(out, fmt.Sprintf("%s=%s", k, secret.Data[k]))
		}
	}
	return strings.Join(out, " ")
}
