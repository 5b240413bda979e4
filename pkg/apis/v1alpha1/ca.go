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
	// Relay has one entry for each ordered pair of clusters of which the client runs Hubble Relay and the server's agents serve Hubble with TLS.
	Relay []TrustPair `json:"relay,omitempty"`
	// Federations lists the groups of clusters that have different CAs and trust each other.
	Federations []Federation `json:"federations,omitempty"`
	// Next lists the steps after which the findings that have a fix are gone, in order.
	Next []NextStep `json:"next,omitempty"`
}

// Federation is a group of clusters with different CAs, each of which trusts every other one.
type Federation struct {
	Clusters []string `json:"clusters"`
	// Means says by what they trust each other: "cross certificates", "several CA certificates", "copies of certificates", sorted.
	Means []string `json:"means"`
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
	// NoClusterMesh is true if the cluster has no clustermesh-apiserver.
	NoClusterMesh bool `json:"noClusterMesh,omitempty"`
	// AuthMode is legacy, migration or cluster (clustermesh.apiserver.tls.authMode); absent if it is not known.
	AuthMode string `json:"authMode,omitempty"`
	// Rotation is true while kubectl mesh-ca rotate replaces the CA.
	Rotation bool `json:"rotation,omitempty"`
	// Former lists CAs that are not used any more, but are still trusted or whose key still exists. FormerMessage says what could not be searched.
	Former        []FormerCA `json:"former,omitempty"`
	FormerMessage string     `json:"formerMessage,omitempty"`
}

// FormerCA is a CA that no cluster signs with any more.
type FormerCA struct {
	Certificate `json:",inline"`
	// TrustedBy lists the files, as TYPE/NAME[KEY], with which processes still accept leaf certificates of this CA.
	TrustedBy []string `json:"trustedBy,omitempty"`
	// KeyIn lists where its private key still exists: backups, as TYPE/NAME, and revisions of a Helm release.
	KeyIn []string `json:"keyIn,omitempty"`
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
	// Contents says what each certificate of the file is, if there are several.
	Contents []CAPart `json:"contents,omitempty"`
	// DueFrom is when the CA has less time left than the leaf certificates that its owner will issue; absent if the CA never had that much.
	DueFrom *time.Time `json:"dueFrom,omitempty"`
	// CertgenRefusesFrom is when certgen stops signing with the CA because it expires before the leaf certificates would; absent if certgen does not check this.
	CertgenRefusesFrom *time.Time `json:"certgenRefusesFrom,omitempty"`
}

// CAPart is one certificate of Secret cilium-ca.
type CAPart struct {
	Fingerprint string    `json:"fingerprint"`
	Subject     string    `json:"subject"`
	NotAfter    time.Time `json:"notAfter"`
	// Role is signer, root (the signer's own self-signed certificate), cross (the signer's key, signed by another CA), issuer (of the signer) or other.
	Role string `json:"role"`
	// Cluster is the cluster whose CA it is, if that is another one that was read.
	Cluster string `json:"cluster,omitempty"`
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
	// SignedByCA: the cluster's present cilium-ca signed it, or a certificate in its chain; absent if that is unknown.
	SignedByCA *bool `json:"signedByCA,omitempty"`
	// Relation is direct, cross (by a certificate of its chain), renamed (the CA's key under another subject) or foreign; absent if it is unknown.
	Relation string `json:"relation,omitempty"`
	// Certificates counts those of the chain that is presented.
	Certificates int    `json:"certificates,omitempty"`
	Owner        *Owner `json:"owner,omitempty"`
	// Problems are those of the certificate by itself: expired, wrong name, wrong usage, wrong key.
	Problems []LeafProblem `json:"problems,omitempty"`
}

// LeafProblem is something that is wrong with a certificate. Severity is error or warning.
type LeafProblem struct {
	Severity string `json:"severity"`
	// Kind is key, clock, usage, user or names.
	Kind string `json:"kind,omitempty"`
	// User says that etcd does not know the user that the certificate names.
	User    bool   `json:"user,omitempty"`
	Message string `json:"message"`
}

// TrustPair says whether the client cluster's processes can log in to the server cluster's etcd.
type TrustPair struct {
	Client     string `json:"client"`
	Server     string `json:"server"`
	Verdict    string `json:"verdict"` // ok, broken or unknown
	Configured bool   `json:"configured"`
	// NoClusterMesh names the cluster of the two that has no clustermesh-apiserver; nothing is judged then.
	NoClusterMesh string     `json:"noClusterMesh,omitempty"`
	Login         TrustCheck `json:"login"`    // the client's certificate against what the server's etcd trusts
	Identity      TrustCheck `json:"identity"` // the server's certificate against what the client trusts
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
	// Phases are those of reissue, and of sync --reissue, in order. A phase begins when the one before it has ended in all its clusters.
	Phases []ChangePhase `json:"phases,omitempty"`
	// Waiting says what the last phase still waited for when the command ended.
	Waiting []string `json:"waiting,omitempty"`
}

// ChangePhase is one phase of a change.
type ChangePhase struct {
	Name     string   `json:"name"` // sync, re-issue, restart or agents
	Clusters []string `json:"clusters"`
	// Texts say what it does, one line for each cluster.
	Texts []string `json:"texts,omitempty"`
	// TookMs is absent for a phase that did not end.
	TookMs *int64 `json:"tookMs,omitempty"`
}

// NextStep is one step in one cluster. Command is absent if the plugin cannot know it.
type NextStep struct {
	// Cluster is empty for a step that concerns several clusters, which are then in Clusters.
	Cluster  string   `json:"cluster,omitempty"`
	Clusters []string `json:"clusters,omitempty"`
	Why      string   `json:"why"`
	Command  string   `json:"command,omitempty"`
	Objects  []string `json:"objects,omitempty"`
	// AfterAll is true for a step that must wait until all other steps are done in every cluster.
	AfterAll bool `json:"afterAll,omitempty"`
}
