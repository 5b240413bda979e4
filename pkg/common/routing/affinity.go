package routing

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// applyAffinity keeps the local or the remote offers as the client's affinity says.
// local: remote ones only when no local backend is active; remote: the other way round.
// Source: pkg/clustermesh/loadbalancer/selectbackends.go (1.18+, run); up to 1.17 preferred
// backends (segregateBackends) come to the same.
func applyAffinity(offers []offer, client string, affinity cilium.AffinitySetting) {
	remote := 0
	for _, o := range offers {
		if o.cluster != client && o.use {
			remote += len(o.backends)
		}
	}
	drop := func(local bool, code Code) {
		for i := range offers {
			if o := &offers[i]; (o.cluster == client) == local && o.use {
				o.use = false
				o.reason = Reason{Code: code, Value: affinity.Raw, Key: affinity.Key}
			}
		}
	}
	switch affinity.Value {
	case cilium.AffinityLocal:
		if localOnly(offers, client, affinity) {
			drop(false, ReasonAffinityLocal)
		}
	case cilium.AffinityRemote:
		if remote > 0 {
			drop(true, ReasonAffinityRemote)
		}
	case cilium.AffinityDropRemote:
		drop(false, ReasonAffinityJunk)
	}
}

// localOnly reports whether the client's affinity keeps out all remote backends, whichever there are.
func localOnly(offers []offer, client string, affinity cilium.AffinitySetting) bool {
	switch affinity.Value {
	case cilium.AffinityDropRemote:
		return true
	case cilium.AffinityLocal:
		return slices.ContainsFunc(offers, func(o offer) bool { return o.cluster == client && o.active() > 0 })
	}
	return false
}
