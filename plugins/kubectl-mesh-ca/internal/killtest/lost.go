//go:build unix

package killtest

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// lost says which key or former CA a cluster does not have any more.
func (m *mesh) lost() []string {
	var out []string
	for _, name := range m.names {
		list, err := m.sites[name].client.CoreV1().Secrets(m.namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return append(out, err.Error())
		}
		for _, what := range modeltest.Lost(list.Items, m.first[name].Cert) {
			out = append(out, name+": "+what)
		}
	}
	return out
}
