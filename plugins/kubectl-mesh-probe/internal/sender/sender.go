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
	Rate float64
	// Schedule makes the run an open loop: each request starts at its time by Rate, whatever happens to the others, and is measured from
	// that time. Requests are not limited by Rate but sent at Rate, which must not be 0.
	Schedule bool
	Streams  int
	// Tool is auto, curl or wget; for connections without HTTP it is auto, bash, nc or curl.
	Tool string
	// BodyLimit is how much of a body is kept.
	BodyLimit int
	// Stop ends the run when it is closed, as if its count or its duration had been reached. It may be nil.
	Stop <-chan struct{}
	// Gate holds back the first request until other runs are ready too. It may be nil.
	Gate *Gate
}

// streams is how many streams a run has.
func (c Config) streams() int { return max(1, c.Streams) }

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
	// Schedule is how the run kept its schedule.
	Schedule Schedule
	Start    time.Time
	End      time.Time
}

// Run sends requests from one client pod and hands every reply to sink, one at a time. An error means that nothing was sent. A run that
// was cut short or cancelled is a Result that is not complete.
func Run(ctx context.Context, tr wire.Transport, cfg Config, sink func(reply.Reply)) (Result, error) {
	first, j, err := begin(ctx, tr, cfg)
	if err != nil {
		cfg.Gate.arrive(cfg.streams())
		return Result{}, err
	}
	defer first.Cancel()
	r := &runs{job: j, sink: sink}
	r.budget = newBudget(cfg.Count, cfg.Duration, cfg.Rate, time.Now)
	r.budget.stop, r.budget.share = cfg.Stop, cfg.Streams
	if cfg.Schedule {
		return r.runOpen(ctx, tr, first), nil
	}
	return r.run(ctx, tr, first), nil
}

// begin opens the first stream, and finds out what sends the requests.
func begin(ctx context.Context, tr wire.Transport, cfg Config) (*wire.Stream, job, error) {
	first, err := wire.Open(ctx, tr)
	if err != nil {
		return nil, job{}, err
	}
	pod, chosen, err := choose(ctx, first, cfg)
	if err == nil {
		err = prepare(ctx, first, pod, chosen, cfg)
	}
	if err != nil {
		first.Quit()
		return nil, job{}, err
	}
	return first, job{Config: cfg, tool: chosen, traits: chosen.Traits(), pod: pod}, nil
}

// choose asks what the pod has, and returns what sends the requests.
func choose(ctx context.Context, s *wire.Stream, cfg Config) (wire.Pod, tool.Tool, error) {
	if cfg.Target.TCP() {
		pod, err := s.DetectDialers(ctx)
		if err != nil {
			return pod, nil, err
		}
		chosen, err := tool.ChooseDialer(tool.FindDialers(pod), cfg.Tool)
		if err == nil && chosen.Traits().Flag == tool.Bash {
			pod.ReadTimeout = true // whatever the shell is so far
		}
		return pod, chosen, err
	}
	pod, err := s.Detect(ctx)
	if err != nil {
		return pod, nil, err
	}
	chosen, err := tool.Choose(tool.Find(pod.Help), cfg.Tool, cfg.Request)
	return pod, chosen, err
}

// prepare makes the stream ready for the tool: in bash if bash itself connects, and with the certificates of --cacert.
func prepare(ctx context.Context, s *wire.Stream, pod wire.Pod, chosen tool.Tool, cfg Config) error {
	if chosen.Traits().Flag == tool.Bash && !pod.Bash {
		if err := s.UseBash(ctx); err != nil {
			return err
		}
	}
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
	ends := make([]error, r.job.streams())
	warnings := make([][]string, len(ends))
	var wg sync.WaitGroup
	for i := range ends {
		wg.Go(func() {
			s := first
			if i > 0 {
				if s, ends[i] = r.another(ctx, tr); ends[i] != nil {
					r.job.Gate.arrive(1)
					return
				}
				defer s.Cancel()
			}
			one := newRun(s, r.job, r.budget, r.count)
			at, err := r.job.Gate.pass(ctx, one.batches, one.idle)
			if err != nil {
				ends[i] = err
				one.batches.Close(false)
				return
			}
			r.begun(at)
			ends[i] = one.run(ctx)
			warnings[i] = one.warned.list()
		})
	}
	wg.Wait()
	return r.conclude(ends, warnings)
}

// another opens one more stream.
func (r *runs) another(ctx context.Context, tr wire.Transport) (*wire.Stream, error) {
	s, err := wire.Open(ctx, tr)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, s, r.job.pod, r.job.tool, r.job.Config); err != nil {
		s.Cancel()
		return nil, err
	}
	return s, nil
}

// begun sets the time from which the run counts, if a gate has set it.
func (r *runs) begun(at time.Time) {
	if r.job.Gate == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.res.Start = at
	r.budget.begin(at)
}

// conclude is the result, when all streams have ended.
func (r *runs) conclude(ends []error, warnings [][]string) Result {
	res := r.res
	res.End = time.Now()
	res.Warnings = slices.Compact(slices.Sorted(slices.Values(slices.Concat(warnings...))))
	if w := res.Schedule.warning(r.job.Config); w != "" {
		res.Warnings = append(res.Warnings, w)
	}
	switch cfg := r.job.Config; {
	case errors.Join(ends...) != nil:
		res.Reason = firstError(ends).Error()
	case cfg.Duration == 0 && res.Requests+res.Schedule.Dropped != cfg.Count && !r.budget.stopped():
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
		return "Every request failed in TLS, although --insecure skips the verification. Check that the port speaks TLS, and that the tool and the server share a TLS version."
	case len(cfg.CACert) > 0:
		return "Every request failed in TLS. Check that the file of --cacert contains the CA of the server's certificate, and that the certificate is valid for the host in the URL."
	}
	return "Every request failed in TLS. If the client pod does not trust the server's certificate, use --cacert FILE with its CA, or skip the verification with --insecure."
}
