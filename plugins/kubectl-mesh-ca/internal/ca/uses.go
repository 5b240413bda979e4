package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Uses returns everything in the clusters that still needs a kept key or its certificate: whatever has a certificate of the same key (trust is a matter of
// keys, not of certificates: a CA that was re-issued under its old key verifies what the old one signed), whatever is signed by the key, and a key file with
// the key itself. What a process has loaded is not visible in files: an etcd that has not read its CA file again counts as trusting every former CA of its
// cluster. Backups do not count as uses of each other.
func (k *KeptSecret) Uses(states []*State) []v1alpha1.CAUse {
	if len(k.subjects) == 0 {
		return nil
	}
	var out []v1alpha1.CAUse
	for _, s := range states {
		for _, f := range s.files() {
			if how := k.usedBy(f); how != "" {
				out = append(out, v1alpha1.CAUse{Cluster: s.Member.Name, Object: f.source.String(), How: how})
			}
		}
		if s == k.State && k.Of() == pki.SecretCA {
			if stale := s.etcdStale(); stale != "" {
				out = append(out, v1alpha1.CAUse{Cluster: s.Member.Name, Object: "deployment/clustermesh-apiserver", How: v1alpha1.UseLoaded, Message: stale})
			}
		}
	}
	return out
}

// file is one file of certificates, or a private key, as a cluster has it.
type file struct {
	source pki.Source
	certs  []*x509.Certificate
	key    []byte
	// problem says why not all certificates of the file are known; "" if they are.
	problem string
}

// files returns every file of a cluster that may contain certificates or keys: those of the Secrets and ConfigMaps that Cilium mounts, of cilium-ca, of the
// Secrets under which old charts kept a CA, and the CA in the values of the Helm release, which the next upgrade writes.
func (s *State) files() []file {
	var out []file
	for _, ref := range slices.SortedFunc(maps.Keys(s.Side.Objects), func(a, b pki.Ref) int { return strings.Compare(a.String(), b.String()) }) {
		out = append(out, filesOf(ref, s.Side.Objects[ref].Data)...)
	}
	for _, old := range s.OldCAs {
		out = append(out, filesOf(pki.Ref{Kind: pki.Secret, Name: old.Name}, old.Data)...)
	}
	if s.Values.SetsCA {
		out = append(out, newFile(pki.Source{Ref: pki.Ref{Kind: "helm", Name: s.Release.Name}, Key: s.Values.Prefix + "tls.ca.cert"}, s.Values.Cert))
	}
	return out
}

func filesOf(ref pki.Ref, data map[string][]byte) []file {
	var out []file
	for _, key := range slices.Sorted(maps.Keys(data)) {
		source := pki.Source{Ref: ref, Key: key}
		if strings.HasSuffix(key, ".key") {
			out = append(out, file{source: source, key: data[key]})
			continue
		}
		out = append(out, newFile(source, data[key]))
	}
	return out
}

// newFile reads the certificates of a file. A file without any is fine unless its name says that it has some: the same objects contain configuration too.
func newFile(source pki.Source, data []byte) file {
	f := file{source: source}
	certs, err := pki.ParseCertificates(data)
	switch {
	case err == nil:
		f.certs = certs
	case errors.Is(err, pki.ErrNoCertificate) && (len(data) == 0 || !strings.HasSuffix(source.Key, ".crt")):
	default:
		f.problem = err.Error()
	}
	return f
}

// usedBy says how a file uses the kept key; "" if it does not.
func (k *KeptSecret) usedBy(f file) string {
	for _, own := range k.subjects {
		if len(f.key) > 0 {
			if state, _ := pki.CheckKey(own, f.key); state == pki.KeyMatches {
				return v1alpha1.UseKey
			}
		}
		for _, c := range f.certs {
			switch {
			case pki.SPKIHash(c) == pki.SPKIHash(own):
				return v1alpha1.UseHolds
			case own.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil:
				return v1alpha1.UseSigned
			}
		}
	}
	return ""
}

// Gaps lists what of the clusters is not known and may use a kept key: objects that may not be read, files that do not parse, and peers that are not among the
// clusters. Nothing may be deleted on the ground that nothing uses it while there are gaps.
func Gaps(states []*State) []string {
	var out []string
	read := map[string]bool{}
	for _, s := range states {
		read[s.Member.Name], read[s.Member.Config.ClusterName] = true, true
	}
	for _, s := range states {
		add := func(format string, args ...any) {
			out = append(out, fmt.Sprintf("cluster %q: "+format, append([]any{s.Member.Name}, args...)...))
		}
		for _, ref := range slices.SortedFunc(maps.Keys(s.Side.Objects), func(a, b pki.Ref) int { return strings.Compare(a.String(), b.String()) }) {
			if why := s.Side.Objects[ref].Unreadable; why != "" {
				add("%s: %s", ref, why)
			}
		}
		for what, note := range map[string]string{"deployment/clustermesh-apiserver": s.Side.MeshAPINote, "daemonset/cilium": s.Side.AgentNote, "deployment/" + pki.DeploymentRelay: s.Side.RelayNote} {
			if note != "" {
				add("%s: %s", what, note)
			}
		}
		for _, f := range s.files() {
			if f.problem != "" {
				add("%s: %s", f.source, f.problem)
			}
		}
		for _, peer := range slices.Sorted(maps.Keys(s.Side.Peers)) {
			if !read[peer] {
				add("its peer %q was not read; name its context with --contexts", peer)
			}
		}
		if s.Side.PeersNote != "" {
			add("its peers are not known: %s", s.Side.PeersNote)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
