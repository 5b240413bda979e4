package witness

import (
	"net/netip"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Agent is what one agent has for the frontends of a Service, beside the prediction.
type Agent struct {
	// Frontends are the addresses of the Service that were looked up.
	Frontends []netip.AddrPort
	// Backends are the numbers of backends by cluster, over all frontends. Unknown counts those whose address no cluster has now.
	Backends map[string]int
	Unknown  int
	// Shares are the shares of new connections of each cluster, from 0 to 1; nil if there is no backend, or if an unknown one makes them uncertain.
	Shares map[string]float64
	// Missing are backends that are predicted and that the agent does not have, Extra those that it has and that are not predicted.
	Missing, Extra []Backend
	// Absent says that the agent does not know a frontend at all.
	Absent bool
	// Why says why there is no prediction to compare with.
	Why string
}

// Backend is a backend, and the cluster whose endpoint it is; empty if no cluster has it now.
type Backend struct {
	Addr    netip.AddrPort
	Cluster string
}

// Agrees reports whether the agent has exactly the predicted backends.
func (a Agent) Agrees() bool {
	return a.Why == "" && !a.Absent && len(a.Missing) == 0 && len(a.Extra) == 0
}

// Compare compares the table of an agent in a client cluster with the prediction for its clients on one port of a Service.
func Compare(t Table, snap *routing.Snapshot, client string, key routing.Key, port int32) Agent {
	a := Agent{Backends: map[string]int{}}
	c := snap.Find(client)
	if c == nil || c.Gap != "" || c.Services[key] == nil {
		a.Why = "cluster " + client + " has no Service " + key.String() + ", or could not be read"
		return a
	}
	owners := addresses(snap, key)
	svc := c.Services[key]
	total := 0
	for _, ip := range svc.ClusterIPs {
		for _, fe := range svc.Frontends() {
			if fe.Port.Port != port || fe.IPv6 != ip.Is6() || fe.Protocol != "TCP" && fe.Protocol != "" {
				continue
			}
			addr := netip.AddrPortFrom(ip, uint16(port))
			a.Frontends = append(a.Frontends, addr)
			have, found := t.Backends(addr, "TCP")
			a.Absent = a.Absent || !found
			want, why := predicted(snap, client, key, fe)
			if a.Why == "" {
				a.Why = why
			}
			total += a.add(have, want, owners)
		}
	}
	if len(a.Frontends) == 0 {
		a.Why = "the Service has no TCP port with a cluster IP there"
	}
	if total > 0 && a.Unknown == 0 {
		a.Shares = map[string]float64{}
		for name, n := range a.Backends {
			a.Shares[name] = float64(n) / float64(total)
		}
	}
	return a
}

// add compares the backends of one frontend, and returns how many the agent has.
func (a *Agent) add(have []netip.AddrPort, want []routing.Backend, owners map[netip.AddrPort]string) int {
	expected := map[netip.AddrPort]string{}
	for _, b := range want {
		expected[plain(b.Addr)] = b.Cluster
	}
	for _, addr := range have {
		cluster, ok := expected[addr]
		if !ok {
			cluster = owners[addr]
			a.Extra = append(a.Extra, Backend{addr, cluster})
		}
		if cluster == "" {
			a.Unknown++
		} else {
			a.Backends[cluster]++
		}
	}
	for _, b := range want {
		if addr := plain(b.Addr); !slices.Contains(have, addr) {
			a.Missing = append(a.Missing, Backend{addr, b.Cluster})
		}
	}
	return len(have)
}

// predicted returns the backends that routing predicts for one frontend, or why it predicts none for certain.
func predicted(snap *routing.Snapshot, client string, key routing.Key, fe routing.Frontend) (backends []routing.Backend, why string) {
	d := routing.Decide(snap, client, key, fe)
	switch {
	case d.Kind != routing.KindBalanced:
		return nil, "Cilium does not balance the Service (" + string(d.Kind) + ")"
	case len(d.Outcomes) != 1:
		return nil, "the prediction depends on the version of Cilium, which is unknown"
	case d.Incomplete:
		return d.Outcomes[0].Backends, d.Doubt
	}
	return d.Outcomes[0].Backends, ""
}

// addresses returns whose endpoint each address is. An address that two clusters have is left out: nobody knows.
func addresses(snap *routing.Snapshot, key routing.Key) map[netip.AddrPort]string {
	out := map[netip.AddrPort]string{}
	for _, c := range snap.Clusters {
		svc := c.Services[key]
		if svc == nil {
			continue
		}
		for _, e := range svc.Endpoints {
			for _, p := range e.Ports {
				addr := netip.AddrPortFrom(e.Addr.Unmap(), uint16(p.Port))
				if other, taken := out[addr]; taken && other != c.Name {
					out[addr] = ""
					continue
				}
				out[addr] = c.Name
			}
		}
	}
	return out
}
