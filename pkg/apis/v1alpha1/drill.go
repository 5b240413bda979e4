package v1alpha1

import "time"

// DrillReport is what kubectl mesh-probe drill prints, with and without --repair.
type DrillReport struct {
	Document `json:",inline"`
	// Service is NAMESPACE/NAME of the Service; absent for a repair of several drills.
	Service string `json:"service,omitempty"`
	// Cluster is the cluster whose backends are taken away; absent for a repair of several drills.
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
	// URL is what the clients called.
	URL string `json:"url,omitempty"`
	// RatePerSecond is how many requests each client was to send in a second.
	RatePerSecond *float64 `json:"ratePerSecond,omitempty"`
	// HoldMs is how long the backends were to stay away, in milliseconds.
	HoldMs *float64 `json:"holdMs,omitempty"`
	// WriteTime is when the first write that took backends away was sent. A write that failed does not count.
	WriteTime *time.Time `json:"writeTime,omitempty"`
	// RestoreTime is when the first write that restored the backends was sent. A write that failed does not count.
	RestoreTime *time.Time `json:"restoreTime,omitempty"`
	// FailoverMs is the longest time without a successful answer that any client saw, counted from WriteTime.
	FailoverMs *float64 `json:"failoverMs,omitempty"`
	// Propagation is how long clients took to follow the write.
	Propagation *DrillPropagation `json:"propagation,omitempty"`
	// ReturnPropagation is how long clients took to come back after the backends were restored.
	ReturnPropagation *DrillPropagation `json:"returnPropagation,omitempty"`
	// IntervalMs is the length of each of Intervals, in milliseconds.
	IntervalMs *float64 `json:"intervalMs,omitempty"`
	// Intervals divides the time of the requests into parts of IntervalMs, over all clients.
	Intervals []ProbeTimeInterval `json:"intervals,omitempty"`
	// Clients has one entry for each client pod.
	Clients []DrillClient `json:"clients,omitempty"`
	// Checks has the result of each expectation for each client.
	Checks []ProbeCheck `json:"checks,omitempty"`
}

// DrillChange is one write to one object.
type DrillChange struct {
	// Cluster is the cluster of the object.
	Cluster string `json:"cluster"`
	// Namespace is the namespace of the object.
	Namespace string `json:"namespace"`
	// Object is the object, as TYPE/NAME.
	Object string `json:"object"`
	// Field is what the drill changes in the object: spec.replicas or service.cilium.io/shared; empty for a pod that is evicted.
	Field string `json:"field"`
	// Before is the value of Field before the drill; null if it was absent.
	Before *string `json:"before"`
	// After is the value of Field during the drill; null if it is absent.
	After *string `json:"after"`
	// Result is as in a ChangeReport, or restored.
	Result string `json:"result"`
	// Message says more about the result.
	Message string `json:"message,omitempty"`
}

// DrillRecord is the ConfigMap that keeps the previous values.
type DrillRecord struct {
	// Cluster is the cluster that has the ConfigMap.
	Cluster string `json:"cluster"`
	// Namespace is the namespace of the ConfigMap.
	Namespace string `json:"namespace"`
	// Name is the name of the ConfigMap.
	Name string `json:"name"`
	// By is the user and the machine that began the drill.
	By string `json:"by,omitempty"`
	// Since is when the drill began.
	Since time.Time `json:"since"`
}

// DrillPropagation is the time from a write to the first and to the last client pod that follows it.
type DrillPropagation struct {
	// FirstMs is the time until the first client pod followed, in milliseconds; absent if none did.
	FirstMs *float64 `json:"firstMs,omitempty"`
	// FirstClient is the name of that client.
	FirstClient string `json:"firstClient,omitempty"`
	// LastMs is the time until the last client pod followed, in milliseconds; absent if none did.
	LastMs *float64 `json:"lastMs,omitempty"`
	// LastClient is the name of that client.
	LastClient string `json:"lastClient,omitempty"`
	// Clients counts the client pods that followed.
	Clients int `json:"clients"`
	// Missing counts the client pods that should have followed and did not.
	Missing int `json:"missing"`
}

// DrillClient is what one client pod saw. In Return, times are since RestoreTime.
type DrillClient struct {
	// Name is CLUSTER/NODE, or CLUSTER/POD if several pods on the node sent requests. Checks use this name.
	Name string `json:"name"`
	// Cluster is the cluster of the client pod.
	Cluster string `json:"cluster"`
	// Pod is the client pod.
	Pod string `json:"pod"`
	// Node is the node of the client pod.
	Node string `json:"node,omitempty"`
	// Tool is the program in the pod that sent the requests.
	Tool string `json:"tool,omitempty"`
	// Affected is true if the drill takes backends away that this client uses, as predicted.
	Affected bool `json:"affected"`
	// Complete is false if a reply may be missing; Reason then says why.
	Complete bool `json:"complete"`
	// Reason says why Complete is false.
	Reason string `json:"reason,omitempty"`
	// Before is what the client saw before the write.
	Before DrillPhase `json:"before"`
	// During is what the client saw from the write until the values were restored.
	During DrillPhase `json:"during"`
	// After is what the client saw after the values were restored.
	After DrillPhase `json:"after"`
	// LastAnswerMs is when the last answer of the drilled cluster arrived, in milliseconds since the write.
	LastAnswerMs *float64 `json:"lastAnswerMs,omitempty"`
	// FirstOtherMs is when the first answer of another cluster arrived, in milliseconds since the write.
	FirstOtherMs *float64 `json:"firstOtherMs,omitempty"`
	// FirstOtherCluster is the cluster that sent that answer.
	FirstOtherCluster string `json:"firstOtherCluster,omitempty"`
	// FollowedMs is the start of the first request since which only other clusters answered, and no request failed, in milliseconds since the write.
	FollowedMs *float64 `json:"followedMs,omitempty"`
	// FailoverMs is the longest time without a successful answer, counted from the write, in milliseconds.
	FailoverMs *float64 `json:"failoverMs,omitempty"`
	// Recovered is false if the time of FailoverMs had not ended when the backends were restored; it is absent if FailoverMs is.
	Recovered *bool `json:"recovered,omitempty"`
	// ResolutionMs is how wrong FailoverMs and OutageMs may be, in milliseconds.
	ResolutionMs *float64 `json:"resolutionMs,omitempty"`
	// OutageMs is the time from the first to the last request that failed, in milliseconds; absent if none did.
	OutageMs *float64 `json:"outageMs,omitempty"`
	// FirstErrorMs is the start of the first request that failed, in milliseconds since the write.
	FirstErrorMs *float64 `json:"firstErrorMs,omitempty"`
	// LastErrorMs is the start of the last request that failed, in milliseconds since the write.
	LastErrorMs *float64 `json:"lastErrorMs,omitempty"`
	// Errors are the errors during the drill.
	Errors []ProbeError `json:"errors,omitempty"`
	// Return is how the client came back to the drilled cluster.
	Return *DrillReturn `json:"return,omitempty"`
	// Intervals has the same intervals as the report, with the requests of this client only.
	Intervals []ProbeTimeInterval `json:"intervals,omitempty"`
	// Warnings say what limits the result of this client.
	Warnings []string `json:"warnings,omitempty"`
}

// DrillPhase counts the requests that a client began in one phase of a drill. One that began before the write and failed after it counts as one during
// the drill.
type DrillPhase struct {
	// Requests counts the requests that the client began in this phase.
	Requests int `json:"requests"`
	// Answers counts the answers by cluster.
	Answers map[string]int `json:"answers"`
	// Unknown counts answers of which nobody knows who sent them.
	Unknown int `json:"unknown"`
	// Errors counts the requests that failed.
	Errors int `json:"errors"`
	// LatencyMs is the latency of all answers, whoever sent them. It has no histogram.
	LatencyMs *ProbeLatency `json:"latencyMs,omitempty"`
}

// DrillReturn is how a client came back to the drilled cluster. Times are in milliseconds since RestoreTime; after an eviction, where nothing
// is written to restore the pods, since WriteTime.
type DrillReturn struct {
	// FirstAnswerMs is when the first answer of the drilled cluster arrived, in milliseconds; absent if none did.
	FirstAnswerMs *float64 `json:"firstAnswerMs,omitempty"`
	// LongestGapMs is the longest time without a successful answer on the return, in milliseconds.
	LongestGapMs *float64 `json:"longestGapMs,omitempty"`
	// Errors counts the requests that failed on the return.
	Errors int `json:"errors"`
}
