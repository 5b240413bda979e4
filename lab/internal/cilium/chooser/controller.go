package chooser

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// settle gathers the changes that one act makes in several objects.
const settle = 5 * time.Millisecond

// Dataplane takes the backends; the node process is one.
type Dataplane interface {
	SetVIPs(ctx context.Context, vips []podwire.VIP) error
}

// Controller keeps the dataplane in step with the clusters.
type Controller struct {
	Chooser   Chooser
	Dataplane Dataplane
	// Delay is how long other clusters' news and all annotations take.
	Delay time.Duration
	// Skip are service addresses that are served otherwise: those of DNS.
	Skip []netip.Addr
	Log  io.Writer

	sources []*Source
	dirty   chan struct{}

	mu        sync.Mutex
	live      []Cluster
	published []Cluster
	pending   []publication // in order of time

	applied map[vipID][]string
}

// publication is a state of a cluster that becomes known to the others at a time.
type publication struct {
	at    time.Time
	state []Cluster
}

type vipID struct{ cluster, protocol, addr string }

// Notify says that something in a cluster may have changed. It never blocks.
func (c *Controller) Notify() {
	select {
	case c.dirty <- struct{}{}:
	default: // a run is due anyway
	}
}

// New returns a controller without clusters; Add them before Run.
func New(chooser Chooser, dataplane Dataplane, delay time.Duration, log io.Writer) *Controller {
	return &Controller{
		Chooser: chooser, Dataplane: dataplane, Delay: delay, Log: log,
		dirty: make(chan struct{}, 1), applied: map[vipID][]string{},
	}
}

// Add makes a cluster part of the mesh.
func (c *Controller) Add(s *Source) {
	c.sources = append(c.sources, s)
	gap := Cluster{Cluster: routing.Cluster{Name: s.Name, Context: s.Context, Version: s.Version, Gap: "not read yet"}}
	c.live = append(c.live, gap)
	c.published = append(c.published, gap)
}

// Run watches and applies until the context ends.
func (c *Controller) Run(ctx context.Context) {
	for _, s := range c.sources {
		s.start(ctx.Done())
		go c.notifyWhenSynced(ctx, s)
	}
	c.loop(ctx)
}

// notifyWhenSynced starts a run when a cluster has been read for the first time,
// which makes no event if it holds nothing that we watch.
func (c *Controller) notifyWhenSynced(ctx context.Context, s *Source) {
	for _, inf := range s.informers {
		select {
		case <-inf.HasSyncedChecker().Done():
		case <-ctx.Done():
			return
		}
	}
	c.Notify()
}

// loop reads when something changed, publishes when it is time, and applies after either.
func (c *Controller) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	failing := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.dirty:
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return
			}
			c.read(time.Now())
		case <-timer.C:
		}
		next := c.publish(time.Now())
		err := c.apply(ctx)
		if ctx.Err() != nil {
			return
		}
		failing = c.report(err, failing)
		if err != nil {
			next = min(next, time.Second) // try again; until then the backends of before stay
		}
		timer.Reset(next)
	}
}

// report logs an error once, and that it is over; failing is what was logged last.
func (c *Controller) report(err error, failing string) string {
	switch {
	case err == nil && failing != "":
		_, _ = fmt.Fprintln(c.Log, "chooser: backends are chosen again")
		return ""
	case err != nil && err.Error() != failing:
		_, _ = fmt.Fprintln(c.Log, "chooser: the backends stay as they are:", err)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// read takes the clusters' live state and plans its publication. A cluster's first
// state counts at once.
func (c *Controller) read(now time.Time) {
	state := make([]Cluster, len(c.sources))
	for i, s := range c.sources {
		cl, err := s.read()
		if err != nil {
			_, _ = fmt.Fprintln(c.Log, "chooser:", err)
			cl = c.live[i]
		}
		state[i] = cl
	}
	c.observe(state, now)
}

func (c *Controller) observe(state []Cluster, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = state
	for i := range state {
		if c.published[i].Gap != "" {
			c.published = slices.Clone(c.published)
			c.published[i] = state[i]
		}
	}
	c.pending = append(c.pending, publication{now.Add(c.Delay), state})
}

// publish makes known what is due and says how long the next one takes.
func (c *Controller) publish(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > 0 && !c.pending[0].at.After(now) {
		due := slices.Clone(c.pending[0].state)
		for i := range due {
			if due[i].Gap != "" {
				due[i] = c.published[i] // it was read since, and its first state counted at once
			}
		}
		c.published, c.pending = due, c.pending[1:]
	}
	if len(c.pending) == 0 {
		return time.Hour
	}
	return c.pending[0].at.Sub(now)
}

// apply chooses for the clients of every cluster and sends what differs from the last time.
func (c *Controller) apply(ctx context.Context) error {
	c.mu.Lock()
	live, published := c.live, c.published
	c.mu.Unlock()
	want := map[vipID][]string{}
	for _, s := range c.sources {
		choices, err := c.Chooser.Choose(ctx, view(live, published, s.Name), s.Name)
		if err != nil {
			return fmt.Errorf("clients of %q: %w", s.Name, err)
		}
		own := find(live, s.Name)
		for _, ch := range choices {
			svc := own.Services[ch.Service]
			if svc == nil || ch.Frontend.IPv6 {
				continue
			}
			for _, ip := range svc.ClusterIPs {
				if ip.Is4() && !slices.Contains(c.Skip, ip) {
					id := vipID{s.Name, strings.ToLower(ch.Frontend.Protocol), netip.AddrPortFrom(ip, uint16(ch.Frontend.Port.Port)).String()}
					want[id] = reachable(ch.Backends)
				}
			}
		}
	}
	var changes []podwire.VIP
	for id, backends := range want {
		if old, ok := c.applied[id]; !ok && len(backends) == 0 || ok && slices.Equal(old, backends) {
			continue
		}
		changes = append(changes, podwire.VIP{Cluster: id.cluster, Protocol: id.protocol, Addr: id.addr, Backends: backends})
	}
	for id := range c.applied {
		if _, ok := want[id]; !ok {
			changes = append(changes, podwire.VIP{Cluster: id.cluster, Protocol: id.protocol, Addr: id.addr})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	if err := c.Dataplane.SetVIPs(ctx, changes); err != nil {
		return err
	}
	for _, ch := range changes {
		id := vipID{ch.Cluster, ch.Protocol, ch.Addr}
		if len(ch.Backends) == 0 {
			delete(c.applied, id)
			continue
		}
		c.applied[id] = ch.Backends
	}
	return nil
}

// reachable are the backends that the pod network has: the API servers' own addresses are not among them.
func reachable(backends []netip.AddrPort) []string {
	var out []string
	for _, b := range backends {
		if b.Addr().Is4() && !b.Addr().IsLoopback() {
			out = append(out, b.String())
		}
	}
	slices.Sort(out)
	return out
}

func find(clusters []Cluster, name string) Cluster {
	for _, cl := range clusters {
		if cl.Name == name {
			return cl
		}
	}
	return Cluster{}
}

// Records returns what DNS answers in a cluster for a Service.
func (c *Controller) Records(cluster, namespace, name string) (Records, bool) {
	key := routing.Key{Namespace: namespace, Name: name}
	c.mu.Lock()
	live, published := c.live, c.published
	c.mu.Unlock()
	svc := find(live, cluster).Services[key]
	if svc == nil {
		return Records{}, false
	}
	if svc.Type == "ExternalName" {
		for _, s := range c.sources {
			if s.Name == cluster {
				return Records{External: s.external(key)}, true
			}
		}
	}
	if !svc.Headless {
		return Records{Addrs: svc.ClusterIPs}, true
	}
	var r Records
	r.Hosts = map[string]netip.Addr{}
	d := routing.Decide(snapshot(view(live, published, cluster)), cluster, key, routing.Frontend{})
	for _, b := range backends(d) {
		r.Addrs = append(r.Addrs, b.Addr.Addr())
		if b.Pod != "" {
			r.Hosts[b.Pod] = b.Addr.Addr()
		}
	}
	return r, true
}

// Records are the addresses of a Service's name. Hosts are those of a headless Service's pods.
type Records struct {
	Addrs    []netip.Addr
	Hosts    map[string]netip.Addr
	External string
}
