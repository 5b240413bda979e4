package ca

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// hiddenFindings lists the certificate files of a cluster with a part that is not read. A file that cannot be read at all has its own finding elsewhere,
// except for the CA files of leaf certificates and bundles.
func hiddenFindings(s *State) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, ref := range slices.SortedFunc(maps.Keys(s.Side.Objects), func(a, b pki.Ref) int { return strings.Compare(a.String(), b.String()) }) {
		data := s.Side.Objects[ref].Data
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if strings.HasSuffix(key, ".key") || ownFinding(ref, key) && unreadable(data[key]) {
				continue
			}
			parts := pki.HiddenParts(data[key])
			if len(parts) == 0 {
				continue
			}
			reasons := make([]string, len(parts))
			for i, p := range parts {
				reasons[i] = p.Reason
			}
			src := pki.Source{Ref: ref, Key: key}
			out = append(out, finding.HiddenPart.New(src.String(), []string{s.Member.Name}, strings.Join(reasons, "; "), s.readable(ref, key)))
		}
	}
	return out
}

// ownFinding reports whether another finding covers a file that cannot be read at all.
func ownFinding(ref pki.Ref, key string) bool {
	return ref == pki.Ref{Kind: pki.Secret, Name: pki.SecretCA} || (isLeaf(ref) && key == pki.KeyTLSCert)
}

func unreadable(data []byte) bool {
	_, err := pki.ParseCertificates(data)
	return err != nil
}

// readable says how to make a file with a hidden part readable; "" if nothing is hidden. The file contains certificates, which are not secret.
func (s *State) readable(ref pki.Ref, key string) string {
	data := s.Side.Objects[ref].Data
	if len(data[key]) == 0 && ref.Name == pki.SecretCA {
		key = pki.KeyTLSCert
	}
	parts := pki.HiddenParts(data[key])
	if len(parts) == 0 {
		return ""
	}
	filter := pki.MakeReadable(parts)
	if filter == "" {
		return fmt.Sprintf("replace the hidden part in %s with the right certificate, as PEM", pki.Source{Ref: ref, Key: key})
	}
	get := s.kubectl("get", ref.String(), "-o", fmt.Sprintf(`go-template={{index .data %q}}`, key))
	if ref.Kind == pki.Secret {
		get += " | base64 -d"
	}
	return fmt.Sprintf("write the output as %s: %s | %s", pki.Source{Ref: ref, Key: key}, get, filter)
}
