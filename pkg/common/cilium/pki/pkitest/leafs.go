package pkitest

import (
	"crypto/x509"
	"net"
	"testing"
)

// CASecret is the data of Secret cilium-ca as Helm and certgen write it.
func (ca CA) CASecret() map[string][]byte {
	return map[string][]byte{"ca.crt": ca.CertPEM, "ca.key": ca.KeyPEM}
}

// TLSSecret is the data of Secret cilium-ca as cert-manager writes it.
func (ca CA) TLSSecret() map[string][]byte {
	return map[string][]byte{"tls.crt": ca.CertPEM, "tls.key": ca.KeyPEM}
}

// LeafSecret is the data of a leaf Secret: leaf with the given CA file.
func LeafSecret(leaf CA, trust []byte) map[string][]byte {
	return map[string][]byte{"ca.crt": trust, "tls.crt": leaf.CertPEM, "tls.key": leaf.KeyPEM}
}

// LeafSecrets returns the leaf Secrets of a cluster with KVStoreMesh and Hubble, all signed by ca, as chart 1.18 makes them.
func (ca CA) LeafSecrets(t testing.TB, cluster string) map[string]map[string][]byte {
	t.Helper()
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	out := map[string]map[string][]byte{}
	for name, spec := range map[string]Spec{
		"clustermesh-apiserver-server-cert": {
			Name: "clustermesh-apiserver.cilium.io", Usages: []x509.ExtKeyUsage{server, client},
			DNS: []string{"clustermesh-apiserver.cilium.io", "*.mesh.cilium.io", "clustermesh-apiserver.kube-system.svc"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		},
		"clustermesh-apiserver-admin-cert":  {Name: "admin-" + cluster, Usages: []x509.ExtKeyUsage{client}},
		"clustermesh-apiserver-remote-cert": {Name: "remote", Usages: []x509.ExtKeyUsage{client}},
		"clustermesh-apiserver-local-cert":  {Name: "local-" + cluster, Usages: []x509.ExtKeyUsage{client}},
		"hubble-server-certs": {
			Name: "*." + cluster + ".hubble-grpc.cilium.io", DNS: []string{"*." + cluster + ".hubble-grpc.cilium.io"}, Usages: []x509.ExtKeyUsage{server, client},
		},
		"hubble-relay-client-certs": {Name: "*.hubble-relay.cilium.io", DNS: []string{"*.hubble-relay.cilium.io"}, Usages: []x509.ExtKeyUsage{client}},
	} {
		out[name] = LeafSecret(ca.Issue(t, spec), ca.CertPEM)
	}
	return out
}
