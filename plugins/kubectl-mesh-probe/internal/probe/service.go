package probe

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// service is the URL that is called, and the Service that it refers to, if that was found.
type service struct {
	url   request.Target
	key   routing.Key
	found bool
}

// findService finds out which Service is called, and reads it in all members.
func (r *run) findService(ctx context.Context) (*routing.Snapshot, error) {
	host, err := r.host()
	if err != nil {
		return nil, err
	}
	r.findMeanings(ctx, host)
	snap := r.mesh.read(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.resolve(ctx, snap, host)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if r.cfg.URL != nil {
		return snap, nil
	}
	if r.clients[0].meaning.Why != "" && !r.service.found {
		return nil, fmt.Errorf("%q: %s; a URL starts with http://", r.cfg.Target, r.clients[0].unnamed)
	}
	var names []string
	for _, c := range r.clients {
		names = append(names, c.member.Name)
	}
	r.service.url, err = target.URL(snap, names, r.service.key, r.cfg.Target)
	return snap, err
}

// host is the name or address that is called.
func (r *run) host() (string, error) {
	if r.cfg.URL != nil {
		r.service.url = *r.cfg.URL
		return r.service.url.Host(), nil
	}
	host, _, err := target.SplitService(r.cfg.Target)
	return host, err
}

// findMeanings finds out what the host name refers to in each client pod, and so which Services must be read.
func (r *run) findMeanings(ctx context.Context, host string) {
	for _, c := range r.clients {
		c.meaning = r.resolver(ctx, c, host).Meaning(host)
	}
	m := r.clients[0].meaning
	for _, c := range r.clients {
		if c.meaning.Why == "" {
			m = c.meaning
			break
		}
	}
	switch {
	case m.Why != "": // perhaps an address: look for it among the Services of the namespace
		r.mesh.query = meshstate.Query{Namespace: r.mesh.namespace}
	case m.Import:
		r.mesh.query = meshstate.Query{Namespace: m.Service.Namespace}
	default:
		r.mesh.query = meshstate.Query{Namespace: m.Service.Namespace, Name: m.Service.Name}
	}
}

// resolver is how the client pod looks up names. The pod's resolv.conf is read only if the result depends on it.
func (r *run) resolver(ctx context.Context, c *client, host string) target.Resolver {
	usual := target.ClusterFirst(r.mesh.namespace)
	if c.err != nil || !c.pod.OtherDNS && !target.SpellsZone(host) {
		return usual
	}
	text, err := fanout.Within(ctx, r.mesh.timeout, c.exec().ResolvConf)
	if err == nil {
		return target.ParseResolvConf(text)
	}
	if ctx.Err() == nil {
		caveat := fmt.Sprintf("cannot read /etc/resolv.conf of pod %s, so %s is assumed to be the DNS zone of its cluster", c.pod.Name, usual.Zone())
		c.caveats = append(c.caveats, caveat)
		r.ui.Warn("cluster %s: %s", c.member.Name, caveat)
	}
	return usual
}

// resolve finds the Service that Cilium balances for each client: the one with this name, the one behind a ServiceImport, or the one with
// this address.
func (r *run) resolve(ctx context.Context, snap *routing.Snapshot, host string) {
	for _, c := range r.clients {
		key, why := r.serviceOf(ctx, c, snap, host)
		switch {
		case why != "":
			c.unnamed = why
		case !r.service.found:
			r.service.key, r.service.found = key, true
		case r.service.key != key:
			c.unnamed = fmt.Sprintf("in cluster %s, %s refers to Service %s", c.member.Name, host, key)
		}
	}
	if r.service.found {
		r.mesh.query = meshstate.Query{Namespace: r.service.key.Namespace, Name: r.service.key.Name}
	}
}

// serviceOf returns the Service that the host refers to for one client, or why there is none.
func (r *run) serviceOf(ctx context.Context, c *client, snap *routing.Snapshot, host string) (key routing.Key, why string) {
	m := c.meaning
	if m.Why != "" {
		if key, ok := target.ByAddress(snap, c.member.Name, host); ok {
			return key, ""
		}
		return routing.Key{}, m.Why
	}
	if !m.Import {
		return m.Service, ""
	}
	if c.err != nil {
		return routing.Key{}, fmt.Sprintf("cluster %s could not be read", c.member.Name)
	}
	key, why = r.derived(ctx, c, snap, host)
	if why == "" && !r.service.found {
		r.ui.Note("%s is the ServiceImport %s; Cilium balances its derived Service %s.", host, m.Service, key.Name)
	}
	return key, why
}

// derived returns the derived Service of a ServiceImport.
func (r *run) derived(ctx context.Context, c *client, snap *routing.Snapshot, host string) (key routing.Key, why string) {
	imported := c.meaning.Service
	name, err := fanout.Within(ctx, r.mesh.timeout, func(ctx context.Context) (string, error) {
		return meshstate.DerivedService(ctx, c.member, r.mesh.timeout, imported)
	})
	if name != "" {
		return routing.Key{Namespace: imported.Namespace, Name: name}, ""
	}
	if cluster := snap.Find(c.member.Name); cluster != nil {
		if key, ok := meshstate.DerivedByLabel(cluster, imported); ok {
			return key, ""
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return routing.Key{}, fmt.Sprintf("%s is a ServiceImport, and cluster %s has no ServiceImport %s", host, c.member.Name, imported)
	case err != nil:
		return routing.Key{}, fmt.Sprintf("%s is the ServiceImport %s, and its derived Service is unknown: %v", host, imported, err)
	}
	return routing.Key{}, fmt.Sprintf("%s is the ServiceImport %s, which has no derived Service", host, imported)
}
