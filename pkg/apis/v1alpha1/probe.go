package v1alpha1

import "time"

// ProbeReport is what kubectl mesh-probe prints.
type ProbeReport struct {
	Document `json:",inline"`
	Target   ProbeTarget `json:"target"`
	// Targets is present if the run has several URLs: all of them, in the order in which they were typed. Target is then the first.
	Targets   []ProbeTarget `json:"targets,omitempty"`
	StartTime *time.Time    `json:"startTime,omitempty"`
	EndTime   *time.Time    `json:"endTime,omitempty"`
	// Clients has one entry for each client pod. With several URLs it has one for each client pod and URL.
	Clients []ProbeClient `json:"clients"`
	// LatencyMs and ConnectMs are those of all clients and all answers, whoever sent them.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
	ConnectMs *ProbeLatency `json:"connectMs,omitempty"`
	// Intervals divides the run into parts of IntervalMs, over all clients.
	IntervalMs *float64            `json:"intervalMs,omitempty"`
	Intervals  []ProbeTimeInterval `json:"intervals,omitempty"`
	Marks      []ProbeMark         `json:"marks,omitempty"`
	Checks     []ProbeCheck        `json:"checks,omitempty"`
	// Witnesses is what the agents on the clients' nodes have, with --witness agents.
	Witnesses []ProbeWitness `json:"witnesses,omitempty"`
}

// ProbeTarget is what was called. Service is absent where the URL names none. The URL tcp://HOST:PORT stands for connections to which nothing was sent;
// Method is absent then.
type ProbeTarget struct {
	URL     string `json:"url"`
	Method  string `json:"method,omitempty"`
	Service string `json:"service,omitempty"` // NAMESPACE/NAME
	Port    int32  `json:"port,omitempty"`
}

// ProbeClient is the tally of one client pod and one URL.
type ProbeClient struct {
	// Name is the cluster, or CLUSTER/POD if several pods of the cluster sent requests. POD is the client pod, also where a helper sent them.
	Name string `json:"name"`
	// URL is what the client called. It is absent if the run has only one URL: that of Target.
	URL       string `json:"url,omitempty"`
	Cluster   string `json:"cluster"`
	Context   string `json:"context"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	Node      string `json:"node,omitempty"`
	// Helper says what sent the requests instead of the client pod; absent if the client pod did. Pod and Container are then those of the helper.
	Helper *ProbeHelper `json:"helper,omitempty"`
	// Tool is the program in the pod that sent the requests.
	Tool string `json:"tool,omitempty"`
	// Complete is false when a reply may be missing; Reason then says why.
	Complete bool   `json:"complete"`
	Reason   string `json:"reason,omitempty"`
	// Requests counts all requests that were sent and accounted for.
	Requests int `json:"requests"`
	// Answers has one entry for each member, answered or not, and one for each other value that was captured.
	Answers []ProbeAnswer `json:"answers"`
	// Answered counts the requests that got a reply, whoever sent it. A connection without HTTP that was opened counts as one.
	Answered int `json:"answered"`
	// Unknown counts replies of which nobody knows who sent them; UnknownErrors counts those among them that are errors, such as a 503.
	// UnknownSample is the beginning of one, UnknownSamples of the most frequent ones that differ.
	Unknown        int            `json:"unknown"`
	UnknownErrors  int            `json:"unknownErrors,omitempty"`
	UnknownSample  string         `json:"unknownSample,omitempty"`
	UnknownSamples []ProbeUnknown `json:"unknownSamples,omitempty"`
	// NoAnswer counts requests that got no reply.
	NoAnswer int          `json:"noAnswer"`
	Errors   []ProbeError `json:"errors,omitempty"`
	// RecognisedBy counts what told who answered, such as "pod name". WeakEvidence counts the replies that were attributed by a name that
	// may be in them by chance, such as a cluster's.
	RecognisedBy map[string]int `json:"recognisedBy,omitempty"`
	WeakEvidence int            `json:"weakEvidence,omitempty"`
	// PredictionMessage says why Answers has no expected shares, if it has none.
	PredictionMessage string `json:"predictionMessage,omitempty"`
	// OnlyCluster is the only cluster that can answer, if the prediction leaves one and has no caveat.
	OnlyCluster string `json:"onlyCluster,omitempty"`
	// LatencyMs and ConnectMs are those of all answers, whoever sent them.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
	ConnectMs *ProbeLatency `json:"connectMs,omitempty"`
	// Outages are what the client saw after each mark of the report.
	Outages []ProbeOutage `json:"outages,omitempty"`
	// Intervals are those of the report.
	Intervals         []ProbeTimeInterval `json:"intervals,omitempty"`
	DurationMs        *float64            `json:"durationMs,omitempty"`
	RequestsPerSecond *float64            `json:"requestsPerSecond,omitempty"`
	// Schedule is how the pod kept the schedule of --rate. Latencies then count from the time at which a request should have started.
	Schedule *ProbeSchedule `json:"schedule,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`
}

// ProbeHelper is what sent the requests where the client pod has no tool.
type ProbeHelper struct {
	// Kind is ephemeral (a container in the client pod) or pod (a helper pod).
	Kind      string `json:"kind"`
	ClientPod string `json:"clientPod"`
	// Left says that the cluster still lists it: an ephemeral container, which Kubernetes cannot remove, or a helper pod that could not be removed.
	Left bool `json:"left"`
}

// ProbeSchedule is how a pod kept its schedule. Planned counts the requests of the schedule. Late counts those that started later than an
// interval plus 50 ms. Dropped counts those that were not sent, because too many others were under way.
type ProbeSchedule struct {
	Planned int       `json:"planned"`
	Late    int       `json:"late"`
	Dropped int       `json:"dropped"`
	LagMs   *ProbeLag `json:"lagMs,omitempty"`
}

// ProbeLag is how much later than planned requests started, in milliseconds.
type ProbeLag struct {
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// ProbeUnknown is the beginning of a reply of which nobody knows who sent it, and how often it came. For a connection without HTTP it is the address to
// which the socket in the client pod led, empty if that is unknown.
type ProbeUnknown struct {
	Count int    `json:"count"`
	Body  string `json:"body"`
}

// ProbeAnswer is who answered, and how often. Shares are from 0 to 1, of all requests.
type ProbeAnswer struct {
	Name string `json:"name"`
	// Member is false for a captured value that names no member.
	Member    bool          `json:"member"`
	Requests  int           `json:"requests"`
	Share     float64       `json:"share"`
	CI        ProbeInterval `json:"ci"`
	Expected  *float64      `json:"expected,omitempty"`
	Errors    int           `json:"errors"`
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
	// ConnectMs is how long name and connection took. It shows the distance between clusters. curl measures it, and connections without HTTP (--tcp).
	ConnectMs *ProbeLatency `json:"connectMs,omitempty"`
}

// ProbeInterval is a 95 % confidence interval (Wilson).
type ProbeInterval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// ProbeLatency is in milliseconds. A percentile with fewer than ten values above it is absent.
type ProbeLatency struct {
	N    int      `json:"n"`
	Min  float64  `json:"min"`
	Mean float64  `json:"mean"`
	P50  *float64 `json:"p50,omitempty"`
	P95  *float64 `json:"p95,omitempty"`
	P99  *float64 `json:"p99,omitempty"`
	Max  float64  `json:"max"`
	// Histogram counts all values.
	Histogram []ProbeBucket `json:"histogram,omitempty"`
}

// ProbeError is how often one class of error occurred. Class is dns, refused, unreachable, connect-timeout, read-timeout,
// reset, tls, empty-reply, truncated, http-4xx, http-5xx, tool or unknown.
type ProbeError struct {
	Class string `json:"class"`
	// Cluster is who sent the error, or else the only cluster that can have answered. Predicted says that it relies on the prediction.
	// Cluster is absent if the error cannot be attributed.
	Cluster   string `json:"cluster,omitempty"`
	Predicted bool   `json:"predicted,omitempty"`
	Count     int    `json:"count"`
	// First and Last are when the first and the last of these requests started, or should have started.
	First *time.Time `json:"first,omitempty"`
	Last  *time.Time `json:"last,omitempty"`
	// Message is what the tool reported for the first of them.
	Message string `json:"message,omitempty"`
}

// ProbeCheck is one expectation for one client. Result is PASS, FAIL or INCONCLUSIVE.
type ProbeCheck struct {
	Client   string `json:"client"`        // the client's name
	URL      string `json:"url,omitempty"` // the client's URL
	Expr     string `json:"expr"`
	Result   string `json:"result"`
	Observed string `json:"observed,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// ProbeCleanupReport is what kubectl mesh-probe cleanup prints. Changes are the deletions of helper pods.
type ProbeCleanupReport struct {
	ChangeReport `json:",inline"`
	// HelperPods has one entry for each of Changes, in the same order.
	HelperPods []ProbeLeftover `json:"helperPods"`
	// EphemeralContainers cannot be removed. They go with their pods.
	EphemeralContainers []ProbeLeftover `json:"ephemeralContainers"`
}

// ProbeLeftover is a helper pod or an ephemeral container that a probe has left, or still uses.
type ProbeLeftover struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container,omitempty"` // of an ephemeral container
	Image     string `json:"image"`
	// State is waiting, running, ended or terminating.
	State     string     `json:"state"`
	StartTime *time.Time `json:"startTime,omitempty"`
}
