package v1alpha1

import "time"

// RotationReport is what kubectl mesh-ca rotate prints. It says where a rotation of the CA is, what a command of it did, and what comes next.
type RotationReport struct {
	Document `json:",inline"`
	// Action is plan, start, continue, finish, abort or status.
	Action string `json:"action"`
	// DryRun is none, client or server.
	DryRun string `json:"dryRun"`
	// UnderWay is true from the first write of a rotation to its last.
	UnderWay bool `json:"underWay"`
	// Method is cross-sign or bundle; absent if no rotation is under way and none is planned.
	Method string `json:"method,omitempty"`
	// MethodReason says why that method was chosen.
	MethodReason string `json:"methodReason,omitempty"`
	// OldCA is the CA that is replaced.
	OldCA *Certificate `json:"oldCA,omitempty"`
	// NewCA is the CA that replaces it; absent while it does not exist.
	NewCA *Certificate `json:"newCA,omitempty"`
	// Since is when the rotation began; absent if none is under way.
	Since *time.Time `json:"since,omitempty"`
	// By is the user and the machine that began the rotation.
	By string `json:"by,omitempty"`
	// Phase is the next phase.
	Phase string `json:"phase"`
	// Waiting is what the gate of the next phase waits for; absent if the gate is open.
	Waiting []string `json:"waiting,omitempty"`
	// Ignored is what was not waited for, because of --ignore-node or --ignore-client. The report is then not complete.
	Ignored []string `json:"ignored,omitempty"`
	// Phases are all phases of a plan, or those that the command did.
	Phases []RotationPhase `json:"phases"`
	// Clusters says where each cluster is.
	Clusters []RotationCluster `json:"clusters"`
	// Warnings are what the owners of the certificates could do meanwhile.
	Warnings []string `json:"warnings,omitempty"`
	// Changes are the writes, each with its result.
	Changes []Change `json:"changes"`
	// NextSteps are the commands that go on, or back.
	NextSteps []NextStep `json:"nextSteps,omitempty"`
}

// RotationPhase is one phase: what it does, in which clusters, and how long it took.
type RotationPhase struct {
	// Name is the name of the phase.
	Name string `json:"name"`
	// Description says what the phase does.
	Description string `json:"description"`
	// Command is the command that does the phase: start, continue or finish.
	Command string `json:"command,omitempty"`
	// Clusters are those in which the phase changes something.
	Clusters []string `json:"clusters,omitempty"`
	// WaitedMs is the time until the gate of the phase opened, in milliseconds; absent in a plan.
	WaitedMs *int64 `json:"waitedMs,omitempty"`
	// TookMs is the time that the writes of the phase took, in milliseconds; absent in a plan.
	TookMs *int64 `json:"tookMs,omitempty"`
}

// RotationCluster says where one cluster is in a rotation.
type RotationCluster struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Owner is what issues the leaf certificates.
	Owner string `json:"owner"`
	// LeafCertificateState is old, new or both, by the CA that signed the leaf certificates; mixed if they are not all equal.
	LeafCertificateState string `json:"leafCertificateState"`
	// Trust is old, new or both, by the CAs in the CA files; mixed if they are not all equal.
	Trust string `json:"trust"`
	// Behind are the processes that have not loaded their present CA file.
	Behind []string `json:"behind,omitempty"`
	// Disconnected are the clients that are not connected.
	Disconnected []string `json:"disconnected,omitempty"`
}
