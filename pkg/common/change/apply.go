package change

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// Apply sends the pending steps, phase after phase and one after the other. Steps of one member that follow each other in a phase are read back
// together before the next member's turn. It stops at the first step that does not end well; what is left stays planned.
//
// A write that has begun is finished, and read back, within deadlines of its own when ctx is cancelled, so that its outcome is known.
func (p *Plan) Apply(ctx context.Context, o Options) error {
	err := p.apply(ctx, o)
	if err != nil {
		p.Stop()
	}
	p.cleanUp(ctx, o)
	return err
}

func (p *Plan) apply(ctx context.Context, o Options) error {
	total, done := len(p.Pending()), 0
	for _, phase := range p.Phases {
		if phase.Cleanup {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if phase.Gate != nil {
			if err := phase.Gate(ctx); err != nil {
				return err
			}
		}
		for _, group := range groups(phase.Steps) {
			if err := p.applyGroup(ctx, phase, group, o, &done, total); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// groups cuts the pending steps where the member changes.
func groups(steps []Step) [][]Step {
	var out [][]Step
	for _, s := range steps {
		if !pending(s) {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last][0].Target().Member == s.Target().Member {
			out[last] = append(out[last], s)
			continue
		}
		out = append(out, []Step{s})
	}
	return out
}

// applyGroup sends the steps of one member and reads back what was written, also where it had to stop.
func (p *Plan) applyGroup(ctx context.Context, phase *Phase, group []Step, o Options, done *int, total int) (err error) {
	var unread []Step // sent, and not read back
	for _, s := range group {
		if ctx.Err() != nil {
			break
		}
		if phase.Before != nil {
			if err = phase.Before(ctx, s); err != nil {
				if ctx.Err() == nil {
					err = p.fail(s, v1alpha1.ResultFailed, err)
				}
				break
			}
		}
		o.event(Begun, s, *done, total)
		at := *done
		told := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(told)
			o.event(Finishing, s, at, total)
		})
		var sent bool
		sent, err = p.send(ctx, s, o)
		if !stop() {
			<-told // not to be printed after the outcome
		}
		if err != nil {
			break
		}
		if sent {
			unread = append(unread, s)
		}
		*done++
		o.event(Ended, s, *done, total)
	}
	return cmp.Or(err, p.readBack(ctx, unread, o), ctx.Err())
}

// send writes one step. What the API server did not clearly answer is read back at once, to know what happened; sent says whether it is still to be read back.
func (p *Plan) send(ctx context.Context, s Step, o Options) (sent bool, err error) {
	var got metav1.Object
	err = uninterrupted(ctx, o, func(ctx context.Context) (err error) {
		got, err = s.Send(ctx, false)
		return err
	})
	switch {
	case err == nil && got == nil:
		s.Status().Result = v1alpha1.ResultUnchanged
		return false, nil
	case err == nil:
		s.Status().Written, s.Status().Result = true, v1alpha1.ResultChanged
		return true, nil
	case rejected(err):
		return false, p.fail(s, v1alpha1.ResultFailed, err)
	}
	written, readErr := decide(ctx, s, o, err)
	switch {
	case readErr != nil:
		s.Status().Written = true
		// An interrupt says more than what could not be read after it.
		return false, cmp.Or(ctx.Err(), p.fail(s, v1alpha1.ResultUnknown, fmt.Errorf("cannot determine whether it was written: %s, and it could not be read back: %w", unanswered(err), readErr)))
	case written:
		s.Status().Written, s.Status().Result = true, v1alpha1.ResultChanged
		return false, nil
	}
	return false, p.fail(s, v1alpha1.ResultFailed, fmt.Errorf("it was not written: %w", err))
}

// lateAfter is how long a write that got no answer may still be under way in the API server.
const lateAfter = 500 * time.Millisecond

// decide reads back what became of a write whose answer does not tell. An API server that has answered is done with it; one that has not may still write.
func decide(ctx context.Context, s Step, o Options, err error) (written bool, readErr error) {
	reads := 2
	if finished(err) {
		reads = 1
	}
	for n := range reads {
		if n > 0 {
			time.Sleep(lateAfter)
		}
		stored, gone, err := read(ctx, s, o)
		if err != nil {
			return false, err
		}
		if diff(s, stored, gone) == nil {
			return true, nil
		}
	}
	return false, nil
}

// unanswered says how a write ended of which the outcome is not clear.
func unanswered(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && !apierrors.IsUnexpectedServerError(err) {
		return "the API server answered: " + err.Error()
	}
	return "the API server did not answer (" + err.Error() + ")"
}

// read reads a step's object, with a deadline of its own also after an interrupt.
func read(ctx context.Context, s Step, o Options) (stored metav1.Object, gone bool, err error) {
	err = uninterrupted(ctx, o, func(ctx context.Context) (err error) {
		stored, err = s.Target().Get(ctx)
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, true, nil
	}
	return stored, false, err
}

// uninterrupted lets a request end within its deadline although the command was interrupted.
func uninterrupted(ctx context.Context, o Options, do func(context.Context) error) error {
	return fanout.Do(context.WithoutCancel(ctx), o.Timeout, do)
}

// readBack reads what was written in one member, several objects at a time, and compares it. What cannot be read is unknown: nobody saw the write.
// An interrupt says more than what could not be read after it.
func (p *Plan) readBack(ctx context.Context, steps []Step, o Options) error {
	failures, unread := make([]error, len(steps)), make([]error, len(steps))
	fanout.Parallel(context.WithoutCancel(ctx), len(steps), func(n int) {
		s := steps[n]
		stored, gone, err := read(ctx, s, o)
		if err != nil {
			unread[n] = p.fail(s, v1alpha1.ResultUnknown, fmt.Errorf("written, but it could not be read back: %w", err))
			return
		}
		d := diff(s, stored, gone)
		if d == nil {
			return
		}
		what := "an admission webhook or a controller " + d.verb("removed", "changed")
		failures[n] = p.fail(s, v1alpha1.ResultFailed, errors.New("written, but "+what))
	})
	return cmp.Or(cmp.Or(failures...), ctx.Err(), cmp.Or(unread...))
}

// diff compares what was read back with what a step does.
func diff(s Step, stored metav1.Object, gone bool) *Difference {
	deleter, ok := s.(Deleter)
	deletes := ok && deleter.Deletes()
	switch {
	case gone && deletes, deletes && replaced(s, stored):
		return nil
	case deletes && s.Target().Kind.Graceful && stored.GetDeletionTimestamp() != nil:
		return nil // its node removes it
	case gone:
		return Absent(s.Target())
	case deletes:
		return &Difference{Field: s.Target().String()}
	}
	return s.Diff(stored)
}

// replaced reports whether an object is not the one that a step deletes: what controls it was faster than the read-back.
func replaced(s Step, stored metav1.Object) bool {
	i, ok := s.(Identified)
	return ok && i.UID() != "" && stored.GetUID() != i.UID()
}

// fail settles a step and names its object.
func (p *Plan) fail(s Step, result string, err error) error {
	err = s.Target().Redact(err)
	settle(s, result, err.Error())
	return fmt.Errorf("cluster %q: %s %s: %w", s.Target().Member.Name, p.Action, s.Target(), err)
}

// cleanUp sends the steps of the cleanup phases, whatever happened before.
func (p *Plan) cleanUp(ctx context.Context, o Options) {
	for _, phase := range p.Phases {
		if !phase.Cleanup {
			continue
		}
		for _, s := range phase.Steps {
			err := uninterrupted(ctx, o, func(ctx context.Context) error {
				_, err := s.Send(ctx, false)
				return err
			})
			if err == nil {
				continue
			}
			s.Status().Result, s.Status().Message = v1alpha1.ResultFailed, s.Target().Redact(err).Error()
			if part, ok := s.(Part); ok {
				note(part.Serves().Status(), s.Status().Message)
			}
		}
	}
}

// note adds a sentence to an outcome.
func note(o *Outcome, text string) {
	if o.Message != "" {
		text = o.Message + "; " + text
	}
	o.Message = text
}
