package probe

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// Client is a client pod and its cluster.
type Client struct {
	Cluster, Context     string
	Namespace            string
	Pod, Container, Node string
}

// Outcome is what one client pod brought.
type Outcome struct {
	Client     Client
	Result     sender.Result
	Tally      *tally.Tally
	Prediction judge.Prediction
}

// maxSamples is how many distinct unknown replies a report shows.
const maxSamples = 5

// Report describes one client's outcome.
func (o Outcome) Report(members []origin.Member) v1alpha1.ProbeClient {
	c := v1alpha1.ProbeClient{
		Cluster: o.Client.Cluster, Context: o.Client.Context, Namespace: o.Client.Namespace, Pod: o.Client.Pod,
		Container: o.Client.Container, Node: o.Client.Node,
		Tool: o.Result.Tool, Complete: o.Result.Complete, Reason: o.Result.Reason,
		Requests: o.Tally.Requests, Answered: o.Tally.Answered(), Unknown: o.Tally.Unknown, UnknownErrors: o.Tally.UnknownErrors,
		NoAnswer: o.Tally.NoAnswer, RecognisedBy: o.Tally.Recognised, WeakEvidence: o.Tally.Weak, PredictionMessage: o.Prediction.Why, Warnings: o.Result.Warnings,
		Answers: []v1alpha1.ProbeAnswer{},
	}
	samples := o.Tally.UnknownSamples(maxSamples)
	for _, u := range samples {
		c.UnknownSamples = append(c.UnknownSamples, v1alpha1.ProbeUnknown(u))
	}
	if len(samples) > 0 {
		c.UnknownSample = samples[0].Body
	}
	for _, r := range o.Tally.Rows(members) {
		ci := stats.Wilson(r.Requests, o.Tally.Requests)
		a := v1alpha1.ProbeAnswer{
			Name: r.Name, Member: r.Member, Requests: r.Requests, Errors: r.Errors,
			CI: v1alpha1.ProbeInterval{Low: ci.Low, High: ci.High}, LatencyMs: latencyMs(r.Latency()),
		}
		if o.Tally.Requests > 0 {
			a.Share = float64(r.Requests) / float64(o.Tally.Requests)
		}
		if share, ok := o.Prediction.Shares[r.Name]; ok {
			a.Expected = &share
		}
		c.Answers = append(c.Answers, a)
	}
	for _, e := range o.Tally.Errors() {
		c.Errors = append(c.Errors, v1alpha1.ProbeError{Class: string(e.Class), Count: e.Count, Message: e.Message})
	}
	if took := o.Result.End.Sub(o.Result.Start); took > 0 {
		c.DurationMs = ptr.To(ms(took))
		c.RequestsPerSecond = ptr.To(float64(o.Tally.Requests) / took.Seconds())
	}
	return c
}

func latencyMs(l *tally.Latency) *v1alpha1.ProbeLatency {
	if l == nil {
		return nil
	}
	out := &v1alpha1.ProbeLatency{N: l.N, Min: ms(l.Min), Mean: ms(l.Mean), Max: ms(l.Max)}
	for _, p := range []struct {
		from *time.Duration
		to   **float64
	}{{l.P50, &out.P50}, {l.P95, &out.P95}, {l.P99, &out.P99}} {
		if p.from != nil {
			*p.to = ptr.To(ms(*p.from))
		}
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
