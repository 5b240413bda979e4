package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// peerMark is the text by which Cilium recognises the configuration of a peer (isEtcdConfigFile in pkg/clustermesh/common/config.go).
const peerMark = "endpoints:"

// peerDocument is the configuration of a peer, as Cilium and etcd's client spell it.
type peerDocument struct {
	Endpoints []string `json:"endpoints"`
	CA        string   `json:"trusted-ca-file"`
	Cert      string   `json:"cert-file"`
	Key       string   `json:"key-file"`
}

// peers reads the etcd client configurations out of the Secret that the connecting process reads.
func peers(side pki.Side) (map[string]pki.PeerConfig, string) {
	obj := side.Objects[side.ConfigSecret()]
	if obj.Unreadable != "" {
		return nil, obj.Unreadable
	}
	out := map[string]pki.PeerConfig{}
	for name, value := range obj.Data {
		if !bytes.Contains(value, []byte(peerMark)) {
			continue
		}
		var doc peerDocument
		if err := yaml.Unmarshal(value, &doc); err != nil {
			return nil, fmt.Sprintf("the configuration of peer %q does not parse", name)
		}
		out[name] = pki.PeerConfig{Endpoints: doc.Endpoints, PeerFiles: pki.PeerFiles{TrustedCAFile: doc.CA, CertFile: doc.Cert, KeyFile: doc.Key}}
	}
	return out, ""
}

// configSecrets are the Secrets with the configurations of peers, and with copies of their certificates.
func configSecrets() []string { return []string{cilium.SecretClusterMesh, cilium.SecretKVStoreMesh} }

// skippedPeers lists the keys that look like the configuration of a peer and that Cilium skips, with the reason, by source.
func (s *State) skippedPeers() map[pki.Source]string {
	out := map[pki.Source]string{}
	for _, name := range configSecrets() {
		ref := pki.Ref{Kind: pki.Secret, Name: name}
		for key, value := range s.Side.Objects[ref].Data {
			if why := skipped(value); why != "" && key != s.Side.Name {
				out[pki.Source{Ref: ref, Key: key}] = why
			}
		}
	}
	return out
}

// skipped says why Cilium does not take a value for the configuration of a peer although it looks like one; "" for anything else.
func skipped(value []byte) string {
	if bytes.Contains(value, []byte(peerMark)) || bytes.Contains(value, []byte("-----BEGIN ")) {
		return ""
	}
	if plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(value)), "")); err == nil && bytes.Contains(plain, []byte(peerMark)) {
		return "it is base64-encoded twice"
	}
	if bytes.Contains(bytes.ReplaceAll(value, []byte{0}, nil), []byte(peerMark)) {
		return "it is UTF-16 text"
	}
	var doc map[string]any
	if yaml.Unmarshal(value, &doc) != nil {
		return ""
	}
	if _, quoted := doc["endpoints"]; quoted {
		return `the text "endpoints:" is not in it, because the key is in quotes`
	}
	for key := range doc {
		if like := strings.ToLower(strings.TrimSuffix(key, "s")); like == "endpoint" || like == "trusted-ca-file" || like == "cert-file" || like == "key-file" {
			return `the text "endpoints:" is not in it`
		}
	}
	return ""
}

func skippedFindings(s *State) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for src, why := range s.skippedPeers() {
		out = append(out, finding.PeerSkipped.New(src.String(), []string{s.Member.Name},
			fmt.Sprintf("it looks like the configuration of peer %s, and Cilium skips it: %s", src.Key, why), ""))
	}
	return out
}

// copied shows the certificates that stand beside the configurations of peers, as clustermesh.config.clusters[].tls or Terraform puts them there.
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
			cert := certificate(chain[0])
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

// clock says why a certificate is not valid at a moment, "" if it is.
func clock(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(cert.NotBefore):
		return "it is not valid before " + cert.NotBefore.UTC().Format(time.RFC3339)
	case now.After(cert.NotAfter):
		return "it expired on " + cert.NotAfter.UTC().Format(time.RFC3339)
	}
	return ""
}
