package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// Prediction is which members should answer the clients of one cluster, and with which shares.
type Prediction struct {
	// Shares holds each member's share, from 0 to 1; nil if there is no certain prediction.
	Shares map[string]float64
	// None says that no member should answer, because there is no backend.
	None bool
	// Why is the reason if there is no prediction.
	Why string
	// Doubt says what was unknown when the shares were computed. A tally that fits confirms them; one that does not proves nothing.
	Doubt   string
	Caveats []string
}

// Equal reports whether two predictions are the same.
func (p Prediction) Equal(o Prediction) bool {
	return p.None == o.None && (p.Shares == nil) == (o.Shares == nil) && maps.Equal(p.Shares, o.Shares)
}

// caveat is the doubt, or else the first reason why a single client may see other shares.
func (p Prediction) caveat() string {
	if p.Doubt == "" && len(p.Caveats) > 0 {
		return p.Caveats[0]
	}
	return p.Doubt
}

// sole is the only cluster that can answer, if the prediction leaves one and has no caveat.
func (p Prediction) sole() string {
	sole := ""
	for name, share := range p.Shares {
		if share > 0 {
			if sole != "" {
				return ""
			}
			sole = name
		}
	}
	if p.caveat() != "" {
		return ""
	}
	return sole
}

// String shows the shares above 0, sorted by name, or why there are none.
func (p Prediction) String() string {
	switch {
	case p.Shares == nil:
		return "no prediction: " + p.Why
	case p.None:
		return "no backend"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Shares)) {
		if share := p.Shares[name]; share > 0 {
			parts = append(parts, name+" "+stats.Percent(share))
		}
	}
	return strings.Join(parts, ", ")
}

// Predict returns what routing decides for the clients of one cluster. mesh-svc describe uses the same code.
func Predict(snap *routing.Snapshot, client string, key routing.Key, port int32) Prediction {
	c := snap.Find(client)
	if c == nil || c.Gap != "" {
		return Prediction{Why: fmt.Sprintf("cluster %s could not be read", client)}
	}
	svc := c.Services[key]
	if svc == nil {
		return Prediction{Why: fmt.Sprintf("cluster %s has no Service %s", client, key)}
	}
	var out *Prediction
	for _, fe := range svc.Frontends() {
		if fe.Port.Port != port || fe.Protocol != "TCP" && fe.Protocol != "" {
			continue
		}
		p := predict(routing.Decide(snap, client, key, fe), slices.ContainsFunc(snap.Clusters, func(c routing.Cluster) bool { return c.Gap != "" }))
		switch {
		case out == nil:
			out = &p
		case !out.Equal(p):
			return Prediction{Why: "the shares of IPv4 and IPv6 differ", Caveats: p.Caveats}
		}
	}
	if out == nil {
		return Prediction{Why: fmt.Sprintf("Service %s has no TCP port %d in cluster %s", key, port, client)}
	}
	return *out
}

// predict returns the shares of a decision. If a cluster could not be read (gaps), the shares of the others are only bounds.
func predict(d routing.Decision, gaps bool) Prediction {
	p := Prediction{Caveats: d.Caveats, Doubt: d.Doubt}
	switch {
	case d.Kind == routing.KindHeadless:
		p.Why = "the Service is headless: DNS returns the addresses of pods, and the tool picks one"
		return p
	case d.Kind == routing.KindProxied:
		p.Why = "the L7 proxy of cluster " + d.Client + " answers for the Service (its endpoint is Cilium's placeholder), and the proxy's routes decide which Service gets the request"
		return p
	case d.Kind != routing.KindBalanced:
		p.Why = "the Service is not balanced by Cilium: " + string(d.Kind)
		return p
	case len(d.Outcomes) != 1:
		p.Why = "the shares depend on the version of Cilium, which is unknown"
		return p
	case d.Incomplete && gaps:
		p.Why = d.Doubt
		return p
	case slices.ContainsFunc(d.Caveats, func(c string) bool { return strings.HasPrefix(c, "sessionAffinity") }):
		p.Why = "sessionAffinity is ClientIP: all requests of the client pod go to one backend"
		return p
	}
	p.Shares = map[string]float64{}
	p.None = len(d.Outcomes[0].Backends) == 0
	for _, s := range d.Outcomes[0].Shares {
		p.Shares[s.Cluster] = s.Fraction()
	}
	return p
}
