package cluster

import (
	"errors"
	"fmt"
	"net"
	"regexp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// MaxClusters is how many clusters the address plan has room for: the cluster-id
// is in the second or third octet of every range.
const MaxClusters = 255

// KubeletClientName is the common name of the certificate that the API server
// shows to kubelets.
const KubeletClientName = "kube-apiserver-kubelet-client"

// nodesPerCluster is that of the walk-throughs, less their control-plane nodes.
const nodesPerCluster = 2

// Cilium's rule for cluster names since 1.17 (pkg/clustermesh/types): at most 32
// characters of this form. The names are also file names and parts of node names.
var nameForm = regexp.MustCompile(`^([a-z0-9][-a-z0-9]*)?[a-z0-9]$`)

const maxNameLength = 32

// reservedNames are the names of files next to the clusters' directories.
func reservedName(name string) bool {
	return name == "net" || name == "chooser" || name == "bin" || name == "lock" || name == "kubeconfig"
}

// Ports hands out free ports of an address, no port twice.
type Ports interface {
	Free(address string) (int, error)
}

// Plan gives addresses, ports and file names to the clusters called names, with
// the cluster-ids 1, 2, 3 ... in this order. Context names differ from Cilium's
// names on purpose: nothing may take the one for the other.
func Plan(dir state.Dir, names []string, ports Ports) ([]state.Cluster, error) {
	if len(names) == 0 {
		return nil, errors.New("a lab needs at least one cluster; name them with --clusters us,eu,ap")
	}
	if len(names) > MaxClusters {
		return nil, fmt.Errorf("%d clusters named with --clusters; a mesh has at most %d", len(names), MaxClusters)
	}
	seen := map[string]bool{}
	clusters := make([]state.Cluster, 0, len(names))
	for i, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("cluster %q is named twice in --clusters", name)
		}
		seen[name] = true
		c, err := plan(dir, name, i+1, ports)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
		clusters = append(clusters, c)
	}
	return clusters, nil
}

func checkName(name string) error {
	switch {
	case len(name) > maxNameLength || !nameForm.MatchString(name):
		return fmt.Errorf("cluster name %q in --clusters: want at most %d lower-case letters, digits and dashes, as Cilium does", name, maxNameLength)
	case name == "default":
		return errors.New(`cluster name "default" in --clusters: Cilium refuses it together with a cluster-id`)
	case reservedName(name):
		return fmt.Errorf("cluster name %q in --clusters is a file name of the lab's own; choose another", name)
	}
	return nil
}

func plan(dir state.Dir, name string, id int, ports Ports) (state.Cluster, error) {
	files := Files(dir.ClusterDir(name))
	port, err := ports.Free(apiServerAddress)
	if err != nil {
		return state.Cluster{}, err
	}
	nodes := make([]state.Node, 0, nodesPerCluster)
	for n := 1; n <= nodesPerCluster; n++ {
		node := state.Node{
			Name:    fmt.Sprintf("%s-worker", name),
			PodCIDR: fmt.Sprintf("10.%d.%d.0/24", id, n),
			Address: fmt.Sprintf("127.%d.0.%d", id, n+1),
		}
		node.KubeletAddress = node.Address
		if n > 1 {
			node.Name = fmt.Sprintf("%s-worker%d", name, n)
		}
		if node.KubeletPort, err = ports.Free(node.KubeletAddress); err != nil {
			return state.Cluster{}, err
		}
		nodes = append(nodes, node)
	}
	return state.Cluster{
		Name:               name,
		ID:                 id,
		Context:            "kind-" + name,
		Kubeconfig:         files.AdminKubeconfig(),
		APIServer:          fmt.Sprintf("https://%s", net.JoinHostPort(apiServerAddress, fmt.Sprint(port))),
		PodCIDR:            fmt.Sprintf("10.%d.0.0/16", id),
		ServiceCIDR:        fmt.Sprintf("172.20.%d.0/24", id),
		DNSIP:              fmt.Sprintf("172.20.%d.10", id),
		Nodes:              nodes,
		KubeletClientCA:    files.CACert(),
		KubeletClientName:  KubeletClientName,
		KubeletServingCert: files.KubeletServingCert(),
		KubeletServingKey:  files.KubeletServingKey(),
	}, nil
}

const apiServerAddress = "127.0.0.1"

// PlanNamespaces gives the clusters nodes that are network namespaces (state.DatapathCilium), all in 10.200.0.0/16. Only
// the first cluster has two nodes: each runs an agent of Cilium, which costs some 200 MB and half a minute of CPU.
func PlanNamespaces(clusters []state.Cluster) {
	for i := range clusters {
		c := &clusters[i]
		if i > 0 {
			c.Nodes = c.Nodes[:1]
		}
		for n := range c.Nodes {
			c.Nodes[n].Address = fmt.Sprintf("10.200.%d.%d", c.ID, n+1)
		}
		c.NodeCIDR = fmt.Sprintf("10.200.%d.0/24", c.ID)
		c.AdvertiseAddress = c.Nodes[0].Address
	}
}
