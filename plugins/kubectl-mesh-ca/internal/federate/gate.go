package federate

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// missing says what a gate waits for; nothing when it is open.
func (m *mesh) missing(g Gate) []string {
	var out []string
	for _, c := range m.scope {
		add := func(format string, args ...any) { out = append(out, c.Member.Name+": "+fmt.Sprintf(format, args...)) }
		if c.meshAPI != nil && !rotate.RolledOut(c.meshAPI) {
			add("the pods of clustermesh-apiserver are being replaced")
		}
		if g.Files {
			m.files(c, add)
		}
		if g.Presented {
			m.presented(c, add)
		}
		if g.Connected {
			for _, client := range m.clients(c) {
				if client.Disconnected {
					add("%s", client.Text)
				}
			}
		}
	}
	return out
}

// clients are those of a cluster that concern the clusters in scope. Others may be broken for reasons of their own.
func (m *mesh) clients(c *cluster) []rotate.Client {
	return slices.DeleteFunc(slices.Clone(c.running.Clients), func(client rotate.Client) bool { return client.Peer != "" && m.cluster(client.Peer) == nil })
}

// behind reports whether a client has not read its CA file again.
func (m *mesh) behind(c *cluster) bool {
	return slices.ContainsFunc(m.clients(c), func(client rotate.Client) bool { return client.Behind })
}

// written are the files that a federation writes. Copies of a peer's certificates are not: they are for connections to this peer alone, whose CA stays in every CA
// file of the peer and verifies its leaf certificates throughout. The check of copies before the first write tells whether they work.
func written(seen []rotate.Seen) []rotate.Seen {
	return slices.DeleteFunc(slices.Clone(seen), func(s rotate.Seen) bool { return s.Copy })
}

// files: the kubelet writes a file some time after the Secret.
func (m *mesh) files(c *cluster, add func(string, ...any)) {
	for _, seen := range written(c.running.Files) {
		for _, other := range m.authorities {
			former := !lasts(seen.Certs, other.Cert)
			if m.off {
				former = slices.ContainsFunc(seen.Certs, func(f *x509.Certificate) bool { return pki.SameAuthority(f, other.Cert) })
			}
			if former && !pki.SameAuthority(other.Cert, c.own.Cert) {
				add("%s does not have the content of its Secret yet", seen.Where)
				break
			}
		}
	}
}

// presented: the same holds for what is served, which is read at every handshake.
func (m *mesh) presented(c *cluster, add func(string, ...any)) {
	presented := written(c.running.Presented)
	if len(presented) == 0 {
		add("no etcd replica and no agent could be asked what it presents")
	}
	for _, seen := range presented {
		for _, a := range m.authorities {
			if len(seen.Certs) == 0 || m.accepts(seen.Certs, a.Cert) != nil {
				add("%s presents a certificate that the CA %s does not verify yet", seen.Where, pki.Short(pki.Fingerprint(a.Cert)))
				break
			}
		}
	}
}
