package v1alpha1

import "time"

// DrillReport is what kubectl mesh-probe drill prints, with and without --repair.
type DrillReport struct {
	Document `json:",inline"`
	// Service is NAMESPACE/NAME, and Cluster the cluster whose backends are taken away. A repair of several drills has neither.
	Service string `json:"service,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// With is scale, evict or shared.
	With string `json:"with,omitempty"`
	// DryRun is none, client or server.
	DryRun string `json:"dryRun"`
	// State is planned, refused, restored or notRestored. A drill that wrote nothing is planned or refused. notRestored without RepairCommand means
	// that somebody else changed an object meanwhile; Changes say which.
	State string `json:"state"`
	// Reason says why the drill was refused or stopped, or what was not restored.
	Reason string `json:"reason,omitempty"`
	// Changes are what the drill writes, and what became of it.
	Changes []DrillChange `json:"changes"`
	// Shifts is the predicted change for the clients of each cluster, while the backends are away.
	Shifts []Shift `json:"shifts,omitempty"`
	// Record is where the previous values are stored. It is absent if nothing has to be restored.
	Record *DrillRecord `json:"record,omitempty"`
	// RepairCommand restores the previous values. It is absent if they are restored, or if the record is gone.
	RepairCommand string `json:"repairCommand,omitempty"`
	// URL is what the clients called, RatePerSecond how often, and HoldMs how long the backends were to stay away.
	URL           string   `json:"url,omitempty"`
	RatePerSecond *float64 `json:"ratePerSecond,omitempty"`
	HoldMs        *float64 `json:"holdMs,omitempty"`
	// WriteTime is when the first write that took backends away was sent, RestoreTime when the first one that restored them was. A write that failed
	// does not count.
	WriteTime   *time.Time `json:"writeTime,omitempty"`
	RestoreTime *time.Time `json:"restoreTime,omitempty"`
	// FailoverMs is the longest time without a successful answer that any client saw, counted from WriteTime.
	FailoverMs *float64 `json:"failoverMs,omitempty"`
	// Propagation is how long clients took to follow, and ReturnPropagation how long they took to come back.
	Propagation       *DrillPropagation `json:"propagation,omitempty"`
	ReturnPropagation *DrillPropagation `json:"returnPropagation,omitempty"`
	// Intervals divides the time of the requests into parts of IntervalMs, over all clients.
	IntervalMs *float64            `json:"intervalMs,omitempty"`
	Intervals  []ProbeTimeInterval `json:"intervals,omitempty"`
	Clients    []DrillClient       `json:"clients,omitempty"`
	Checks     []ProbeCheck        `json:"checks,omitempty"`
}

// DrillChange is one write to one object. Before and After are the values of Field; null is absent. Result is as in a ChangeReport, or
// restored.
type DrillChange struct {
	Cluster   string  `json:"cluster"`
	Namespace string  `json:"namespace"`
	Object    string  `json:"object"` // TYPE/NAME
	Field     string  `json:"field"`
	Before    *string `json:"before"`
	After     *string `json:"after"`
	Result    string  `json:"result"`
	Message   string  `json:"message,omitempty"`
}

// DrillRecord is the ConfigMap that keeps the previous values.
type DrillRecord struct {
	Cluster   string    `json:"cluster"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	By        string    `json:"by,omitempty"`
	Since     time.Time `json:"since"`
}

// DrillPropagation is the time from a write to the first and to the last client pod that follows it. Clients counts those that do, and
// Missing those that should and did not. A time without such a client is absent.
type DrillPropagation struct {
	FirstMs     *float64 `json:"firstMs,omitempty"`
	FirstClient string   `json:"firstClient,omitempty"`
	LastMs      *float64 `json:"lastMs,omitempty"`
	LastClient  string   `json:"lastClient,omitempty"`
	Clients     int      `json:"clients"`
	Missing     int      `json:"missing"`
}

// DrillClient is what one client pod saw. Times are in milliseconds since WriteTime or, in Return, since RestoreTime.
type DrillClient struct {
	// Name is CLUSTER/NODE, or CLUSTER/POD if several pods on the node sent requests. Checks use this name.
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	Pod     string `json:"pod"`
	Node    string `json:"node,omitempty"`
	Tool    string `json:"tool,omitempty"`
	// Affected is true if the drill takes backends away that this client uses, as predicted.
	Affected bool `json:"affected"`
	// Complete is false when a reply may be missing; Reason then says why.
	Complete bool   `json:"complete"`
	Reason   string `json:"reason,omitempty"`
	// Before is what the client saw before the write, During until the values were restored, and After from then on.
	Before DrillPhase `json:"before"`
	During DrillPhase `json:"during"`
	After  DrillPhase `json:"after"`
	// LastAnswerMs is when the last answer of the drilled cluster arrived, and FirstOtherMs the first one of another cluster since the write.
	LastAnswerMs *float64 `json:"lastAnswerMs,omitempty"`
	FirstOtherMs *float64 `json:"firstOtherMs,omitempty"`
	FirstOther   string   `json:"firstOther,omitempty"`
	// FollowedMs is the start of the first request since which only other clusters answered, and no request failed.
	FollowedMs *float64 `json:"followedMs,omitempty"`
	// FailoverMs is the longest time without a successful answer, counted from the write. Recovered is false if it had not ended when the
	// backends were restored; it is absent if FailoverMs is. ResolutionMs is how wrong FailoverMs and OutageMs may be.
	FailoverMs   *float64 `json:"failoverMs,omitempty"`
	Recovered    *bool    `json:"recovered,omitempty"`
	ResolutionMs *float64 `json:"resolutionMs,omitempty"`
	// OutageMs is the time from the first to the last request that failed; absent if none did. FirstErrorMs and LastErrorMs are their starts.
	OutageMs     *float64 `json:"outageMs,omitempty"`
	FirstErrorMs *float64 `json:"firstErrorMs,omitempty"`
	LastErrorMs  *float64 `json:"lastErrorMs,omitempty"`
	// Errors are the errors of During.
	Errors []ProbeError `json:"errors,omitempty"`
	Return *DrillReturn `json:"return,omitempty"`
	// Intervals has the same intervals as the report, with the requests of this client only.
	Intervals []ProbeTimeInterval `json:"intervals,omitempty"`
	Warnings  []string            `json:"warnings,omitempty"`
}

// DrillPhase counts the requests that a client began in one phase of a drill. One that began before the write and failed after it counts as one
// during the drill. Unknown counts answers of which nobody knows who sent them.
type DrillPhase struct {
	Requests int            `json:"requests"`
	Answers  map[string]int `json:"answers"` // by cluster
	Unknown  int            `json:"unknown"`
	Errors   int            `json:"errors"`
	// LatencyMs is the latency of all answers, whoever sent them. It has no histogram.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
}

// DrillReturn is how a client came back to the drilled cluster. Times are in milliseconds since RestoreTime; after an eviction, where nothing
// is written to restore the pods, since WriteTime.
type DrillReturn struct {
	// FirstAnswerMs is when the first answer of the drilled cluster arrived; absent if none did.
	FirstAnswerMs *float64 `json:"firstAnswerMs,omitempty"`
	// LongestGapMs is the longest time without a successful answer on the return, and Errors how many requests failed.
	LongestGapMs *float64 `json:"longestGapMs,omitempty"`
	Errors       int      `json:"errors"`
}
