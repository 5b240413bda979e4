package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// patience is how long a start waits for a connection that is being made again.
const patience = 30 * time.Second

// connected lets a rotation begin in a mesh of which a client connects again at that moment. What stays disconnected is refused afterwards.
func (r *run) connected(ctx context.Context) error {
	for end := r.Clock.Now().Add(patience); r.Action == Start && !r.m.started && Method(r.Method) != Emergency && r.Clock.Now().Before(end); {
		lost := ""
		for _, c := range r.m.clusters {
			for _, text := range r.m.lost(c) {
				lost = c.Member.Name + ": " + text
			}
		}
		if lost == "" {
			return nil
		}
		if r.said != lost {
			r.said = lost
			r.ui.Say("Waiting for up to %s: %s", patience, lost)
		}
		if err := r.Clock.Sleep(ctx, r.Poll); err != nil {
			return err
		}
		if err := r.again(ctx); err != nil && !errors.Is(err, errAgain) {
			return err
		}
	}
	return nil
}

// await looks until the gate of a phase is open. It returns false when another phase is to be done instead.
func (r *run) await(ctx context.Context, phase Phase) (bool, error) {
	var unread error
	for end := r.Clock.Now().Add(r.Wait); ; {
		missing := r.m.missing(phase.Gate, phase, r.Quiet)
		if unread != nil { // what was read before is not judged any more
			missing = []string{unread.Error()}
		}
		r.report.Waiting = missing
		without := r.m.without()
		if len(missing) == 0 {
			if without != "" && phase.Gate != (Gate{}) {
				r.ui.Warn("phase %q begins although this is ignored: %s", phase.Kind, without)
			}
			return true, nil
		}
		if without != "" {
			without = "; ignored: " + without
		}
		if text := strings.Map(withoutDigits, missing[0]); r.said != text { // not again for every second that is left
			r.said = text
			r.ui.Say("Waiting before phase %q: %s%s%s", phase.Kind, missing[0], more(len(missing)-1), without)
		}
		if r.Clock.Now().After(end) {
			trust := "and the clusters trust each other"
			if r.m.method == Emergency {
				trust = "but clusters may not accept each other until the rotation has ended"
			}
			return false, fmt.Errorf("%w (%s, --wait); what was written is safe, %s. Go on with: %s", ErrWaiting, r.Wait, trust, r.command(r.goOn()))
		}
		if err := r.hold(ctx); err != nil {
			return false, err
		}
		if err := r.Clock.Sleep(ctx, r.Poll); err != nil {
			return false, err
		}
		if unread = r.again(ctx); unread != nil {
			if !errors.Is(unread, errAgain) {
				return false, unread
			}
			continue
		}
		if now := r.next(); now.Kind != phase.Kind || !slices.Equal(now.Clusters, phase.Clusters) || now.Leaf != phase.Leaf || now.Trust != phase.Trust {
			return false, nil
		}
	}
}

// errAgain says that a reading failed, and may succeed when it is tried again.
var errAgain = errors.New("not everything could be read")

// again reads while a command waits. One request that failed does not end it.
func (r *run) again(ctx context.Context) error {
	err := r.read(ctx)
	if err == nil || ctx.Err() != nil || r.m == nil {
		return err
	}
	if r.m.started && r.Action != Status && r.m.strangers() != nil || r.m.started && r.m.complete(r.Ignore) != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errAgain, err)
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' || r == 'm' {
		return -1
	}
	return r
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// settle waits until the processes have done what the writes of a phase make them do.
func (r *run) settle(ctx context.Context, left func() []string) error {
	for end := r.Clock.Now().Add(r.Wait); ; {
		if err := r.Clock.Sleep(ctx, r.Poll); err != nil {
			return err
		}
		err := r.again(ctx)
		if err != nil && !errors.Is(err, errAgain) {
			return err
		}
		missing := left()
		if err != nil {
			missing = []string{err.Error()}
		}
		if r.report.Waiting = missing; len(missing) == 0 {
			return nil
		}
		if r.Clock.Now().After(end) {
			return fmt.Errorf("%w (%s, --wait): %s. Go on with: %s", ErrWaiting, r.Wait, missing[0], r.command(r.goOn()))
		}
		if err := r.hold(ctx); err != nil {
			return err
		}
	}
}
