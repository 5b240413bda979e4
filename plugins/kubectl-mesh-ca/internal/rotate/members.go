package rotate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// complete refuses to write while a cluster is missing that takes part in the rotation or is a peer of one that does: what it presents and trusts is not known.
func (m *mesh) complete() error {
	read := map[string]bool{}
	for _, c := range m.clusters {
		read[c.Member.Name] = true
	}
	var missing []string
	for _, c := range m.clusters {
		if c.kept != nil {
			for _, name := range strings.Split(c.kept.Annotations[annotationClusters], ",") {
				if name != "" && !read[name] {
					missing = append(missing, name+" takes part in the rotation")
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
	return fmt.Errorf("%w: %s, and was not read: name all clusters of the mesh with --contexts; nothing was written", errIncomplete, strings.Join(slices.Compact(missing), "; "))
}

// strangers refuses to go on with a cluster whose CA has nothing to do with the rotation: its own processes would not accept its new certificates, and its CA
// is kept nowhere.
func (m *mesh) strangers() error {
	for _, c := range m.clusters {
		now, err := pki.ParseCA(c.CA().Object.Data)
		if err == nil && !pki.SameKey(now.Signer(), m.old.Cert) && !pki.SameKey(now.Signer(), m.new.Cert) {
			return fmt.Errorf("cluster %q has a CA (SHA-256 %s) that is neither the previous nor the new one: it joined the mesh or was rebuilt during the rotation. Take it out of the mesh until the rotation has ended, then give it the CA of another cluster with kubectl mesh-ca sync; nothing was written",
				c.Member.Name, pki.Short(pki.Fingerprint(now.Signer())))
		}
	}
	return nil
}
