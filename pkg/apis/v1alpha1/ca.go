package v1alpha1

import "time"

// CAReport is what kubectl mesh-ca status prints.
type CAReport struct {
	Document `json:",inline"`
	// Clusters has one entry for each member that could be read.
	Clusters []CACluster `json:"clusters"`
	// Trust has one entry for each ordered pair of clusters that could be read.
	Trust []TrustPair `json:"trust"`
	// Live is what the running processes do; absent without --live.
	Live *CALive `json:"live,omitempty"`
	// Relay has one entry for each ordered pair of clusters of which the client runs Hubble Relay and the server's agents serve Hubble with TLS.
	Relay []TrustPair `json:"relay,omitempty"`
	// Federations lists the groups of clusters that have different CAs and trust each other.
	Federations []Federation `json:"federations,omitempty"`
	// NextSteps lists the steps after which the findings that have a fix are gone, in order.
	NextSteps []NextStep `json:"nextSteps,omitempty"`
}

// Federation is a group of clusters with different CAs, each of which trusts every other one.
type Federation struct {
	// Clusters are the names of the clusters.
	Clusters []string `json:"clusters"`
	// Means says by what they trust each other: "cross certificates", "several CA certificates", "copies of certificates", sorted.
	Means []string `json:"means"`
}

// CACluster is the CA and the certificates of one cluster.
type CACluster struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Context is the kubeconfig context through which the cluster was read.
	Context string `json:"context"`
	// Namespace is Cilium's namespace, which has the Secrets.
	Namespace string `json:"namespace"`
	// CA is absent if the cluster has none or if it cannot be read; CAMessage then says why.
	CA *Authority `json:"ca,omitempty"`
	// CAMessage says why CA is absent.
	CAMessage string `json:"caMessage,omitempty"`
	// LeafCertificates are the Secrets with certificates that are derived from the CA, and the copies of certificates of peers.
	LeafCertificates []LeafCertificate `json:"leafCertificates"`
	// InternalConnections are the connections that stay in the cluster.
	InternalConnections []TrustLink `json:"internalConnections,omitempty"`
	// NoClusterMesh is true if the cluster has no clustermesh-apiserver.
	NoClusterMesh bool `json:"noClusterMesh,omitempty"`
	// AuthMode is legacy, migration or cluster (clustermesh.apiserver.tls.authMode); absent if it is not known.
	AuthMode string `json:"authMode,omitempty"`
	// RotationUnderWay is true while kubectl mesh-ca rotate replaces the CA.
	RotationUnderWay bool `json:"rotationUnderWay,omitempty"`
	// FormerCAs lists CAs that are not used any more, but are still trusted or whose key still exists.
	FormerCAs []FormerCA `json:"formerCAs,omitempty"`
	// FormerCAsMessage says what could not be searched for former CAs.
	FormerCAsMessage string `json:"formerCAsMessage,omitempty"`
	// TrustEnds lists CA certificates at whose end processes of the cluster no longer accept leaf certificates that are still valid, apart from the
	// certificates of the present CAs.
	TrustEnds []TrustEnd `json:"trustEnds,omitempty"`
}

// TrustEnd is a CA certificate that ends before leaf certificates which only it makes acceptable.
type TrustEnd struct {
	Certificate `json:",inline"`
	// Files lists the CA files of the cluster, as TYPE/NAME[KEY], with which its processes accept those leaf certificates.
	Files []string `json:"files"`
}

// FormerCA is a CA that no cluster signs with any more.
type FormerCA struct {
	Certificate `json:",inline"`
	// TrustedBy lists the files, as TYPE/NAME[KEY], with which processes still accept leaf certificates of this CA.
	TrustedBy []string `json:"trustedBy,omitempty"`
	// KeyIn lists where its private key still exists: backups, as TYPE/NAME, and revisions of a Helm release.
	KeyIn []string `json:"keyIn,omitempty"`
}

// Owner says who manages an object.
type Owner struct {
	// Kind is helm, certgen, mesh-ca, hand or unknown if the owner does not reconcile the object; otherwise cert-manager, argocd, flux, external-secrets,
	// the name of another tool, or controller.
	Kind string `json:"kind"`
	// Name is the name of the owner, such as a Helm release or a Certificate.
	Name string `json:"name,omitempty"`
	// Mark is the mark that identifies the owner.
	Mark string `json:"mark,omitempty"`
}

// Certificate holds the facts of a certificate.
type Certificate struct {
	// Fingerprint is the SHA-256 of the certificate, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// PublicKeyHash is the SHA-256 of the public key, in hexadecimal. Two certificates with the same key have the same hash.
	PublicKeyHash string `json:"publicKeyHash"`
	// SubjectKeyID is the subject key identifier of the certificate, in hexadecimal.
	SubjectKeyID string `json:"subjectKeyID,omitempty"`
	// Subject is the distinguished name of the holder.
	Subject string `json:"subject"`
	// Issuer is the distinguished name of the CA that signed the certificate.
	Issuer string `json:"issuer"`
	// NotBefore is when the certificate becomes valid.
	NotBefore time.Time `json:"notBefore"`
	// NotAfter is when the certificate expires.
	NotAfter time.Time `json:"notAfter"`
}

// Authority is a cluster's CA, Secret cilium-ca.
type Authority struct {
	Certificate `json:",inline"`
	// IsCA is true if the certificate may sign others.
	IsCA bool `json:"isCA"`
	// Certificates counts those in the file; the first one signs.
	Certificates int `json:"certificates"`
	// Key is ok, mismatch, missing or broken.
	Key string `json:"key"`
	// KeyMessage says what is wrong with the key.
	KeyMessage string `json:"keyMessage,omitempty"`
	// Owner is who manages the Secret.
	Owner Owner `json:"owner"`
	// Immutable is true if the Secret is immutable.
	Immutable bool `json:"immutable,omitempty"`
	// Contents says what each certificate of the file is, if there are several.
	Contents []CAPart `json:"contents,omitempty"`
	// DueFrom is when the CA has less time left than the leaf certificates that its owner will issue; absent if the CA never had that much.
	DueFrom *time.Time `json:"dueFrom,omitempty"`
	// CertgenRefusesFrom is when certgen stops signing with the CA because it expires before the leaf certificates would; absent if certgen does not check this.
	CertgenRefusesFrom *time.Time `json:"certgenRefusesFrom,omitempty"`
}

// CAPart is one certificate of Secret cilium-ca.
type CAPart struct {
	// Fingerprint is the SHA-256 of the certificate, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// Subject is the distinguished name of the holder.
	Subject string `json:"subject"`
	// NotAfter is when the certificate expires.
	NotAfter time.Time `json:"notAfter"`
	// Role is signer, root (the signer's own self-signed certificate), cross (the signer's key, signed by another CA), issuer (of the signer) or other.
	Role string `json:"role"`
	// Cluster is the cluster whose CA it is, if that is another one that was read.
	Cluster string `json:"cluster,omitempty"`
}

// LeafCertificate is a Secret with a certificate that is derived from the CA, or a copy of a peer's certificate. The facts of the certificate are absent
// if Message is present.
type LeafCertificate struct {
	// Secret is the name of the Secret, or SECRET[KEY] for a copy of a peer's certificate.
	Secret string `json:"secret"`
	// Message says why there is no certificate to show: it cannot be read, does not parse.
	Message      string `json:"message,omitempty"`
	*Certificate `json:",inline"`
	// DNSNames are the DNS names for which the certificate is valid.
	DNSNames []string `json:"dnsNames,omitempty"`
	// IPAddresses are the addresses for which the certificate is valid.
	IPAddresses []string `json:"ipAddresses,omitempty"`
	// Key is ok, mismatch, missing or broken.
	Key string `json:"key,omitempty"`
	// SignedByCA: the cluster's present cilium-ca signed it, or a certificate in its chain; absent if that is unknown.
	SignedByCA *bool `json:"signedByCA,omitempty"`
	// Relation is direct, cross (by a certificate of its chain), renamed (the CA's key under another subject) or foreign; absent if it is unknown.
	Relation string `json:"relation,omitempty"`
	// Certificates counts those of the chain that is presented.
	Certificates int `json:"certificates,omitempty"`
	// Owner is who manages the Secret.
	Owner *Owner `json:"owner,omitempty"`
	// Problems are those of the certificate by itself: expired, wrong name, wrong usage, wrong key.
	Problems []LeafProblem `json:"problems,omitempty"`
}

// LeafProblem is something that is wrong with a certificate.
type LeafProblem struct {
	// Severity is error or warning.
	Severity string `json:"severity"`
	// Kind is key, clock, usage, user or names.
	Kind string `json:"kind,omitempty"`
	// UnknownUser is true if etcd does not know the user that the certificate names.
	UnknownUser bool `json:"unknownUser,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
}

// TrustPair says whether the client cluster's processes can log in to the server cluster's etcd.
type TrustPair struct {
	// Client is the cluster whose processes connect.
	Client string `json:"client"`
	// Server is the cluster whose etcd they connect to.
	Server string `json:"server"`
	// Verdict is ok, broken or unknown.
	Verdict string `json:"verdict"`
	// Configured is true if the client is configured to connect to the server.
	Configured bool `json:"configured"`
	// WithoutClusterMesh names the cluster of the two that has no clustermesh-apiserver; nothing is judged then.
	WithoutClusterMesh string `json:"withoutClusterMesh,omitempty"`
	// Login is the client's certificate against what the server's etcd trusts.
	Login TrustCheck `json:"login"`
	// Identity is the server's certificate against what the client trusts.
	Identity TrustCheck `json:"identity"`
}

// TrustLink is a connection inside a cluster.
type TrustLink struct {
	// Name says which connection it is.
	Name string `json:"name"`
	// Verdict is ok, broken or unknown.
	Verdict string `json:"verdict"`
	// Login is the client's certificate against what the server trusts; absent if the client presents none.
	Login *TrustCheck `json:"login,omitempty"`
	// Identity is the server's certificate against what the client trusts; absent if the client does not check it.
	Identity *TrustCheck `json:"identity,omitempty"`
}

// TrustCheck is one half of a handshake, by the files that the processes mount.
type TrustCheck struct {
	// Presented is the certificate that one side presents, as TYPE/NAME[KEY].
	Presented string `json:"presented,omitempty"`
	// Trust is the CA file against which the other side checks it, as TYPE/NAME[KEY].
	Trust string `json:"trust,omitempty"`
	// Verdict is ok, broken or unknown.
	Verdict string `json:"verdict"`
	// Reason says why the verdict is broken or unknown.
	Reason string `json:"reason,omitempty"`
}

// CAChangeReport is what kubectl mesh-ca init, sync, reissue, restore and backups prune print. It is a ChangeReport with the next steps and how to undo
// it.
type CAChangeReport struct {
	ChangeReport `json:",inline"`
	// NextSteps lists the steps that you must do before the clusters trust each other.
	NextSteps []NextStep `json:"nextSteps,omitempty"`
	// UndoCommands lists the commands that restore the previous CAs.
	UndoCommands []string `json:"undoCommands,omitempty"`
	// Phases are those of reissue, and of sync --reissue, in order. A phase begins when the one before it has ended in all its clusters.
	Phases []ChangePhase `json:"phases,omitempty"`
	// Waiting says what the last phase still waited for when the command ended.
	Waiting []string `json:"waiting,omitempty"`
}

// ChangePhase is one phase of a change.
type ChangePhase struct {
	// Name is sync, re-issue, restart or agents.
	Name string `json:"name"`
	// Clusters are those in which the phase changes something.
	Clusters []string `json:"clusters"`
	// Descriptions say what the phase does, one line for each cluster.
	Descriptions []string `json:"descriptions,omitempty"`
	// TookMs is how long the phase took, in milliseconds; absent for a phase that did not end.
	TookMs *int64 `json:"tookMs,omitempty"`
}

// NextStep is one step in one cluster or in several.
type NextStep struct {
	// Cluster is the cluster of the step; absent for a step that concerns several clusters, which are then in Clusters.
	Cluster string `json:"cluster,omitempty"`
	// Clusters are the clusters of a step that concerns several.
	Clusters []string `json:"clusters,omitempty"`
	// Reason says what the step is for.
	Reason string `json:"reason"`
	// Command is the command of the step, for a shell; absent if the plugin cannot know it.
	Command string `json:"command,omitempty"`
	// Objects lists the objects that the step concerns.
	Objects []string `json:"objects,omitempty"`
	// AfterAll is true for a step that must wait until all other steps are done in every cluster.
	AfterAll bool `json:"afterAll,omitempty"`
}
