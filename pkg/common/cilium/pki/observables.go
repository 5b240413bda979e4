package pki

import (
	"crypto/sha1" //nolint:gosec // etcd computes its ids with it; nothing is protected by it here
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// What tells that a running process trusts what is in its files (measured with 1.20.2):
//   - agents: the last success of the controller that connects to a peer, in `cilium-dbg status -o json`
//   - KVStoreMesh, the operator, and agents too: the lines that they log when they connect
//   - etcd: its start, because it reads its CA file only then (etcd issue 11555)
//
// Readiness, "N/N remote clusters ready", synchronization states and failure counters stay good for minutes beside a stale pool. Nothing here reads them.

// remoteController begins the name of the controller that connects to a peer (pkg/clustermesh/common/clustermesh.go; 1.16 to 1.20).
const remoteController = "remote-etcd-"

// ConnectTimeout is how long a client of etcd keeps a connection attempt, with the CA file that it read at its beginning, before it begins again
// (initialConnectionTimeout in pkg/kvstore/etcd.go; 1.16 to 1.20).
const ConnectTimeout = 15 * time.Minute

// RemoteStatus is what a process reports about its connection to one peer.
type RemoteStatus struct {
	Peer      string
	Connected bool
	// EtcdID is the id of the etcd cluster behind the connection, in hex; empty if it is not connected. EtcdClusterID tells to which pod it belongs.
	EtcdID string
	// Succeeded is when the connection was established last; zero for never, or if the process does not report it. A connection that is established has
	// passed a TLS handshake with the CA file that was read at most ConnectTimeout before.
	Succeeded time.Time
}

// remoteCluster is the part of models.RemoteCluster (api/v1/models/remote_cluster.go; 1.16 to 1.20) that is read.
type remoteCluster struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Status    string `json:"status"`
}

func (r remoteCluster) remoteStatus() RemoteStatus {
	out := RemoteStatus{Peer: r.Name, Connected: r.Connected}
	// The id ends the text of the status (remoteCluster.status in pkg/clustermesh/common/remote_cluster.go; 1.16 to 1.20).
	if _, id, ok := strings.Cut(r.Status, ", ID: "); ok && r.Connected {
		out.EtcdID = clean(id)
	}
	return out
}

// ParseAgentStatus reads the output of `cilium-dbg status -o json`: one entry for each peer, in the order of the agent.
// Source: api/v1/models/status_response.go and controller_status.go (1.16 to 1.20; the JSON of 1.20.2 was seen).
func ParseAgentStatus(data []byte) ([]RemoteStatus, error) {
	var doc struct {
		ClusterMesh *struct {
			Clusters []remoteCluster `json:"clusters"`
		} `json:"cluster-mesh"`
		Controllers []struct {
			Name   string `json:"name"`
			Status struct {
				Succeeded string `json:"last-success-timestamp"`
			} `json:"status"`
		} `json:"controllers"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("the agent's status does not parse: %w", err)
	}
	if doc.Controllers == nil {
		return nil, fmt.Errorf("the agent's status has no controllers")
	}
	if doc.ClusterMesh == nil {
		return nil, nil
	}
	succeeded := map[string]time.Time{}
	for _, c := range doc.Controllers {
		if peer, ok := strings.CutPrefix(c.Name, remoteController); ok {
			succeeded[peer] = timestamp(c.Status.Succeeded)
		}
	}
	out := make([]RemoteStatus, 0, len(doc.ClusterMesh.Clusters))
	for _, cluster := range doc.ClusterMesh.Clusters {
		s := cluster.remoteStatus()
		s.Succeeded = succeeded[s.Peer]
		out = append(out, s)
	}
	return out, nil
}

// ParseKVStoreMeshStatus reads the output of `clustermesh-apiserver kvstoremesh-dbg status -o json`. It has no times.
// Source: clustermesh-apiserver/kvstoremesh-dbg/status.go (1.20.2, read).
func ParseKVStoreMeshStatus(data []byte) ([]RemoteStatus, error) {
	var doc []remoteCluster
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("the status of KVStoreMesh does not parse: %w", err)
	}
	out := make([]RemoteStatus, 0, len(doc))
	for _, cluster := range doc {
		out = append(out, cluster.remoteStatus())
	}
	return out, nil
}

// timestamp parses a time of Cilium's API, in which the year 1 and the epoch mean never.
func timestamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Unix() <= 0 {
		return time.Time{}
	}
	return t.UTC()
}

// ConnectEvent is what a line of a log says about a connection to a peer.
type ConnectEvent string

// The events of a connection, by the messages that Cilium logs (1.16 to 1.20; seen with 1.20.2).
const (
	// Connecting is logged right after the CA file was read, less than a millisecond later (connectEtcdClient in pkg/kvstore/etcd.go).
	Connecting ConnectEvent = "Connecting to etcd server..."
	// Established is logged after a TLS handshake passed with that file (restartRemoteConnection in pkg/clustermesh/common/remote_cluster.go).
	Established ConnectEvent = "Connection to remote cluster established"
)

// ConnectLine is one line of the log of a process that connects to peers.
type ConnectLine struct {
	At     time.Time
	Event  ConnectEvent
	Peer   string
	EtcdID string // of an Established line
}

// ParseConnectLine reads a line of a log as the API server returns it with timestamps. It reports false for every other line, and for those about other etcds.
func ParseConnectLine(line string) (ConnectLine, bool) {
	at, text, ok := stamped(line)
	if !ok || !strings.Contains(text, string(Connecting)) && !strings.Contains(text, string(Established)) {
		return ConnectLine{}, false
	}
	fields := logFields(text)
	// The container runtime stamps a line when it reads it. The process's own time is earlier, unless it is cut to a second (1.16 and 1.17).
	if own, err := time.Parse(time.RFC3339Nano, fields["time"]); err == nil && own.Nanosecond() > 0 && own.Before(at) {
		at = own.UTC()
	}
	out := ConnectLine{At: at, Event: ConnectEvent(fields["msg"]), Peer: clean(fields["clusterName"]), EtcdID: clean(fields["etcdClusterID"])}
	if out.Event == Connecting {
		out.EtcdID = ""
		// The process logs the same text about the etcd of its own cluster, with another file.
		dir, name := path.Split(fields["config"])
		if path.Clean(dir) != dirClusterMesh || name == "" {
			return ConnectLine{}, false
		}
		out.Peer = clean(name)
	}
	return out, (out.Event == Connecting || out.Event == Established) && out.Peer != ""
}

// stamped cuts the timestamp off a line.
func stamped(line string) (time.Time, string, bool) {
	stamp, text, ok := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	return at.UTC(), text, ok && err == nil
}

// logFields reads the fields of a line in either of Cilium's formats: key=value (the default) and JSON (log-opt format=json).
func logFields(text string) map[string]string {
	out := map[string]string{}
	if strings.HasPrefix(text, "{") {
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) == nil {
			for key, value := range doc {
				if s, ok := value.(string); ok {
					out[key] = s
				}
			}
		}
		return out
	}
	for rest := text; ; {
		key, value, ok := strings.Cut(strings.TrimLeft(rest, " "), "=")
		if !ok {
			return out
		}
		if quoted, err := strconv.QuotedPrefix(value); err == nil {
			rest = value[len(quoted):]
			value, _ = strconv.Unquote(quoted)
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		out[key] = value
	}
}

// RejectReason says who ended a TLS handshake with an etcd, and why.
type RejectReason string

// The reasons. Only the first two concern trust.
const (
	ClientRefused RejectReason = "client" // the client does not accept etcd's certificate
	EtcdRefused   RejectReason = "etcd"   // etcd does not accept the client's certificate
	// NotTrust is any other reason: no certificate at all (a health check, or Served of this plugin), a connection that ended, text that is not TLS.
	NotTrust RejectReason = "other"
)

// Rejection is a line "rejected connection on client endpoint" in the log of an etcd.
type Rejection struct {
	At     time.Time
	Remote string // the client's address, without the port
	Reason RejectReason
	Text   string // the error as etcd words it
}

// ParseRejection reads a line of etcd's log as the API server returns it with timestamps. It reports false for every other line.
// Source: logTLSHandshakeFailureFunc in server/embed (etcd 3.5 to 3.7); the texts are those of Go's crypto/tls and crypto/x509.
func ParseRejection(line string) (Rejection, bool) {
	at, text, ok := stamped(line)
	if !ok || !strings.Contains(text, "rejected connection on client endpoint") {
		return Rejection{}, false
	}
	var doc struct {
		Msg    string `json:"msg"`
		Remote string `json:"remote-addr"`
		Error  string `json:"error"`
	}
	if json.Unmarshal([]byte(text), &doc) != nil || doc.Msg != "rejected connection on client endpoint" {
		return Rejection{}, false
	}
	host := doc.Remote
	if i := strings.LastIndex(host, ":"); i >= 0 {
		host = strings.Trim(host[:i], "[]")
	}
	return Rejection{At: at, Remote: clean(host), Reason: rejectReason(doc.Error), Text: clean(doc.Error)}, true
}

func rejectReason(text string) RejectReason {
	alert, remote := strings.CutPrefix(text, "remote error: tls: ")
	switch {
	case remote && (strings.Contains(alert, "certificate") || strings.Contains(alert, "unknown authority")):
		return ClientRefused
	case strings.Contains(text, "failed to verify certificate"), strings.Contains(text, "x509: "):
		return EtcdRefused
	}
	return NotTrust
}

// EtcdClusterID returns the id of the etcd cluster of a clustermesh-apiserver pod, as Cilium prints it: hex without leading zeros. It depends only on the pod's
// UID, which is the cluster token; the peer URL is etcd's default.
// Source: templates/clustermesh-apiserver/deployment.yaml (INITIAL_CLUSTER_TOKEN, 1.16 to 1.20); etcd server/etcdserver/api/membership (3.5 to 3.7).
func EtcdClusterID(podUID string) string {
	member := sha1.Sum([]byte("http://localhost:2380" + podUID)) //nolint:gosec // see the import
	cluster := sha1.Sum(member[:8])                              //nolint:gosec // see the import
	return strconv.FormatUint(binary.BigEndian.Uint64(cluster[:8]), 16)
}
