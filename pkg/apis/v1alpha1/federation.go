package v1alpha1

// FederationReport is what kubectl mesh-ca federate and rotate repair print. It says how clusters with different CAs trust each other, what a command
// changed, and what comes next.
type FederationReport struct {
	Document `json:",inline"`
	// Action is federate, off or repair.
	Action string `json:"action"`
	// DryRun is none, client or server.
	DryRun string `json:"dryRun"`
	// Recipe is files-only, cross-certificates or ca-certificates; absent if none was chosen.
	Recipe string `json:"recipe,omitempty"`
	// Reason says why that recipe was chosen.
	Reason string `json:"reason,omitempty"`
	// Clusters are those that are federated or separated.
	Clusters []FederationCluster `json:"clusters"`
	// Phases are all phases of a plan, or those that the command did.
	Phases []RotationPhase `json:"phases"`
	// Waiting is what the running processes have not done yet; absent if nothing is known to be missing.
	Waiting []string `json:"waiting,omitempty"`
	// Warnings say what could go wrong.
	Warnings []string `json:"warnings,omitempty"`
	// Changes are the writes, each with its result.
	Changes []Change `json:"changes"`
	// NextSteps are the commands that go on, in order.
	NextSteps []NextStep `json:"nextSteps,omitempty"`
	// UndoSteps are the commands that restore the previous state, in order.
	UndoSteps []NextStep `json:"undoSteps,omitempty"`
}

// FederationCluster is one cluster of a federation.
type FederationCluster struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Issuer is what issues its leaf certificates: helm, certgen, "helm and certgen" or nobody.
	Issuer string `json:"issuer"`
	// CA is the certificate that signs in this cluster.
	CA *Certificate `json:"ca,omitempty"`
	// LeafCertificates counts the leaf certificates of the cluster.
	LeafCertificates int `json:"leafCertificates"`
	// Crossed counts those of LeafCertificates that come with the cross certificates that the CAs of all other clusters need.
	Crossed int `json:"crossed"`
	// Trusting counts those of LeafCertificates whose CA file contains the CAs of all other clusters.
	Trusting int `json:"trusting"`
	// ToChange are the objects that the recipe still has to change.
	ToChange []string `json:"toChange,omitempty"`
}
