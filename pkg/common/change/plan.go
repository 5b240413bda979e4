// Package change carries out writes to several objects in several clusters: all or none are checked first, then they are written in order, and each is
// read back. What a write consists of is a Step; its callers decide which steps there are. Only this package knows the preflight, deadlines, order,
// stopping, interrupts, what an error means, and reading back.
package change

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Step is one write to one object of one member.
type Step interface {
	// Target is the object. It may be called while Send runs.
	Target() Target
	// Permissions are what sending and reading back need. The access review of the preflight asks for exactly these.
	Permissions() []permissions.Permission
	// Status is what has become of the step. The engine changes it.
	Status() *Outcome
	// Send writes the object with the step's preconditions, and returns it as the API server answered. With dryRun the API server only checks it.
	// A nil object without an error says that there was nothing to send.
	Send(ctx context.Context, dryRun bool) (metav1.Object, error)
	// Diff returns the first field of a stored object that is not as the step writes it; nil for none.
	Diff(stored metav1.Object) *Difference
}

// Preparer is a step that has to look at its cluster before it is checked: it may choose a free name, or find that it has nothing to do.
// Preparing writes nothing.
type Preparer interface {
	Step
	Prepare(ctx context.Context) error
}

// Part is a step that serves another one, as a backup serves a replacement. When it fails, the other one fails too; once the other one is
// settled, it is not sent.
type Part interface {
	Step
	Serves() Step
}

// Deleter is a step that may delete its object: then it ends well when the object is gone.
type Deleter interface {
	Step
	Deletes() bool
}

// Identified is a Deleter that knows which object it deletes. Another object of that name was created since: the deleted one is gone.
type Identified interface {
	Deleter
	UID() types.UID
}

// Outcome is what has become of a step.
type Outcome struct {
	Result  string // one of the v1alpha1.Result values
	Message string // why, in one line
	Written bool   // the object was, or may have been, written
	Skipped bool   // the command ended before the step
}

// Status returns the outcome itself, so that a step only has to embed one.
func (o *Outcome) Status() *Outcome { return o }

// failed reports whether a step did not end well, or nobody knows.
func (o *Outcome) failed() bool {
	return o.Result == v1alpha1.ResultFailed || o.Result == v1alpha1.ResultRefused || o.Result == v1alpha1.ResultUnknown
}

// Incomplete reports whether the outcome leaves a report incomplete: the command ended before the step, or its outcome is unknown.
func (o *Outcome) Incomplete() bool {
	return o.Result == v1alpha1.ResultUnknown || o.Skipped && o.Result == v1alpha1.ResultPlanned
}

// Difference is a field that is not as it was written.
type Difference struct {
	Field string
	Value string // what it is now, as a message shows it; empty where it must not be shown
	Gone  bool   // the field does not exist
}

// Phase is a list of steps that begins when all steps before it have ended.
type Phase struct {
	Steps []Step
	// Gate is asked before the first step of the phase, also where the phase has no step. An error ends the plan.
	Gate func(ctx context.Context) error
	// Before is asked before each step. An error fails that step and ends the plan.
	Before func(ctx context.Context, s Step) error
	// Cleanup phases run at the end, also after a failure or an interrupt. Their steps never fail the plan: an error becomes a note of the step that they serve.
	Cleanup bool
}

// Plan is an ordered list of phases.
type Plan struct {
	Action string // the verb, for errors: "sync"
	Phases []*Phase
}

// Options say how a plan is checked and carried out.
type Options struct {
	Timeout      time.Duration // for each request to an API server
	AccessOnly   bool          // the preflight asks for permission only, without a server-side dry run
	AllowPartial bool          // go on without the steps that fail the preflight
	// Events is told what happens, possibly by several goroutines at once; nil for nobody.
	Events func(Event)
}

// EventKind says what has happened to a step.
type EventKind string

// The kinds of events.
const (
	Checked EventKind = "checked" // the preflight of a step has ended
	Begun   EventKind = "begun"   // a step is about to be sent
	Ended   EventKind = "written" // a step was sent
	// Finishing: the command was interrupted while a step was being sent, and waits until its outcome is known.
	Finishing EventKind = "finishing"
)

// Event is one thing that happened. Done and Total count the steps of the preflight or of the phases that write.
type Event struct {
	Kind        EventKind
	Step        Step
	Done, Total int
}

func (o Options) event(kind EventKind, s Step, done, total int) {
	if o.Events != nil {
		o.Events(Event{kind, s, done, total})
	}
}

// pending reports whether a step is still to be sent.
func pending(s Step) bool {
	if p, ok := s.(Part); ok && !pending(p.Serves()) {
		return false
	}
	return s.Status().Result == v1alpha1.ResultPlanned
}

// steps returns all steps but those of cleanup phases, in order.
func (p *Plan) steps() []Step {
	var out []Step
	for _, phase := range p.Phases {
		if !phase.Cleanup {
			out = append(out, phase.Steps...)
		}
	}
	return out
}

// Pending returns the steps that are still to be sent.
func (p *Plan) Pending() []Step {
	return slices.DeleteFunc(p.steps(), func(s Step) bool { return !pending(s) })
}

// Failed reports whether any step failed, was refused or is unknown.
func (p *Plan) Failed() bool {
	return slices.ContainsFunc(p.steps(), func(s Step) bool { return s.Status().failed() })
}

// Skip marks the steps that are still to be sent: the command ended before them.
func Skip(steps ...Step) {
	for _, s := range steps {
		if o := s.Status(); pending(s) {
			o.Skipped, o.Message = true, "not written: the command ended before it"
		}
	}
}

// Stop marks everything that is still to be sent as not written.
func (p *Plan) Stop() { Skip(p.steps()...) }

// settle ends a step, and the one that it serves.
func settle(s Step, result, message string) {
	o := s.Status()
	o.Result, o.Message = result, message
	if p, ok := s.(Part); ok && pending(p.Serves()) {
		settle(p.Serves(), v1alpha1.ResultFailed, message)
	}
}
