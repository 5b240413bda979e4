package ca

import (
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// bundles: if processes mount a bundle, it must contain the new CA before any process presents a leaf certificate of that CA. A CA that was issued again
// under its key is a new one too, at the latest when the former certificate ends.
func (n *steps) bundles(leaves []stale) {
	for _, b := range n.state.bundles() {
		if pki.Trusts(b.Certs, n.signer) && n.state.outlasts(b.Certs, n.state.authorityOwner(), n.signer) {
			continue
		}
		why := fmt.Sprintf("processes trust %s instead of the ca.crt of the leaf certificates (Helm's tls.caBundle): add the new CA to it in every cluster first, then restart deployment/%s", b.Source, cilium.DeploymentMeshAPI)
		objects := []string{b.Source.Ref.String()}
		v := n.state.Values
		switch {
		case n.state.valuesKeep(b.Source):
			n.bundleFile = n.state.bundleFile()
			n.do(Action{Kind: ActBundle}, fmt.Sprintf("processes trust %s instead of the ca.crt of the leaf certificates, and the values of release %s set its content (%stls.caBundle.content): every upgrade writes the bundle of the values again. Write the bundle with the new CA to a file first, in every cluster; the upgrade below takes it from there",
				b.Source, n.state.Release.Name, v.Prefix), objects, n.state.writeBundle(b.Source, n.state))
			upgraded := func(l stale) bool { return l.owner.Kind == pki.OwnerHelm || l.owner.Kind == pki.OwnerFlux }
			if !slices.ContainsFunc(leaves, upgraded) { // no later step runs Helm
				n.upgrade("the upgrade writes the bundle with the new CA", objects, n.state.Release)
			}
		case !v.Known && n.state.Release.Known():
			n.do(Action{Kind: ActBundle}, why+fmt.Sprintf(". If the values of release %s set tls.caBundle.content, change it there: every upgrade writes it again", n.state.Release.Name), objects, "")
		default:
			n.do(Action{Kind: ActBundle}, why, objects, "")
		}
	}
}

// valuesKeep reports whether the values of the release write a bundle.
func (s *State) valuesKeep(bundle pki.Source) bool {
	return len(s.Values.Bundle) > 0 && (s.Values.BundleName == "" || s.Values.BundleName == bundle.Ref.Name)
}

// bundleFile is the name of the file that the printed commands write a bundle to.
func (s *State) bundleFile() string { return "ca-bundle-" + s.Member.Name + ".crt" }

// writeBundle returns the command that writes a bundle with the CA of another cluster to a file. Certificates are not secret.
func (s *State) writeBundle(bundle pki.Source, of *State) string {
	key := pki.KeyCACert
	if secret := of.CA().Object; secret != nil && len(secret.Data[key]) == 0 {
		key = pki.KeyTLSCert
	}
	have := fmt.Sprintf(`go-template={{index .data %q}}`, bundle.Key)
	if bundle.Ref.Kind == pki.Secret {
		have = fmt.Sprintf(`go-template={{index .data %q | base64decode}}`, bundle.Key)
	}
	return commandline.Into(s.bundleFile(), s.kubectl("get", bundle.Ref.String(), "-o", have),
		of.kubectl("get", "secret", pki.SecretCA, "-o", fmt.Sprintf(`go-template={{index .data %q | base64decode}}`, key)))
}

// bundleFlags are the flags with which an upgrade takes the bundle from the file, once.
func (n *steps) bundleFlags() []string {
	if n.bundleFile == "" {
		return nil
	}
	flags := []string{"--set-file", n.state.Values.Prefix + "tls.caBundle.content=" + n.bundleFile}
	n.bundleFile = ""
	return flags
}

// bundleByHand says where the bundle's content must be changed, where no command of Helm's can set it.
func (n *steps) bundleByHand(where string) {
	if n.bundleFile == "" {
		return
	}
	n.add(fmt.Sprintf("put the content of %s into the values of %s (%stls.caBundle.content)", n.bundleFile, where, n.state.Values.Prefix), nil, "")
	n.bundleFile = ""
}
