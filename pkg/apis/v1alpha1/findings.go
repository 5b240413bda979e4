package v1alpha1

// FindingList is what kubectl mesh-svc check prints. The findings are in the envelope.
type FindingList struct {
	Document `json:",inline"`
	// Services is how many were checked.
	Services int `json:"services"`
	// NotExamined lists the resources that could not be read in members that could; the document is then not complete.
	NotExamined []NotExamined `json:"notExamined,omitempty"`
}

// NotExamined is a resource that could not be read, so the findings that need it are unknown.
type NotExamined struct {
	// Cluster is the member that could not be examined.
	Cluster string `json:"cluster"`
	// Verb is the verb of the request, as RBAC spells it.
	Verb string `json:"verb"`
	// Resource is the resource of the request, as RBAC spells it.
	Resource string `json:"resource"`
	// Namespace is the namespace of the request; absent for the whole cluster.
	Namespace string `json:"namespace,omitempty"`
	// Findings are the ids that need it.
	Findings []string `json:"findings"`
	// Class is one word, as in MemberError.
	Class string `json:"class"`
	// Message is the error.
	Message string `json:"message"`
}
