package pki

import "time"

// Link is one connection inside a cluster that a wrong or stale leaf breaks.
type Link struct {
	// Name says who connects to whom.
	Name    string
	Verdict Verdict
	// Login and Identity are as in Pair; Login is empty where only one direction is judged.
	Login, Identity Check
}

// Paths of the connections inside a cluster, from the charts 1.15 to 1.20.
const (
	dirAPIServer       = "/var/lib/cilium/etcd-secrets"
	dirHubble          = "/var/lib/cilium/tls/hubble"
	containerAPIServer = "apiserver"
)

// Inside judges the connections that stay in one cluster: clustermesh-apiserver and KVStoreMesh to the etcd beside them, agents to that etcd
// (KVStoreMesh, chart 1.16 and later), and Hubble. Hubble is there because a Helm upgrade keeps its leafs and replaces their ca.crt (charts from
// 1.18.0-pre.1, templates/hubble/tls-helm), which nothing else notices.
func Inside(s Side, now time.Time) []Link {
	v := newVerifier(now)
	var links []Link
	etcd := s.listener()
	if s.MeshAPI != nil {
		links = append(links, s.toEtcd("clustermesh-apiserver to etcd", s.MeshAPI, containerAPIServer, clientFiles(dirAPIServer, "tls"), etcd, nil, v)...)
		links = append(links, s.toEtcd("kvstoremesh to etcd", s.MeshAPI, containerKVStore, clientFiles(dirAPIServer, "tls"), etcd, nil, v)...)
	}
	if s.KVStoreMesh() {
		host := []string{ownService(s)}
		links = append(links, s.toEtcd("agents to etcd", s.Agent, containerAgent, clientFiles(dirClusterMesh, "local-etcd-client"), etcd, host, v)...)
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

// toEtcd judges one local client of etcd. A container that is not there, or that mounts no such files, has no such connection.
func (s Side) toEtcd(name string, w *Workload, container string, files PeerFiles, etcd endpoint, hosts []string, v *verifier) []Link {
	c, ok := w.Container(container)
	if !ok {
		return nil
	}
	if _, err := w.source(c, files.CertFile, s.Objects); err != nil {
		return nil
	}
	client := s.endpoint(w, c, files)
	l := Link{Name: name, Login: v.half(client, etcd, purposeClient, nil), Identity: v.half(etcd, client, purposeServer, hosts)}
	l.Verdict = worst(l.Login.Verdict, l.Identity.Verdict)
	return []Link{l}
}

// hubble judges the agents' Hubble certificate, and Relay's if there is one, against the CA file that the agents mount. Relay's own CA file is made
// from the same CA by every method, so an agent's certificate that fails here fails at Relay.
func (s Side) hubble(v *verifier) []Link {
	c, ok := s.Agent.Container(containerAgent)
	if !ok {
		return nil
	}
	files := PeerFiles{CertFile: dirHubble + "/server.crt", KeyFile: dirHubble + "/server.key", TrustedCAFile: dirHubble + "/client-ca.crt"}
	src, err := s.Agent.source(c, files.CertFile, s.Objects)
	if err != nil || s.Objects[src.Ref].Absent {
		return nil // Hubble or its TLS is off; the Secret is optional in the chart
	}
	agent := s.endpoint(s.Agent, c, files)
	links := []Link{{Name: "hubble agents", Identity: v.half(agent, agent, purposeServer, nil)}}
	relay := Ref{Kind: Secret, Name: SecretHubbleRelay}
	if obj, known := s.Objects[relay]; known && !obj.Absent && obj.Unreadable == "" {
		client := endpoint{cluster: s.Name, cert: s.parse(Source{relay, KeyTLSCert}), trust: s.parse(Source{relay, KeyCACert})}
		client.checkKey(obj.Data[KeyTLSKey])
		links = append(links, Link{Name: "hubble relay to agents", Login: v.half(client, agent, purposeClient, nil), Identity: v.half(agent, client, purposeServer, nil)})
	}
	for i := range links {
		links[i].Verdict = worst(links[i].Login.Verdict, links[i].Identity.Verdict)
	}
	return links
}
