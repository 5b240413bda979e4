package pkitest

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Workloads are Deployment clustermesh-apiserver and DaemonSet cilium as chart 1.18 makes them, with KVStoreMesh. A bundle replaces the ca.crt of
// the leaf Secrets, as tls.caBundle does.
func Workloads(bundle *pki.Source) (meshAPI, agent *pki.Workload) {
	secret := func(name string, items ...pki.Item) pki.Projection {
		return pki.Projection{Ref: pki.Ref{Kind: pki.Secret, Name: name}, Items: items}
	}
	pair := func(volume, name, cert, key, ca string) pki.Volume {
		v := pki.Volume{Name: volume, Sources: []pki.Projection{secret(name, pki.Item{Key: "tls.crt", Path: cert}, pki.Item{Key: "tls.key", Path: key})}}
		if bundle == nil {
			v.Sources[0].Items = append(v.Sources[0].Items, pki.Item{Key: "ca.crt", Path: ca})
		} else {
			v.Sources = append(v.Sources, pki.Projection{Ref: bundle.Ref, Items: []pki.Item{{Key: bundle.Key, Path: ca}}})
		}
		return v
	}
	join := func(name string, first pki.Projection, rest ...pki.Volume) pki.Volume {
		v := pki.Volume{Name: name, Sources: []pki.Projection{first}}
		for _, r := range rest {
			v.Sources = append(v.Sources, r.Sources...)
		}
		return v
	}
	remote := pair("", "clustermesh-apiserver-remote-cert", "common-etcd-client.crt", "common-etcd-client.key", "common-etcd-client-ca.crt")
	local := pair("", "clustermesh-apiserver-local-cert", "local-etcd-client.crt", "local-etcd-client.key", "local-etcd-client-ca.crt")
	admin := pki.Mount{Volume: "etcd-admin-client", Path: "/var/lib/cilium/etcd-secrets"}
	meshAPI = &pki.Workload{
		Containers: []pki.Container{
			{Name: "etcd", Args: []string{"/usr/bin/etcd", "--client-cert-auth", "--trusted-ca-file=/var/lib/etcd-secrets/ca.crt", "--cert-file=/var/lib/etcd-secrets/tls.crt", "--key-file=/var/lib/etcd-secrets/tls.key"}, Mounts: []pki.Mount{{Volume: "etcd-server-secrets", Path: "/var/lib/etcd-secrets"}, {Volume: "etcd-data-dir", Path: "/var/run/etcd"}}},
			{Name: "apiserver", Mounts: []pki.Mount{admin}},
			{Name: "kvstoremesh", Mounts: []pki.Mount{admin, {Volume: "kvstoremesh-secrets", Path: "/var/lib/cilium/clustermesh"}}},
		},
		Volumes: []pki.Volume{
			pair("etcd-server-secrets", "clustermesh-apiserver-server-cert", "tls.crt", "tls.key", "ca.crt"),
			pair("etcd-admin-client", "clustermesh-apiserver-admin-cert", "tls.crt", "tls.key", "ca.crt"),
			{Name: "etcd-data-dir", Other: "emptyDir"},
			join("kvstoremesh-secrets", secret("cilium-kvstoremesh"), remote),
		},
	}
	agent = &pki.Workload{
		Containers: []pki.Container{{Name: "cilium-agent", Mounts: []pki.Mount{{Volume: "clustermesh-secrets", Path: "/var/lib/cilium/clustermesh"}, {Volume: "hubble-tls", Path: "/var/lib/cilium/tls/hubble"}}}},
		Volumes: []pki.Volume{
			join("clustermesh-secrets", secret("cilium-clustermesh"), remote, local),
			pair("hubble-tls", "hubble-server-certs", "server.crt", "server.key", "client-ca.crt"),
		},
	}
	return meshAPI, agent
}

// Relay is Deployment hubble-relay as chart 1.18 makes it. A bundle replaces the ca.crt of its Secret, as tls.caBundle does.
func Relay(bundle *pki.Source) *pki.Workload {
	ca := pki.Projection{Ref: pki.Ref{Kind: pki.Secret, Name: "hubble-relay-client-certs"}, Items: []pki.Item{{Key: "ca.crt", Path: "hubble-server-ca.crt"}}}
	if bundle != nil {
		ca = pki.Projection{Ref: bundle.Ref, Items: []pki.Item{{Key: bundle.Key, Path: "hubble-server-ca.crt"}}}
	}
	return &pki.Workload{
		Containers: []pki.Container{{Name: "hubble-relay", Mounts: []pki.Mount{{Volume: "tls", Path: "/var/lib/hubble-relay/tls"}}}},
		Volumes: []pki.Volume{{Name: "tls", Sources: []pki.Projection{
			{Ref: pki.Ref{Kind: pki.Secret, Name: "hubble-relay-client-certs"}, Items: []pki.Item{{Key: "tls.crt", Path: "client.crt"}, {Key: "tls.key", Path: "client.key"}}}, ca,
		}}},
	}
}

// Side is a whole cluster whose leaf certificates are all signed by ca, connected to no one yet.
func Side(t testing.TB, name string, ca CA) pki.Side {
	t.Helper()
	meshAPI, agent := Workloads(nil)
	s := pki.Side{Name: name, Namespace: "kube-system", MeshAPI: meshAPI, Agent: agent, Relay: Relay(nil), Objects: map[pki.Ref]pki.Object{}, Peers: map[string]pki.PeerConfig{}}
	for leaf, data := range ca.LeafSecrets(t, name) {
		s.Objects[pki.Ref{Kind: pki.Secret, Name: leaf}] = pki.Object{Data: data}
	}
	for _, config := range []string{"cilium-kvstoremesh", "cilium-clustermesh"} {
		s.Objects[pki.Ref{Kind: pki.Secret, Name: config}] = pki.Object{Data: map[string][]byte{}}
	}
	return s
}
