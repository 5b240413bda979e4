package drill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// baselineSlack is how much longer than --baseline a client may take to begin.
const baselineSlack = 20 * time.Second

// carryOut watches the clients, takes the backends away, restores them, and reports. Whatever happens once the first write may have been sent, it
// restores.
func (r *run) carryOut(ctx context.Context) (*Report, error) {
	t := r.Times
	longest := max(t.Baseline, r.Probe.Send.Timeout) + baselineSlack + t.Hold + r.RestoreWithin + t.Return + t.Tail + time.Minute
	if err := r.begin(ctx, longest); err != nil {
		return r.refused(ctx, err)
	}
	defer r.endWatch()
	r.ui.Note("All clients get answers. Taking the backends away.")
	err := r.takeAway(ctx)
	if err == nil {
		err = r.hold(ctx)
	}
	restoreErr := r.giveBack(ctx)
	r.recordMarks() // not before: a disk that hangs must not keep the backends away
	if err == nil && restoreErr == nil {
		err = r.awaitReturn(ctx)
	}
	r.endWatch()
	return r.conclude(ctx, err, restoreErr)
}

// endWatch ends the requests. It may be called several times.
func (r *run) endWatch() {
	r.watch.end(2*r.Probe.Send.Timeout + 15*time.Second)
	if r.marks.end.IsZero() {
		r.marks.end = history.Steady(r.Now())
	}
}

// begin starts the requests and waits for the baseline. If --rate was not given and the clients do not keep it, it begins again with a lower one.
func (r *run) begin(ctx context.Context, longest time.Duration) error {
	for lower := r.LowerRates; ; lower = lower[1:] {
		send, kept := r.Probe, &pendingRecord{to: r.Probe.Recorder, done: len(lower) == 0}
		if kept.to != nil {
			send.Recorder = kept
		}
		ui := &attemptUI{UI: r.ui}
		r.watch = r.start(ctx, send, fixed{r.sel, r.Namespace}, ui, longest)
		slow, err := r.baseline(ctx, len(lower) > 0)
		ui.discarded.Store(len(slow) > 0)
		if err != nil || len(slow) > 0 {
			r.endWatch()
		}
		if len(slow) == 0 {
			kept.release()
			return err
		}
		r.ui.Note("Note: clients in %s cannot keep %v requests per second. The baseline begins again with %v (--rate).", strings.Join(slow, ", "), r.Probe.Send.Rate, lower[0])
		r.Probe.Send.Rate, r.marks.end = lower[0], time.Time{}
	}
}

// attemptUI shows no warnings about requests that are discarded.
type attemptUI struct {
	UI

	discarded atomic.Bool
}

// Warn implements probe.UI.
func (u *attemptUI) Warn(format string, args ...any) {
	if !u.discarded.Load() {
		u.UI.Warn(format, args...)
	}
}

// baseline waits until every client was answered for a while in time and without a failure, and by the drilled cluster where the drill is to change
// that. Nothing was written before. If the rate may be lowered, it returns the clusters whose clients do not keep it as soon as that is known.
func (r *run) baseline(ctx context.Context, lower bool) (slow []string, err error) {
	long := max(r.Times.Baseline, r.Probe.Send.Timeout) // a request that hangs fails after the time limit only
	r.ui.Note("Watching the clients in %s for %s before the drill.", strings.Join(r.clients, ", "), long)
	want := ready{clients: r.clients, affected: r.forecast.affected, cluster: r.target.Name, long: long, late: sender.LateAfter(r.Probe.Send.Rate)}
	err = r.watch.wait(ctx, r.Now().Add(long+baselineSlack), func(seen map[pod][]history.Request) bool {
		if len(want.missing(seen)) == 0 {
			return true
		}
		if lower {
			slow = want.tooSlow(seen)
		}
		return len(slow) > 0
	})
	switch {
	case errors.Is(err, errEnded):
		return nil, fmt.Errorf("%w; nothing was changed", r.watch.failure())
	case errors.Is(err, errLate):
		return nil, fmt.Errorf("the clients are not ready for a drill: %s; nothing was changed", names(want.missing(r.watch.seen())))
	}
	return slow, err
}

// takeAway writes the record and the objects, and notes when the first object was written.
func (r *run) takeAway(ctx context.Context) error {
	first := firstWrite{now: r.Now}
	o := r.Change
	o.Events = first.heed
	err := r.changes().Apply(ctx, o)
	r.marks.write = first.time()
	if err == nil && r.marks.write.IsZero() {
		return errors.New("nothing was taken away: the backends were gone already")
	}
	return err
}

// hold waits while the backends are away. It ends early if no more requests come.
func (r *run) hold(ctx context.Context) error {
	r.ui.Note("The backends are being taken away. Watching the clients for %s (--hold).", r.Times.Hold)
	err := r.watch.wait(ctx, r.marks.write.Add(r.Times.Hold), never)
	switch {
	case errors.Is(err, errLate):
		return nil
	case errors.Is(err, errEnded):
		return fmt.Errorf("the requests ended while the backends were away: %w", r.watch.failure())
	}
	return err
}

// giveBack restores the previous values and deletes the record, also after an interrupt, and tries again while an API server does not answer. After an
// eviction it only deletes the record.
func (r *run) giveBack(ctx context.Context) error {
	if r.record.Member == nil && r.store.Result != v1alpha1.ResultUnknown {
		return nil // the record was not stored, so nothing was written
	}
	switch {
	case ctx.Err() != nil && r.With == drillrecord.Evict:
		r.ui.Note("Interrupted. Deleting the record of the drill first. A second interrupt ends the drill at once, without deleting it; then run: %s", r.repair())
	case ctx.Err() != nil:
		r.ui.Note("Interrupted. Restoring the previous values first. A second interrupt ends the drill at once, without restoring; then run: %s", r.repair())
	}
	rec := *r.record
	rec.Member = r.target
	r.restored = newRestoration(&rec, r.Write, r.ui)
	err := r.restored.run(context.WithoutCancel(ctx))
	r.marks.restore = r.restored.writes.time()
	if err == nil && r.marks.restore.IsZero() {
		r.marks.restore = history.Steady(r.Now()) // there was nothing to write
	}
	return err
}

// awaitReturn waits until the drilled cluster answers every client that it answered before, and a little longer.
func (r *run) awaitReturn(ctx context.Context) error {
	done := "The restoration is done."
	if r.With == drillrecord.Evict {
		done = "The drill does not replace evicted pods: their controller does."
	}
	r.ui.Note("%s Waiting until %s answers again, at most %s (--return-timeout).", done, r.target.Name, r.Times.Return)
	err := r.watch.wait(ctx, r.Now().Add(r.Times.Return), func(seen map[pod][]history.Request) bool { return r.back(seen) })
	if err == nil {
		err = r.watch.wait(ctx, r.Now().Add(r.Times.Tail), never)
	}
	switch {
	case errors.Is(err, errLate) && r.isBack():
		return nil
	case errors.Is(err, errLate):
		return fmt.Errorf("%s did not answer every client again within %s (--return-timeout)", r.target.Name, r.Times.Return)
	case errors.Is(err, errEnded):
		return fmt.Errorf("the requests ended before %s answered again: %w", r.target.Name, r.watch.failure())
	}
	return err
}

// isBack reports whether the drilled cluster has answered every client again, also by answers whose sender is known only once the requests have ended.
func (r *run) isBack() bool {
	if r.back(r.watch.seen()) {
		return true
	}
	r.endWatch()
	return r.back(r.watch.attributed())
}

// back reports whether the drilled cluster has answered every client that is affected since the values were restored.
func (r *run) back(seen map[pod][]history.Request) bool {
	for at, requests := range seen {
		if r.forecast.affected[at.cluster] && !slices.ContainsFunc(requests, func(q history.Request) bool {
			return q.OK() && q.Cluster == r.target.Name && !q.From().Before(r.marks.restore)
		}) {
			return false
		}
	}
	return len(seen) > 0
}

// observed describes what each client saw.
func (r *run) observed() []observation {
	if r.watch == nil {
		return nil
	}
	seen := r.watch.attributed()
	pods := slices.SortedFunc(maps.Keys(seen), func(a, b pod) int {
		return compareClients(r.clients, a, b)
	})
	var out []observation
	for _, at := range pods {
		c := analyse(seen[at], r.marks, r.forecast.affected[at.cluster])
		c.Cluster, c.Pod = at.cluster, at.name
		r.watch.complete(&c)
		out = append(out, c)
	}
	nameClients(out)
	return out
}
