package cilium

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Names of the objects that a Cilium installation leaves in its namespace.
const (
	ConfigMapName          = "cilium-config"
	SecretClusterMesh      = "cilium-clustermesh"
	SecretKVStoreMesh      = "cilium-kvstoremesh"
	ConfigMapRemoteUsers   = "clustermesh-remote-users"
	DaemonSetName          = "cilium"
	DeploymentMeshAPI      = "clustermesh-apiserver"
	ContainerKVStoreMesh   = "kvstoremesh"
	ContainerAgent         = "cilium-agent"
	DefaultNamespace       = "kube-system"
	defaultClusterName     = "default"
	defaultMaxClusters     = 255
	extendedMaxClusters    = 511 // the other mode, with fewer identities for each cluster
	configKeyGlobalDefault = "clustermesh-default-global-namespace"
)

// Config holds the settings of ConfigMap cilium-config that matter in a mesh.
type Config struct {
	ClusterName string // "default" when not set
	ClusterID   uint32 // 0 when not set: the cluster cannot be part of a mesh
	// MaxConnectedClusters is 255 or 511 and must be equal in the whole mesh.
	MaxConnectedClusters int
	// DefaultGlobalNamespace is the namespace gate's default (1.20+); true when not set.
	DefaultGlobalNamespace bool
	// EndpointSliceSync: remote endpoints of headless Services are mirrored (1.16+).
	EndpointSliceSync bool
	// ServiceTopology: the agents prefer endpoints of the client's zone if a Service requests it.
	ServiceTopology bool
	// ServiceProxyName is k8s-service-proxy-name: the agents serve only Services with that label value; see Ignored.
	ServiceProxyName string
	// KubeProxyReplacement: Cilium serves host and NodePort traffic itself.
	KubeProxyReplacement bool
	// PolicyDefaultLocalCluster: policy peers mean only local pods; nil if not set: see PolicyDefaultLocal.
	PolicyDefaultLocalCluster *bool
	Datapath
}

// ParseConfig reads the data of ConfigMap cilium-config.
// Source: cilium pkg/clustermesh/types and the Helm charts 1.15 to 1.20 (templates/cilium-configmap.yaml).
func ParseConfig(data map[string]string) (Config, error) {
	c := Config{ClusterName: defaultClusterName, MaxConnectedClusters: defaultMaxClusters, DefaultGlobalNamespace: true}
	if v := data["cluster-name"]; v != "" {
		c.ClusterName = v
	}
	if v := data["cluster-id"]; v != "" {
		id, err := strconv.ParseUint(v, 10, 16)
		if err != nil || id > extendedMaxClusters {
			return c, fmt.Errorf("%s: cluster-id %q is not a number from 0 to %d", ConfigMapName, v, extendedMaxClusters)
		}
		c.ClusterID = uint32(id)
	}
	if v := data["max-connected-clusters"]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return c, fmt.Errorf("%s: max-connected-clusters %q is not a number", ConfigMapName, v)
		}
		c.MaxConnectedClusters = n
	}
	// Go's flag package parses these in the agent: anything ParseBool accepts counts.
	flag := func(key string, def bool) bool {
		b, err := strconv.ParseBool(data[key])
		if err != nil {
			return def
		}
		return b
	}
	c.ServiceProxyName = data["k8s-service-proxy-name"]
	c.DefaultGlobalNamespace = flag(configKeyGlobalDefault, true)
	c.EndpointSliceSync = flag("clustermesh-enable-endpoint-sync", false)
	c.ServiceTopology = flag("enable-service-topology", false)
	c.KubeProxyReplacement = flag("kube-proxy-replacement", data["kube-proxy-replacement"] == "strict")
	if b, err := strconv.ParseBool(data["policy-default-local-cluster"]); err == nil {
		c.PolicyDefaultLocalCluster = &b
	}
	c.Datapath = parseDatapath(data, flag)
	return c, nil
}

// PeersFromRemoteUsers lists the clusters that ConfigMap clustermesh-remote-users names (key users.yaml), sorted, without
// the cluster's own name. It is the way to know the peers without reading Secrets.
// Source: templates/clustermesh-apiserver/users-configmap.yaml (1.16.19, 1.18.11, 1.19.5 and 1.20.2, read); it is there unless
// authMode is legacy, which is the default up to 1.18.
func PeersFromRemoteUsers(data map[string]string, own string) ([]string, error) {
	var doc struct {
		Users []struct {
			Name string `json:"name"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal([]byte(data["users.yaml"]), &doc); err != nil {
		return nil, fmt.Errorf("%s: users.yaml: %w", ConfigMapRemoteUsers, err)
	}
	var peers []string
	for _, u := range doc.Users {
		name, ok := strings.CutPrefix(u.Name, "remote-")
		if ok && name != own {
			peers = append(peers, name)
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers), nil
}

// Refusal says why the agents of a cluster refuse to connect to a peer because of its identity, "" if they connect. The endpoints of
// the peer are then not used, although the status of each side may look right.
// Source: NewClusterMesh in pkg/clustermesh/clustermesh.go, pkg/clustermesh/idsmgr.go ReserveClusterID and
// pkg/clustermesh/types ValidateRemoteConfig (1.16.19, 1.18.11 and 1.20.2, read).
func Refusal(ownID uint32, ownMax int, peerID uint32, peerMax int) string {
	switch {
	case ownID == 0: // the agents connect to nobody
		return "the client's cluster has cluster-id 0"
	case peerID == 0:
		return "its cluster-id is 0"
	case peerID == ownID:
		return fmt.Sprintf("its cluster-id %d is the same as in the client's cluster", peerID)
	case int64(peerID) > int64(ownMax):
		return fmt.Sprintf("its cluster-id %d is above max-connected-clusters %d of the client's cluster", peerID, ownMax)
	case ownMax != defaultMaxClusters && peerMax != ownMax:
		return fmt.Sprintf("its max-connected-clusters is %d, but %d in the client's cluster", peerMax, ownMax)
	}
	return ""
}
