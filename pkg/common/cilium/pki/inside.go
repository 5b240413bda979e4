package pki

import (
	"strings"
	"time"
)

// Link is one connection inside a cluster that a wrong or stale leaf breaks.
type Link struct {
	// Name says who connects to whom.
	Name    string
	Verdict Verdict
	// Login and Identity are as in Pair; Login is empty where only one direction is judged.
	Login, Identity Check
}

// DeploymentRelay is the name of Hubble Relay.
const DeploymentRelay = "hubble-relay"

// Paths of the connections inside a cluster, from the charts 1.15 to 1.20.
const (
	dirAPIServer       = "/var/lib/cilium/etcd-secrets"
	dirHubble          = "/var/lib/cilium/tls/hubble"
	dirRelay           = "/var/lib/hubble-relay/tls"
	containerAPIServer = "apiserver"
	containerRelay     = "hubble-relay"
)

// Inside judges the connections that stay in one cluster: clustermesh-apiserver and KVStoreMesh to the etcd beside them, agents to that etcd
// (KVStoreMesh, chart 1.16 and later), and Hubble. Hubble is there because a Helm upgrade keeps its leaf certificates and replaces their ca.crt (charts from
// 1.18.0-pre.1, templates/hubble/tls-helm), which nothing else notices.
func Inside(s Side, now time.Time) []Link {
	v := newVerifier(now)
	var links []Link
	etcd := local{side: s, etcd: s.listener(), users: s.users(), v: v}
	if s.MeshAPI != nil {
		links = append(links, etcd.from("clustermesh-apiserver to etcd", s.MeshAPI, containerAPIServer, clientFiles(dirAPIServer, "tls"), roleRoot, nil)...)
		links = append(links, etcd.from("kvstoremesh to etcd", s.MeshAPI, containerKVStore, clientFiles(dirAPIServer, "tls"), roleRoot, nil)...)
	}
	if s.KVStoreMesh() {
		host := []string{ownService(s)}
		links = append(links, etcd.from("agents to etcd", s.Agent, containerAgent, clientFiles(dirClusterMesh, "local-etcd-client"), roleLocal, host)...)
	}
	return append(links, s.hubble(v)...)
}

// clientFiles are the files of a client below a directory, in the two namings that the chart uses.
func clientFiles(dir, stem string) PeerFiles {
	if stem == "tls" {
		return PeerFiles{CertFile: dir + "/tls.crt", KeyFile: dir + "/tls.key", TrustedCAFile: dir + "/ca.crt"}
	}
	return PeerFiles{CertFile: dir + "/" + stem + ".crt", KeyFile: dir + "/" + stem + ".key", TrustedCAFile: dir + "/" + stem + "-ca.crt"}
}

// local is a cluster's etcd as its own clients see it.
type local struct {
	side  Side
	etcd  endpoint
	users etcdUsers
	v     *verifier
}

// from judges one client in the same cluster. A container that is not there, or that mounts no such files, has no such connection.
func (e local) from(name string, w *Workload, container string, files PeerFiles, need role, hosts []string) []Link {
	c, ok := w.Container(container)
	if !ok {
		return nil
	}
	if _, err := w.source(c, files.CertFile, e.side.Objects); err != nil {
		return nil
	}
	client := e.side.endpoint(w, c, files)
	login := e.users.judge(e.v.half(client, e.etcd, purposeClient, nil), client, need)
	l := Link{Name: name, Login: login, Identity: e.v.half(e.etcd, client, purposeServer, hosts)}
	l.Verdict = worst(l.Login.Verdict, l.Identity.Verdict)
	return []Link{l}
}

// hubble judges the agents' Hubble certificate against the CA file that the agents mount, and Relay's connection to the agents by what Relay mounts.
func (s Side) hubble(v *verifier) []Link {
	agent, ok := s.hubbleServer()
	if !ok {
		return nil
	}
	links := []Link{{Name: "hubble agents", Identity: v.half(agent, agent, purposeServer, nil)}}
	if relay, ok := s.relay(); ok {
		links = append(links, Link{Name: "hubble relay to agents", Login: v.half(relay, agent, purposeClient, nil), Identity: v.half(agent, relay, purposeServer, nil)})
	}
	for i := range links {
		links[i].Verdict = worst(links[i].Login.Verdict, links[i].Identity.Verdict)
	}
	return links
}

// hubbleServer is the Hubble server of the cluster's agents; not ok where Hubble or its TLS is off.
func (s Side) hubbleServer() (endpoint, bool) {
	c, ok := s.Agent.Container(containerAgent)
	if !ok {
		return endpoint{}, false
	}
	files := PeerFiles{CertFile: dirHubble + "/server.crt", KeyFile: dirHubble + "/server.key", TrustedCAFile: dirHubble + "/client-ca.crt"}
	src, err := s.Agent.source(c, files.CertFile, s.Objects)
	if err != nil || s.Objects[src.Ref].Absent {
		return endpoint{}, false // the Secret is optional in the chart
	}
	return s.endpoint(s.Agent, c, files), true
}

// RelayMatrix works out every ordered pair of clusters of which the client runs Hubble Relay and the server's agents serve Hubble with TLS: Relay
// connects to the nodes of all clusters of the mesh, by what its own Deployment mounts (pkg/hubble/relay/pool, 1.16 to 1.20). Configured means that
// the client's cluster is connected to the server's, or meant to be; elsewhere its agents know no nodes of the server.
func RelayMatrix(sides []Side, now time.Time) []Pair {
	v := newVerifier(now)
	agents, serve := make([]endpoint, len(sides)), make([]bool, len(sides))
	for i, s := range sides {
		agents[i], serve[i] = s.hubbleServer()
	}
	var pairs []Pair
	for c, client := range sides {
		relay, ok := client.relay()
		if !ok {
			continue
		}
		for i, server := range sides {
			agent := agents[i]
			if i == c || !serve[i] {
				continue
			}
			_, configured := client.Peers[server.Name]
			p := Pair{
				Client: client.Name, Server: server.Name, Configured: configured,
				Login: v.half(relay, agent, purposeClient, nil), Identity: v.half(agent, relay, purposeServer, []string{hubbleName(server.ClusterName())}),
			}
			p.Verdict = worst(p.Login.Verdict, p.Identity.Verdict)
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// hubbleName is the name under which Relay expects an agent of a cluster: NODE.CLUSTER.hubble-grpc.cilium.io, with dashes for the dots of the names of the node
// and of the cluster (pkg/hubble/peer/handler.go TLSServerName, 1.20.2, read). The name of the node does not matter: the certificate has a wildcard for it.
func hubbleName(cluster string) string {
	return "node." + strings.ReplaceAll(cluster, ".", "-") + ".hubble-grpc.cilium.io"
}

// relay is Hubble Relay as a client of the agents. Its files are those that Deployment hubble-relay mounts: with tls.caBundle that is the bundle, and
// with an existing Secret another one. A Secret that is left over without the Deployment has no process.
// Source: templates/hubble-relay/deployment.yaml (1.18.11 and 1.20.2, read).
func (s Side) relay() (endpoint, bool) {
	c, ok := s.Relay.Container(containerRelay)
	if !ok {
		secret, known := s.Objects[Ref{Kind: Secret, Name: SecretHubbleRelay}]
		return s.absent(nil, s.RelayNote, "deployment/hubble-relay", containerRelay), s.RelayNote != "" && known && !secret.Absent
	}
	files := PeerFiles{CertFile: dirRelay + "/client.crt", KeyFile: dirRelay + "/client.key", TrustedCAFile: dirRelay + "/hubble-server-ca.crt"}
	if _, err := s.Relay.source(c, files.CertFile, s.Objects); err != nil {
		return endpoint{}, false // Hubble's TLS is off
	}
	return s.endpoint(s.Relay, c, files), true
}
