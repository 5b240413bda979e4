package v1alpha1

import "time"

// ProbeTimeInterval is a part of a run. It counts the requests that started in it, or that should have started in it if the run kept a schedule.
type ProbeTimeInterval struct {
	// StartTime is when the interval begins.
	StartTime time.Time `json:"startTime"`
	// Requests counts the requests of the interval.
	Requests int `json:"requests"`
	// Answers counts the attributed replies by who sent them.
	Answers map[string]int `json:"answers,omitempty"`
	// Unknown counts replies with an unknown sender.
	Unknown int `json:"unknown,omitempty"`
	// NoAnswer counts requests without a reply.
	NoAnswer int `json:"noAnswer,omitempty"`
	// Errors counts all requests that failed.
	Errors int `json:"errors"`
	// MedianMs is the median latency of the answers, whoever sent them, in milliseconds.
	MedianMs *float64 `json:"medianMs,omitempty"`
	// MaxMs is the greatest latency of the answers, whoever sent them, in milliseconds.
	MaxMs *float64 `json:"maxMs,omitempty"`
}

// ProbeBucket counts the times between two bounds. The bounds are 1, 1.5, 2, 3, 5 and 7 times each power of ten from 0.1 ms. Empty buckets are absent.
type ProbeBucket struct {
	// UpperBoundMs is the upper bound of the bucket, in milliseconds.
	UpperBoundMs float64 `json:"upperBoundMs"`
	// Count is the number of values that are at most UpperBoundMs and above that of the bucket below.
	Count int `json:"count"`
}

// ProbeRequest is one request: a line of -o jsonl.
type ProbeRequest struct {
	// Client is the cluster of the client pod.
	Client string `json:"client"`
	// Pod is the client pod.
	Pod string `json:"pod,omitempty"`
	// URL is what was called. It is absent if the run has only one URL.
	URL string `json:"url,omitempty"`
	// StartTime is when the request started. It may be wrong by up to UncertainMs.
	StartTime time.Time `json:"startTime"`
	// UncertainMs is how wrong StartTime may be, in milliseconds.
	UncertainMs float64 `json:"uncertainMs,omitempty"`
	// DueTime is when the request should have started, if the run kept a schedule.
	DueTime *time.Time `json:"dueTime,omitempty"`
	// LagMs is how much later than DueTime the request started, in milliseconds. Latencies of reports are LagMs + DurationMs.
	LagMs float64 `json:"lagMs,omitempty"`
	// DurationMs is how long the request took, in milliseconds; absent if it was not measured.
	DurationMs *float64 `json:"durationMs,omitempty"`
	// AtMostMs is present if DurationMs is not: the longest time that the request can have taken, from StartTime until its result arrived, in milliseconds.
	AtMostMs *float64 `json:"atMostMs,omitempty"`
	// ConnectMs is how long name and connection took, in milliseconds; absent if it was not measured.
	ConnectMs *float64 `json:"connectMs,omitempty"`
	// Status is the HTTP status. It is absent if there was no reply.
	Status int `json:"status,omitempty"`
	// Class is that of ProbeError. It is absent for an answer with a status below 400.
	Class string `json:"class,omitempty"`
	// Message is what the tool reported.
	Message string `json:"message,omitempty"`
	// Cluster is who answered: a member, or else a captured value. It is absent if the sender is unknown.
	Cluster string `json:"cluster,omitempty"`
	// Member is true if Cluster is a member of the mesh.
	Member bool `json:"member,omitempty"`
	// Evidence is what identified the sender.
	Evidence string `json:"evidence,omitempty"`
	// Weak is true if Evidence may be in the reply by chance.
	Weak bool `json:"weak,omitempty"`
	// Reply is the number of a distinct reply of this client whose sender was unknown when it arrived. A record may attribute it in a later line.
	Reply int `json:"reply,omitempty"`
}

// ProbeMark is an event on the clock of a run. A command has an end and an exit code, unless it did not end.
type ProbeMark struct {
	// Time is when the event was, or when the command started.
	Time time.Time `json:"time"`
	// Text is the text of --mark, or the command.
	Text string `json:"text"`
	// Command is the command of --mark-on; absent for a mark with a text.
	Command string `json:"command,omitempty"`
	// EndTime is when the command ended; absent if it did not.
	EndTime *time.Time `json:"endTime,omitempty"`
	// ExitCode is the exit code of the command; absent if it did not end.
	ExitCode *int `json:"exitCode,omitempty"`
	// RunStartTime is when the first request of the mark's run started, if the report joins several runs. The mark applies to no earlier request.
	RunStartTime *time.Time `json:"runStartTime,omitempty"`
	// RunEndTime is when the last request of the mark's run started, if the report joins several runs. The mark applies to no later request.
	RunEndTime *time.Time `json:"runEndTime,omitempty"`
	// RunClients are the clients of the mark's run, if the report joins several runs. The mark applies to no other client.
	RunClients []ProbeRunClient `json:"runClients,omitempty"`
}

// ProbeRunClient is a client of one of the runs that a report joins.
type ProbeRunClient struct {
	// Cluster is the cluster of the client pod.
	Cluster string `json:"cluster"`
	// Pod is the name of the client pod.
	Pod string `json:"pod,omitempty"`
	// URL is the URL that the client calls, if the run has several.
	URL string `json:"url,omitempty"`
}

// ProbeOutage is what one client saw after a mark. A successful answer counts when it arrives.
type ProbeOutage struct {
	// Mark is the text of the mark.
	Mark string `json:"mark"`
	// Time is the time of the mark.
	Time time.Time `json:"time"`
	// Cluster answered before the mark and no longer after the gap, if that is true of one cluster only.
	Cluster string `json:"cluster,omitempty"`
	// LastAnswerTime is when the last answer of Cluster arrived.
	LastAnswerTime *time.Time `json:"lastAnswerTime,omitempty"`
	// ToCluster is the first other cluster that answered after the mark.
	ToCluster string `json:"toCluster,omitempty"`
	// FirstAnswerTime is when the first answer of ToCluster arrived.
	FirstAnswerTime *time.Time `json:"firstAnswerTime,omitempty"`
	// GapMs is the longest time without a successful answer, counted from the mark, in milliseconds. Where the end of a request is not known exactly, it is
	// the longest time that is possible.
	GapMs float64 `json:"gapMs"`
	// GapStartTime is when that time begins.
	GapStartTime time.Time `json:"gapStartTime"`
	// GapEndTime is when that time ends.
	GapEndTime time.Time `json:"gapEndTime"`
	// Recovered is false if no answer ended the gap.
	Recovered bool `json:"recovered"`
	// Requests counts the requests that ended after the mark.
	Requests int `json:"requests"`
	// Failed counts those of Requests that failed.
	Failed int `json:"failed"`
	// Errors counts those of Failed by class.
	Errors map[string]int `json:"errors,omitempty"`
	// ErrorsMs is the time from the first request that failed to the first one after the last that failed, in milliseconds. It is absent if none failed.
	ErrorsMs *float64 `json:"errorsMs,omitempty"`
	// ResolutionMs is how wrong GapMs and ErrorsMs may be, in milliseconds.
	ResolutionMs float64 `json:"resolutionMs"`
}

// ProbeComparison is what kubectl mesh-probe compare prints: whether two recorded runs differ.
type ProbeComparison struct {
	Document `json:",inline"`
	// Result is SAME, DIFFERENT or INCONCLUSIVE.
	Result string `json:"result"`
	// Confidence is the confidence of all metrics together, from 0 to 1.
	Confidence float64 `json:"confidence"`
	// A is the first run.
	A ProbeComparedRun `json:"a"`
	// B is the second run.
	B ProbeComparedRun `json:"b"`
	// Metrics has one entry for each value that was compared.
	Metrics []ProbeMetric `json:"metrics"`
	// Warnings say what was not compared, and what limits the result.
	Warnings []string `json:"warnings,omitempty"`
}

// ProbeComparedRun is one of the two runs.
type ProbeComparedRun struct {
	// File is the record, as it was typed.
	File string `json:"file"`
	// URL is what was called. If the run has several URLs, it is the first.
	URL string `json:"url"`
	// URLs is present if the run has several URLs: all of them.
	URLs []string `json:"urls,omitempty"`
	// StartTime is when the run started.
	StartTime *time.Time `json:"startTime,omitempty"`
	// Requests counts the requests of the run.
	Requests int `json:"requests"`
	// Complete is false if the report of the run is not complete.
	Complete bool `json:"complete"`
}

// ProbeMetric compares one value of both runs.
type ProbeMetric struct {
	// Client is the cluster of the clients.
	Client string `json:"client"`
	// URL is what the clients called. It is absent if both runs have only one URL.
	URL string `json:"url,omitempty"`
	// Metric is share, errors, p50 or p95.
	Metric string `json:"metric"`
	// Cluster is who answered. It is absent if the metric covers all answers.
	Cluster string `json:"cluster,omitempty"`
	// A is the value of the first run: from 0 to 1 for shares and errors, in milliseconds for latencies.
	A float64 `json:"a"`
	// B is the value of the second run.
	B float64 `json:"b"`
	// Change is B - A for shares and errors, and B / A for latencies.
	Change float64 `json:"change"`
	// ConfidenceInterval is the confidence interval of Change.
	ConfidenceInterval ProbeInterval `json:"confidenceInterval"`
	// Tolerance is how much Change may differ from no change and still count as the same.
	Tolerance float64 `json:"tolerance"`
	// PValue is the probability of a difference at least as large if the runs do not differ (two proportions; Mann-Whitney for p50).
	PValue *float64 `json:"pValue,omitempty"`
	// Result is SAME, DIFFERENT or INCONCLUSIVE.
	Result string `json:"result"`
	// Reason says why the result is INCONCLUSIVE.
	Reason string `json:"reason,omitempty"`
}
