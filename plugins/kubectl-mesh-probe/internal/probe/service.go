package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// service is a target: the URL that is called, and the Service that it refers to, if that was found.
type service struct {
	Target

	url   request.Target
	host  string // the name or address that is called
	key   routing.Key
	found bool
	query meshstate.Query // the objects to read

	senders *recognizer
	expect  []judge.Expectation
	live    *history.Timeline // its last intervals, while requests are sent; nil if it is the only target
}

// describe describes the target in documents.
func (s *service) describe(method string) v1alpha1.ProbeTarget {
	out := v1alpha1.ProbeTarget{URL: s.url.String(), Method: method}
	if s.found {
		out.Service, out.Port = s.key.String(), s.url.Port()
	}
	return out
}

// sent is what the clients send to the target, and the name of its Service, which the backends may know.
func (s *service) sent(q request.Request) origin.Sent {
	out := origin.Sent{Hosts: []string{s.url.Host(), s.key.Name}, Texts: []string{s.url.Path(), q.UserAgent, string(q.Data)}}
	for _, line := range q.Headers {
		if name, value, _ := reply.SplitHeader(line); strings.EqualFold(name, "Host") {
			out.Hosts = append(out.Hosts, value)
		} else {
			out.Texts = append(out.Texts, line)
		}
	}
	return out
}

// snapshots are the state of the mesh, as each target needs it.
type snapshots map[*service]*routing.Snapshot

// snapshots reads the state for some of the targets. Those that need the same share what is read.
func (r *run) snapshots(ctx context.Context, services []*service, read func(context.Context, meshstate.Query) *routing.Snapshot) snapshots {
	out := snapshots{}
	for i, s := range services {
		if at := slices.IndexFunc(services[:i], func(o *service) bool { return o.query == s.query }); at >= 0 {
			out[s] = out[services[at]]
			continue
		}
		out[s] = read(ctx, s.query)
	}
	return out
}

// read reads the state for all targets.
func (r *run) read(ctx context.Context) snapshots { return r.snapshots(ctx, r.services, r.mesh.read) }

// found returns the targets whose Service is known.
func (r *run) found() []*service {
	return slices.DeleteFunc(slices.Clone(r.services), func(s *service) bool { return !s.found })
}

// learn adds the names and addresses that identify who answers.
func (r *run) learn(snaps snapshots) {
	for s, snap := range snaps {
		s.senders.learn(snap, s.key, s.sent(r.cfg.Send.Request), r.clientClusters(s), nil)
	}
}

// findServices finds out which Services are called, and reads them in all members.
func (r *run) findServices(ctx context.Context) (snapshots, error) {
	for _, s := range r.services {
		if err := r.findHost(s); err != nil {
			return nil, err
		}
		r.findMeanings(ctx, s)
	}
	snaps := r.read(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, s := range r.services {
		r.resolve(ctx, s, snaps[s])
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := r.findURL(s, snaps[s]); err != nil {
			return nil, err
		}
	}
	return snaps, r.nameURLs()
}

func (r *run) findURL(s *service, snap *routing.Snapshot) (err error) {
	if s.URL != nil {
		return nil
	}
	clients := r.clientsOf(s)
	if clients[0].meaning.Why != "" && !s.found {
		return fmt.Errorf("%q: %s; a URL starts with %s://", s.Typed, clients[0].unnamed, r.cfg.scheme())
	}
	names := make([]string, len(clients))
	for i, c := range clients {
		names[i] = c.member.Name
	}
	s.url, err = target.URL(snap, names, s.key, r.cfg.scheme(), s.Typed)
	return err
}

// nameURLs tells each client its URL, if there are several. A Service without a port may turn out to have the URL of another target.
func (r *run) nameURLs() error {
	if len(r.services) == 1 {
		return nil
	}
	for i, s := range r.services {
		for _, o := range r.services[:i] {
			if o.url.Same(s.url) {
				return fmt.Errorf("%s and %s are the same URL %s; a run calls each URL once", o.Typed, s.Typed, s.url)
			}
		}
		for _, c := range r.clientsOf(s) {
			c.url = s.url.String()
		}
	}
	return nil
}

// findHost finds the name or address that is called.
func (r *run) findHost(s *service) (err error) {
	if s.URL == nil {
		s.host, _, err = target.SplitService(s.Typed)
		return err
	}
	s.url = *s.URL
	s.host = s.url.Host()
	if to := r.cfg.Send.Resolve; !to.IsZero() {
		s.host = to.Address.String()
	}
	return nil
}

// findMeanings finds out what the host name refers to in each client pod, and so which Services must be read.
func (r *run) findMeanings(ctx context.Context, s *service) {
	clients := r.clientsOf(s)
	for _, c := range clients {
		c.meaning = r.resolver(ctx, c.source, s.host).Meaning(s.host)
	}
	m := clients[0].meaning
	for _, c := range clients {
		if c.meaning.Why == "" {
			m = c.meaning
			break
		}
	}
	switch {
	case m.Why != "": // perhaps an address: look for it among the Services of the namespace
		s.query = meshstate.Query{Namespace: r.mesh.namespace}
	case m.Import:
		s.query = meshstate.Query{Namespace: m.Service.Namespace}
	default:
		s.query = meshstate.Query{Namespace: m.Service.Namespace, Name: m.Service.Name}
	}
}

// resolver is how the client pod looks up names. The pod's resolv.conf is read only if the result depends on it.
func (r *run) resolver(ctx context.Context, s *source, host string) target.Resolver {
	usual := target.ClusterFirst(r.mesh.namespace)
	if s.err != nil || !s.pod.OtherDNS && !target.SpellsZone(host) {
		return usual
	}
	// The helpers are started later, unless their resolv.conf is needed. One that does not start is an error of its client.
	if err := r.startHelpers(ctx); err != nil || s.err != nil {
		return usual
	}
	text, err := fanout.Within(ctx, r.mesh.timeout, s.exec().ResolvConf)
	if err == nil {
		return target.ParseResolvConf(text)
	}
	caveat := fmt.Sprintf("cannot read /etc/resolv.conf of pod %s, so %s is assumed to be the DNS zone of its cluster", s.pod.Name, usual.Zone())
	if ctx.Err() == nil && !slices.Contains(s.caveats, caveat) {
		s.caveats = append(s.caveats, caveat)
		r.ui.Warn("%s: %s", s.where(), caveat)
	}
	return usual
}

// resolve finds the Service that Cilium balances for each client: the one with this name, the one behind a ServiceImport, or the one with
// this address.
func (r *run) resolve(ctx context.Context, s *service, snap *routing.Snapshot) {
	for _, c := range r.clientsOf(s) {
		key, why := r.serviceOf(ctx, c, snap)
		switch {
		case why != "":
			c.unnamed = why
		case !s.found:
			s.key, s.found = key, true
		case s.key != key:
			c.unnamed = fmt.Sprintf("in cluster %s, %s refers to Service %s", c.member.Name, s.host, key)
		}
	}
	if s.found {
		s.query = meshstate.Query{Namespace: s.key.Namespace, Name: s.key.Name}
	}
}

// serviceOf returns the Service that the host refers to for one client, or why there is none.
func (r *run) serviceOf(ctx context.Context, c *client, snap *routing.Snapshot) (key routing.Key, why string) {
	m, host := c.meaning, c.to.host
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
	key, why = r.derived(ctx, c, snap)
	if why == "" && !c.to.found {
		r.ui.Note("%s is the ServiceImport %s; Cilium balances its derived Service %s.", host, m.Service, key.Name)
	}
	return key, why
}

// derived returns the derived Service of a ServiceImport.
func (r *run) derived(ctx context.Context, c *client, snap *routing.Snapshot) (key routing.Key, why string) {
	imported, host := c.meaning.Service, c.to.host
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
