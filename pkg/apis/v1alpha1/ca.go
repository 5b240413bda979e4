package v1alpha1

import "time"

// CAReport is what kubectl mesh-ca status prints.
type CAReport struct {
	Document `json:",inline"`
	Clusters []CACluster `json:"clusters"`
	// Trust has one entry for each ordered pair of clusters that could be read.
	Trust []TrustPair `json:"trust"`
	// Live is what the running processes do; absent without --live.
	Live *CALive `json:"live,omitempty"`
}

// CACluster is the CA and the certificates of one cluster.
type CACluster struct {
	Cluster   string `json:"cluster"`
	Context   string `json:"context"`
	Namespace string `json:"namespace"`
	// CA is absent when the cluster has none or it cannot be read; CAMessage then says why.
	CA        *Authority        `json:"ca,omitempty"`
	CAMessage string            `json:"caMessage,omitempty"`
	Leafs     []LeafCertificate `json:"leafs"`
	// Inside are the connections that stay in the cluster.
	Inside []TrustLink `json:"inside,omitempty"`
}

// Owner says who manages an object. Kind is helm, certgen, mesh-ca, hand or unknown if the owner does not reconcile it; otherwise cert-manager, argocd,
// flux, external-secrets, the name of another tool, or controller.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name,omitempty"`
	// Mark is the mark that identifies the owner.
	Mark string `json:"mark,omitempty"`
}

// Certificate holds the facts of a certificate.
type Certificate struct {
	Fingerprint   string    `json:"fingerprint"`   // SHA-256 of the certificate
	PublicKeyHash string    `json:"publicKeyHash"` // SHA-256 of its public key
	SubjectKeyID  string    `json:"subjectKeyID,omitempty"`
	Subject       string    `json:"subject"`
	Issuer        string    `json:"issuer"`
	NotBefore     time.Time `json:"notBefore"`
	NotAfter      time.Time `json:"notAfter"`
}

// Authority is a cluster's CA, Secret cilium-ca.
type Authority struct {
	Certificate `json:",inline"`
	IsCA        bool `json:"isCA"`
	// Certificates counts those in the file; the first one signs.
	Certificates int `json:"certificates"`
	// Key is ok, mismatch, missing or broken.
	Key        string `json:"key"`
	KeyMessage string `json:"keyMessage,omitempty"`
	Owner      Owner  `json:"owner"`
	Immutable  bool   `json:"immutable,omitempty"`
	// CertgenRefusesFrom is when certgen stops signing with the CA because it expires before the leaf certificates would; absent if certgen does not check this.
	CertgenRefusesFrom *time.Time `json:"certgenRefusesFrom,omitempty"`
}

// LeafCertificate is one Secret with a certificate that is derived from the CA, or SECRET[KEY] with a copy of a peer's certificate. The embedded certificate is absent when Message is set.
type LeafCertificate struct {
	Secret string `json:"secret"`
	// Message says why there is no certificate to show: it cannot be read, does not parse.
	Message      string `json:"message,omitempty"`
	*Certificate `json:",inline"`
	DNSNames     []string `json:"dnsNames,omitempty"`
	IPAddresses  []string `json:"ipAddresses,omitempty"`
	Key          string   `json:"key,omitempty"`
	// SignedByCA: the cluster's present cilium-ca signed it; absent if that is unknown.
	SignedByCA *bool  `json:"signedByCA,omitempty"`
	Owner      *Owner `json:"owner,omitempty"`
	// Problems are those of the certificate by itself: expired, wrong name, wrong usage, wrong key.
	Problems []LeafProblem `json:"problems,omitempty"`
}

// LeafProblem is something that is wrong with a certificate. Severity is error or warning.
type LeafProblem struct {
	Severity string `json:"severity"`
	// User says that etcd does not know the user that the certificate names.
	User    bool   `json:"user,omitempty"`
	Message string `json:"message"`
}

// TrustPair says whether the client cluster's processes can log in to the server cluster's etcd.
type TrustPair struct {
	Client     string     `json:"client"`
	Server     string     `json:"server"`
	Verdict    string     `json:"verdict"` // ok, broken or unknown
	Configured bool       `json:"configured"`
	Login      TrustCheck `json:"login"`    // the client's certificate against what the server's etcd trusts
	Identity   TrustCheck `json:"identity"` // the server's certificate against what the client trusts
}

// TrustLink is a connection inside a cluster.
type TrustLink struct {
	Name     string      `json:"name"`
	Verdict  string      `json:"verdict"`
	Login    *TrustCheck `json:"login,omitempty"`
	Identity *TrustCheck `json:"identity,omitempty"`
}

// TrustCheck is one half of a handshake. Presented and Trust are TYPE/NAME[KEY] as the processes mount them.
type TrustCheck struct {
	Presented string `json:"presented,omitempty"`
	Trust     string `json:"trust,omitempty"`
	Verdict   string `json:"verdict"`
	Reason    string `json:"reason,omitempty"`
}

// CAChangeReport is the ChangeReport of the commands that replace a CA, with the next steps and how to undo it.
type CAChangeReport struct {
	ChangeReport `json:",inline"`
	// Next lists the steps that you must do before the clusters trust each other.
	Next []NextStep `json:"next,omitempty"`
	// Undo lists the commands that restore the previous CAs.
	Undo []string `json:"undo,omitempty"`
}

// NextStep is one step in one cluster. Command is absent if the plugin cannot know it.
type NextStep struct {
	Cluster string   `json:"cluster"`
	Why     string   `json:"why"`
	Command string   `json:"command,omitempty"`
	Objects []string `json:"objects,omitempty"`
	// AfterAll is true for a step that must wait until all other steps are done in every cluster.
	AfterAll bool `json:"afterAll,omitempty"`
}
