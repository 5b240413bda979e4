package meshstate

import (
	"context"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// Ahead reads members while others are still asked whether they belong to the mesh. With hundreds of clusters that saves the time in which
// nothing but the slowest of them is waited for.
type Ahead struct {
	ctx     context.Context
	cancel  context.CancelFunc
	timeout time.Duration
	reader  *reader           // nil until the first Start
	begun   map[string]*early // by context
}

// early is a member that is read before the selection is made.
type early struct {
	done  chan struct{}
	state memberState // set before done is closed, as is err
	err   error
}

// NewAhead returns what reads ahead until Stop is called or ctx ends. timeout is for each request.
func NewAhead(ctx context.Context, timeout time.Duration) *Ahead {
	a := &Ahead{timeout: timeout, begun: map[string]*early{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// Stop ends what is still read, and counts for nothing any more.
func (a *Ahead) Stop() { a.cancel() }

// Start begins to read a member. It belongs to the caller no longer. Start is not called at the same time as itself or Read.
func (a *Ahead) Start(m *clusters.Member, q Query) {
	if a.reader == nil {
		a.reader = newReader(a.timeout, q)
	}
	if a.begun[m.Context] != nil || !a.reader.reads(q) {
		return
	}
	e := &early{done: make(chan struct{})}
	a.begun[m.Context] = e
	go func() {
		defer close(e.done)
		e.err = m.Ask(a.ctx, func(ctx context.Context) (err error) {
			e.state, err = a.reader.read(ctx, m)
			return err
		})
	}()
}

// Read is Read, with what was read ahead of these members.
func (a *Ahead) Read(ctx context.Context, members []*clusters.Member, q Query) *State {
	if a.reader == nil || !a.reader.reads(q) {
		return Read(ctx, members, a.timeout, q)
	}
	return snapshot(ctx, members, q, func(ctx context.Context, m *clusters.Member) (memberState, error) {
		if e := a.begun[m.Context]; e != nil {
			if state, counts, err := e.wait(ctx); counts {
				state.cluster.Name = m.Name
				return state, err
			}
		}
		return a.reader.read(ctx, m)
	})
}

// wait returns what was read, and whether that counts. A failure is not final: the member may have another context, and the credential plugin that a
// context needs may have been ended with the selection. Only the deadline counts, so that nobody waits for it twice.
func (e *early) wait(ctx context.Context) (state memberState, counts bool, err error) {
	select {
	case <-e.done:
	case <-ctx.Done():
		return memberState{}, true, ctx.Err()
	}
	return e.state, e.err == nil || failure.Classify(e.err).Class == failure.Timeout, e.err
}
