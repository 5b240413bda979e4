package probe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Prediction is who should answer the clients of one cluster.
type Prediction struct {
	// Shares holds each member's share, from 0 to 1; nil if there is no certain prediction.
	Shares map[string]float64
	// None says that nobody should answer: there is no backend.
	None bool
	// Why says why there is no prediction.
	Why string
	// Doubt says what was not known when the shares were worked out. A tally that fits them confirms them; one that does not tells nothing.
	Doubt   string
	Caveats []string
}

// Equal reports whether two predictions say the same.
func (p Prediction) Equal(o Prediction) bool {
	return p.None == o.None && (p.Shares == nil) == (o.Shares == nil) && maps.Equal(p.Shares, o.Shares)
}

// Predict asks routing who answers the clients of cluster client. It is the same code that mesh-svc describe shows.
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

// predict takes the shares of a decision; gaps says whether a cluster was asked and did not answer: shares beside it are bounds.
func predict(d routing.Decision, gaps bool) Prediction {
	p := Prediction{Caveats: d.Caveats, Doubt: d.Doubt}
	switch {
	case d.Kind == routing.KindHeadless:
		p.Why = "the Service is headless: DNS names the pods, and the tool picks one"
		return p
	case d.Kind == routing.KindProxied:
		p.Why = "the L7 proxy of cluster " + d.Client + " answers for the Service (its endpoint is Cilium's placeholder), and the routes of the proxy say which Service gets the request"
		return p
	case d.Kind != routing.KindBalanced:
		p.Why = "the Service is not balanced by Cilium: " + string(d.Kind)
		return p
	case len(d.Outcomes) != 1:
		p.Why = "the shares depend on the version of Cilium, which is not known"
		return p
	case d.Incomplete && gaps:
		p.Why = d.Doubt
		return p
	case slices.ContainsFunc(d.Caveats, func(c string) bool { return strings.HasPrefix(c, "sessionAffinity") }):
		p.Why = "sessionAffinity is ClientIP: the client pod stays with one backend"
		return p
	}
	p.Shares = map[string]float64{}
	p.None = len(d.Outcomes[0].Backends) == 0
	for _, s := range d.Outcomes[0].Shares {
		p.Shares[s.Cluster] = s.Fraction()
	}
	return p
}
