package v1alpha1

import "time"

// ProbeReport is what kubectl mesh-probe prints, and its commands report and merge.
type ProbeReport struct {
	Document `json:",inline"`
	// Target is what was called.
	Target ProbeTarget `json:"target"`
	// Targets is present if the run has several URLs: all of them, in the order in which they were typed. Target is then the first.
	Targets []ProbeTarget `json:"targets,omitempty"`
	// StartTime is when the first request started.
	StartTime *time.Time `json:"startTime,omitempty"`
	// EndTime is when the run ended.
	EndTime *time.Time `json:"endTime,omitempty"`
	// Clients has one entry for each client pod. With several URLs it has one for each client pod and URL.
	Clients []ProbeClient `json:"clients"`
	// LatencyMs is the latency of all clients and all answers, whoever sent them, in milliseconds.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
	// ConnectMs is the time to connect of all clients and all answers, whoever sent them, in milliseconds.
	ConnectMs *ProbeLatency `json:"connectMs,omitempty"`
	// IntervalMs is the length of each of Intervals, in milliseconds.
	IntervalMs *float64 `json:"intervalMs,omitempty"`
	// Intervals divides the run into parts of IntervalMs, over all clients.
	Intervals []ProbeTimeInterval `json:"intervals,omitempty"`
	// Marks are the events of --mark and --mark-on, in the order of time.
	Marks []ProbeMark `json:"marks,omitempty"`
	// Checks has the result of each expectation for each client.
	Checks []ProbeCheck `json:"checks,omitempty"`
	// Witnesses is what the agents on the clients' nodes have, with --witness agents.
	Witnesses []ProbeWitness `json:"witnesses,omitempty"`
}

// ProbeTarget is what was called.
type ProbeTarget struct {
	// URL is what was called. tcp://HOST:PORT stands for connections to which nothing was sent.
	URL string `json:"url"`
	// Method is the HTTP method; absent for connections without HTTP.
	Method string `json:"method,omitempty"`
	// Service is NAMESPACE/NAME of the Service; absent if the URL names none.
	Service string `json:"service,omitempty"`
	// Port is the port that was called.
	Port int32 `json:"port,omitempty"`
}

// ProbeClient is the tally of one client pod and one URL.
type ProbeClient struct {
	// Name is the cluster, or CLUSTER/POD if several pods of the cluster sent requests. POD is the client pod, also where a helper sent them.
	Name string `json:"name"`
	// URL is what the client called. It is absent if the run has only one URL: that of Target.
	URL string `json:"url,omitempty"`
	// Cluster is the cluster of the client pod.
	Cluster string `json:"cluster"`
	// Context is the kubeconfig context through which the cluster was reached.
	Context string `json:"context"`
	// Namespace is the namespace of the pod.
	Namespace string `json:"namespace"`
	// Pod is the pod that sent the requests.
	Pod string `json:"pod,omitempty"`
	// Container is the container that sent the requests.
	Container string `json:"container,omitempty"`
	// Node is the node of the pod.
	Node string `json:"node,omitempty"`
	// Helper says what sent the requests instead of the client pod; absent if the client pod did. Pod and Container are then those of the helper.
	Helper *ProbeHelper `json:"helper,omitempty"`
	// Tool is the program in the pod that sent the requests.
	Tool string `json:"tool,omitempty"`
	// Complete is false if a reply may be missing; Reason then says why.
	Complete bool `json:"complete"`
	// Reason says why Complete is false.
	Reason string `json:"reason,omitempty"`
	// Requests counts all requests that were sent and accounted for.
	Requests int `json:"requests"`
	// Answers has one entry for each member, answered or not, and one for each other value that was captured.
	Answers []ProbeAnswer `json:"answers"`
	// Answered counts the requests that got a reply, whoever sent it. A connection without HTTP that was opened counts as one.
	Answered int `json:"answered"`
	// Unknown counts replies of which nobody knows who sent them.
	Unknown int `json:"unknown"`
	// UnknownErrors counts those of Unknown that are errors, such as a 503.
	UnknownErrors int `json:"unknownErrors,omitempty"`
	// UnknownSample is the beginning of one of the replies that Unknown counts.
	UnknownSample string `json:"unknownSample,omitempty"`
	// UnknownSamples has the beginnings of the most frequent of these replies that differ.
	UnknownSamples []ProbeUnknown `json:"unknownSamples,omitempty"`
	// NoAnswer counts requests that got no reply.
	NoAnswer int `json:"noAnswer"`
	// Errors counts the errors by class and cluster.
	Errors []ProbeError `json:"errors,omitempty"`
	// IdentifiedBy counts the replies by what told who answered, such as "pod name".
	IdentifiedBy map[string]int `json:"identifiedBy,omitempty"`
	// WeakEvidence counts the replies that were attributed by a name that may be in them by chance, such as a cluster's.
	WeakEvidence int `json:"weakEvidence,omitempty"`
	// PredictionMessage says why Answers has no expected shares, if it has none.
	PredictionMessage string `json:"predictionMessage,omitempty"`
	// OnlyCluster is the only cluster that can answer, if the prediction leaves one and has no caveat.
	OnlyCluster string `json:"onlyCluster,omitempty"`
	// LatencyMs is the latency of all answers, whoever sent them, in milliseconds.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
	// ConnectMs is the time to connect of all answers, whoever sent them, in milliseconds.
	ConnectMs *ProbeLatency `json:"connectMs,omitempty"`
	// Outages are what the client saw after each mark of the report.
	Outages []ProbeOutage `json:"outages,omitempty"`
	// Intervals are those of the report.
	Intervals []ProbeTimeInterval `json:"intervals,omitempty"`
	// DurationMs is how long the client sent requests, in milliseconds.
	DurationMs *float64 `json:"durationMs,omitempty"`
	// RequestsPerSecond is how many requests the client sent in a second, on average.
	RequestsPerSecond *float64 `json:"requestsPerSecond,omitempty"`
	// Schedule is how the pod kept the schedule of --rate. Latencies then count from the time at which a request should have started.
	Schedule *ProbeSchedule `json:"schedule,omitempty"`
	// Warnings say what limits the result of this client.
	Warnings []string `json:"warnings,omitempty"`
}

// ProbeHelper is what sent the requests where the client pod has no tool.
type ProbeHelper struct {
	// Kind is ephemeral (a container in the client pod) or pod (a helper pod).
	Kind string `json:"kind"`
	// ClientPod is the pod that --from names.
	ClientPod string `json:"clientPod"`
	// LeftBehind is true if the cluster still lists the helper: an ephemeral container, which Kubernetes cannot remove, or a helper pod that could not be
	// removed.
	LeftBehind bool `json:"leftBehind"`
}

// ProbeSchedule is how a pod kept its schedule.
type ProbeSchedule struct {
	// Planned counts the requests of the schedule.
	Planned int `json:"planned"`
	// Late counts the requests that started later than an interval plus 50 ms.
	Late int `json:"late"`
	// Dropped counts the requests that were not sent, because too many others were under way.
	Dropped int `json:"dropped"`
	// LagMs is how much later than planned requests started, in milliseconds.
	LagMs *ProbeLag `json:"lagMs,omitempty"`
}

// ProbeLag is how much later than planned requests started, in milliseconds.
type ProbeLag struct {
	// P99 is the 99th percentile.
	P99 float64 `json:"p99"`
	// Max is the greatest value.
	Max float64 `json:"max"`
}

// ProbeUnknown is a reply of which nobody knows who sent it.
type ProbeUnknown struct {
	// Count is how often the reply came.
	Count int `json:"count"`
	// Body is the beginning of the reply. For a connection without HTTP it is the address to which the socket in the client pod led, empty if that is
	// unknown.
	Body string `json:"body"`
}

// ProbeAnswer is who answered, and how often. Shares are from 0 to 1, of all requests.
type ProbeAnswer struct {
	// Name is the member or the captured value.
	Name string `json:"name"`
	// Member is false for a captured value that names no member.
	Member bool `json:"member"`
	// Requests counts the requests that it answered.
	Requests int `json:"requests"`
	// Share is the share of all requests that it answered, from 0 to 1.
	Share float64 `json:"share"`
	// ConfidenceInterval is the 95 % confidence interval (Wilson) of Share.
	ConfidenceInterval ProbeInterval `json:"confidenceInterval"`
	// ExpectedShare is the share that the prediction expects, from 0 to 1; absent if nothing is predicted.
	ExpectedShare *float64 `json:"expectedShare,omitempty"`
	// Errors counts those of Requests that are errors, such as a 503.
	Errors int `json:"errors"`
	// LatencyMs is the latency of these answers, in milliseconds.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
	// ConnectMs is how long name and connection took. It shows the distance between clusters. curl measures it, and connections without HTTP (--tcp).
	ConnectMs *ProbeLatency `json:"connectMs,omitempty"`
}

// ProbeInterval is a 95 % confidence interval (Wilson).
type ProbeInterval struct {
	// Low is the lower bound.
	Low float64 `json:"low"`
	// High is the upper bound.
	High float64 `json:"high"`
}

// ProbeLatency is a distribution of times in milliseconds.
type ProbeLatency struct {
	// Count is the number of values.
	Count int `json:"count"`
	// Min is the least value.
	Min float64 `json:"min"`
	// Mean is the mean value.
	Mean float64 `json:"mean"`
	// P50 is the median; absent if fewer than ten values are above it.
	P50 *float64 `json:"p50,omitempty"`
	// P95 is the 95th percentile; absent if fewer than ten values are above it.
	P95 *float64 `json:"p95,omitempty"`
	// P99 is the 99th percentile; absent if fewer than ten values are above it.
	P99 *float64 `json:"p99,omitempty"`
	// Max is the greatest value.
	Max float64 `json:"max"`
	// Histogram counts all values.
	Histogram []ProbeBucket `json:"histogram,omitempty"`
}

// ProbeError is how often one class of error occurred.
type ProbeError struct {
	// Class is dns, refused, unreachable, connect-timeout, read-timeout, reset, tls, empty-reply, truncated, http-4xx, http-5xx, tool or unknown.
	Class string `json:"class"`
	// Cluster is who sent the error, or else the only cluster that can have answered. It is absent if the error cannot be attributed.
	Cluster string `json:"cluster,omitempty"`
	// Predicted is true if Cluster relies on the prediction.
	Predicted bool `json:"predicted,omitempty"`
	// Count is how many requests failed with this class.
	Count int `json:"count"`
	// FirstTime is when the first of these requests started, or should have started.
	FirstTime *time.Time `json:"firstTime,omitempty"`
	// LastTime is when the last of these requests started, or should have started.
	LastTime *time.Time `json:"lastTime,omitempty"`
	// Message is what the tool reported for the first of them.
	Message string `json:"message,omitempty"`
}

// ProbeCheck is one expectation for one client.
type ProbeCheck struct {
	// Client is the name of the client.
	Client string `json:"client"`
	// URL is what the client called; absent if the run has only one URL.
	URL string `json:"url,omitempty"`
	// Expectation is the expectation as it was typed.
	Expectation string `json:"expectation"`
	// Result is PASS, FAIL or INCONCLUSIVE.
	Result string `json:"result"`
	// Observed is what was observed.
	Observed string `json:"observed,omitempty"`
	// Reason says why the result is not PASS.
	Reason string `json:"reason,omitempty"`
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
	// Cluster is the cluster of the pod.
	Cluster string `json:"cluster"`
	// Namespace is the namespace of the pod.
	Namespace string `json:"namespace"`
	// Pod is the helper pod, or the pod with the ephemeral container.
	Pod string `json:"pod"`
	// Container is the name of the ephemeral container; absent for a helper pod.
	Container string `json:"container,omitempty"`
	// Image is the image of the container.
	Image string `json:"image"`
	// State is waiting, running, ended or terminating.
	State string `json:"state"`
	// StartTime is when the container started.
	StartTime *time.Time `json:"startTime,omitempty"`
}
