package drill

import (
	"context"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// Config is what the user requests. It is immutable.
type Config struct {
	Place
	Write

	// Probe is what the clients send, and from where. The drill sets Mesh, Observe, and when the sending ends.
	Probe probe.Config
	// LowerRates are tried in this order, in requests per second, while clients cannot keep the rate of Probe. Without any, the drill refuses then.
	LowerRates []float64
	With       drillrecord.With
	Times      Times
	// Expect is what is expected of each client that the drill affects.
	Expect []Expectation
}

// Place is where drills are, or are to be.
type Place struct {
	// Select finds the members, and Namespace returns the namespace of Services and client pods.
	Select    func(context.Context) (*clusters.Selection, error)
	Namespace func(home *clusters.Member) string
	// In is the cluster, by Cilium name or context. A repair without it looks in all clusters.
	In string
	// Service is SERVICE[:PORT] or a URL, as typed. A repair without it restores all drills of the namespace, or of all if AllNamespaces is set.
	Service       string
	AllNamespaces bool
}

// Write is how a drill writes.
type Write struct {
	DryRun  DryRun
	Manager string
	Change  change.Options
	// RestoreWithin is how long the previous values are tried to be restored if an API server does not answer.
	RestoreWithin time.Duration
	// Host is the name of this machine, for the record.
	Host string
	Now  func() time.Time
}

// DryRun says how far a drill goes.
type DryRun string

// The dry runs: none writes, the client's shows the plan, and the server's also lets the API servers check it.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client"
	DryRunServer DryRun = "server"
)

// Times are the lengths of the phases of a drill.
type Times struct {
	// Baseline is how long the clients are watched before the write, Hold how long the backends stay away, Return how long the drill waits at
	// most until the drilled cluster answers again, and Tail how long it goes on watching then.
	Baseline, Hold, Return, Tail time.Duration
}

// UI shows the user what happens during a drill.
type UI interface {
	probe.UI
	// Plan shows what is to be written, and what it does to the clients.
	Plan(doc v1alpha1.DrillReport) error
	// Confirm asks a question, unless --yes was given.
	Confirm(ctx context.Context, question string) error
}

// Report is what a drill or a repair came to.
type Report struct {
	Document v1alpha1.DrillReport
	// Begun: there is more to show to a person than why the command ended.
	Begun bool
	// Unread are the members that could not be read.
	Unread []*clusters.Member
	// Probe is the report of the requests as a probe shows it, with the moments of the drill as marks. Requests are all of them. They are nil if none
	// was sent.
	Probe    *v1alpha1.ProbeReport
	Requests *history.Log
}

// ResultError is the error of a drill that wrote, or that was refused, and has a report.
type ResultError struct {
	// Interrupted says that the command was interrupted; Missed that an expectation is missed. Otherwise there is no result, or something was not
	// restored.
	Interrupted, Missed bool
	Err                 error
}

// Error returns the message of the cause.
func (e *ResultError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ResultError) Unwrap() error { return e.Err }
