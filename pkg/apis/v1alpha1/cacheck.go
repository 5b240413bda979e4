package v1alpha1

import "time"

// CACheckReport is what kubectl mesh-ca check prints. The findings are in the envelope.
type CACheckReport struct {
	Document `json:",inline"`
	// AsOf is the moment as of which the certificates are judged.
	AsOf time.Time `json:"asOf"`
	// ForChart is the chart version of --for; absent without it.
	ForChart string `json:"forChart,omitempty"`
	// Certificates are the CAs and leaf certificates that were examined, by cluster.
	Certificates []CheckedCertificate `json:"certificates"`
	// TrustFiles lists the CA files with a CA certificate that ends before leaf certificates which only it makes acceptable.
	TrustFiles []CheckedTrustFile `json:"trustFiles,omitempty"`
	// Trust has one entry for each ordered pair of clusters that could be read.
	Trust []TrustPair `json:"trust"`
	// NotExamined lists what could not be read in clusters that could; the document is then not complete.
	NotExamined []NotExamined `json:"notExamined,omitempty"`
}

// CheckedTrustFile is a CA file, and its CA certificate that ends first.
type CheckedTrustFile struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// File is the CA file, as TYPE/NAME[KEY].
	File string `json:"file"`
	// Fingerprint is the SHA-256 of the CA certificate, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// Subject is the distinguished name of the CA.
	Subject string `json:"subject"`
	// NotBefore is when the CA certificate becomes valid.
	NotBefore time.Time `json:"notBefore"`
	// NotAfter is when the CA certificate expires. From then on the file accepts fewer leaf certificates.
	NotAfter time.Time `json:"notAfter"`
	// RenewedBy says in a few words what writes the file again, "nothing" included.
	RenewedBy string `json:"renewedBy"`
}

// CheckedCertificate is one certificate with its dates.
type CheckedCertificate struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Kind is ca, leaf or copy (of a peer's certificate).
	Kind string `json:"kind"`
	// Name is the Secret, or SECRET[KEY] for a copy.
	Name string `json:"name"`
	// Fingerprint is the SHA-256 of the certificate, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// Subject is the distinguished name of the holder.
	Subject string `json:"subject"`
	// NotBefore is when the certificate becomes valid.
	NotBefore time.Time `json:"notBefore"`
	// NotAfter is when the certificate expires.
	NotAfter time.Time `json:"notAfter"`
	// DueFrom is when a CA must be replaced, which is before it expires if its owner issues leaf certificates that live longer. If cert-manager keeps the certificate,
	// it is when cert-manager issues it again.
	DueFrom *time.Time `json:"dueFrom,omitempty"`
	// DueFromMessage says why it is unknown when cert-manager issues the certificate again.
	DueFromMessage string `json:"dueFromMessage,omitempty"`
	// Owner is who manages the Secret.
	Owner *Owner `json:"owner,omitempty"`
	// RenewedBy says in a few words what renews it, "nothing" included.
	RenewedBy string `json:"renewedBy"`
}
