package v1alpha1

import "time"

// ProbeReport is what kubectl mesh-probe prints.
type ProbeReport struct {
	Document  `json:",inline"`
	Target    ProbeTarget `json:"target"`
	StartTime *time.Time  `json:"startTime,omitempty"`
	EndTime   *time.Time  `json:"endTime,omitempty"`
	// Clients has one entry for each client pod.
	Clients []ProbeClient `json:"clients"`
	Checks  []ProbeCheck  `json:"checks,omitempty"`
}

// ProbeTarget is what was called. Service is absent where the URL names none.
type ProbeTarget struct {
	URL     string `json:"url"`
	Method  string `json:"method"`
	Service string `json:"service,omitempty"` // NAMESPACE/NAME
	Port    int32  `json:"port,omitempty"`
}

// ProbeClient is the tally of one client pod.
type ProbeClient struct {
	Cluster   string `json:"cluster"`
	Context   string `json:"context"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	Node      string `json:"node,omitempty"`
	// Tool is the program in the pod that sent the requests.
	Tool string `json:"tool,omitempty"`
	// Complete is false when a reply may be missing; Reason then says why.
	Complete bool   `json:"complete"`
	Reason   string `json:"reason,omitempty"`
	// Requests counts all requests that were sent and accounted for.
	Requests int `json:"requests"`
	// Answers has one entry for each member, answered or not, and one for each other value that was captured.
	Answers []ProbeAnswer `json:"answers"`
	// Answered counts the requests that got a reply, whoever sent it.
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
	PredictionMessage string   `json:"predictionMessage,omitempty"`
	DurationMs        *float64 `json:"durationMs,omitempty"`
	RequestsPerSecond *float64 `json:"requestsPerSecond,omitempty"`
	Warnings          []string `json:"warnings,omitempty"`
}

// ProbeUnknown is the beginning of a reply of which nobody knows who sent it, and how often it came.
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
}

// ProbeError is how often one class of error occurred. Class is dns, refused, unreachable, connect-timeout, read-timeout,
// reset, tls, empty-reply, truncated, http-4xx, http-5xx, tool or unknown.
type ProbeError struct {
	Class   string `json:"class"`
	Count   int    `json:"count"`
	Message string `json:"message,omitempty"`
}

// ProbeCheck is one expectation for one client. Result is PASS, FAIL or INCONCLUSIVE.
type ProbeCheck struct {
	Client   string `json:"client"` // the client's cluster
	Expr     string `json:"expr"`
	Result   string `json:"result"`
	Observed string `json:"observed,omitempty"`
	Reason   string `json:"reason,omitempty"`
}
