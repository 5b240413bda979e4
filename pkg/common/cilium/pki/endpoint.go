package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// endpoint is a process that takes part in a handshake: what it presents and what it trusts.
type endpoint struct {
	cluster     string
	cert, trust material
	keyErr      error // the private key cannot be found: it is unknown whether cert can be presented
	keyMismatch error // the private key does not belong to cert: it cannot be presented
}

// material is a certificate file that a process mounts. state and err say why certs is empty.
type material struct {
	source Source
	certs  []*x509.Certificate
	id     [sha256.Size]byte // of the file's content
	state  Verdict
	err    error
}

// listener is the cluster's etcd.
func (s Side) listener() endpoint {
	const name = containerEtcd
	c, ok := s.MeshAPI.Container(name)
	if !ok {
		return s.absent(s.MeshAPI, s.MeshAPINote, "deployment/clustermesh-apiserver", name)
	}
	return s.endpoint(s.MeshAPI, c, PeerFiles{
		CertFile:      c.Flag("cert-file", dirEtcdSecrets+"/tls.crt"),
		KeyFile:       c.Flag("key-file", dirEtcdSecrets+"/tls.key"),
		TrustedCAFile: c.Flag("trusted-ca-file", dirEtcdSecrets+"/ca.crt"),
	})
}

// EtcdTrust is the CA file of the cluster's etcd, which etcd reads at start only (etcd issue 11555).
func (s Side) EtcdTrust() (Bundle, bool) {
	m := s.listener().trust
	return m.bundle(), m.source.Key != ""
}

// dialer is the process that connects to the other clusters: KVStoreMesh when the cluster runs it, else every agent.
func (s Side) dialer(peer PeerFiles) endpoint {
	if c, ok := s.MeshAPI.Container(containerKVStore); ok {
		return s.endpoint(s.MeshAPI, c, peer)
	}
	if s.MeshAPI == nil && s.MeshAPINote != "" {
		// Without the Deployment it is not known which process connects.
		return s.absent(nil, s.MeshAPINote, "deployment/clustermesh-apiserver", containerKVStore)
	}
	c, ok := s.Agent.Container(containerAgent)
	if !ok {
		return s.absent(s.Agent, s.AgentNote, "daemonset/cilium", containerAgent)
	}
	return s.endpoint(s.Agent, c, peer)
}

func (s Side) absent(w *Workload, note, what, container string) endpoint {
	err := fmt.Errorf("%s has no container %s", what, container)
	switch {
	case w != nil:
	case note != "":
		err = fmt.Errorf("%s: %s", what, note)
	default:
		err = fmt.Errorf("there is no %s", what)
	}
	m := material{state: Unknown, err: err}
	return endpoint{cluster: s.Name, cert: m, trust: m, keyErr: err}
}

func (s Side) endpoint(w *Workload, c Container, files PeerFiles) endpoint {
	e := endpoint{cluster: s.Name, cert: s.load(w, c, files.CertFile), trust: s.load(w, c, files.TrustedCAFile)}
	src, err := w.source(c, files.KeyFile, s.Objects)
	if err != nil {
		e.keyErr = err
		return e
	}
	e.checkKey(s.Objects[src.Ref].Data[src.Key])
	return e
}

// checkKey keeps whether a key belongs to what is presented, and not the key.
func (e *endpoint) checkKey(key []byte) {
	if len(e.cert.certs) > 0 {
		_, e.keyMismatch = CheckKey(e.cert.certs[0], key)
	}
}

// load reads a certificate file of a container through the volume that provides it.
func (s Side) load(w *Workload, c Container, file string) material {
	if file == "" {
		return material{state: Unknown, err: errors.New("its configuration does not name such a file")}
	}
	src, err := w.source(c, file, s.Objects)
	if err != nil {
		return material{source: src, state: Unknown, err: err}
	}
	return s.parse(src)
}

// parse reads the certificates under one key of an object.
func (s Side) parse(src Source) material {
	m := material{source: src}
	data, err := s.file(src)
	if err != nil {
		m.state, m.err = Broken, err
		if obj, known := s.Objects[src.Ref]; !known || obj.Unreadable != "" {
			m.state = Unknown
		}
		return m
	}
	if m.certs, err = ParseCertificates(data); err != nil {
		m.state, m.err = Broken, err
	}
	m.id = sha256.Sum256(data)
	return m
}

// file returns the value of one key of an object, or the reason why there is none.
func (s Side) file(src Source) ([]byte, error) {
	obj, known := s.Objects[src.Ref]
	switch {
	case !known:
		return nil, errors.New("it was not read")
	case obj.Unreadable != "":
		return nil, errors.New(obj.Unreadable)
	case obj.Absent:
		return nil, errors.New("it does not exist")
	case len(obj.Data[src.Key]) == 0:
		return nil, errors.New("the key is missing or empty")
	}
	return obj.Data[src.Key], nil
}

// Bundle is a CA file that processes mount in place of their leaf Secret's own ca.crt: Helm's tls.caBundle.
type Bundle struct {
	Source Source
	Certs  []*x509.Certificate
	// Note says why Certs is empty.
	Note string
}

// Bundles lists the bundles of a cluster, each once: what its etcd, the process that connects to other clusters, and Hubble trust, where that is not
// a leaf Secret's ca.crt. From it follows that a new CA must be in them before any leaf of it is presented.
func (s Side) Bundles() []Bundle {
	trusts := []material{s.listener().trust, s.dialer(clientFiles(dirClusterMesh, "common-etcd-client")).trust}
	if c, ok := s.Agent.Container(containerAgent); ok {
		trusts = append(trusts, s.load(s.Agent, c, dirHubble+"/client-ca.crt"))
	}
	var out []Bundle
	for _, m := range trusts {
		isLeafs := slices.ContainsFunc(LeafSpecs(), func(l LeafSpec) bool { return m.source.Ref == Ref{Kind: Secret, Name: l.Secret} })
		known := slices.ContainsFunc(out, func(b Bundle) bool { return b.Source == m.source })
		if m.source.Key == "" || isLeafs || known {
			continue
		}
		out = append(out, m.bundle())
	}
	return out
}

func (m material) bundle() Bundle {
	b := Bundle{Source: m.source, Certs: m.certs}
	if m.err != nil {
		b.Note = m.err.Error()
	}
	return b
}

// Copy is a file of another cluster's that a cluster keeps in the Secret with its peers' configurations, as clustermesh.config.clusters[].tls writes it.
type Copy struct {
	Bundle
	// Trust says that it is what the peer's server is verified against; else it is what is presented to the peer.
	Trust bool
}

// UsesOwnFiles reports whether a cluster connects to a peer with its own leaf certificate and CA file, as the chart configures it. It then has no
// copies of the peer's.
func (s Side) UsesOwnFiles(peer string) bool {
	config, ok := s.Peers[peer]
	return !ok || config.PeerFiles == clientFiles(dirClusterMesh, "common-etcd-client")
}

// Copies lists the files for one peer that do not come from the cluster's own leaf Secrets but are stored next to the peer's configuration. They do not change
// when the peer gets other certificates.
func (s Side) Copies(peer string) []Copy {
	config, ok := s.Peers[peer]
	if !ok || s.UsesOwnFiles(peer) {
		return nil
	}
	e := s.dialer(config.PeerFiles)
	var out []Copy
	for _, c := range []Copy{{Bundle: e.cert.bundle()}, {Bundle: e.trust.bundle(), Trust: true}} {
		if ref := c.Source.Ref; ref == (Ref{Kind: Secret, Name: secretKVStoreMesh}) || ref == (Ref{Kind: Secret, Name: secretClusterMesh}) {
			out = append(out, c)
		}
	}
	return out
}
