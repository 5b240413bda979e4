package v1alpha1

import "time"

// ProbeTimeInterval is a part of a run. It counts the requests that started in it, or that should have started in it if the run kept a schedule.
type ProbeTimeInterval struct {
	Start    time.Time `json:"start"`
	Requests int       `json:"requests"`
	// Answers counts the attributed replies by who sent them.
	Answers map[string]int `json:"answers,omitempty"`
	// Unknown counts replies with an unknown sender, NoAnswer requests without a reply, and Errors all requests that failed.
	Unknown  int `json:"unknown,omitempty"`
	NoAnswer int `json:"noAnswer,omitempty"`
	Errors   int `json:"errors"`
	// MedianMs and MaxMs are the latency of the answers, whoever sent them.
	MedianMs *float64 `json:"medianMs,omitempty"`
	MaxMs    *float64 `json:"maxMs,omitempty"`
}

// ProbeBucket counts the times that are at most LeMs, and above the LeMs of the bucket below it. The bounds are 1, 1.5, 2, 3, 5 and 7 times each
// power of ten from 0.1 ms. Empty buckets are absent.
type ProbeBucket struct {
	LeMs  float64 `json:"leMs"`
	Count int     `json:"count"`
}

// ProbeRequest is one request: a line of -o jsonl and of a record.
type ProbeRequest struct {
	// Client is the cluster of the client pod.
	Client string `json:"client"`
	Pod    string `json:"pod,omitempty"`
	// URL is what was called. It is absent if the run has only one URL.
	URL string `json:"url,omitempty"`
	// Start is when the request started. It may be wrong by up to UncertainMs. Due is when it should have started, if the run kept a schedule.
	Start       time.Time  `json:"start"`
	UncertainMs float64    `json:"uncertainMs,omitempty"`
	Due         *time.Time `json:"due,omitempty"`
	// LagMs is how much later than Due the request started. Latencies of reports are LagMs + DurationMs.
	LagMs float64 `json:"lagMs,omitempty"`
	// DurationMs and ConnectMs are absent if they were not measured. Without DurationMs, AtMostMs is the longest time that the request can have
	// taken: from Start until its result arrived.
	DurationMs *float64 `json:"durationMs,omitempty"`
	AtMostMs   *float64 `json:"atMostMs,omitempty"`
	ConnectMs  *float64 `json:"connectMs,omitempty"`
	// Status is the HTTP status. It is absent if there was no reply.
	Status int `json:"status,omitempty"`
	// Class is that of ProbeError. It is absent for an answer with a status below 400.
	Class   string `json:"class,omitempty"`
	Message string `json:"message,omitempty"`
	// Cluster is who answered: a member, or else a captured value. It is absent if the sender is unknown.
	Cluster string `json:"cluster,omitempty"`
	Member  bool   `json:"member,omitempty"`
	// Evidence is what identified the sender. Weak says that it may be in the reply by chance.
	Evidence string `json:"evidence,omitempty"`
	Weak     bool   `json:"weak,omitempty"`
	// Reply is the number of a distinct reply of this client whose sender was unknown when it arrived. A record may attribute it in a later line.
	Reply int `json:"reply,omitempty"`
}

// ProbeMark is an event on the clock of a run. A command has an end and an exit code, unless it did not end.
type ProbeMark struct {
	Time     time.Time  `json:"time"`
	Text     string     `json:"text"`
	Command  string     `json:"command,omitempty"`
	EndTime  *time.Time `json:"endTime,omitempty"`
	ExitCode *int       `json:"exitCode,omitempty"`
}

// ProbeOutage is what one client saw after a mark. A successful answer counts when it arrives.
type ProbeOutage struct {
	Mark string    `json:"mark"`
	Time time.Time `json:"time"`
	// Cluster answered before the mark and no longer after the gap, if that is true of one cluster only. LastAnswer is its last answer.
	Cluster    string     `json:"cluster,omitempty"`
	LastAnswer *time.Time `json:"lastAnswer,omitempty"`
	// ToCluster is the first other cluster that answered after the mark, and FirstAnswer its first answer.
	ToCluster   string     `json:"toCluster,omitempty"`
	FirstAnswer *time.Time `json:"firstAnswer,omitempty"`
	// GapMs is the longest time without a successful answer, counted from the mark. Where the end of a request is not known exactly, it is the
	// longest time that is possible. Recovered is false if no answer ended it.
	GapMs     float64   `json:"gapMs"`
	GapStart  time.Time `json:"gapStart"`
	GapEnd    time.Time `json:"gapEnd"`
	Recovered bool      `json:"recovered"`
	// Requests counts the requests that ended after the mark, Failed those that failed, and Errors the failures by class.
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Errors   map[string]int `json:"errors,omitempty"`
	// ErrorsMs is the time from the first request that failed to the first one after the last that failed. It is absent if none failed.
	ErrorsMs *float64 `json:"errorsMs,omitempty"`
	// ResolutionMs is how wrong these times may be.
	ResolutionMs float64 `json:"resolutionMs"`
}

// ProbeComparison says whether two recorded runs differ.
type ProbeComparison struct {
	Document `json:",inline"`
	// Result is SAME, DIFFERENT or INCONCLUSIVE. Confidence is that of all metrics together, from 0 to 1.
	Result     string           `json:"result"`
	Confidence float64          `json:"confidence"`
	A          ProbeComparedRun `json:"a"`
	B          ProbeComparedRun `json:"b"`
	Metrics    []ProbeMetric    `json:"metrics"`
	Warnings   []string         `json:"warnings,omitempty"`
}

// ProbeComparedRun is one of the two runs.
type ProbeComparedRun struct {
	File string `json:"file"`
	URL  string `json:"url"`
	// URLs is present if the run has several URLs. URL is then the first.
	URLs      []string   `json:"urls,omitempty"`
	StartTime *time.Time `json:"startTime,omitempty"`
	Requests  int        `json:"requests"`
	Complete  bool       `json:"complete"`
}

// ProbeMetric compares one value of both runs. Metric is share, errors, p50 or p95. Shares and errors are from 0 to 1, latencies in milliseconds.
type ProbeMetric struct {
	Client string `json:"client"` // the client's cluster
	// URL is what the clients called. It is absent if both runs have only one URL.
	URL    string `json:"url,omitempty"`
	Metric string `json:"metric"`
	// Cluster is who answered. It is absent if the metric covers all answers.
	Cluster string  `json:"cluster,omitempty"`
	A       float64 `json:"a"`
	B       float64 `json:"b"`
	// Change is B - A for shares and errors, and B / A for latencies. CI is its confidence interval, and Tolerance what counts as the same.
	Change    float64       `json:"change"`
	CI        ProbeInterval `json:"ci"`
	Tolerance float64       `json:"tolerance"`
	// P is the probability of a difference at least as large if the runs do not differ (two proportions; Mann-Whitney for p50).
	P      *float64 `json:"p,omitempty"`
	Result string   `json:"result"`
	Reason string   `json:"reason,omitempty"`
}
