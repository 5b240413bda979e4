package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	discoveryclient "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

// watchers see what the rotation does to others.
type watchers struct {
	l    *lab
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	attempts []attempt
	seen     []sighting
	failures []error
	made     map[string]sighting  // by address
	last     map[string]time.Time // by cluster and address: when it was first seen
	asked    map[string]time.Time // by cluster: when an agent was last asked
	ended    time.Time            // when the watchers were stopped
}

// attempt is a line of the observer; lab/internal/nodes/observe writes it.
type attempt struct {
	Start, Took    int64
	Cluster, Error string
	from           string // the cluster of the client
}

// sighting is one change of an endpoint: when it was made, and when another cluster's agent had it.
type sighting struct {
	from, to   string
	made, seen time.Time
	before     time.Time // when that agent was asked before, zero if it was not
}

// took is how long a change took to be seen. It may have arrived right after the look before.
func (s sighting) took() time.Duration {
	took := s.seen.Sub(s.made)
	if s.before.IsZero() {
		return took
	}
	return max(0, took-min(lookTime, s.seen.Sub(s.before)))
}

func (l *lab) watch(ctx context.Context) *watchers {
	ctx, stop := context.WithCancel(ctx)
	w := &watchers{l: l, stop: stop, made: map[string]sighting{}, last: map[string]time.Time{}, asked: map[string]time.Time{}}
	for n, c := range l.clusters {
		w.done.Go(func() { w.note(ctx, w.requests(ctx, c)) })
		w.done.Go(func() { w.note(ctx, w.moves(ctx, n, c)) })
		w.done.Go(func() { w.note(ctx, w.agents(ctx, c)) })
	}
	return w
}

// note keeps the error of a watcher. None may end before it is stopped: what it does not see would look like silence.
func (w *watchers) note(ctx context.Context, err error) {
	if ctx.Err() == nil {
		err = cmp.Or(err, errors.New("a watcher has ended"))
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failures = append(w.failures, err)
		_, _ = fmt.Fprintln(w.l.out, "watcher:", err)
	}
}

// requests lets a pod of a cluster call the Service.
func (w *watchers) requests(ctx context.Context, c labclient.Cluster) error {
	cmd := w.l.command(ctx, "--context", c.Context, "exec", "observer", "--", "/lab", "observe", "-every="+every.String(), "-for=2h", "http://rotation."+namespace+".svc.cluster.local/")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("observer in %s: %w: %s", c.Name, err, lines.Text())
		}
		a.from = c.Name
		w.mu.Lock()
		w.attempts = append(w.attempts, a)
		w.mu.Unlock()
	}
	return cmd.Wait()
}

// moves changes the only endpoint of a Service of a cluster, and looks for it in the others.
func (w *watchers) moves(ctx context.Context, index int, c labclient.Cluster) error {
	api := c.Client.DiscoveryV1().EndpointSlices(namespace)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "moving", Labels: map[string]string{discoveryv1.LabelServiceName: "moving"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](80)}},
	}
	for n := 0; ctx.Err() == nil; n++ {
		address := fmt.Sprintf("198.18.%d.%d", index*64+n/250%64, 1+n%250) // of a range for benchmarks
		slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{address}}}
		made := time.Now()
		w.mu.Lock()
		w.made[address] = sighting{from: c.Name, made: made}
		w.mu.Unlock()
		if err := w.write(ctx, api, slice, address); err != nil {
			return fmt.Errorf("move the endpoint of %s: %w", c.Name, err)
		}
		for ctx.Err() == nil && !w.visible(address, c.Name) {
			time.Sleep(look)
		}
		if rest := move - time.Since(made); rest > 0 {
			time.Sleep(rest)
		}
	}
	return nil
}

// script prints the addresses of the moving endpoints that an agent has, once a second.
const script = `while sleep 1; do cilium-dbg bpf lb list --backends | grep -o '198[.]18[.][0-9.]*' | sort -u | tr '\n' ' '; echo; done`

// agents reads what an agent of a cluster has. If the agent is replaced, it reads what the new agent has. If no agent can be read any more, no change is
// seen.
func (w *watchers) agents(ctx context.Context, c labclient.Cluster) error {
	for ctx.Err() == nil {
		if err := w.agent(ctx, c); err != nil && ctx.Err() == nil {
			_, _ = fmt.Fprintf(w.l.out, "the agent of %s that was read has ended (%v)\n", c.Name, err)
		}
		time.Sleep(look)
	}
	return nil
}

// agent reads until the agent ends.
func (w *watchers) agent(ctx context.Context, c labclient.Cluster) error {
	cmd := w.l.command(ctx, "--context", c.Context, "-n", "kube-system", "exec", "ds/cilium", "-c", "cilium-agent", "--", "sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		now := time.Now()
		w.mu.Lock()
		before := w.asked[c.Name]
		w.asked[c.Name] = now
		for _, address := range strings.Fields(lines.Text()) {
			if s, ok := w.made[address]; ok && s.from != c.Name && w.last[c.Name+" "+address].IsZero() {
				w.last[c.Name+" "+address] = now
				w.seen = append(w.seen, sighting{from: s.from, to: c.Name, made: s.made, seen: now, before: before})
			}
		}
		w.mu.Unlock()
	}
	return cmd.Wait()
}

// write creates or updates the slice. An API server of a busy machine times out now and then; what it did then is not known, so the write is repeated
// and counts from its last attempt.
func (w *watchers) write(ctx context.Context, api discoveryclient.EndpointSliceInterface, slice *discoveryv1.EndpointSlice, address string) (err error) {
	const attempts = 5
	for range attempts {
		w.mu.Lock()
		s := w.made[address]
		s.made = time.Now()
		w.made[address] = s
		w.mu.Unlock()
		if _, err = api.Update(ctx, slice, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
			_, err = api.Create(ctx, slice, metav1.CreateOptions{})
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		_, _ = fmt.Fprintln(w.l.out, "watcher: an endpoint is written again:", err)
		time.Sleep(look)
	}
	return err
}

// visible reports whether all other clusters have an endpoint.
func (w *watchers) visible(address, from string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.l.clusters {
		if c.Name != from && w.last[c.Name+" "+address].IsZero() {
			return false
		}
	}
	return true
}

// patience is how long a mesh may take until everything is seen and answered.
const patience = 5 * time.Minute

// ready waits until requests are answered in all clusters, and each cluster has seen a change of each other one since a moment.
func (w *watchers) ready(ctx context.Context, since time.Time) error {
	pairs := len(w.l.clusters) * (len(w.l.clusters) - 1)
	for end := time.Now().Add(patience); ctx.Err() == nil; time.Sleep(look) {
		seen := w.pairs(since)
		answered, err := w.answered()
		switch {
		case err != nil:
			return err
		case seen == pairs && answered:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("the mesh does not work: %d of %d pairs see changes; the last requests were all answered: %v", seen, pairs, answered)
		}
	}
	return ctx.Err()
}

// pairs counts the pairs of which one has seen a change of the other since a moment.
func (w *watchers) pairs(since time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{}
	for _, s := range w.seen {
		if s.seen.After(since) {
			seen[s.from+s.to] = true
		}
	}
	return len(seen)
}

// blind are the clusters of which no agent was asked since a moment.
func (w *watchers) blind(since time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, c := range w.l.clusters {
		if !w.asked[c.Name].After(since) {
			out = append(out, c.Name)
		}
	}
	return out
}

// answered reports whether the last 200 requests were.
func (w *watchers) answered() (bool, error) {
	const enough = 200
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.attempts[max(0, len(w.attempts)-enough):]
	return len(last) == enough && !slices.ContainsFunc(last, func(a attempt) bool { return a.Error != "" }), errors.Join(w.failures...)
}

// end stops all watchers.
func (w *watchers) end() {
	w.ended = time.Now()
	w.stop()
	w.done.Wait()
}

// between counts the requests that were under way between two times. unclear are those that timed out while the observer itself stood still: that says
// something of the machine, and nothing of the mesh.
func (w *watchers) between(from, to time.Time) (all, failed, unclear int) {
	for _, a := range w.attempts {
		if a.Start+a.Took < from.UnixMilli() || a.Start > to.UnixMilli() {
			continue
		}
		all++
		switch {
		case a.Error == "":
		case a.Error == "timeout" && w.stoodStill(a):
			unclear++
		default:
			failed++
		}
	}
	return all, failed, unclear
}

// still is a pause between two attempts of an observer that only a machine without time for it explains. They begin every 20 ms.
const still = 500 * time.Millisecond

// stoodStill reports whether the client of an attempt began no other one for a while before it ended.
func (w *watchers) stoodStill(a attempt) bool {
	var starts []int64
	for _, other := range w.attempts {
		if other.from == a.from && other.Start >= a.Start && other.Start <= a.Start+a.Took {
			starts = append(starts, other.Start)
		}
	}
	starts = append(starts, a.Start+a.Took)
	slices.Sort(starts)
	for n := range starts[1:] {
		if starts[n+1]-starts[n] >= still.Milliseconds() {
			return true
		}
	}
	return false
}

// lost describes the requests that have failed since a moment, and when each cluster saw a change of each other one.
func (w *watchers) lost(since time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	failed, errs := 0, map[string]int{}
	var first, last time.Duration
	for _, a := range w.attempts {
		at := time.UnixMilli(a.Start).Sub(since)
		if a.Error == "" || at < 0 {
			continue
		}
		if failed++; failed == 1 {
			first = at
		}
		last = at
		errs[a.Error]++
	}
	text := fmt.Sprintf("%d requests failed that began %.1f s to %.1f s after the start: %v", failed, first.Seconds(), last.Seconds(), errs)
	seen := map[string]bool{}
	for _, s := range w.seen {
		if pair := s.to + " saw " + s.from; s.seen.After(since) && !seen[pair] {
			seen[pair] = true
			text += fmt.Sprintf("; %s after %.1f s", pair, s.seen.Sub(since).Seconds())
		}
	}
	return text
}

// gaps are the longest times that a change took to be seen: all of them, and those in which nothing was restarted from the change on. A change that
// nobody has seen was on its way until the end.
func (w *watchers) gaps(from, to time.Time, calm func(time.Time) bool) (longest, undisturbed time.Duration) {
	for _, s := range append(w.unseen(), w.seen...) {
		if s.seen.Before(from) || s.made.After(to) {
			continue
		}
		took := s.took()
		longest = max(longest, took)
		if calm(s.made) && calm(s.seen) {
			undisturbed = max(undisturbed, took)
		}
	}
	return longest, undisturbed
}

// unseen are the changes that another cluster has not seen until the end.
func (w *watchers) unseen() []sighting {
	var out []sighting
	for address, s := range w.made {
		for _, c := range w.l.clusters {
			if c.Name != s.from && w.last[c.Name+" "+address].IsZero() {
				out = append(out, sighting{from: s.from, to: c.Name, made: s.made, seen: w.ended})
			}
		}
	}
	return out
}
