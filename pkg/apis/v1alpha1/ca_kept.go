package v1alpha1

import "time"

// KeptCAList is what kubectl mesh-ca backups prints.
type KeptCAList struct {
	Document `json:",inline"`
	Backups  []KeptCA `json:"backups"`
	// Unread lists what could not be read and may use a backup. Complete is then false.
	Unread []string `json:"unread,omitempty"`
}

// The states of a backup.
const (
	KeptUsed    = "used"    // something still trusts it or is signed by it
	KeptUnused  = "unused"  // nothing in the clusters that were read uses it
	KeptUnknown = "unknown" // nothing is known to use it, but not everything could be read
)

// KeptCA is a Secret that keeps a former CA, or another Secret that mesh-ca replaced.
type KeptCA struct {
	Cluster   string `json:"cluster"`
	Context   string `json:"context"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Of is the name of the Secret that had this content.
	Of    string    `json:"of"`
	Since time.Time `json:"since"`
	// Certificate is absent if none parses; Message says why.
	*Certificate `json:",inline"`
	Message      string `json:"message,omitempty"`
	// Key is ok, mismatch, missing or broken.
	Key string `json:"key,omitempty"`
	// State is used, unused or unknown.
	State string  `json:"state"`
	Uses  []CAUse `json:"uses,omitempty"`
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
	Cluster string `json:"cluster"`
	Object  string `json:"object"` // TYPE/NAME[KEY]
	// How is holds, signed, key or loaded.
	How     string `json:"how"`
	Message string `json:"message,omitempty"`
}

// CABackupReport is what kubectl mesh-ca backup prints. The file itself is encrypted.
type CABackupReport struct {
	Document `json:",inline"`
	// File is the absolute path of the file.
	File string `json:"file"`
	// OpensWith is passphrase or identity; absent if the file was not written.
	OpensWith string         `json:"opensWith,omitempty"`
	Clusters  []CABackupItem `json:"clusters"`
	// Restore lists the commands that restore each CA.
	Restore []string `json:"restore,omitempty"`
}

// CABackupItem is one CA in a backup file.
type CABackupItem struct {
	Cluster   string `json:"cluster"`
	Context   string `json:"context"`
	Namespace string `json:"namespace"`
	Secret    string `json:"secret"`
	Owner     string `json:"owner,omitempty"`
	// Fingerprint is the SHA-256 of the certificate that signs; absent if it does not parse.
	Fingerprint string     `json:"fingerprint,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	NotAfter    *time.Time `json:"notAfter,omitempty"`
	// Notes say what a restore of this CA cannot do.
	Notes []string `json:"notes,omitempty"`
}
