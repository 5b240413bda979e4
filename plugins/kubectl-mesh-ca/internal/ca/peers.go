package ca

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// peerMark is the text by which Cilium recognizes the configuration of a peer (isEtcdConfigFile in pkg/clustermesh/common/config.go).
const peerMark = "endpoints:"

// peerDocument is the configuration of a peer, in the format of Cilium and etcd's client.
type peerDocument struct {
	Endpoints []string `json:"endpoints"`
	CA        string   `json:"trusted-ca-file"`
	Cert      string   `json:"cert-file"`
	Key       string   `json:"key-file"`
}

// peers reads the etcd client configurations from the Secret that the connecting process reads.
func peers(side pki.Side) (map[string]pki.PeerConfig, string) {
	return peersOf(side.Objects[side.ConfigSecret()])
}

// peersOf reads the etcd client configurations of a Secret.
func peersOf(obj pki.Object) (map[string]pki.PeerConfig, string) {
	if obj.Unreadable != "" {
		return nil, obj.Unreadable
	}
	out := map[string]pki.PeerConfig{}
	for name, value := range obj.Data {
		if !bytes.Contains(value, []byte(peerMark)) {
			continue
		}
		doc, err := parsePeer(value)
		if err != nil {
			return nil, fmt.Sprintf("the configuration of peer %q does not parse", name)
		}
		out[name] = pki.PeerConfig{Endpoints: doc.Endpoints, PeerFiles: pki.PeerFiles{TrustedCAFile: doc.CA, CertFile: doc.Cert, KeyFile: doc.Key}}
	}
	return out, ""
}

// parsedPeers are configurations that were parsed, by their SHA-256. In a mesh of 255 clusters each one is in 254 Secrets, and YAML
// is slow to parse.
var parsedPeers sync.Map

func parsePeer(text []byte) (peerDocument, error) {
	id := sha256.Sum256(text)
	if known, ok := parsedPeers.Load(id); ok {
		if doc, ok := known.(peerDocument); ok {
			return doc, nil
		}
	}
	var doc peerDocument
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return doc, err
	}
	parsedPeers.Store(id, doc)
	return doc, nil
}

// configSecrets returns the Secrets with the configurations of peers, and with copies of their certificates.
func configSecrets() []string { return []string{cilium.SecretClusterMesh, cilium.SecretKVStoreMesh} }

// skippedFindings lists the entries that look like the configuration of a peer but that Cilium skips.
func skippedFindings(s *State) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, name := range configSecrets() {
		ref := pki.Ref{Kind: pki.Secret, Name: name}
		_, skipped := cilium.PeersFromSecret(s.Side.Objects[ref].Data, s.Side.ClusterName(), s.Member.Version)
		for _, entry := range skipped {
			out = append(out, finding.PeerSkipped.New(pki.Source{Ref: ref, Key: entry.Entry}.String(), []string{s.Member.Name},
				fmt.Sprintf("it looks like the configuration of peer %s, but Cilium skips it: %s", entry.Peer(), entry.Reason), ""))
		}
	}
	return out
}

// copied returns the certificates that are stored next to the configurations of peers, by clustermesh.config.clusters[].tls or by Terraform.
func (s *State) copied(now time.Time) []v1alpha1.LeafCertificate {
	var out []v1alpha1.LeafCertificate
	for _, name := range configSecrets() {
		data := s.Side.Objects[pki.Ref{Kind: pki.Secret, Name: name}].Data
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if strings.HasSuffix(key, ".key") || !bytes.Contains(data[key], []byte("-----BEGIN CERTIFICATE-----")) {
				continue
			}
			l := v1alpha1.LeafCertificate{Secret: pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: name}, Key: key}.String()}
			l.Secret = strings.TrimPrefix(l.Secret, "secret/")
			chain, err := pki.ParseCertificates(data[key])
			if err != nil {
				l.Message = err.Error()
				out = append(out, l)
				continue
			}
			cert := Certificate(chain[0])
			l.Certificate, l.DNSNames = &cert, chain[0].DNSNames
			if private, ok := data[strings.TrimSuffix(key, ".crt")+".key"]; ok && !chain[0].IsCA {
				state, err := pki.CheckKey(chain[0], private)
				l.Key = string(state)
				if err != nil {
					l.Problems = append(l.Problems, v1alpha1.LeafProblem{Severity: string(finding.Error), Message: err.Error()})
				}
			}
			if problem := clock(chain[0], now); problem != "" {
				l.Problems = append(l.Problems, v1alpha1.LeafProblem{Severity: string(finding.Error), Message: problem})
			}
			out = append(out, l)
		}
	}
	return out
}

// clock says why a certificate is not valid at a moment, "" if it is valid.
func clock(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(cert.NotBefore):
		return "it is not valid before " + cert.NotBefore.UTC().Format(time.RFC3339)
	case now.After(cert.NotAfter):
		return "it expired on " + cert.NotAfter.UTC().Format(time.RFC3339)
	}
	return ""
}
