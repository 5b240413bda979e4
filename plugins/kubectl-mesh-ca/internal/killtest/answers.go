//go:build unix

package killtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// What Cilium's processes say, out of the model, in the formats of Cilium 1.18 and etcd. The formats were recorded from real processes: see package live.

const portEtcd = 2379

// exec answers the commands that mesh-ca runs in pods.
func (m *mesh) exec(cluster, pod, container, command string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.process(cluster)
	switch {
	case container == "cilium-agent" && strings.HasPrefix(command, "sh -c cd "+pki.DirClusterMesh):
		return listing(p), nil
	case container == "cilium-agent" && command == "cilium-dbg status -o json":
		return m.agentStatus(p)
	case container == "kvstoremesh" && command == "clustermesh-apiserver kvstoremesh-dbg status -o json":
		return m.meshStatus(p)
	}
	return "", fmt.Errorf("command %q in container %s of pod %s is not known to the model", command, container, pod)
}

// listing is the directory of an agent. All its files are of one volume, so that they are written together.
func listing(p *modeltest.Process) string {
	var out strings.Builder
	written := p.Written[pki.SecretRemote]
	if local := p.Written[pki.SecretLocal]; local.After(written) {
		written = local
	}
	for _, of := range []struct{ stem, secret string }{{"common-etcd-client", pki.SecretRemote}, {"local-etcd-client", pki.SecretLocal}} {
		for suffix, key := range map[string]string{".crt": pki.KeyTLSCert, "-ca.crt": pki.KeyCACert} {
			fmt.Fprintf(&out, "FILE %s%s\nWRITTEN %s\n%s\n", of.stem, suffix, written.UTC().Format("2006-01-02 15:04:05.000000001 -0700"), p.Files[of.secret][key])
		}
	}
	return out.String() + "END\n"
}

// remote is one peer in a status.
type remote struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Status    string `json:"status"`
}

func (m *mesh) remote(peer string, connected bool, etcdOf string) remote {
	r := remote{Name: peer, Connected: connected, Status: "waiting for controller to connect"}
	if pod := m.sites[etcdOf].newest(m.namespace); connected && pod != nil {
		r.Status = "etcd: 1/1 connected, leases=0, lock leases=0, has-quorum=true: endpoint status checks are disabled, ID: " + pki.EtcdClusterID(string(pod.UID))
	}
	return r
}

// agentStatus: agents connect to the etcd of their own cluster, which has what KVStoreMesh has copied.
func (m *mesh) agentStatus(p *modeltest.Process) (string, error) {
	type status struct {
		Succeeded string `json:"last-success-timestamp"`
	}
	type controller struct {
		Name   string `json:"name"`
		Status status `json:"status"`
	}
	connected := m.world.Handshake(p, p) == ""
	var clusters []remote
	controllers := []controller{}
	for _, peer := range m.peers(p) {
		clusters = append(clusters, m.remote(peer, connected, p.Name))
		at := lastConnect(p, p.Name).Add(handshakeTime)
		controllers = append(controllers, controller{"remote-etcd-" + peer, status{at.UTC().Format(time.RFC3339Nano)}})
	}
	out, err := json.Marshal(map[string]any{"cluster-mesh": map[string]any{"clusters": clusters}, "controllers": controllers})
	return string(out), err
}

// meshStatus is that of KVStoreMesh.
func (m *mesh) meshStatus(p *modeltest.Process) (string, error) {
	clusters := []remote{}
	for _, peer := range m.peers(p) {
		clusters = append(clusters, m.remote(peer, m.world.Handshake(p, m.process(peer)) == "", peer))
	}
	out, err := json.Marshal(clusters)
	return string(out), err
}

// handshakeTime is between the line that begins a connection and the one that says that it is established.
const handshakeTime = 20 * time.Millisecond

func lastConnect(p *modeltest.Process, peer string) time.Time {
	for _, c := range slices.Backward(p.Connects) {
		if c.Peer == peer {
			return c.At
		}
	}
	return time.Time{}
}

func (m *mesh) peers(p *modeltest.Process) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.sites)), func(name string) bool { return name == p.Name })
}

// logs are those of a container since its pod started.
func (m *mesh) logs(cluster, container string, pod *corev1.Pod) ([]logLine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.process(cluster)
	var since time.Time
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container && s.State.Running != nil {
			since = s.State.Running.StartedAt.Time
		}
	}
	var out []logLine
	switch container {
	case "etcd":
		out = slices.Clone(m.rejected[cluster])
	case "kvstoremesh", "cilium-agent":
		for _, c := range p.Connects {
			switch {
			case container == "kvstoremesh" && c.Peer != p.Name:
				out = append(out, m.connectLines(p, c, c.Peer)...)
			case container == "cilium-agent" && c.Peer == p.Name:
				for _, peer := range m.peers(p) {
					out = append(out, m.connectLines(p, c, peer)...)
				}
			}
		}
	default:
		return nil, fmt.Errorf("container %q is not known to the model", container)
	}
	out = slices.DeleteFunc(out, func(l logLine) bool { return l.at.Before(since) })
	slices.SortStableFunc(out, func(a, b logLine) int { return a.at.Compare(b.at) })
	return out, nil
}

// connectLines are what a client logs when it connects again: the second line only if the handshake passed.
func (m *mesh) connectLines(p *modeltest.Process, c modeltest.Connect, peer string) []logLine {
	out := []logLine{{c.At, fmt.Sprintf("level=info msg=%q config=%s", pki.Connecting, path.Join(pki.DirClusterMesh, peer))}}
	if last := c.At.Equal(lastConnect(p, c.Peer)); last && m.world.Handshake(p, m.process(c.Peer)) != "" {
		return out
	}
	id := ""
	if pod := m.sites[c.Peer].newest(m.namespace); pod != nil {
		id = pki.EtcdClusterID(string(pod.UID))
	}
	return append(out, logLine{c.At.Add(handshakeTime), fmt.Sprintf("level=info msg=%q clusterName=%s etcdClusterID=%s", pki.Established, peer, id)})
}

// errNoPort is what a pod says that does not listen.
var errNoPort = errors.New("connection refused")

// serve is etcd: it presents what its files contain, and asks for certificates of the CAs that it has loaded.
func (m *mesh) serve(ctx context.Context, cluster, pod string, port int, conn net.Conn) error {
	if port != portEtcd {
		return errNoPort
	}
	m.mu.Lock()
	p := m.process(cluster)
	files, loaded := p.Files[pki.SecretServer], p.Etcd
	m.mu.Unlock()
	pair, err := tls.X509KeyPair(files[pki.KeyTLSCert], files[pki.KeyTLSKey])
	if err != nil {
		return fmt.Errorf("pod %s: %w", pod, err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(loaded)
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12})
	defer func() { _ = server.Close() }()
	if err := server.HandshakeContext(ctx); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.reject(cluster, time.Now(), err.Error())
	}
	return nil
}

// reject is a line of etcd's log.
func (m *mesh) reject(cluster string, at time.Time, text string) {
	line, err := json.Marshal(map[string]string{"level": "warn", "msg": "rejected connection on client endpoint", "remote-addr": "10.0.0.7:40000", "error": text})
	if err == nil {
		m.rejected[cluster] = append(m.rejected[cluster], logLine{at, string(line)})
	}
}

// dialAgain is how often a client that is not accepted tries again.
const dialAgain = 30 * time.Second

// rejections writes what etcd logs about clients that it does not accept, or that do not accept it.
func (m *mesh) rejections(now time.Time) {
	for _, client := range m.world.Mesh {
		for _, server := range m.world.Mesh {
			why := m.world.Handshake(client, server)
			key := client.Name + " " + server.Name
			if why == "" || now.Sub(m.dialed[key]) < dialAgain {
				continue
			}
			m.dialed[key] = now
			text := "tls: failed to verify certificate: x509: certificate signed by unknown authority"
			if strings.HasPrefix(why, client.Name+" ") {
				text = "remote error: tls: bad certificate"
			}
			m.reject(server.Name, now, text)
		}
	}
}
