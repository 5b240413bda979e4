package v1alpha1

// FindingList is the document of kubectl mesh-svc check. The findings are in the envelope.
type FindingList struct {
	Document `json:",inline"`
	// Services is how many were checked.
	Services int `json:"services"`
	// NotExamined lists the resources that could not be read in members that could; the document is then not complete.
	NotExamined []NotExamined `json:"notExamined,omitempty"`
}

// NotExamined is a resource that could not be read, so the findings that need it are unknown.
type NotExamined struct {
	Cluster string `json:"cluster"`
	// Verb and Resource describe the request, as RBAC spells them; Namespace is absent for the whole cluster.
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	// Findings are the ids that need it.
	Findings []string `json:"findings"`
	// Class is one word, as in MemberError.
	Class   string `json:"class"`
	Message string `json:"message"`
}
