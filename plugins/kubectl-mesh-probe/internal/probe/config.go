package probe

import (
	"context"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// Config is what the user requests, checked as far as possible without a cluster. It is immutable.
type Config struct {
	// Mesh selects the members that are read. ClusterTimeout limits each request to one of them.
	Mesh           Mesh
	ClusterTimeout time.Duration

	Clients Clients
	// Target is a URL or SERVICE[:PORT], as typed. URL is nil for a Service, whose port may have to be looked up.
	Target string
	URL    *request.Target
	// Send is what each client pod sends, except the URL.
	Send sender.Config
	// MaxCount is the number of requests up to which a run may be extended. It is 0 if Send has a duration.
	MaxCount int

	// Identify is the rule that identifies the sender of a reply, and Map are the clusters that captured values refer to.
	Identify string
	Map      []origin.Mapping

	Expect           []string
	ExpectPrediction bool
	// Settle is how long the prediction must be stable before the first request.
	Settle time.Duration
}

// Clients are the pods that send requests.
type Clients struct {
	// From leads to the pod, and Container is its container. Container may be empty.
	From      podexec.Ref
	Container string
	// Clusters are the clusters in which a pod sends requests: names, or only "all". If it is empty, only the home cluster counts.
	Clusters []string
}

// Mesh selects the members of the mesh.
type Mesh interface {
	Select(ctx context.Context) (*clusters.Selection, error)
	// Namespace returns the namespace of Services and client pods.
	Namespace(home *clusters.Member) string
}

// UI shows the user what happens during a probe.
type UI interface {
	Note(format string, args ...any)
	Warn(format string, args ...any)
	// Show displays the progress until stop is called. It may call current at any time before that.
	Show(current func() Progress) (stop func())
}

// Progress is how far a probe is, over all clients.
type Progress struct {
	URL string
	// Requests is how many were counted, and Target how many there will be. Target is 0 if only the time is limited.
	Requests, Target int
	Answers          []Answers
	Unknown, Errors  int
}

// Answers is how many requests a member has answered.
type Answers struct {
	Cluster  string
	Requests int
}

// Report is the result of a probe that has sent requests.
type Report struct {
	Document v1alpha1.ProbeReport
	// Hint says how to proceed if every request failed in TLS.
	Hint string
	// Unread are the members that could not be read.
	Unread []*clusters.Member
}

// ResultError is the error of a probe that has a report.
type ResultError struct {
	// Missed says that an expectation was missed. Otherwise the result is incomplete or inconclusive.
	Missed bool
	// Interrupted says that the user interrupted the probe.
	Interrupted bool
	Err         error
}

// Error returns the message of the cause.
func (f *ResultError) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *ResultError) Unwrap() error { return f.Err }
