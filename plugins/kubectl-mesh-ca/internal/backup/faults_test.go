package backup_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

func forbidden() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
}

// TestFaults: what every write promises, for deletions.
func TestFaults(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	names := []string{"us", "eu"}
	installs := map[string]catest.Install{}
	for _, name := range names {
		installs[name] = catest.Install{CA: &one, Objects: []runtime.Object{kept(t, pkitest.NewCA(t, pkitest.Spec{}), 40*pkitest.Day)}}
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
		Args: []string{"backups", "prune", "--yes"},
		Content: func(t *testing.T, m *testkit.Mesh, c v1alpha1.Change) string {
			t.Helper()
			secret, err := m.API[c.Cluster].CoreV1().Secrets(c.Namespace).Get(t.Context(), strings.TrimPrefix(c.Object, "secret/"), metav1.GetOptions{})
			if err != nil {
				return ""
			}
			return string(secret.Data["ca.crt"])
		},
	}
	testkit.CheckFaults(t, c)
	c.Args = c.Args[:len(c.Args)-1]
	testkit.CheckUnconfirmed(t, c)
}
