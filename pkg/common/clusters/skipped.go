package clusters

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// SkippedLines says which entries of the member's Secret cilium-clustermesh look like peers and are skipped by Cilium, with the reason.
func (m *Member) SkippedLines() []string {
	lines := make([]string, len(m.SkippedPeers))
	for i, s := range m.SkippedPeers {
		lines[i] = fmt.Sprintf("cluster %q does not connect to %s: Cilium skips entry %q of Secret %s/%s, because %s",
			m.Name, s.Peer(), s.Entry, m.CiliumNamespace, cilium.SecretClusterMesh, s.Reason)
	}
	return lines
}

// skippedText is SkippedLines for the end of an error, empty where nothing is skipped.
func skippedText(m *Member) string {
	if lines := m.SkippedLines(); len(lines) > 0 {
		return "; " + strings.Join(lines, "; ")
	}
	return ""
}

// warnSkipped warns of the peers that Cilium skips: the mesh would look smaller than somebody configured it.
func warnSkipped(members []*Member, w *Warnings) {
	for _, m := range members {
		for _, line := range m.SkippedLines() {
			w.Add("%s", line)
		}
	}
}
