package federate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Recipe is how clusters with different CAs are made to trust each other.
type Recipe string

// The recipes. All begin with cross certificates in the chains of the leaf certificates, which work at once and without a restart.
const (
	// Files changes nothing but these chains. It lasts until somebody issues the leaf certificates again.
	Files Recipe = "files-only"
	// Cross also gives certgen the cross certificates, so that it sends them with every leaf certificate that it issues. Without an owner, the chains last.
	Cross Recipe = "cross-certificates"
	// Roots also makes every cluster trust the CAs of the others, for Helm, which sends no cross certificates: its next upgrade drops them.
	// clustermesh-apiserver is restarted once in each cluster, because etcd reads its CA file only at start.
	Roots Recipe = "ca-certificates"
)

// Issuer is what issues the leaf certificates of a cluster again.
type Issuer string

// The issuers. Nobody: a person or mesh-ca wrote them, or it is not known who.
const (
	Helm    Issuer = "helm"
	Certgen Issuer = "certgen"
	Nobody  Issuer = "nobody"
	// Mixed: Helm issues some, certgen others. Both read the same cilium-ca.
	Mixed Issuer = "helm and certgen"
)

// issuerOf tells the issuer from the owners of the leaf Secrets. Certgen's CronJobs tell it where the Secrets do not.
func issuerOf(kinds []pki.OwnerKind, cronJobs bool) Issuer {
	helm, certgen := slices.Contains(kinds, pki.OwnerHelm), slices.Contains(kinds, pki.OwnerCertgen) || cronJobs
	switch {
	case helm && certgen:
		return Mixed
	case helm:
		return Helm
	case certgen:
		return Certgen
	}
	return Nobody
}

// errCombine says that no recipe lasts with all owners.
var errCombine = errors.New("the recipes of Helm and certgen do not combine")

// chooseRecipe returns the recipe that lasts with all issuers, and the reason. issuers are by cluster.
//
// Helm beside certgen: certgen writes one CA into a CA file, so that its clusters verify the others only by cross certificates, and Helm's upgrade drops
// those. Measured: the leaf certificates of the Helm cluster verified 0 of 36 times at the certgen clusters (docs/mesh-ca.md).
func chooseRecipe(issuers map[string]Issuer, filesOnly bool) (recipe Recipe, reason string, err error) {
	by := map[Issuer][]string{}
	for cluster, issuer := range issuers {
		by[issuer] = append(by[issuer], cluster)
	}
	for _, names := range by {
		slices.Sort(names)
	}
	list := func(i Issuer) string { return strings.Join(by[i], ", ") }
	switch {
	case filesOnly:
		return Files, "it was chosen with --files-only. It ends when somebody issues the leaf certificates again", nil
	case len(by[Mixed]) > 0:
		return "", "", fmt.Errorf("%w, and both issue leaf certificates in %s: use one method for Cluster Mesh and Hubble (clustermesh.apiserver.tls.auto.method and hubble.tls.auto.method)", errCombine, list(Mixed))
	case len(by[Helm]) > 0 && len(by[Certgen]) > 0:
		return "", "", fmt.Errorf("%w: Helm issues the leaf certificates in %s, certgen in %s. Two ways out: use one method in all clusters (clustermesh.apiserver.tls.auto.method and hubble.tls.auto.method), "+
			"or give the certgen clusters a trust bundle with all CAs (tls.caBundle). Until then, --files-only makes them trust each other until the next upgrade", errCombine, list(Helm), list(Certgen))
	case len(by[Helm]) > 0:
		return Roots, fmt.Sprintf("Helm issues the leaf certificates in %s: its upgrades drop cross certificates, but keep the CAs of the others. clustermesh-apiserver is restarted once in each cluster", list(Helm)), nil
	case len(by[Certgen]) > 0:
		return Cross, fmt.Sprintf("certgen issues the leaf certificates in %s, and sends the cross certificates that it finds in secret %s. Nothing is restarted", list(Certgen), pki.SecretCA), nil
	}
	return Cross, "nobody issues the leaf certificates again, so that cross certificates in their chains last. Nothing is restarted", nil
}
