package v1alpha1

import "time"

// CABackupList is what kubectl mesh-ca backups prints.
type CABackupList struct {
	Document `json:",inline"`
	// Backups has one entry for each backup.
	Backups []CABackup `json:"backups"`
	// Unread lists what could not be read and may use a backup. Complete is then false.
	Unread []string `json:"unread,omitempty"`
}

// The states of a backup.
const (
	BackupUsed    = "used"    // something still trusts it or is signed by it
	BackupUnused  = "unused"  // nothing in the clusters that were read uses it
	BackupUnknown = "unknown" // nothing is known to use it, but not everything could be read
)

// CABackup is a Secret that keeps a former CA, or another Secret that mesh-ca replaced.
type CABackup struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Context is the kubeconfig context through which the cluster was read.
	Context string `json:"context"`
	// Namespace is Cilium's namespace, which has the backup.
	Namespace string `json:"namespace"`
	// Name is the name of the Secret that is the backup.
	Name string `json:"name"`
	// OriginalSecret is the name of the Secret that had this content.
	OriginalSecret string `json:"originalSecret"`
	// Since is when the backup was made.
	Since time.Time `json:"since"`
	// Certificate is absent if none parses; Message says why.
	*Certificate `json:",inline"`
	// Message says why there is no certificate to show.
	Message string `json:"message,omitempty"`
	// Key is ok, mismatch, missing or broken.
	Key string `json:"key,omitempty"`
	// State is used, unused or unknown.
	State string `json:"state"`
	// Uses lists what uses the CA.
	Uses []CAUse `json:"uses,omitempty"`
}

// The ways in which a certificate file uses a kept key.
const (
	UseHolds  = "holds"  // it contains a certificate of the same key, and so trusts it
	UseSigned = "signed" // it contains a certificate that the key signed
	UseKey    = "key"    // it is the key
	UseLoaded = "loaded" // a running process may still have it loaded
)

// CAUse is something that uses a kept CA.
type CAUse struct {
	// Cluster is the cluster of Object.
	Cluster string `json:"cluster"`
	// Object is what uses the CA, as TYPE/NAME[KEY].
	Object string `json:"object"`
	// How is holds, signed, key or loaded.
	How string `json:"how"`
	// Message says more about the use.
	Message string `json:"message,omitempty"`
}

// CABackupReport is what kubectl mesh-ca backup prints. The file itself is encrypted.
type CABackupReport struct {
	Document `json:",inline"`
	// File is the absolute path of the file.
	File string `json:"file"`
	// OpensWith is passphrase or identity; absent if the file was not written.
	OpensWith string `json:"opensWith,omitempty"`
	// Clusters has one entry for each CA in the file.
	Clusters []CABackupItem `json:"clusters"`
	// RestoreCommands lists the commands that restore each CA.
	RestoreCommands []string `json:"restoreCommands,omitempty"`
}

// CABackupItem is one CA in a backup file.
type CABackupItem struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Context is the kubeconfig context through which the cluster was read.
	Context string `json:"context"`
	// Namespace is Cilium's namespace, which has the Secret.
	Namespace string `json:"namespace"`
	// Secret is the name of the Secret.
	Secret string `json:"secret"`
	// Owner is who manages the Secret.
	Owner string `json:"owner,omitempty"`
	// Fingerprint is the SHA-256 of the certificate that signs; absent if it does not parse.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Subject is the distinguished name of the CA.
	Subject string `json:"subject,omitempty"`
	// NotAfter is when the CA expires.
	NotAfter *time.Time `json:"notAfter,omitempty"`
	// Notes say what a restore of this CA cannot do.
	Notes []string `json:"notes,omitempty"`
}
