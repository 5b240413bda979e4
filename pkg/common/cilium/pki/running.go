package pki

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Freshness says whether a running process trusts what its CA file contains now.
type Freshness string

// The values. UnknownFreshness never counts as fresh.
const (
	Fresh            Freshness = "fresh"
	Stale            Freshness = "stale"
	UnknownFreshness Freshness = "unknown"
)

// Window is when something happened: not before From, and not after To. A zero time is a bound that is not known.
type Window struct{ From, To time.Time }

// At returns the window of something whose time is known.
func At(t time.Time) Window { return Window{From: t, To: t} }

// Since judges a process that read its CA file at some time in w, where the file got its present content at some time in content. It is Fresh if the
// process certainly read it afterwards, and Stale if it certainly read it before.
func (w Window) Since(content Window) Freshness {
	switch {
	case !w.From.IsZero() && !content.To.IsZero() && !w.From.Before(content.To):
		return Fresh
	case !w.To.IsZero() && !content.From.IsZero() && w.To.Before(content.From):
		return Stale
	}
	return UnknownFreshness
}

// KubeletDelay is the longest time, in a cluster that works, from the change of a Secret or ConfigMap to the change of the files in a pod that runs: a kubelet
// looks at a pod every 60 to 90 seconds, and its watch adds little. Source: kubelet's workerResyncIntervalJitterFactor and
// syncFrequency; Kubernetes documents up to 2 minutes for Secrets.
const KubeletDelay = 2 * time.Minute

// NewestCA returns when the newest of some CA certificates became valid. A file cannot have had its present content before it. Zero without certificates.
func NewestCA(certs []*x509.Certificate) time.Time {
	var newest time.Time
	for _, c := range certs {
		if c.NotBefore.After(newest) {
			newest = c.NotBefore
		}
	}
	return newest
}

// SameCertificates reports whether two CA files contain the same certificates, in any order.
func SameCertificates(a, b []*x509.Certificate) bool {
	within := func(a, b []*x509.Certificate) bool {
		return !slices.ContainsFunc(a, func(c *x509.Certificate) bool { return !slices.ContainsFunc(b, c.Equal) })
	}
	return within(a, b) && within(b, a)
}

// AnnouncedOthers says why the names of CAs that an etcd announces in a handshake cannot be those of its CA file; "" if they can. A server asks for a client
// certificate that one of them signed (RFC 8446, 4.2.4; Go fills it from the pool that it has loaded). Two CAs with one subject cannot be told apart by
// it, so that it never proves that the file was read.
func AnnouncedOthers(announced [][]byte, file []*x509.Certificate) string {
	want := make([][]byte, 0, len(file))
	for i, c := range file {
		if !slices.ContainsFunc(file[:i], c.Equal) {
			want = append(want, c.RawSubject)
		}
	}
	have := slices.Clone(announced)
	slices.SortFunc(want, bytes.Compare)
	slices.SortFunc(have, bytes.Compare)
	if len(announced) == 0 || slices.EqualFunc(want, have, bytes.Equal) {
		return ""
	}
	return fmt.Sprintf("etcd announces %d CA certificates that are not those of its CA file, which has %d", len(have), len(want))
}

// VerifyServed judges the chain that an etcd of server serves by the CA file that client mounts for it, as the client's process would at a handshake at the moment now.
func VerifyServed(chain []*x509.Certificate, client Side, server string, now time.Time) Check {
	peer := client.peer(server)
	check := Check{Trust: client.dialer(peer.PeerFiles).trust.source}
	trust := client.dialer(peer.PeerFiles).trust
	hosts, err := hostsOf(peer.Endpoints)
	switch {
	case len(chain) == 0:
		check.Verdict, check.Reason = Unknown, "it serves no certificate"
	case trust.err != nil:
		check.Verdict, check.Reason = trust.state, fmt.Sprintf("CA file of %s: %v", client.Name, trust.err)
	case err != nil:
		check.Verdict, check.Reason = Unknown, err.Error()
	default:
		check.Verdict = OK
		for _, host := range hosts {
			if err := verifyChain(chain, trust.certs, purposeServer, host, now); err != nil {
				check.Verdict, check.Reason = Broken, err.Error()
				break
			}
		}
	}
	return check
}

// peer returns the configuration for a peer, or what the chart writes for one (clustermesh-config/_helpers.tpl; 1.16 to 1.20).
func (s Side) peer(name string) PeerConfig {
	if config, ok := s.Peers[name]; ok {
		return config
	}
	return PeerConfig{Endpoints: []string{"https://" + name + "." + meshDomain}, PeerFiles: clientFiles(dirClusterMesh, "common-etcd-client")}
}

// DialerTrust is the CA file by which the process that connects to the peers verifies one of them: KVStoreMesh if the cluster runs it, else each agent.
func (s Side) DialerTrust(peer string) Bundle { return s.dialer(s.peer(peer).PeerFiles).trust.bundle() }

// AgentTrust is a CA file of the agents, by its path in their container.
func (s Side) AgentTrust(file string) Bundle {
	c, ok := s.Agent.Container(containerAgent)
	if !ok {
		return s.absent(s.Agent, s.AgentNote, "daemonset/cilium", containerAgent).trust.bundle()
	}
	return s.load(s.Agent, c, file).bundle()
}

// DirClusterMesh is the directory of the configurations of peers, and of the certificates for them, in the containers of the agents, of KVStoreMesh and of
// the operator. Source: charts 1.15 to 1.20.
const DirClusterMesh = dirClusterMesh
