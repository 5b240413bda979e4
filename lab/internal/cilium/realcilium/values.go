package realcilium

import (
	"net/url"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/install"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// agentFlags are settings of the agent that differ from the chart's and that its values have no names for, or only for
// one of several places. They are arguments of the agent, so that `kubectl describe` shows them.
func agentFlags() []any {
	return []any{
		"--enable-hubble=false",
		"--enable-policy-secrets-sync=false",
		"--prometheus-serve-addr=:9962",
		// Maps for a lab: several agents share the memory of one machine.
		"--bpf-map-dynamic-size-ratio=0",
		"--bpf-lb-map-max=16384",
		"--bpf-ct-global-tcp-max=16384",
		"--bpf-ct-global-any-max=8192",
		"--bpf-nat-global-max=16384",
		"--bpf-neigh-global-max=8192",
		"--bpf-policy-map-max=4096",
	}
}

// meshNodePort is the port of Service clustermesh-apiserver on every node.
const meshNodePort = 32379

type values = map[string]any

// Values are the Helm values of a cluster. They configure what a machine without a kubelet and without a route to the
// outside needs; everything that concerns Cluster Mesh and its certificates is the chart's default.
func Values(lab *state.Lab, c state.Cluster) (map[string]any, error) {
	server, err := url.Parse(c.APIServer)
	if err != nil {
		return nil, err
	}
	method := c.Install
	if c.Install == string(install.Certgen) {
		method = "cronJob"
	}
	mesh := values{
		"useAPIServer": true,
		"apiserver": values{
			"service": values{"type": "NodePort", "nodePort": meshNodePort},
			"tls":     values{"auto": values{"method": method}},
		},
	}
	// Without config, even if it names no peers, the chart renders no ConfigMap clustermesh-remote-users, which the pods mount.
	peers := []any{}
	for _, peer := range lab.Clusters {
		if lab.Connected && peer.Name != c.Name {
			peers = append(peers, values{"name": peer.Name, "ips": []any{peer.Nodes[0].Address}, "port": meshNodePort})
		}
	}
	mesh["config"] = values{"enabled": true, "clusters": peers}
	return values{
		"cluster":                values{"name": c.Name, "id": c.ID},
		"clustermesh":            mesh,
		"hubble":                 values{"tls": values{"auto": values{"method": method}}},
		"k8sServiceHost":         c.AdvertiseAddress,
		"k8sServicePort":         server.Port(),
		"kubeProxyReplacement":   true,
		"ipam":                   values{"mode": "kubernetes"},
		"devices":                []any{"eth0"},
		"nodePort":               values{"directRoutingDevice": "eth0", "enableHealthCheck": false},
		"l7Proxy":                false, // the lab has no Envoy
		"envoy":                  values{"enabled": false},
		"healthChecking":         false,
		"endpointHealthChecking": values{"enabled": false},
		"configDriftDetection":   values{"enabled": false},
		"cni":                    values{"exclusive": false},
		// Pods reach nodes of clusters that are not connected yet: KVStoreMesh connects to a NodePort.
		"bpf":       values{"autoMount": values{"enabled": false}, "masquerade": true},
		"cgroup":    values{"autoMount": values{"enabled": false}, "hostRoot": "/run/cilium/cgroupv2"},
		"sysctlfix": values{"enabled": false},
		"operator":  values{"replicas": 1},
		"extraArgs": agentFlags(),
	}, nil
}
