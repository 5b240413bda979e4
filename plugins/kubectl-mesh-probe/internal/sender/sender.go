// Package sender sends the requests of one client pod and hands every reply on.
//
// It decides how many requests a process sends, keeps the rate, and ends requests that take too long. It does not know Kubernetes, nor
// who sent a reply.
package sender

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// Config is one run from one client pod, checked.
type Config struct {
	request.Request
	// Count is the number of requests. If Duration is not 0, it applies instead of Count.
	Count    int
	Duration time.Duration
	// Rate limits the requests per second over all streams. 0 means unlimited.
	Rate    float64
	Streams int
	// Tool is auto, curl or wget.
	Tool string
	// BodyLimit is how much of a body is kept.
	BodyLimit int
}

// Result is how a run ended.
type Result struct {
	// Tool is the name and the version of the tool.
	Tool string
	// Requests is the number of replies and errors that were counted.
	Requests int
	// TLSFailures is how many of them failed in TLS.
	TLSFailures int
	// Complete is true if every stream ended with its trailer and nothing is missing.
	Complete bool
	// Reason says why the run is not complete.
	Reason   string
	Warnings []string
	Start    time.Time
	End      time.Time
}

// Run sends requests from one client pod and hands every reply to sink, one at a time. An error means that nothing was sent. A run that
// was cut short or cancelled is a Result that is not complete.
func Run(ctx context.Context, tr wire.Transport, cfg Config, sink func(reply.Reply)) (Result, error) {
	first, err := wire.Open(ctx, tr)
	if err != nil {
		return Result{}, err
	}
	defer first.Cancel()
	pod, err := first.Detect(ctx)
	if err != nil {
		return Result{}, err
	}
	chosen, err := tool.Choose(tool.Find(pod.Help), cfg.Tool, cfg.Request)
	if err == nil {
		err = trust(ctx, first, cfg)
	}
	if err != nil {
		first.Quit()
		return Result{}, err
	}
	r := &runs{job: job{Config: cfg, tool: chosen, traits: chosen.Traits(), pod: pod}, sink: sink}
	r.budget = newBudget(cfg.Count, cfg.Duration, cfg.Rate, time.Now)
	return r.run(ctx, tr, first), nil
}

// trust sends the certificates of --cacert to the pod.
func trust(ctx context.Context, s *wire.Stream, cfg Config) error {
	if len(cfg.CACert) == 0 {
		return nil
	}
	return s.Trust(ctx, cfg.CACert)
}

// job is what all streams of a run send, and how.
type job struct {
	Config
	tool   tool.Tool
	traits tool.Traits
	pod    wire.Pod
}

// runs are the runs of all streams. They share the budget.
type runs struct {
	job    job
	budget *budget

	mu   sync.Mutex // of what follows
	sink func(reply.Reply)
	res  Result
}

// count hands a reply on.
func (r *runs) count(one reply.Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.res.Requests++
	if one.Class == reply.ClassTLS {
		r.res.TLSFailures++
	}
	r.sink(one)
}

// run sends all requests, over the first stream and over more of them if they are configured.
func (r *runs) run(ctx context.Context, tr wire.Transport, first *wire.Stream) Result {
	r.res.Tool, r.res.Start = r.job.traits.String(), time.Now()
	ends := make([]error, max(1, r.job.Streams))
	warnings := make([][]string, len(ends))
	var wg sync.WaitGroup
	for i := range ends {
		wg.Go(func() {
			s := first
			if i > 0 {
				if s, ends[i] = wire.Open(ctx, tr); ends[i] != nil {
					return
				}
				defer s.Cancel()
				if ends[i] = trust(ctx, s, r.job.Config); ends[i] != nil {
					return
				}
			}
			one := newRun(s, r.job, r.budget, r.count)
			ends[i] = one.run(ctx)
			warnings[i] = one.warnings()
		})
	}
	wg.Wait()
	res := r.res
	res.End = time.Now()
	res.Warnings = slices.Compact(slices.Sorted(slices.Values(slices.Concat(warnings...))))
	switch cfg := r.job.Config; {
	case errors.Join(ends...) != nil:
		res.Reason = firstError(ends).Error()
	case cfg.Duration == 0 && res.Requests != cfg.Count:
		res.Reason = fmt.Sprintf("%d of %d requests were counted", res.Requests, cfg.Count)
	default:
		res.Complete = true
	}
	return res
}

func firstError(errs []error) error {
	return errs[slices.IndexFunc(errs, func(err error) bool { return err != nil })]
}

// TLSHint says how to proceed if every request of all results failed in TLS. It is empty otherwise.
func TLSHint(cfg Config, results ...Result) string {
	requests := 0
	for _, r := range results {
		if r.TLSFailures < r.Requests {
			return ""
		}
		requests += r.Requests
	}
	switch {
	case requests == 0:
		return ""
	case cfg.Insecure:
		return "Every request failed in TLS, although --insecure skips the verification. Check that the port speaks TLS, and which TLS versions the server accepts."
	case len(cfg.CACert) > 0:
		return "Every request failed in TLS. Check that the file of --cacert contains the CA of the server's certificate, and that the certificate is valid for the host in the URL."
	}
	return "Every request failed in TLS. If the client pod does not trust the server's certificate, use --cacert FILE with its CA, or skip the verification with --insecure."
}
