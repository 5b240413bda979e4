package cluster

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

const (
	validity = 365 * pki.Day
	// clockSkew keeps a certificate from being "not yet valid".
	clockSkew = time.Minute
	// mastersGroup may do everything by a hard-wired rule of the API server.
	mastersGroup = "system:masters"
)

// Prepare makes the directory of a cluster with its authority, certificates and
// kubeconfig files. The key of the authority is not kept: nothing signs later.
func Prepare(dir state.Dir, c state.Cluster, now time.Time) error {
	files := Files(dir.ClusterDir(c.Name))
	if err := os.MkdirAll(filepath.Dir(files.CACert()), 0o700); err != nil {
		return err
	}
	notBefore := now.Add(-clockSkew)
	ca, err := pki.NewAuthority(pki.AuthoritySpec{
		CommonName: "kubernetes", Algorithm: pki.ECDSAP256, Validity: validity, NotBefore: notBefore,
	})
	if err != nil {
		return err
	}
	if err := state.WriteFile(files.CACert(), ca.Cert, 0o600); err != nil {
		return err
	}
	for _, leaf := range leaves(files, c) {
		leaf.spec.Algorithm, leaf.spec.Validity, leaf.spec.NotBefore = pki.ECDSAP256, validity, notBefore
		pair, err := ca.Issue(leaf.spec)
		if err != nil {
			return err
		}
		if err := leaf.write(pair, ca.Cert); err != nil {
			return err
		}
	}
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		return err
	}
	return state.WriteFile(files.ServiceAccountKey(), key, 0o600)
}

// leaf is a certificate of the cluster and how it is written down.
type leaf struct {
	spec  pki.LeafSpec
	write func(pair pki.Pair, ca []byte) error
}

func leaves(files Files, c state.Cluster) []leaf {
	kubeletIPs := make([]net.IP, 0, len(c.Nodes))
	kubeletNames := make([]string, 0, len(c.Nodes))
	for _, node := range c.Nodes {
		kubeletIPs = append(kubeletIPs, net.ParseIP(node.KubeletAddress))
		kubeletNames = append(kubeletNames, node.Name)
	}
	asFiles := func(cert, key string) func(pki.Pair, []byte) error {
		return func(pair pki.Pair, _ []byte) error {
			if err := state.WriteFile(cert, pair.Cert, 0o600); err != nil {
				return err
			}
			return state.WriteFile(key, pair.Key, 0o600)
		}
	}
	asKubeconfig := func(name string) func(pki.Pair, []byte) error {
		return func(pair pki.Pair, ca []byte) error {
			return clientcmd.WriteToFile(kubeconfig(c, pair, ca), name)
		}
	}
	serverIPs := []net.IP{net.ParseIP(apiServerAddress), firstIP(c.ServiceCIDR)}
	if c.AdvertiseAddress != "" {
		serverIPs = append(serverIPs, net.ParseIP(c.AdvertiseAddress))
	}
	server, client := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return []leaf{
		{
			spec: pki.LeafSpec{CommonName: "kube-apiserver", ExtKeyUsage: server, DNSNames: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			}, IPs: serverIPs},
			write: asFiles(files.ServingCert(), files.ServingKey()),
		},
		{
			spec:  pki.LeafSpec{CommonName: c.KubeletClientName, Organization: mastersGroup, ExtKeyUsage: client},
			write: asFiles(files.KubeletClientCert(), files.KubeletClientKey()),
		},
		{
			spec:  pki.LeafSpec{CommonName: "kubelet", ExtKeyUsage: server, DNSNames: kubeletNames, IPs: kubeletIPs},
			write: asFiles(c.KubeletServingCert, c.KubeletServingKey),
		},
		{
			spec:  pki.LeafSpec{CommonName: "kubernetes-admin", Organization: mastersGroup, ExtKeyUsage: client},
			write: asKubeconfig(files.AdminKubeconfig()),
		},
		{
			// All controllers share one identity, so it needs the rights of all.
			spec:  pki.LeafSpec{CommonName: "system:kube-controller-manager", Organization: mastersGroup, ExtKeyUsage: client},
			write: asKubeconfig(files.ControllerManagerKubeconfig()),
		},
	}
}

// firstIP is the address of Service default/kubernetes.
func firstIP(cidr string) net.IP {
	return net.IP(netip.MustParsePrefix(cidr).Addr().Next().AsSlice())
}

func kubeconfig(c state.Cluster, pair pki.Pair, ca []byte) clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Context] = &clientcmdapi.Cluster{Server: c.APIServer, CertificateAuthorityData: ca}
	config.AuthInfos[c.Context] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	config.Contexts[c.Context] = &clientcmdapi.Context{Cluster: c.Context, AuthInfo: c.Context}
	config.CurrentContext = c.Context
	return *config
}

// WriteKubeconfigs writes the kubeconfig files for the lab's users: one with all
// contexts, and one per cluster.
func WriteKubeconfigs(dir state.Dir, clusters []state.Cluster) error {
	all := clientcmdapi.NewConfig()
	for _, c := range clusters {
		one, err := clientcmd.LoadFromFile(c.Kubeconfig)
		if err != nil {
			return fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		if err := clientcmd.WriteToFile(*one, dir.ClusterKubeconfig(c.Name)); err != nil {
			return err
		}
		all.Clusters[c.Context] = one.Clusters[c.Context]
		all.AuthInfos[c.Context] = one.AuthInfos[c.Context]
		all.Contexts[c.Context] = one.Contexts[c.Context]
	}
	all.CurrentContext = clusters[0].Context
	return clientcmd.WriteToFile(*all, dir.Kubeconfig())
}
