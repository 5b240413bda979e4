// Package install writes into a cluster what an installation of Cilium with Cluster
// Mesh leaves there: the objects, their labels and annotations, the owners of their
// fields, and certificates of the right names and usages. It installs no Cilium: the
// pods of these objects have no process in the lab. It knows Cilium's charts 1.16 to
// 1.20, certgen and cert-manager; it knows nothing of processes or files.
package install

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// Namespace is where Cilium is installed.
const Namespace = "kube-system"

// Method is who made the certificates.
type Method string

// The methods of Cilium's charts (clustermesh.apiserver.tls.auto.method and
// hubble.tls.auto.method), by the name of the program that signs.
const (
	Helm        Method = "helm"
	Certgen     Method = "certgen"
	CertManager Method = "cert-manager"
)

// The minor versions in which the charts changed something that is visible here.
const (
	minorMultipleUsers   = 19 // authMode migration, ConfigMap clustermesh-remote-users; marks on what Helm cannot render twice; plain Jobs
	minorGlobalNamespace = 20 // clustermesh-default-global-namespace; certificates for a year
	minorPolicyDefault   = 18 // key policy-default-local-cluster; true from 1.19 on
	minorCertgenBundles  = 17 // certgen 0.4 and its --ca-generate
)

var versionForm = regexp.MustCompile(`^1\.(16|17|18|19|20)\.[0-9]+(-(pre|rc)\.[0-9]+)?$`)

// Check says whether a cluster's version and method are known here.
func Check(c state.Cluster) error {
	if !versionForm.MatchString(c.CiliumVersion) {
		return fmt.Errorf("cluster %q: Cilium version %q in --cilium-version: want one from 1.16 to 1.20, written as 1.18.11", c.Name, c.CiliumVersion)
	}
	switch Method(c.Install) {
	case Helm, Certgen, CertManager:
		return nil
	default:
		return fmt.Errorf("cluster %q: method %q in --install: want %s, %s or %s", c.Name, c.Install, Helm, Certgen, CertManager)
	}
}

// site is a cluster in which Cilium is to be installed.
type site struct {
	state.Cluster
	// peers are the clusters that it is connected to.
	peers []state.Cluster
	minor int
	now   time.Time
}

func newSite(lab *state.Lab, c state.Cluster, now time.Time) (site, error) {
	if err := Check(c); err != nil {
		return site{}, err
	}
	minor, err := strconv.Atoi(strings.Split(c.CiliumVersion, ".")[1])
	if err != nil {
		return site{}, err
	}
	s := site{Cluster: c, minor: minor, now: now}
	for _, peer := range lab.Clusters {
		if lab.Connected && peer.Name != c.Name {
			s.peers = append(s.peers, peer)
		}
	}
	return s, nil
}

func (s site) method() Method { return Method(s.Install) }

// image is the reference of one of Cilium's images. The charts add a digest, which
// the lab does not have for every version.
func (s site) image(name string) string { return "quay.io/cilium/" + name + ":v" + s.CiliumVersion }

// Objects returns what an installation leaves in cluster c, in the order in which it
// is to be written. Every call makes new keys, so that fresh clusters start with
// different authorities, as in real life.
func Objects(lab *state.Lab, c state.Cluster, now time.Time) ([]Object, error) {
	s, err := newSite(lab, c, now)
	if err != nil {
		return nil, err
	}
	certs, err := newCertificates(s)
	if err != nil {
		return nil, err
	}
	return s.objects(certs), nil
}

func (s site) objects(certs *certificates) []Object {
	return slices.Concat(
		ciliumCRDs(s),
		[]Object{clusterDNS(s)},
		serviceAccounts(s),
		config(s),
		secrets(s, certs),
		certificateMachinery(s),
		peerConfig(s),
		workloads(s),
		ciliumNodes(s),
	)
}
