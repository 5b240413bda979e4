// Package archive is the format of the backup files of mesh-ca: the CAs of one or several clusters with their keys, encrypted with age
// (age-encryption.org/v1). It knows the format and how a file is locked and opened. It does not know clusters, and it reaches the machine only through Disk.
//
// Inside the encryption is a JSON document, so that the age command and jq are enough to get at a CA without mesh-ca:
//
//	{"apiVersion": "mesh.kubectl.io/v1alpha1", "kind": "CABackup", "sha256": "...", "content": {"created": "...", "clusters": [...]}}
//
// sha256 is the checksum of content as compact JSON. age authenticates the file already; the checksum finds a document that was decrypted, edited and
// encrypted again.
package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// kind is the kind of the document in a file.
const kind = "CABackup"

// maxFile bounds what is read, in bytes: the CAs of 255 clusters are far smaller.
const maxFile = 16 << 20

// Errors of a file that cannot be used. Each says what to do; none quotes the file.
var (
	ErrNotBackup  = errors.New("it is not a backup file of mesh-ca")
	ErrVersion    = errors.New("another version of mesh-ca wrote it")
	ErrTruncated  = errors.New("it is cut off: bytes are missing at its end; use another copy of it")
	ErrChanged    = errors.New("its content cannot be authenticated: it was changed or cut off after it was written; use another copy of it")
	ErrPassphrase = errors.New("the passphrase is wrong, or the beginning of the file was changed")
	ErrIdentity   = errors.New("no identity opens it: it was encrypted for other recipients, or its beginning was changed")
	ErrTooLarge   = fmt.Errorf("it is larger than %d MiB, more than any backup file", maxFile>>20)
)

// File is the content of a backup file. It holds private keys: it is never printed.
type File struct {
	Created  time.Time `json:"created"`
	Clusters []Entry   `json:"clusters"`
}

// Entry is the CA of one cluster, with what is needed to restore it.
type Entry struct {
	Cluster   string `json:"cluster"` // Cilium's name of the cluster
	Context   string `json:"context,omitempty"`
	Server    string `json:"server,omitempty"`
	Namespace string `json:"namespace"`
	Secret    string `json:"secret"` // the name of the Secret
	Type      string `json:"type"`
	Owner     string `json:"owner,omitempty"`
	// Fingerprint is the SHA-256 of the signing certificate; empty where the CA does not parse.
	Fingerprint string     `json:"fingerprint,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	NotAfter    *time.Time `json:"notAfter,omitempty"`
	// Labels and Annotations are Helm's ownership marks, and only those.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Data is the data of the Secret, in base64 as the API server has it.
	Data map[string][]byte `json:"data"`
}

// document is the envelope of a file's content.
type document struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	SHA256     string          `json:"sha256"`
	Content    json.RawMessage `json:"content"`
}

// Seal returns the bytes of a backup file that the lock's holder can open.
func Seal(f File, lock Lock) ([]byte, error) {
	content, err := json.Marshal(f)
	if err != nil {
		return nil, errors.New("the CAs cannot be encoded") // an error could quote them
	}
	raw, err := json.Marshal(document{APIVersion: v1alpha1.APIVersion, Kind: kind, SHA256: checksum(content), Content: content})
	if err != nil {
		return nil, errors.New("the CAs cannot be encoded")
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, lock.recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(append(raw, '\n')); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

func checksum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Open decrypts and checks a backup file. The errors are those of this package.
func Open(data []byte, key Key) (File, error) {
	src, err := binary(data)
	if err != nil {
		return File{}, err
	}
	r, err := age.Decrypt(bytes.NewReader(src), key.identities...)
	if err != nil {
		return File{}, key.explain(err)
	}
	raw, err := io.ReadAll(r)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return File{}, ErrTruncated
	case err != nil:
		return File{}, ErrChanged
	}
	return parse(raw)
}

// parse checks the decrypted document.
func parse(raw []byte) (File, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Kind != kind {
		return File{}, fmt.Errorf("%w: what is encrypted in it is something else", ErrNotBackup)
	}
	if doc.APIVersion != v1alpha1.APIVersion {
		return File{}, fmt.Errorf("%w: its format is %q, and this one reads %s", ErrVersion, doc.APIVersion, v1alpha1.APIVersion)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, doc.Content); err != nil || checksum(compact.Bytes()) != doc.SHA256 {
		return File{}, fmt.Errorf("its checksum does not match: %w", ErrChanged)
	}
	var f File
	if err := json.Unmarshal(doc.Content, &f); err != nil || len(f.Clusters) == 0 {
		return File{}, fmt.Errorf("%w: it contains no CA", ErrNotBackup)
	}
	return f, nil
}

// magic begins every age file; the version follows.
const magic = "age-encryption.org/"

// binary returns an age file without armor, and refuses what is none.
func binary(data []byte) ([]byte, error) {
	switch {
	case len(data) > maxFile:
		return nil, ErrTooLarge
	case len(data) == 0:
		return nil, fmt.Errorf("%w: the file is empty", ErrTruncated)
	case bytes.HasPrefix(data, []byte(armor.Header)):
		raw, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
		if err != nil {
			return nil, ErrChanged
		}
		data = raw
	}
	if !bytes.HasPrefix(data, []byte(magic)) {
		return nil, fmt.Errorf("%w: it is not encrypted with age", ErrNotBackup)
	}
	if !bytes.HasPrefix(data, []byte(magic+"v1\n")) {
		return nil, fmt.Errorf("%w: it is encrypted with another version of age than v1", ErrVersion)
	}
	return data, nil
}

// Find returns the entry of a cluster.
func (f File) Find(cluster string) (Entry, bool) {
	i := slices.IndexFunc(f.Clusters, func(e Entry) bool { return e.Cluster == cluster })
	if i < 0 {
		return Entry{}, false
	}
	return f.Clusters[i], true
}

// Names are the clusters whose CAs are in the file.
func (f File) Names() []string {
	out := make([]string, len(f.Clusters))
	for i, e := range f.Clusters {
		out[i] = e.Cluster
	}
	return out
}
