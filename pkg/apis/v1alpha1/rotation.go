package v1alpha1

import "time"

// RotationReport says where a rotation of the CA is, what a command of it did, and what comes next. Its kind is RotationReport.
type RotationReport struct {
	Document `json:",inline"`
	// Action is plan, start, continue, finish, abort or status.
	Action string `json:"action"`
	DryRun string `json:"dryRun"`
	// UnderWay is true from the first write of a rotation to its last.
	UnderWay bool `json:"underWay"`
	// Method is cross-sign or bundle; absent if no rotation is under way and none is planned.
	Method string `json:"method,omitempty"`
	// MethodReason says why that method was chosen.
	MethodReason string `json:"methodReason,omitempty"`
	// Old and New are the CAs; New is absent where it is not made yet.
	Old *Certificate `json:"old,omitempty"`
	New *Certificate `json:"new,omitempty"`
	// Since and By are those of the lock.
	Since *time.Time `json:"since,omitempty"`
	By    string     `json:"by,omitempty"`
	// Phase is the next phase, and Waiting what its gate waits for; absent if it is open.
	Phase   string   `json:"phase"`
	Waiting []string `json:"waiting,omitempty"`
	// Ignored is what was not waited for, because of --ignore-node or --ignore-client. The report is then not complete.
	Ignored []string `json:"ignored,omitempty"`
	// Phases are all phases of a plan, or those that the command did.
	Phases   []RotationPhase   `json:"phases"`
	Clusters []RotationCluster `json:"clusters"`
	// Warnings are what the owners of the certificates could do meanwhile.
	Warnings []string `json:"warnings,omitempty"`
	Changes  []Change `json:"changes"`
	// Next are the commands that go on, or back.
	Next []NextStep `json:"next,omitempty"`
}

// RotationPhase is one phase: what it does, in which clusters, and how long it took.
type RotationPhase struct {
	Name     string   `json:"name"`
	Text     string   `json:"text"`
	Command  string   `json:"command,omitempty"` // start, continue or finish
	Clusters []string `json:"clusters,omitempty"`
	// WaitedMs is the time until its gate opened, and TookMs that of its writes; absent in a plan.
	WaitedMs *int64 `json:"waitedMs,omitempty"`
	TookMs   *int64 `json:"tookMs,omitempty"`
}

// RotationCluster is where one cluster is. Leaves and Trust are old, new or both; mixed if they are not all equal.
type RotationCluster struct {
	Cluster string `json:"cluster"`
	Owner   string `json:"owner"`
	Leaves  string `json:"leaves"`
	Trust   string `json:"trust"`
	// Behind are the processes that have not loaded their present CA file.
	Behind []string `json:"behind,omitempty"`
	// Disconnected are the clients that are not connected.
	Disconnected []string `json:"disconnected,omitempty"`
}
