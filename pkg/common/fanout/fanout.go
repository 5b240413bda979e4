// Package fanout asks many clusters at once, each with its own deadline, and returns the results in a stable order.
//
// It knows of a cluster only what Member says. It knows no client and no kubeconfig.
package fanout

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// Member is one of the clusters that are asked.
type Member interface {
	// Failure returns why the cluster cannot be asked, or nil.
	Failure() *failure.Error
	// Ask calls ask. Where the cluster rejects that because a permission is missing, it may call ask again with other credentials.
	Ask(ctx context.Context, ask func(context.Context) error) error
}

// Result is what one member answered.
type Result[M, T any] struct {
	Member M
	Value  T
	Err    *failure.Error
}

// maxMembers bounds how many members are asked at once: all of the greatest mesh there is. A member costs a connection and a
// few milliseconds of CPU time, and far away most of its time is waiting.
const maxMembers = 512

// Each calls fn for all members at once and returns the results in the members' order.
// Each call has its own deadline, or none if timeout is 0 and fn gives one to each of its requests; one that fails never
// cancels another. Members that have failed are not asked: their result is that error. A member may be asked twice (see Member.Ask).
func Each[M Member, T any](ctx context.Context, members []M, timeout time.Duration, fn func(context.Context, M) (T, error)) []Result[M, T] {
	out := make([]Result[M, T], len(members))
	var g errgroup.Group
	g.SetLimit(max(maxMembers, runtime.GOMAXPROCS(0)))
	for i, m := range members {
		out[i].Member = m
		if err := m.Failure(); err != nil {
			out[i].Err = err
			continue
		}
		g.Go(func() error {
			err := m.Ask(ctx, func(ctx context.Context) (err error) {
				out[i].Value, err = Within(ctx, timeout, func(ctx context.Context) (T, error) { return fn(ctx, m) })
				return err
			})
			out[i].Err = failure.Classify(err)
			return nil
		})
	}
	_ = g.Wait() // the functions never return an error
	return out
}

// maxRequests bounds how many requests one member gets from us at a time.
const maxRequests = 16

// Parallel calls fn for 0 to n-1, a bounded number at a time, and returns when all have ended. It is for the requests to one
// member; after an interrupt it begins no more.
func Parallel(ctx context.Context, n int, fn func(int)) {
	var g errgroup.Group
	g.SetLimit(maxRequests)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { fn(i); return nil })
	}
	_ = g.Wait() // the functions never return an error
}
