package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

type pod struct{ cluster, name string }

// watch is the probe that runs during a drill, and what it has seen so far.
type watch struct {
	mu       sync.Mutex
	requests map[pod][]history.Request

	stop   chan struct{} // ends the sending
	once   sync.Once
	done   chan struct{} // closed when the probe has ended
	cancel context.CancelFunc
	report *probe.Report // read after done
	err    error
}

// fixed is a selection that was made already.
type fixed struct {
	selection *clusters.Selection
	namespace func(*clusters.Member) string
}

// Select implements probe.Mesh.
func (f fixed) Select(context.Context) (*clusters.Selection, error) {
	s := *f.selection
	s.Warnings, s.Notes = nil, nil // they were shown
	return &s, nil
}

// Namespace implements probe.Mesh.
func (f fixed) Namespace(home *clusters.Member) string { return f.namespace(home) }

// follow is how often the state is read: the names of pods that start during a drill must be known before they answer.
const follow = 250 * time.Millisecond

// starter begins to send requests from all clients, for a time at the longest.
type starter func(ctx context.Context, cfg probe.Config, mesh probe.Mesh, ui probe.UI, longest time.Duration) *watch

// startWatch begins to send requests from all clients. An interrupt of the drill does not end it: the backends are restored first.
func startWatch(ctx context.Context, cfg probe.Config, mesh probe.Mesh, ui probe.UI, longest time.Duration) *watch {
	w := &watch{requests: map[pod][]history.Request{}, stop: make(chan struct{}), done: make(chan struct{})}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	cfg.Mesh, cfg.Observe, cfg.FollowEvery, cfg.Clients.NoHelper = mesh, w.observe, follow, true
	// An open loop: requests that wait for a dead backend must not hold back those that would show when another one answers.
	cfg.Send.Schedule, cfg.Send.Stop, cfg.Send.Count, cfg.Send.Duration, cfg.MaxCount = true, w.stop, 0, longest, 0
	go func() {
		defer close(w.done)
		w.report, w.err = probe.Run(ctx, cfg, ui)
	}()
	return w
}

func (w *watch) observe(r history.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := pod{r.Client, r.Pod}
	w.requests[at] = append(w.requests[at], r)
}

// seen returns what every client has seen so far.
func (w *watch) seen() map[pod][]history.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.requests)
}

// attributed is seen with all that is known by now about who answered: the names of pods may have been learnt after their answers. It is called once
// the requests have ended.
func (w *watch) attributed() map[pod][]history.Request {
	if w.report == nil || w.report.Requests == nil {
		return w.seen()
	}
	out := map[pod][]history.Request{}
	for r := range w.report.Requests.All() {
		at := pod{r.Client, r.Pod}
		out[at] = append(out[at], r)
	}
	return out
}

// look is how often a condition is checked.
const look = 50 * time.Millisecond

var (
	errEnded = errors.New("the requests ended early")
	errLate  = errors.New("the time limit is over")
)

// wait returns nil when the condition holds, errEnded when no more requests come, errLate after the deadline, and the error of the context.
func (w *watch) wait(ctx context.Context, deadline time.Time, condition func(map[pod][]history.Request) bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if condition(w.seen()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.done:
			return errEnded
		case now := <-tick.C:
			if now.After(deadline) {
				return errLate
			}
		}
	}
}

// never is the condition for waiting until a time.
func never(map[pod][]history.Request) bool { return false }

// end ends the sending and waits for the last replies, up to a limit.
func (w *watch) end(limit time.Duration) {
	w.once.Do(func() { close(w.stop) })
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		w.cancel()
		<-w.done
	}
	w.cancel()
}

// failure is why the probe did not begin, or ended early.
func (w *watch) failure() error {
	select {
	case <-w.done:
	default:
		return nil
	}
	if w.err == nil {
		return errEnded
	}
	return w.err
}

// ready is what the clients must show before anything is written.
type ready struct {
	clients  []string        // the clusters whose clients send requests
	affected map[string]bool // those of them that the drill affects
	cluster  string          // the drilled cluster
	long     time.Duration   // for how long they must have been seen
	// late is the longest lag of a request that is in time. 0 means that the requests have no schedule.
	late time.Duration
}

// missing says for each client cluster what is missing. It is empty if the drill may begin.
func (b ready) missing(seen map[pod][]history.Request) []string {
	var out []string
	for _, name := range b.clients {
		n := 0
		for at, requests := range seen {
			if at.cluster != name || len(requests) == 0 {
				continue
			}
			n++
			if why := b.lacks(requests, b.affected[name]); why != "" {
				out = append(out, fmt.Sprintf("clients in %s: %s", name, why))
			}
		}
		if n == 0 {
			out = append(out, fmt.Sprintf("clients in %s: no request has ended", name))
		}
	}
	slices.Sort(out)
	return out
}

// lateShare is the share of the requests that may start late before a drill. With more, the longest time without an answer would measure the pod rather
// than the mesh.
const lateShare = 0.1

// lacks says why the requests of one client are not enough. Only the last ones must be in time and without a failure: what fails without the drill
// would be mistaken for what the drill does.
func (b ready) lacks(requests []history.Request, affected bool) string {
	first, last := span(requests)
	ok, from, recent, failed, late := 0, 0, 0, 0, 0
	var class reply.Class
	for _, r := range requests {
		if !r.From().Before(last.Add(-b.long)) {
			if recent++; !r.OK() {
				failed++
				class = r.Class
			}
			if b.late > 0 && r.Lag > b.late {
				late++
			}
		}
		if r.OK() {
			if ok++; r.Cluster == b.cluster {
				from++
			}
		}
	}
	switch {
	case ok == 0:
		return fmt.Sprintf("none of %d requests was answered (%s)", len(requests), requests[len(requests)-1].Class)
	case affected && from == 0:
		return fmt.Sprintf("%d answers, none of them from %s, although the prediction expects some; if the replies do not tell who sent them, use --identify", ok, b.cluster)
	case last.Sub(first) < b.long:
		return fmt.Sprintf("its requests do not cover --baseline %s yet", b.long)
	case failed > 0:
		return fmt.Sprintf("%d of the last %d requests failed without the drill (%s)", failed, recent, class)
	case float64(late) > lateShare*float64(recent):
		return fmt.Sprintf("%d of the last %d requests started late, because the pod cannot keep --rate; use a lower --rate", late, recent)
	}
	return ""
}

// starting is how long a pod may be late at first, and settled how long its requests must cover until they show whether it keeps the rate.
const starting, settled = 2 * time.Second, 5 * time.Second

// tooSlow returns the clusters with a client pod that does not keep the rate, whether or not its requests fail.
func (b ready) tooSlow(seen map[pod][]history.Request) []string {
	var out []string
	for _, name := range b.clients {
		if slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(at pod) bool { return at.cluster == name && b.behind(seen[at]) }) {
			out = append(out, name)
		}
	}
	return out
}

// behind reports whether too many requests of one client started late, after its first two seconds.
func (b ready) behind(requests []history.Request) bool {
	if b.late <= 0 || len(requests) == 0 {
		return false
	}
	first, last := span(requests)
	all, late := 0, 0
	for _, r := range requests {
		if r.From().Sub(first) >= starting {
			if all++; r.Lag > b.late {
				late++
			}
		}
	}
	return last.Sub(first) >= settled && float64(late) > lateShare*float64(all)
}

// span is when the first and the last of the requests should have started.
func span(requests []history.Request) (first, last time.Time) {
	first, last = requests[0].From(), requests[0].From()
	for _, r := range requests {
		if r.From().Before(first) {
			first = r.From()
		}
		if r.From().After(last) {
			last = r.From()
		}
	}
	return first, last
}

// names joins the parts of a message.
func names(parts []string) string { return strings.Join(parts, "; ") }

// complete adds what the probe's own report says about a client.
func (w *watch) complete(c *observation) {
	c.Reason = "its requests did not end"
	if w.report == nil {
		if w.err != nil {
			c.Reason = w.err.Error()
		}
		return
	}
	for _, p := range w.report.Document.Clients {
		if p.Cluster == c.Cluster && p.Pod == c.Pod {
			c.Node, c.Tool, c.Complete, c.Reason, c.Warnings = p.Node, p.Tool, p.Complete, p.Reason, p.Warnings
			if p.Schedule != nil {
				c.dropped = p.Schedule.Dropped
			}
		}
	}
}

// compareClients orders client pods by the order of their clusters, then by name.
func compareClients(clusters []string, a, b pod) int {
	return cmp.Or(cmp.Compare(slices.Index(clusters, a.cluster), slices.Index(clusters, b.cluster)), cmp.Compare(a.name, b.name))
}
