package owners

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestField13ChartWithCiliumInIt: the label of Cilium's chart does not make a release with a name of its own one of that chart.
func TestField13ChartWithCiliumInIt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		label, release string
		official       bool
	}{
		{"cilium-1.20.2", "cilium", true}, {"cilium-1.20.2", "", true}, {"cilium-1.20.2", "platform", false}, {"rke2-cilium-1.18.100", "rke2-cilium", false},
	} {
		c := ChartOf([]metav1.ObjectMeta{{Labels: map[string]string{"helm.sh/chart": tc.label}}}, tc.release)
		if c.Official != tc.official {
			t.Errorf("%+v: %+v", tc, c)
		}
	}
}
