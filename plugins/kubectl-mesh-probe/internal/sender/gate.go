package sender

import (
	"context"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// Gate lets several runs send their first requests at one moment. It opens when every stream of every run is ready, or has failed. So a run that
// does not start does not keep the others from sending. A nil Gate is always open.
type Gate struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
	at      time.Time // when it opened
}

// NewGate returns a gate for this many runs, with as many streams each as the config says.
func NewGate(runs int, cfg Config) *Gate {
	return &Gate{missing: runs * cfg.streams(), open: make(chan struct{})}
}

// arrive says that streams are ready, or have failed.
func (g *Gate) arrive(streams int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.missing
	if g.missing -= streams; before > 0 && g.missing <= 0 {
		g.at = time.Now()
		close(g.open)
	}
}

// waiting is a stream that is ready and has no orders yet.
type waiting interface {
	Beat(now time.Time) error
	NextBeat() time.Time
	Ready() <-chan struct{}
	Done() <-chan struct{}
	Ended() error
}

// pass says that one stream is ready, and returns when the gate has opened: the moment, or now without a gate. Meanwhile it keeps the stream alive:
// read processes what the pod prints.
func (g *Gate) pass(ctx context.Context, s waiting, read func(now time.Time) error) (time.Time, error) {
	if g == nil {
		return time.Now(), nil
	}
	g.arrive(1)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		if err := read(now); err != nil {
			return now, err
		}
		if err := s.Beat(now); err != nil {
			return now, err
		}
		timer.Reset(max(time.Millisecond, s.NextBeat().Sub(now)))
		select {
		case <-g.open:
			return g.at, nil
		case <-s.Ready():
		case <-timer.C:
		case <-s.Done():
			return now, s.Ended()
		case <-ctx.Done():
			return now, wire.ErrInterrupted
		}
	}
}
