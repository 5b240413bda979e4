package probe

import (
	"context"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
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
	// Targets are what the clients call, all of them from the same moment on. There is at least one.
	Targets []Target
	// TCP says that the clients only open connections. A Service then has the URL tcp://HOST:PORT.
	TCP bool
	// Send is what each client pod sends to each target, except the URL.
	Send sender.Config
	// MaxCount is the number of requests up to which a run may be extended. It is 0 if Send has a duration.
	MaxCount int

	// Identify is the rule that identifies the sender of a reply, and Map are the clusters that captured values refer to.
	Identify string
	Map      []origin.Mapping

	// Expect are the expectations, as typed. With several targets, 2:us=50% applies to the second one only.
	Expect []string
	// AbortOn is the expression that ends the run early, such as errors>5%. It may be empty.
	AbortOn          string
	ExpectPrediction bool
	// Observe receives every request when its result is known, in the order of arrival. It is called by one client at a time and must not
	// block. It may be nil. The sender of a reply may be known only later, from the names of new pods: the report has the final counts.
	Observe func(history.Request)
	// Recorder keeps the requests. It may be nil.
	Recorder Recorder
	// Marks are texts on the timeline. Action is done while requests are sent; it may be nil.
	Marks  []Mark
	Action *Action
	// FollowEvery is how often the state is read during the run, to learn the names of new pods. 0 means every two seconds.
	FollowEvery time.Duration

	// WitnessAgents also reads the tables of backends of the agents on the clients' nodes.
	WitnessAgents bool

	// Settle is how long the prediction must be stable before the first request.
	Settle time.Duration
}

// Target is a URL or SERVICE[:PORT].
type Target struct {
	// Typed is what the user typed. URL is nil for a Service, whose port may have to be looked up.
	Typed string
	URL   *request.Target
}

// scheme is that of a Service without a URL.
func (c Config) scheme() string {
	if c.TCP {
		return "tcp"
	}
	return "http"
}

// Clients are the pods that send requests.
type Clients struct {
	// From leads to the pod, and Container is its container. Container may be empty.
	From      podexec.Ref
	Container string
	// Clusters are the clusters in which a pod sends requests: names, or only "all". If it is empty, only the home cluster counts.
	Clusters []string
	// Which says which pods of the workload send requests in each cluster.
	Which podexec.Which
	// Helper is what sends the requests instead of the client pods, nil for none. Its lifetime is set by the run.
	Helper *helper.Config
	// NoHelper says that the user cannot ask for one: messages must not suggest it.
	NoHelper bool
}

// describesClientPod reports whether properties of the client pod affect the connections. A helper pod has properties of its own.
func (c Clients) describesClientPod() bool {
	return c.Helper == nil || c.Helper.Kind == helper.Ephemeral
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
	// URLs are what is called.
	URLs []string
	// Requests is how many were counted, and Target how many there will be. Target is 0 if only the time is limited.
	Requests, Target int
	Answers          []Answers
	Unknown, Errors  int
	// Intervals are the last parts of the run, over all clients. Marks are its marks so far.
	Intervals []v1alpha1.ProbeTimeInterval
	// ByURL are the same parts for each of URLs, if there are several.
	ByURL [][]v1alpha1.ProbeTimeInterval
	Width time.Duration
	Marks []v1alpha1.ProbeMark
	// Begun is when the first request started.
	Begun time.Time
}

// Answers is how many requests a member has answered.
type Answers struct {
	Cluster  string
	Requests int
}

// Report is the result of a probe that has sent requests.
type Report struct {
	Document v1alpha1.ProbeReport
	// Requests are all requests of the report.
	Requests *history.Log
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
