package v1alpha1

// FederationReport says how clusters with different CAs trust each other, what a command changed, and what comes next. Its kind is FederationReport.
type FederationReport struct {
	Document `json:",inline"`
	// Action is federate, off or repair.
	Action string `json:"action"`
	DryRun string `json:"dryRun"`
	// Recipe is files-only, cross-certificates or ca-certificates, and Reason says why; absent if none was chosen.
	Recipe string `json:"recipe,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Clusters are those that are federated or separated.
	Clusters []FederationCluster `json:"clusters"`
	// Phases are all phases of a plan, or those that the command did.
	Phases []RotationPhase `json:"phases"`
	// Waiting is what the running processes have not done yet; absent if nothing is known to be missing.
	Waiting  []string `json:"waiting,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Changes  []Change `json:"changes"`
	// Next are the commands that go on, and Undo those that restore the previous state, in order.
	Next []NextStep `json:"next,omitempty"`
	Undo []NextStep `json:"undo,omitempty"`
}

// FederationCluster is one cluster. Of its LeafCertificates, Crossed come with the cross certificates that the CAs of all other clusters need, and
// Trusting have a CA file that contains these CAs.
type FederationCluster struct {
	Cluster string `json:"cluster"`
	// Issuer is what issues its leaf certificates: helm, certgen, "helm and certgen" or nobody.
	Issuer           string       `json:"issuer"`
	CA               *Certificate `json:"ca,omitempty"`
	LeafCertificates int          `json:"leafCertificates"`
	Crossed          int          `json:"crossed"`
	Trusting         int          `json:"trusting"`
	// ToChange are the objects that the recipe still has to change.
	ToChange []string `json:"toChange,omitempty"`
}
