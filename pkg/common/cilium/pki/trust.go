package pki

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Verdict is the answer to one question of trust.
type Verdict string

// The verdicts. Unknown: something could not be read or parsed. It never counts as ok.
const (
	OK      Verdict = "ok"
	Broken  Verdict = "broken"
	Unknown Verdict = "unknown"
)

// PeerConfig is a cluster's etcd client configuration for one peer, from Secret cilium-kvstoremesh or cilium-clustermesh.
type PeerConfig struct {
	Endpoints []string
	PeerFiles
}

// PeerFiles are the files of a client of etcd, as paths in its container.
type PeerFiles struct{ TrustedCAFile, CertFile, KeyFile string }

// Side is one cluster as far as trust is concerned.
type Side struct {
	Name string // tells it from the others: Cilium's cluster name, or the name of its context if several clusters have one name
	// Cluster is Cilium's cluster name, which is in the names of users and of Hubble's servers; empty if it is Name.
	Cluster   string
	Namespace string // Cilium's namespace
	// Objects are the Secrets and ConfigMaps that MountedRefs names, and those that could not be read.
	Objects map[Ref]Object
	// MeshAPI is Deployment clustermesh-apiserver, Agent is DaemonSet cilium, Relay is Deployment hubble-relay; nil when there is none, nil with a note
	// when it could not be read.
	MeshAPI, Agent, Relay             *Workload
	MeshAPINote, AgentNote, RelayNote string
	// Peers are the configurations out of the Secret that the process which connects reads (ConfigSecret), by peer name. PeersNote says why there are none.
	Peers     map[string]PeerConfig
	PeersNote string
}

// ClusterName is Cilium's name of the cluster.
func (s Side) ClusterName() string { return cmp.Or(s.Cluster, s.Name) }

// Paths inside the pods: charts 1.15 to 1.20, clustermesh-apiserver/deployment.yaml and cilium-agent/daemonset.yaml.
const (
	dirEtcdSecrets    = "/var/lib/etcd-secrets"
	dirClusterMesh    = "/var/lib/cilium/clustermesh"
	containerEtcd     = "etcd"
	containerAgent    = "cilium-agent"
	containerKVStore  = "kvstoremesh"
	meshDomain        = "mesh.cilium.io" // clustermesh.config.domain
	secretClusterMesh = "cilium-clustermesh"
	secretKVStoreMesh = "cilium-kvstoremesh"
)

// MountedRefs lists every Secret and ConfigMap that the workloads mount where certificates and the users of etcd are, sorted, so that a reader knows
// what to get. What they mount elsewhere (IPsec keys, for one) is not ours to read.
func MountedRefs(workloads ...*Workload) []Ref {
	dirs := []string{dirEtcdSecrets, dirClusterMesh, dirAPIServer, dirHubble, dirRelay, dirUsersConfig}
	var refs []Ref
	for _, w := range workloads {
		if w == nil {
			continue
		}
		wanted := map[string]bool{}
		for _, c := range w.Containers {
			for _, m := range c.Mounts {
				wanted[m.Volume] = wanted[m.Volume] || slices.Contains(dirs, path.Clean(m.Path))
			}
		}
		for _, v := range w.Volumes {
			for _, p := range v.Sources {
				if wanted[v.Name] {
					refs = append(refs, p.Ref)
				}
			}
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(refs)
}

// Mounts reports whether clustermesh-apiserver, the agents or Hubble Relay mount a file.
func (s Side) Mounts(file Source) bool {
	for _, w := range []*Workload{s.MeshAPI, s.Agent, s.Relay} {
		if w == nil {
			continue
		}
		for _, v := range w.Volumes {
			for _, p := range v.Sources {
				if p.Ref == file.Ref && (len(p.Items) == 0 || slices.ContainsFunc(p.Items, func(i Item) bool { return i.Key == file.Key })) {
					return true
				}
			}
		}
	}
	return false
}

// KVStoreMesh reports whether the cluster runs KVStoreMesh, by the same test as cilium-cli: a container of that name.
func (s Side) KVStoreMesh() bool {
	_, ok := s.MeshAPI.Container(containerKVStore)
	return ok
}

// ConfigSecret is the Secret with the peers' configurations that the connecting process reads. With KVStoreMesh the agents' own
// (cilium-clustermesh) points at the local etcd and says nothing about the peers.
func (s Side) ConfigSecret() Ref {
	if s.KVStoreMesh() {
		return Ref{Kind: Secret, Name: secretKVStoreMesh}
	}
	return Ref{Kind: Secret, Name: secretClusterMesh}
}

// Check is one half of a handshake: a presented certificate against what the other side trusts.
type Check struct {
	Presented Source // the certificate, in the presenter's cluster
	Trust     Source // the CA file, in the verifier's cluster
	Verdict   Verdict
	Reason    string // empty when OK
	// Renewable: the CA file accepts, or would accept, another leaf certificate of the CA that signed the presented one. If the verdict is Broken, then only
	// the clock, the names, the usages, the private key or the user are wrong, or the endpoint. False if Missing.
	Renewable bool
	// Missing: the certificate or the CA file does not exist, or cannot be read or parsed. The check then tells nothing about any CA.
	Missing bool
	// Limit is the CA certificate at whose end the certificate is no longer accepted although it is still valid; nil if there is none, or if the certificate is
	// not accepted now.
	Limit *x509.Certificate
	// User is the verdict on the user of etcd where that is what is wrong: it does not exist, or may not be enough. Empty elsewhere.
	User Verdict
}

// Pair says whether Client's processes can log in to Server's etcd. Trust is mutual: the connection works only if both halves are ok.
type Pair struct {
	Client, Server string
	Verdict        Verdict
	// Login is the client's certificate against the CA file of the server's etcd; Identity is the server's certificate against the client's CA file.
	Login, Identity Check
	// Configured says that the client has a configuration for the server, that is, that they are connected or meant to be.
	Configured bool
	// NoMesh names the cluster of the two that has no clustermesh-apiserver, so that there is nothing to judge; empty elsewhere. Verdict is then Unknown.
	NoMesh string
}

// Matrix works out every ordered pair of clusters, in the order given, at the moment now.
func Matrix(sides []Side, now time.Time) []Pair {
	v := newVerifier(now)
	listeners, users := make([]endpoint, len(sides)), make([]etcdUsers, len(sides))
	for i, s := range sides {
		listeners[i], users[i] = s.listener(), s.users()
	}
	var pairs []Pair
	for c, client := range sides {
		// All peers have the same files, unless someone gave a peer its own.
		dialers := map[PeerFiles]endpoint{}
		for i, server := range sides {
			if i != c {
				pairs = append(pairs, v.judge(client, server, listeners[i], users[i], dialers))
			}
		}
	}
	return pairs
}

// judge works out one pair.
func (v *verifier) judge(client, server Side, listener endpoint, users etcdUsers, dialers map[PeerFiles]endpoint) Pair {
	p := Pair{Client: client.Name, Server: server.Name}
	peer, configured := client.Peers[server.Name]
	p.Configured = configured
	if !configured {
		// What the chart writes for a peer (clustermesh-config/_helpers.tpl), so that clusters can be judged before they are connected.
		peer = PeerConfig{
			Endpoints: []string{"https://" + server.ClusterName() + "." + meshDomain},
			PeerFiles: clientFiles(dirClusterMesh, "common-etcd-client"),
		}
	}
	dialer, known := dialers[peer.PeerFiles]
	if !known {
		dialer = client.dialer(peer.PeerFiles)
		dialers[peer.PeerFiles] = dialer
	}
	p.Login = v.half(dialer, listener, purposeClient, nil)
	hosts, err := hostsOf(peer.Endpoints)
	switch {
	case err != nil:
		p.Identity = Check{Presented: listener.cert.source, Trust: dialer.trust.source, Verdict: Unknown, Reason: err.Error()}
	case slices.Contains(hosts, ownService(client)):
		// cilium-cli 0.19 wrote such (cilium issue 45777). Whatever answers there, it is not the peer.
		p.Identity = v.half(listener, dialer, purposeServer, nil)
		p.Identity.Limit = nil
		p.Identity.Verdict, p.Identity.Reason = Broken, fmt.Sprintf("the endpoint for %s in %s of %s is %s itself", server.Name, client.ConfigSecret(), client.Name, client.Name)
	default:
		p.Identity = v.half(listener, dialer, purposeServer, hosts)
	}
	if client.PeersNote != "" {
		// This peer may have its own configuration in an object that we could not read.
		note := fmt.Sprintf("%s in %s: %s", client.ConfigSecret(), client.Name, client.PeersNote)
		p.Login, p.Identity = doubt(p.Login, note), doubt(p.Identity, note)
	}
	p.Login = users.judge(p.Login, dialer, roleRemote)
	p.withoutMesh(client, server, dialer)
	p.Verdict = worst(p.Login.Verdict, p.Identity.Verdict)
	return p
}

// withoutMesh settles a pair of which one cluster has no clustermesh-apiserver: Cluster Mesh is not enabled there, which is not a broken trust. A
// client without one may still have a certificate, as with certificates of one's own; then it is judged.
func (p *Pair) withoutMesh(client, server Side, dialer endpoint) {
	switch {
	case !server.HasMesh():
		p.NoMesh = server.Name
	case !client.HasMesh() && (client.Objects[dialer.cert.source.Ref].Absent || dialer.cert.source.Key == ""):
		p.NoMesh = client.Name
	default:
		return
	}
	reason := fmt.Sprintf("there is no deployment/clustermesh-apiserver in %s", p.NoMesh)
	p.Login.Verdict, p.Login.Reason, p.Login.User = Unknown, reason, ""
	p.Identity.Verdict, p.Identity.Reason = Unknown, reason
}

// HasMesh reports whether the cluster has a clustermesh-apiserver, as far as is known: one that could not be read counts.
func (s Side) HasMesh() bool { return s.MeshAPI != nil || s.MeshAPINote != "" }

// ownService is the host name under which a cluster's own processes reach its clustermesh-apiserver.
func ownService(s Side) string { return "clustermesh-apiserver." + s.Namespace + ".svc" }

func doubt(c Check, note string) Check {
	if c.Verdict == OK {
		c.Verdict, c.Reason = Unknown, note
	}
	return c
}

func worst(a, b Verdict) Verdict {
	switch {
	case a == Broken || b == Broken:
		return Broken
	case a == Unknown || b == Unknown:
		return Unknown
	}
	return OK
}

// hostsOf are the host names of etcd endpoints, against which a client checks the server's certificate.
func hostsOf(endpoints []string) ([]string, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("the peer's configuration has no endpoint")
	}
	var hosts []string
	for _, e := range endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("endpoint %q does not parse", clean(e))
		}
		if u.Scheme != "https" {
			return nil, fmt.Errorf("endpoint %q does not use TLS", clean(e))
		}
		hosts = append(hosts, u.Hostname())
	}
	return hosts, nil
}
