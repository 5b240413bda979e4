package live

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Observation is what was observed of one cluster.
type Observation struct {
	Served   []Served
	Files    []File
	Clients  []Client
	Rejected []Rejection
	Since    time.Time // of Rejected; zero if the logs were not read
	// Unobserved says which of the questions have no answer, and why.
	Unobserved []string
}

// Judge turns observations into the live section of the document. seen has the observations by the name of the cluster. It is pure.
func Judge(states []*ca.State, seen map[string]Observation, now time.Time) v1alpha1.CALive {
	out := v1alpha1.CALive{Clusters: []v1alpha1.LiveCluster{}}
	replicas := map[string]string{}
	for cluster, o := range seen {
		for _, served := range o.Served {
			replicas[pki.EtcdClusterID(served.UID)] = cluster + "/" + served.Pod
		}
	}
	for _, s := range states {
		o, ok := seen[s.Member.Name]
		if !ok {
			continue
		}
		c := v1alpha1.LiveCluster{Cluster: s.Member.Name, EtcdReplicas: []v1alpha1.LiveEtcd{}, Clients: []v1alpha1.LiveClient{}, Rejections: rejections(o.Rejected), Unobserved: o.Unobserved}
		if !o.Since.IsZero() {
			c.RejectionsSince = &o.Since
		}
		for _, served := range o.Served {
			c.EtcdReplicas = append(c.EtcdReplicas, etcd(s, served, states, now))
		}
		files := newFileIndex(s, o.Files)
		for _, client := range files.everyPeer(o.Clients) {
			judged := files.client(client)
			judged.Etcd = replicas[client.EtcdID]
			c.Clients = append(c.Clients, judged)
		}
		out.Clusters = append(out.Clusters, c)
	}
	return out
}

// etcd judges one replica.
func etcd(s *ca.State, served Served, states []*ca.State, now time.Time) v1alpha1.LiveEtcd {
	out := v1alpha1.LiveEtcd{Pod: served.Pod, Message: served.Unknown}
	if !served.Started.IsZero() {
		out.StartTime = &served.Started
	}
	file, ok := s.Side.EtcdTrust()
	content := inPod(s.Content(file), served.Created)
	verdict := served.Read().Since(content)
	switch {
	case !ok || len(file.Certs) == 0:
		verdict, out.Reason = pki.UnknownFreshness, "its CA file: "+file.Note
	case pki.AnnouncedOthers(served.Announced, file.Certs) != "":
		verdict, out.Reason = pki.Stale, pki.AnnouncedOthers(served.Announced, file.Certs)
	case served.Started.IsZero():
		out.Reason = served.Unknown
	default:
		out.Reason = explain(verdict, served.Read(), content, file.Source.String())
	}
	out.Trust = string(verdict)
	for _, cert := range served.Chain {
		out.ServedChain = append(out.ServedChain, ca.Certificate(cert))
	}
	for _, client := range states {
		if client == s || len(served.Chain) == 0 {
			continue
		}
		check := pki.VerifyServed(served.Chain, client.Side, s.Side.ClusterName(), now)
		a := v1alpha1.LiveAcceptance{Client: client.Member.Name, Verdict: string(check.Verdict), Reason: check.Reason}
		if check.Trust.Key != "" {
			a.Trust = check.Trust.String()
		}
		out.ClientVerdicts = append(out.ClientVerdicts, a)
	}
	return out
}

// inPod turns the time at which an object got its content into the time at which the files of a pod got it. A pod that was created later had the content from its
// beginning; for an older one the kubelet's delay is added.
func inPod(object pki.Window, created time.Time) pki.Window {
	switch {
	case object.To.IsZero():
	case !created.Before(object.To):
		object.To = created
	default:
		object.To = object.To.Add(pki.KubeletDelay)
	}
	return object
}

// explain says in one sentence why a process has a verdict.
func explain(verdict pki.Freshness, read, content pki.Window, file string) string {
	switch {
	case verdict == pki.Fresh:
		return ""
	case verdict == pki.Stale:
		return fmt.Sprintf("it read its CA file at %s or earlier; %s got its present CA at %s or later", stamp(read.To), file, stamp(content.From))
	case read.From.IsZero():
		return "cannot determine when it read its CA file"
	case content.To.IsZero():
		return "cannot determine when " + file + " was written"
	}
	return fmt.Sprintf("cannot determine whether the CA in %s changed after the process read it at %s: the file was written, at the latest at %s", file, stamp(read.From), stamp(content.To))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// fileIndex finds the CA file of each client of a cluster.
type fileIndex struct {
	state *ca.State
	files []File
	// peers are the configurations of the agents and the operator.
	peers map[string]pki.PeerConfig
	note  string
}

func newFileIndex(s *ca.State, files []File) fileIndex {
	x := fileIndex{state: s, files: files}
	x.peers, x.note = s.AgentPeers()
	return x
}

func (x fileIndex) client(c Client) v1alpha1.LiveClient {
	out := v1alpha1.LiveClient{Kind: c.Kind, Node: c.Node, Pod: c.Pod, Peer: c.Peer, Evidence: c.Evidence, Trust: string(pki.UnknownFreshness)}
	if c.Unknown != "" {
		out.Reason = c.Unknown + x.wayOut(c)
		return out
	}
	out.Connected = &c.Connected
	if !c.Rebuilt.IsZero() {
		out.CAFileReadTime = &c.Rebuilt
	}
	t := x.trust(c)
	out.CAFile = t.name
	if !t.content.To.IsZero() {
		out.CAFileWriteTime = &t.content.To
	}
	verdict := c.Read().Since(t.content)
	switch {
	case t.unknown != "":
		verdict, out.Reason = pki.UnknownFreshness, t.unknown
	case t.behind != "":
		verdict, out.Reason = pki.Stale, t.behind
	default:
		out.Reason = explain(verdict, c.Read(), t.content, t.name)
		if verdict == pki.UnknownFreshness {
			out.Reason += x.wayOut(c)
		}
	}
	if verdict == pki.Fresh && !c.Connected {
		verdict, out.Reason = pki.UnknownFreshness, "it read its CA file after its last change, but is not connected to "+c.Peer
	}
	out.Trust = string(verdict)
	return out
}

// everyPeer replaces the rest of an operator's peers by those that are configured and that its log does not name.
func (x fileIndex) everyPeer(clients []Client) []Client {
	var out []Client
	for _, c := range clients {
		if !c.LogCut || c.Peer != "" || x.note != "" {
			out = append(out, c)
			continue
		}
		for _, peer := range sortedKeys(x.peers) {
			if !slices.ContainsFunc(clients, func(o Client) bool { return o.Kind == c.Kind && o.Pod == c.Pod && o.Peer == peer }) {
				one := c
				one.Peer = peer
				out = append(out, one)
			}
		}
	}
	return out
}

// wayOut says what to do about a client whose log does not show any more when it connected: nothing else would ever show it.
func (x fileIndex) wayOut(c Client) string {
	if !c.LogCut {
		return ""
	}
	const text = ". The log does not show any more when it connected"
	config := cilium.SecretClusterMesh
	switch c.Kind {
	case KindOperator:
		return text + "; restart it: " + x.state.ReplacePod(c.Pod)
	case KindKVStoreMesh:
		config = cilium.SecretKVStoreMesh
	}
	return text + ". A changed comment in secret/" + config + " makes it connect again; rotate and federate write one"
}

// trusted is the CA file of a client, and when it got its present content on the client's node.
type trusted struct {
	name    string
	content pki.Window
	unknown string // why it cannot be judged
	behind  string // why the file does not have the content of its object
}

// trust finds the CA file with which a client verifies a peer.
func (x fileIndex) trust(c Client) trusted {
	if c.Kind == KindKVStoreMesh {
		file := x.state.Side.DialerTrust(c.Peer)
		return x.object(file, c.Created)
	}
	config, ok := x.peers[c.Peer]
	if !ok {
		reason := "secret/cilium-clustermesh does not have a configuration for " + c.Peer
		if x.note != "" {
			reason = "secret/cilium-clustermesh: " + x.note
		}
		return trusted{unknown: reason}
	}
	file := x.state.Side.AgentTrust(config.TrustedCAFile)
	if c.Kind == KindOperator { // it mounts the same objects as the agents
		return x.object(file, c.Created)
	}
	return x.onNode(c, config.TrustedCAFile, file)
}

// object judges by the API object alone, for a container in which no command can look at the file.
func (x fileIndex) object(file pki.Bundle, created time.Time) trusted {
	if len(file.Certs) == 0 {
		return trusted{unknown: "its CA file: " + file.Note}
	}
	return trusted{name: file.Source.String(), content: inPod(x.state.Content(file), created)}
}

// onNode judges by the file on the node, and by the API object where that tells more.
func (x fileIndex) onNode(c Client, path string, object pki.Bundle) trusted {
	i := slices.IndexFunc(x.files, func(f File) bool { return f.Pod == c.Pod && (f.Path == path || f.Path == "") })
	if i < 0 {
		return trusted{unknown: "file " + path + " was not found on node " + c.Node}
	}
	f := x.files[i]
	switch {
	case len(f.Certs) == 0:
		return trusted{name: path, unknown: "file " + path + " on node " + c.Node + ": " + f.Unknown}
	case len(object.Certs) == 0:
		return trusted{name: path, content: pki.Window{From: pki.NewestCA(f.Certs), To: f.Written}}
	case !pki.SameCertificates(f.Certs, object.Certs):
		return trusted{name: path, behind: fmt.Sprintf("file %s on node %s has %s, but %s has %s", path, c.Node, shorts(f.Certs), object.Source, shorts(object.Certs))}
	}
	content := x.state.Content(object)
	to := f.Written
	// A kubelet writes every file of a volume again if one of them changes, for example if a peer is added. The object tells that the CA is older.
	if inPod := inPod(content, c.Created); !inPod.To.IsZero() && inPod.To.Before(to) {
		to = inPod.To
	}
	return trusted{name: path, content: pki.Window{From: content.From, To: to}}
}

// shorts names certificates by the beginning of their fingerprints.
func shorts(certs []*x509.Certificate) string {
	out := make([]string, 0, len(certs))
	for _, c := range certs {
		out = append(out, pki.Short(pki.Fingerprint(c)))
	}
	return "CA " + strings.Join(out, "+")
}

// rejections counts the handshakes that failed because of a certificate.
func rejections(all []Rejection) []v1alpha1.LiveRejection {
	var out []v1alpha1.LiveRejection
	for _, r := range all {
		if r.Reason == pki.NotTrust {
			continue
		}
		i := slices.IndexFunc(out, func(k v1alpha1.LiveRejection) bool {
			return k.Pod == r.Pod && k.Remote == r.Remote && k.Text == r.Text
		})
		if i < 0 {
			out = append(out, v1alpha1.LiveRejection{Pod: r.Pod, Remote: r.Remote, Reason: string(r.Reason), Text: r.Text})
			i = len(out) - 1
		}
		out[i].Count++
		if r.At.After(out[i].LastTime) {
			out[i].LastTime = r.At
		}
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.LiveRejection) int { return b.LastTime.Compare(a.LastTime) })
	return out
}
