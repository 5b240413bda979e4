package chaos

import "strconv"

// minorLocalPolicies is the first minor version whose chart sets policy-default-local-cluster.
const minorLocalPolicies = 19

// Installed are the settings of a cluster as the lab installs it.
func Installed(minor int, kubeProxyReplacement bool) Settings {
	return Settings{KubeProxyReplacement: kubeProxyReplacement, LocalPolicies: minor >= minorLocalPolicies}
}

// varySettings draws the settings of all clusters.
func (d *draw) varySettings() map[string]Settings {
	out := map[string]Settings{}
	// Now and then all have it: a node port can be well then.
	everywhere := d.chance(25)
	for i := range d.mesh {
		c := &d.mesh[i]
		c.KubeProxyReplacement = everywhere || d.chance(50)
		c.EndpointSliceSync = d.chance(40)
		// What the chart does not set is not set here.
		c.LocalPolicies = c.LocalPolicies && d.chance(85)
		out[c.Name] = c.Settings
	}
	return out
}

// config returns what ConfigMap cilium-config says of the settings.
func (c Cluster) config() map[string]string {
	out := map[string]string{
		"kube-proxy-replacement":           strconv.FormatBool(c.KubeProxyReplacement),
		"clustermesh-enable-endpoint-sync": strconv.FormatBool(c.EndpointSliceSync),
	}
	if c.Minor >= minorLocalPolicies {
		out["policy-default-local-cluster"] = strconv.FormatBool(c.LocalPolicies)
	}
	return out
}

// meshFindings follow from how the clusters are set up.
func meshFindings(mesh []Cluster) []Finding {
	var out []Finding
	// Without kube-proxy replacement and socket balancing for hosts, clients in a host's network namespace do not get
	// remote endpoints (cilium issue 31718).
	if hosts := where(mesh, noKPR); len(hosts) > 0 {
		out = append(out, Finding{ID: "SVC035", Clusters: names(hosts)})
	}
	// The same policy means different pods in different clusters.
	if n := len(where(mesh, localPolicies)); n > 0 && n < len(mesh) {
		out = append(out, Finding{ID: "SVC044", Clusters: names(mesh)})
	}
	return out
}
