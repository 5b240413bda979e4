package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// Config is one run from one client pod, checked.
type Config struct {
	Target    request.Target
	Method    string // GET or HEAD
	Headers   []string
	UserAgent string
	Timeout   time.Duration // of one request
	// Count is the number of requests; Duration, if not 0, takes its place.
	Count    int
	Duration time.Duration
	// Rate limits the requests per second over all streams; 0 is no limit.
	Rate    float64
	Streams int
	// Tool is auto, curl or wget.
	Tool string
	// Insecure skips the verification of the server's certificate. CACert are the certificates, in PEM, to verify it with.
	Insecure bool
	CACert   []byte
	// AllowVisibleHeaders allows secret headers where the pod's list of processes shows them.
	AllowVisibleHeaders bool
	// BodyLimit is how much of a body is kept and looked at.
	BodyLimit int
}

// Result is how a run ended.
type Result struct {
	Tool Tool
	// Requests is the number of replies and errors that were counted.
	Requests int
	// Complete is true if every stream ended with its trailer and nothing is missing.
	Complete bool
	// Reason is why the run is not complete.
	Reason   string
	Warnings []string
	Start    time.Time
	End      time.Time

	tlsFailures int
}

// Run calls the target from one client pod and hands every reply to sink, one at a
// time. An error means that nothing was sent; a run that was cut short or cancelled
// is a Result that is not complete.
func Run(ctx context.Context, tr Transport, cfg Config, sink func(reply.Reply)) (Result, error) {
	first := newStream(ctx, tr, newNonce())
	defer first.cancel()
	if err := first.open(ctx); err != nil {
		return Result{}, err
	}
	box, err := first.detect(ctx)
	if err != nil {
		return Result{}, err
	}
	tool, err := box.Choose(cfg)
	if err != nil {
		first.stop()
		return Result{}, err
	}
	if err := first.prepare(ctx, cfg); err != nil {
		first.stop()
		return Result{}, err
	}

	res := Result{Tool: tool, Start: time.Now()}
	var mu sync.Mutex
	count := func(r reply.Reply) {
		mu.Lock()
		defer mu.Unlock()
		res.Requests++
		if r.Class == reply.ClassTLS {
			res.tlsFailures++
		}
		sink(r)
	}
	b := newBudget(cfg.Count, cfg.Duration, cfg.Rate, time.Now)
	ends := make([]error, max(1, cfg.Streams))
	warnings := make([][]string, len(ends))
	var wg sync.WaitGroup
	for i := range ends {
		wg.Go(func() {
			s := first
			if i > 0 {
				s = newStream(ctx, tr, newNonce())
				defer s.cancel()
				if ends[i] = s.open(ctx); ends[i] == nil {
					ends[i] = s.prepare(ctx, cfg)
				}
				if ends[i] != nil {
					return
				}
			}
			ends[i] = s.run(ctx, newPlan(cfg, box, tool, s.nonce), b, count)
			warnings[i] = s.warnings()
		})
	}
	wg.Wait()
	res.End = time.Now()
	res.Warnings = slices.Compact(slices.Sorted(slices.Values(slices.Concat(warnings...))))
	if err := errors.Join(ends...); err != nil {
		res.Reason = firstLine(ends)
		return res, nil
	}
	if cfg.Duration == 0 && res.Requests != cfg.Count {
		res.Reason = fmt.Sprintf("%d of %d requests were counted", res.Requests, cfg.Count)
		return res, nil
	}
	res.Complete = true
	return res, nil
}

func firstLine(errs []error) string {
	for _, err := range errs {
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

// newNonce returns 128 random bits.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
