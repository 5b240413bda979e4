package clusters

import (
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// TestField16SkippedPeerIsNamed: a member that connects to nobody because Cilium skips what was configured says so.
func TestField16SkippedPeerIsNamed(t *testing.T) {
	t.Parallel()
	m := &Member{Name: "eu", CiliumNamespace: "kube-system"}
	m.Peers, m.SkippedPeers = cilium.PeersFromSecret(map[string][]byte{"us": []byte(`{"endpoints":["https://us:2379"]}`)}, "eu", cilium.Version{})
	var w Warnings
	warnSkipped([]*Member{m, {Name: "us"}}, &w)
	want := `cluster "eu" does not connect to us: Cilium skips entry "us" of Secret kube-system/cilium-clustermesh, because the text endpoints: is not in it (the key is quoted)`
	if got := w.Lines(); len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
	if got := skippedText(m); !strings.Contains(got, want) || skippedText(&Member{}) != "" {
		t.Errorf("%q", got)
	}
}
