package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
)

// Recorder keeps what happens while it happens. Its methods are called by one client at a time and must not block for long.
type Recorder interface {
	// Begin is called before the first request, with what is known then and the checks that will be judged.
	Begin(doc v1alpha1.ProbeReport, checks []string)
	// Request is called as Config.Observe is.
	Request(r history.Request)
	// Attributed says who sent the replies of a client with this number. The sender was unknown when they arrived.
	Attributed(by history.Client, reply int, from origin.Match)
	// Mark is called when a command starts, and again when it has ended.
	Mark(m v1alpha1.ProbeMark)
}

// Mark is a text on the timeline, at a time after the first request.
type Mark struct {
	After time.Duration
	Text  string
}

// Action is done once while requests are sent, at a time after the first request. Its start and its end are on the timeline.
type Action struct {
	After time.Duration
	// Command is what a reader of the report sees.
	Command string
	// Run does it and returns its exit code. An error says that it could not be started, or was ended by the context.
	Run func(ctx context.Context) (exitCode int, err error)
}

// events are the marks of a run.
type events struct {
	first sync.Once
	begun chan struct{} // closed with the first request

	marks  []v1alpha1.ProbeMark // guarded by run.mu
	failed error                // why the action proves nothing
}

// act does the action of the run. The function that it returns waits until it has ended; no request is sent any more then.
func (r *run) act(ctx context.Context) (wait func()) {
	a := r.cfg.Action
	if a == nil {
		return func() {}
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if !r.due(ctx, a.After, over) {
			if ctx.Err() == nil {
				longer := "--count"
				if r.cfg.Send.Duration > 0 {
					longer = "--duration"
				}
				r.events.failed = fmt.Errorf("the run ended before the command of --mark-on was due (--mark-after %s); raise %s, or lower --mark-after", a.After, longer)
			}
			return
		}
		r.perform(ctx, a)
	}()
	return func() {
		close(over)
		select {
		case <-ended:
			return
		case <-time.After(time.Second):
			r.ui.Note("All requests were sent. Waiting for the command of --mark-on to end.")
		}
		<-ended
	}
}

// due waits for a time after the first request. It returns false if the run is over before.
func (r *run) due(ctx context.Context, after time.Duration, over <-chan struct{}) bool {
	select {
	case <-r.events.begun:
	case <-over:
		return false
	case <-ctx.Done():
		return false
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
	case <-ctx.Done():
	}
	return false
}

// perform does the action and marks its start and its end.
func (r *run) perform(ctx context.Context, a *Action) {
	m := v1alpha1.ProbeMark{Time: history.Steady(time.Now()).UTC(), Text: a.Command, Command: a.Command}
	r.mark(m)
	code, err := a.Run(ctx)
	end := history.Steady(time.Now()).UTC()
	m.EndTime = &end
	if err == nil {
		m.ExitCode = &code
	}
	r.mark(m)
	switch {
	case err != nil && ctx.Err() == nil:
		r.events.failed = fmt.Errorf("the command of --mark-on did not run: %w", err)
	case err == nil && code != 0:
		r.events.failed = fmt.Errorf("the command of --mark-on failed with exit code %d; the run does not show its effect", code)
	}
}

// mark adds a mark, or replaces the one of the same moment.
func (r *run) mark(m v1alpha1.ProbeMark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.events.marks); n > 0 && r.events.marks[n-1].Time.Equal(m.Time) {
		r.events.marks = r.events.marks[:n-1]
	}
	r.events.marks = append(r.events.marks, m)
	if r.cfg.Recorder != nil {
		r.cfg.Recorder.Mark(m)
	}
}

// allMarks returns the marks in the order of time. Marks after the end of the run are left out with a warning.
func (r *run) allMarks() []v1alpha1.ProbeMark {
	first, last := r.history.Span()
	for _, m := range r.cfg.Marks {
		if r.history.Len() > 0 && first.Add(m.After).After(last) {
			r.ui.Warn("--mark %s=%s is after the last request, which started %.1fs after the first; the mark is left out", m.After, m.Text, last.Sub(first).Seconds())
		}
	}
	return r.marksUntil(last)
}

// marksUntil returns the marks up to a moment, in the order of time.
func (r *run) marksUntil(last time.Time) []v1alpha1.ProbeMark {
	out := slices.Clone(r.events.marks)
	first, _ := r.history.Span()
	for _, m := range r.cfg.Marks {
		if at := first.Add(m.After); r.history.Len() > 0 && !at.After(last) {
			out = append(out, v1alpha1.ProbeMark{Time: at, Text: m.Text})
		}
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.ProbeMark) int { return a.Time.Compare(b.Time) })
	return out
}

// failoverMark is the moment from which a failover counts: the start of the command, or else the first mark. It is zero without marks.
func (r *run) failoverMark() time.Time {
	_, last := r.history.Span()
	marks := r.marksUntil(last)
	for _, m := range marks {
		if m.Command != "" {
			return m.Time
		}
	}
	if len(marks) == 0 {
		return time.Time{}
	}
	return marks[0].Time
}

// checksAsked are the expressions that the run will be judged by.
func (r *run) checksAsked() []string {
	var out []string
	if r.cfg.ExpectPrediction {
		out = append(out, "prediction")
	}
	for _, all := range r.cfg.Expect {
		for one := range strings.SplitSeq(all, ",") {
			out = append(out, strings.TrimSpace(one))
		}
	}
	return out
}

// eventsFailed is the error of an action that proves nothing.
func (r *run) eventsFailed() error {
	if r.events.failed == nil {
		return nil
	}
	return errors.New(text.OneLine(r.events.failed.Error()))
}

// expectedDuration is how long the run takes if the pods keep the rate. It is 0 if that is unknown.
func (r *run) expectedDuration() time.Duration {
	if r.cfg.Send.Duration > 0 || r.cfg.Send.Rate <= 0 {
		return r.cfg.Send.Duration
	}
	return time.Duration(float64(cmp.Or(r.cfg.Send.Count, 1)) / r.cfg.Send.Rate * float64(time.Second))
}
