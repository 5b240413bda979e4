package rotate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// complete refuses to write while a cluster is missing that takes part in the rotation or is a peer of one that does: what it presents and trusts is not known. A
// cluster that took part and is gone for good can be left out, once no other one has it as a peer.
func (m *mesh) complete(ignore Ignore) error {
	read := map[string]bool{}
	for _, c := range m.clusters {
		read[c.Member.Name] = true
	}
	var missing, gone []string
	for _, c := range m.clusters {
		if c.kept != nil {
			for _, name := range strings.Split(c.kept.Annotations[annotationClusters], ",") {
				if name != "" && !read[name] && !slices.Contains(ignore.Clusters, name) {
					missing, gone = append(missing, name+" takes part in the rotation"), append(gone, name)
				}
			}
		}
		for peer := range c.Side.Peers {
			if !read[peer] {
				missing = append(missing, peer+" is a peer of "+c.Member.Name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	slices.Sort(gone)
	instead := ""
	if len(gone) > 0 {
		instead = fmt.Sprintf(". If %s is gone for good or was rebuilt (only then), take it out of the mesh and use --ignore-cluster", strings.Join(slices.Compact(gone), ", "))
	}
	return fmt.Errorf("%w: %s, and was not read: name all clusters of the mesh with --contexts; nothing was written%s", errIncomplete, strings.Join(slices.Compact(missing), "; "), instead)
}

// tookPart reports whether a cluster took part when the rotation began.
func (m *mesh) tookPart(name string) bool {
	return slices.ContainsFunc(m.clusters, func(c *cluster) bool {
		return c.kept != nil && slices.Contains(strings.Split(c.kept.Annotations[annotationClusters], ","), name)
	})
}

// left are the clusters that took part in the rotation and are left out now.
func (m *mesh) left(ignore Ignore) []string {
	var out []string
	for _, name := range ignore.Clusters {
		if m.tookPart(name) {
			out = append(out, name+": it took part in the rotation, and is left out (--ignore-cluster)")
		}
	}
	return out
}

// strangers refuses to go on with a cluster whose CA has nothing to do with the rotation: its own processes would not accept its new certificates, and its CA
// is kept nowhere.
func (m *mesh) strangers() error {
	for _, c := range m.clusters {
		now, err := pki.ParseCA(c.CA().Object.Data)
		if err == nil && !pki.SameKey(now.Signer(), m.old.Cert) && !pki.SameKey(now.Signer(), m.new.Cert) {
			return fmt.Errorf("cluster %q has a CA (SHA-256 %s) that is neither the previous nor the new one: it joined the mesh or was rebuilt during the rotation. Take it out of the mesh and of --contexts until the rotation has ended (with --ignore-cluster if it was rebuilt), then give it the CA of another cluster with kubectl mesh-ca sync; nothing was written",
				c.Member.Name, pki.Short(pki.Fingerprint(now.Signer())))
		}
	}
	return nil
}
