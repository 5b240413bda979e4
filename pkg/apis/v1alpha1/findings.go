package v1alpha1

// FindingList is what kubectl mesh-svc check prints. The findings stand in the envelope.
type FindingList struct {
	Document `json:",inline"`
	// Services is how many were checked.
	Services int `json:"services"`
	// NotExamined is what could not be read of members that otherwise were; the document is then not complete.
	NotExamined []NotExamined `json:"notExamined,omitempty"`
}

// NotExamined is something that could not be read: whether the findings that need it are there is not known.
type NotExamined struct {
	Cluster string `json:"cluster"`
	// Verb and Resource are what was asked for, as RBAC spells them; Namespace is absent where it was the whole cluster.
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	// Findings are the ids that need it.
	Findings []string `json:"findings"`
	// Class is one word, as in MemberError.
	Class   string `json:"class"`
	Message string `json:"message"`
}
