package modeltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// Handshake says why a client of one cluster cannot connect to another one's etcd; "" if it can. What is presented is read from the files each time.
func (w *World) Handshake(client, server *Process) string {
	if !w.verify(server.Files[serverCert]["tls.crt"], client.Clients[server.Name], x509.ExtKeyUsageServerAuth) {
		return fmt.Sprintf("%s rejects the certificate of etcd in %s", client.Name, server.Name)
	}
	if !w.verify(client.Files[clientCert(client.Name, server.Name)]["tls.crt"], server.Etcd, x509.ExtKeyUsageClientAuth) {
		return fmt.Sprintf("etcd in %s rejects the certificate of %s", server.Name, client.Name)
	}
	return ""
}

func (w *World) verify(chain, pool []byte, use x509.ExtKeyUsage) bool {
	key := [2][sha256.Size]byte{sha256.Sum256(chain), sha256.Sum256(append(bytes.Clone(pool), byte(use)))}
	w.mu.Lock()
	ok, known := w.cache[key]
	w.mu.Unlock()
	if known {
		return ok
	}
	certs, err := pki.ParseCertificates(chain)
	roots, mid := x509.NewCertPool(), x509.NewCertPool()
	if err == nil && roots.AppendCertsFromPEM(pool) {
		for _, c := range certs[1:] {
			mid.AddCert(c)
		}
		_, err = certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: mid, CurrentTime: w.At, KeyUsages: []x509.ExtKeyUsage{use}})
		ok = err == nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cache[key] = ok
	return ok
}

// Check fails where a pair of Kept does not trust each other any more.
func (w *World) Check(after string) {
	for _, client := range w.Mesh {
		for _, server := range w.Mesh {
			pair := client.Name + " " + server.Name
			if !w.Kept[pair] && !w.Grows {
				continue
			}
			why := w.Handshake(client, server)
			if why == "" {
				w.Kept[pair] = true
			}
			if w.Kept[pair] && why != "" {
				for _, line := range w.Log {
					w.T.Log(line)
				}
				w.Fail("after %s: %s", after, why)
			}
		}
	}
}

// Running is what a command can see of the processes.
func (w *World) Running(_ context.Context, s *ca.State, _ rotate.Look) (rotate.Running, error) {
	out := rotate.Running{Agents: 1}
	for _, p := range w.Mesh {
		if p.Name != s.Member.Name {
			continue
		}
		if p.crashed(false) {
			return out, errCrashed
		}
		if !bytes.Equal(p.Etcd, s.Secrets[serverCert].Object.Data["ca.crt"]) {
			out.EtcdBehind = append(out.EtcdBehind, "etcd has not read its CA file")
		}
		for _, other := range w.Mesh {
			if !bytes.Equal(p.Clients[other.Name], s.Secrets[clientCert(p.Name, other.Name)].Object.Data["ca.crt"]) {
				out.ClientsBehind = append(out.ClientsBehind, "the client of "+other.Name+" has not read its CA file")
				out.Clients = append(out.Clients, rotate.Client{Peer: other.Name, Text: "it has not read its CA file", Behind: true})
			}
			if why := w.Handshake(p, other); why != "" {
				out.Disconnected = append(out.Disconnected, rotate.Lost{Peer: other.Name, Text: why})
				out.Clients = append(out.Clients, rotate.Client{Peer: other.Name, Text: why, Disconnected: true})
			}
		}
		for _, secret := range []string{serverCert, remoteCert} {
			chain, err := pki.ParseCertificates(p.Files[secret]["tls.crt"])
			trust, err2 := pki.ParseCertificates(p.Files[secret]["ca.crt"])
			if err := errors.Join(err, err2); err != nil {
				return out, err
			}
			if secret == serverCert && w.doubts() {
				chain, out.EtcdUnknown = nil, append(out.EtcdUnknown, "etcd could not be asked")
			}
			out.Presented = append(out.Presented, rotate.Seen{Where: secret, Certs: chain})
			out.Files = append(out.Files, rotate.Seen{Where: secret, Certs: trust})
		}
	}
	return out, nil
}

// doubts reports whether an etcd cannot be asked this time.
func (w *World) doubts() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Doubts > 0 && w.R.IntN(w.Doubts) == 0
}
