package live

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Clients implements Observer.
func (c *Cluster) Clients(ctx context.Context, m *clusters.Member) ([]Client, error) {
	var out []Client
	for _, kind := range []struct {
		selector, container string
		read                func(context.Context, *clusters.Member, *corev1.Pod, Client) ([]Client, error)
		kind                string
	}{
		{SelectAgents, cilium.ContainerAgent, c.agent, KindAgent},
		{selectMeshAPI, cilium.ContainerKVStoreMesh, c.kvstoreMesh, KindKVStoreMesh},
		{selectOperator, containerOperator, c.operator, KindOperator},
	} {
		pods, err := c.pods(ctx, m, kind.selector, kind.container)
		if err != nil {
			return nil, err
		}
		clients, err := each(ctx, pods, func(p *corev1.Pod) ([]Client, error) {
			client := Client{Kind: kind.kind, Node: p.Spec.NodeName, Pod: p.Name, Addresses: addresses(p), Created: p.CreationTimestamp.UTC(), Started: started(p, kind.container)}
			if !connects(p, kind.container) {
				return nil, nil
			}
			if client.Started.IsZero() {
				client.Unknown = notRunning
				return []Client{client}, nil
			}
			clients, err := kind.read(ctx, m, p, client)
			if err != nil {
				client.Unknown = err.Error()
				clients = []Client{client}
			}
			return clients, missing(err)
		})
		if err != nil {
			return nil, err
		}
		out = append(out, clients...)
	}
	return out, nil
}

// connects reports whether a container reads the configurations of peers. The operator does only with MCS-API or EndpointSlice synchronization
// (cilium-operator/deployment.yaml, charts 1.16 to 1.20).
func connects(p *corev1.Pod, container string) bool {
	for _, k := range p.Spec.Containers {
		if k.Name == container {
			return slices.ContainsFunc(k.VolumeMounts, func(v corev1.VolumeMount) bool { return path.Clean(v.MountPath) == pki.DirClusterMesh })
		}
	}
	return false
}

// addresses are those from which a pod can connect: its own, and its node's.
func addresses(p *corev1.Pod) []string {
	out := []string{p.Status.PodIP, p.Status.HostIP}
	for _, ip := range p.Status.PodIPs {
		out = append(out, ip.IP)
	}
	for _, ip := range p.Status.HostIPs {
		out = append(out, ip.IP)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(ip string) bool { return ip == "" })
}

// agent asks an agent for the success of its controllers. Its log tells when the connection that succeeded was begun, and whether it has begun another one since.
func (c *Cluster) agent(ctx context.Context, m *clusters.Member, p *corev1.Pod, base Client) ([]Client, error) {
	out, err := c.exec(ctx, m, p, cilium.ContainerAgent, "cilium-dbg", "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	status, err := pki.ParseAgentStatus(out)
	if err != nil {
		return nil, err
	}
	logged, err := c.around(ctx, m, p, status)
	if err != nil {
		return nil, err
	}
	clients := make([]Client, 0, len(status))
	for _, s := range status {
		clients = append(clients, fromStatus(base, s, logged[s.Peer]))
	}
	return clients, nil
}

// fromStatus works out when an agent read its CA file for a peer, from its status and the lines of its log about the peer, as far as they were read.
func fromStatus(client Client, s pki.RemoteStatus, lines []pki.ConnectLine) Client {
	client.Peer, client.Connected, client.EtcdID = s.Peer, s.Connected, s.EtcdID
	since := slices.IndexFunc(lines, func(l pki.ConnectLine) bool { return l.Event == pki.Connecting && l.At.After(s.Succeeded) })
	if since >= 0 { // the controller has not succeeded since it began again
		later := fromLog(client, s.Peer, lines[since:])
		later.Connected, later.EtcdID = s.Connected, s.EtcdID
		return later
	}
	if s.Succeeded.IsZero() {
		client.Rebuilt, client.Evidence = client.Started, "process started at "+clock(client.Started)
		return client
	}
	client.Evidence = fmt.Sprintf("controller remote-etcd-%s succeeded at %s", s.Peer, clock(s.Succeeded))
	client.Rebuilt, client.Latest, client.LogCut = earliest(client.Started, s.Succeeded), s.Succeeded, true
	for _, l := range lines {
		if l.Event == pki.Connecting && !l.At.Before(client.Rebuilt) {
			client.Rebuilt, client.Latest, client.LogCut = l.At, l.At, false
		}
	}
	if !s.Connected { // it must have begun again, and the log does not show when
		client.Latest = time.Time{}
	} else if client.Rebuilt.Equal(client.Latest) {
		client.Evidence += "; log line " + quote(pki.Connecting) + " at " + clock(client.Rebuilt)
	}
	return client
}

// earliest returns the earliest time at which a process can have read the CA file with which a connection was established.
func earliest(started, established time.Time) time.Time {
	if t := established.Add(-pki.ConnectTimeout); t.After(started) {
		return t
	}
	return started
}

// maxWindows limits the requests for parts of one agent's log.
const maxWindows = 4

// around reads the lines about connections from the log of an agent, by peer, in the order of the log. It reads only the minutes before each connection was established, and the last
// ones: a controller that does not succeed begins again at least once in this time.
func (c *Cluster) around(ctx context.Context, m *clusters.Member, p *corev1.Pod, status []pki.RemoteStatus) (map[string][]pki.ConnectLine, error) {
	if len(status) == 0 {
		return nil, nil
	}
	now := c.now()
	windows := []pki.Window{{From: m.Earliest(now).Add(-pki.ConnectTimeout - clusterConfigTimeout - logSlack), To: m.Latest(now).Add(logSlack)}}
	for _, s := range status {
		if !s.Succeeded.IsZero() {
			windows = append(windows, pki.Window{From: s.Succeeded.Add(-pki.ConnectTimeout - logSlack), To: s.Succeeded})
		}
	}
	out := map[string][]pki.ConnectLine{}
	for _, w := range merged(windows) {
		err := c.lines(ctx, m, p, corev1.PodLogOptions{Container: cilium.ContainerAgent, SinceTime: after(w.From)}, func(line string) bool {
			l, ok := pki.ParseConnectLine(line)
			if ok && !l.At.After(w.To) {
				out[l.Peer] = append(out[l.Peer], l)
			}
			return !ok || !l.At.After(w.To)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// clusterConfigTimeout is how long a process that is connected waits for the configuration of the peer before it begins again (getClusterConfig in
// pkg/clustermesh/common/remote_cluster.go; 1.16 to 1.20).
const clusterConfigTimeout = 3 * time.Minute

// logSlack covers clocks of a cluster that differ: those of its nodes and of its API server.
const logSlack = time.Minute

// merged joins windows that overlap, and returns the latest ones, in order.
func merged(windows []pki.Window) []pki.Window {
	slices.SortFunc(windows, func(a, b pki.Window) int { return a.From.Compare(b.From) })
	var out []pki.Window
	for _, w := range windows {
		if last := len(out) - 1; last >= 0 && !w.From.After(out[last].To) {
			out[last].To = time.Unix(0, max(out[last].To.UnixNano(), w.To.UnixNano()))
			continue
		}
		out = append(out, w)
	}
	return out[max(0, len(out)-maxWindows):]
}

// kvstoreMesh asks KVStoreMesh for its peers, and its log for the connections.
func (c *Cluster) kvstoreMesh(ctx context.Context, m *clusters.Member, p *corev1.Pod, base Client) ([]Client, error) {
	out, err := c.exec(ctx, m, p, cilium.ContainerKVStoreMesh, "clustermesh-apiserver", "kvstoremesh-dbg", "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	status, err := pki.ParseKVStoreMeshStatus(out)
	if err != nil {
		return nil, err
	}
	logged, _, err := c.connections(ctx, m, p, cilium.ContainerKVStoreMesh)
	if err != nil {
		return nil, err
	}
	clients := make([]Client, 0, len(status))
	for _, s := range status {
		client := fromLog(base, s.Peer, logged[s.Peer])
		client.Connected = s.Connected
		client.LogCut = client.LogCut || s.Connected && client.Latest.IsZero()
		client.EtcdID = cmp.Or(s.EtcdID, client.EtcdID)
		clients = append(clients, client)
	}
	return clients, nil
}

// operator reads the log of the operator, which has no command that an exec could run in every version. A log from which the beginning was removed does not tell to
// which peers the process is connected besides those that it names. A replica that is not the leader connects to none, and its whole log shows that.
func (c *Cluster) operator(ctx context.Context, m *clusters.Member, p *corev1.Pod, base Client) ([]Client, error) {
	logged, begins, err := c.connections(ctx, m, p, containerOperator)
	if err != nil {
		return nil, err
	}
	clients := make([]Client, 0, len(logged))
	for _, peer := range sortedKeys(logged) {
		clients = append(clients, fromLog(base, peer, logged[peer]))
	}
	if begins.IsZero() || begins.After(base.Started.Add(logBegins)) {
		base.LogCut, base.Unknown = true, "its log is empty"
		if !begins.IsZero() {
			base.Unknown = fmt.Sprintf("its log begins at %s, after the process started at %s", clock(begins), clock(base.Started))
		}
		clients = append(clients, base)
	}
	return clients, nil
}

// logBegins is how long after the start of its container a process may log its first line.
const logBegins = 30 * time.Second

// maxLogLines limits what is read of a log: the last lines count.
const maxLogLines = 50_000

// connections reads the lines about connections from a log, by peer. It also returns when the first line was written that is left of the log; zero without lines.
func (c *Cluster) connections(ctx context.Context, m *clusters.Member, p *corev1.Pod, container string) (out map[string][]pki.ConnectLine, begins time.Time, err error) {
	out = map[string][]pki.ConnectLine{}
	err = c.lines(ctx, m, p, corev1.PodLogOptions{Container: container, TailLines: ptr.To[int64](maxLogLines)}, func(line string) bool {
		if begins.IsZero() {
			stamp, _, _ := strings.Cut(line, " ")
			begins, _ = time.Parse(time.RFC3339Nano, stamp)
		}
		if l, ok := pki.ParseConnectLine(line); ok {
			out[l.Peer] = append(out[l.Peer], l)
		}
		return true
	})
	return out, begins.UTC(), err
}

// fromLog works out from its log when a process read its CA file for a peer.
func fromLog(client Client, peer string, lines []pki.ConnectLine) Client {
	client.Peer = peer
	client.Rebuilt, client.Evidence = client.Started, "process started at "+clock(client.Started)
	var attempt time.Time // the last one
	for _, l := range lines {
		if l.At.Before(client.Started) {
			continue // of an earlier process in the same container
		}
		if l.Event == pki.Connecting {
			attempt, client.Connected, client.EtcdID = l.At, false, ""
			client.Rebuilt, client.Latest, client.LogCut = l.At, l.At, false
			client.Evidence = "log line " + quote(pki.Connecting) + " at " + clock(l.At)
			continue
		}
		client.Connected, client.EtcdID = true, l.EtcdID
		client.Evidence = "log line " + quote(pki.Established) + " at " + clock(l.At)
		if attempt.IsZero() { // the log does not go back so far
			client.Rebuilt, client.Latest, client.LogCut = earliest(client.Started, l.At), l.At, true
			continue
		}
		client.Evidence += ", begun at " + clock(attempt)
	}
	return client
}

func quote(e pki.ConnectEvent) string { return `"` + string(e) + `"` }

// clock prints a time to the millisecond.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func after(t time.Time) *metav1.Time { return &metav1.Time{Time: t} }
