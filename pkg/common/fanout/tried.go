package fanout

import (
	"context"
	"sync"
)

// triedKey is where a context of Within holds the last answer after which a request was tried again.
type triedKey struct{}

type tried struct {
	mu   sync.Mutex
	last string
}

// Tried notes in a context of Within why a request is tried again: a cluster that has no time, or ends connections, is not one that does not answer. An empty reason says that a
// request has ended. Other contexts are left alone.
func Tried(ctx context.Context, reason string) {
	if t, ok := ctx.Value(triedKey{}).(*tried); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.last = reason
	}
}

// reason returns the last one.
func (t *tried) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
