package ca

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// Names and marks of backups. They carry none of Helm's marks: a Helm that takes one for its own deletes it.
const (
	backupInfix          = "-backup-"
	managedByUs          = "kubectl-mesh-ca"
	labelBackupOf        = "mesh.kubectl.io/backup-of"
	annotationFormer     = "mesh.kubectl.io/former-fingerprint"
	annotationFormerType = "mesh.kubectl.io/former-type"
	annotationFormerMark = "mesh.kubectl.io/former-helm-marks"
)

// keep plans the Secret that keeps the former CA, in the same namespace of the same cluster: the key stays where it was.
func (i *Item) keep(have *corev1.Secret) {
	i.Backup = Keep(i.State, have, "", i)
}

// Keep plans the Secret that keeps another one as it is, for a step that replaces or deletes it.
func Keep(s *State, have *corev1.Secret, manager string, serves change.Step) *Backup {
	b := &Backup{of: s, manager: manager, serves: serves, Object: NewBackup(have, cmp.Or(factsOf(have.Data).Fingerprint, pki.ContentHash(have.Data)))}
	b.Result = v1alpha1.ResultPlanned
	return b
}

// NewBackup returns the Secret that keeps a CA or a leaf certificate with the fingerprint id as it is.
func NewBackup(have *corev1.Secret, id string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: have.Name + backupInfix + pki.Short(id), Namespace: have.Namespace,
			Labels:      map[string]string{pki.LabelManagedBy: managedByUs, labelBackupOf: have.Name},
			Annotations: map[string]string{annotationFormer: id, annotationFormerType: string(have.Type), annotationFormerMark: helmMarks(have)},
		},
		Immutable: ptr.To(true), Type: corev1.SecretTypeOpaque, Data: maps.Clone(have.Data),
	}
}

// BackupName is the name of the first Secret that keeps the CA with a fingerprint; see ReadFormer for the others.
func BackupName(fingerprint string) string {
	return pki.SecretCA + backupInfix + pki.Short(fingerprint)
}

// ConfigMapRotation is in Cilium's namespace of every cluster while its CA is rotated.
const ConfigMapRotation = "mesh-ca-rotation"

// ConfigMapFederation is there while a command makes clusters with different CAs trust each other.
const ConfigMapFederation = "mesh-ca-federation"

// LabelBackupOf is the label of a backup: the name of the Secret that it keeps.
const LabelBackupOf = labelBackupOf

// copyOf returns the command that makes the backup of a Secret as keep would: the key goes from the API server to the API server, and neither into a
// file nor into an argument.
func (s *State) copyOf(have *corev1.Secret, b *Backup) string {
	template := `go-template={"apiVersion":"v1","kind":"Secret","immutable":true,"type":"Opaque","metadata":{"name":"` + b.Object.Name +
		`","labels":{"` + pki.LabelManagedBy + `":"` + managedByUs + `","` + labelBackupOf + `":"` + have.Name +
		`"}},"data":{{"{"}}{{$n := 0}}{{range $k, $v := .data}}{{if $n}},{{end}}{{$n = 1}}{{printf "%q:%q" $k $v}}{{end}}{{"}}"}}`
	return commandline.Pipe(s.kubectl("get", "secret", have.Name, "-o", template), s.kubectl("create", "-f", "-"))
}

// helmMarks remembers Helm's marks.
func helmMarks(have *corev1.Secret) string { return marksOf(have).text() }

// marksOf returns Helm's marks, and only those: last-applied-configuration would hold the key.
func marksOf(have *corev1.Secret) Marks {
	m := Marks{Labels: map[string]string{}, Annotations: map[string]string{}}
	if v, ok := have.Labels[pki.LabelManagedBy]; ok {
		m.Labels[pki.LabelManagedBy] = v
	}
	for _, k := range []string{pki.AnnotationRelease, pki.AnnotationReleaseNamespace} {
		if v, ok := have.Annotations[k]; ok {
			m.Annotations[k] = v
		}
	}
	return m
}

// text is how an annotation of a backup remembers marks.
func (m Marks) text() string {
	raw, err := json.Marshal(m)
	if err != nil {
		return "" // strings always marshal
	}
	return string(raw)
}

// Restore plans to restore a backup of a CA or of a leaf certificate, key for key. What is in place is kept first, as at every replacement.
func Restore(target *State, backup *corev1.Secret, o Options, now time.Time) (*Plan, error) {
	of := backup.Labels[labelBackupOf]
	if of != pki.SecretCA && !isLeaf(pki.Ref{Kind: pki.Secret, Name: of}) {
		return nil, fmt.Errorf("secret %s/%s is not a backup that kubectl mesh-ca made: label %s is %q", backup.Namespace, backup.Name, labelBackupOf, of)
	}
	after := factsOf(backup.Data)
	p := &Plan{Action: "restore", Manager: o.manager(), ID: newID(), Now: now, options: o}
	i, have := newItem(target, of, after, o)
	p.Items = []*Item{i}
	if of != pki.SecretCA {
		i.kind = corev1.SecretType(backup.Annotations[annotationFormerType])
	} else if ca, err := pki.ParseCA(backup.Data); err == nil {
		p.Signer = ca.Signer()
		if err := ca.Usable(now, 0); err != nil {
			i.Notes = append(i.Notes, "the restored CA is not usable: "+err.Error())
		}
	}
	if i.Result != v1alpha1.ResultPlanned {
		return p, nil
	}
	if undo := target.undoes(backup.Data[pki.KeyCACert]); undo != "" && of == pki.SecretCA {
		i.Notes = append(i.Notes, undo)
	}
	if have == nil {
		i.write = backup.Data
		if err := json.Unmarshal([]byte(backup.Annotations[annotationFormerMark]), &i.marks); err != nil {
			i.Notes = append(i.Notes, "it is made without Helm's ownership marks: the backup does not tell them")
		}
		return p, nil
	}
	i.write = exact(backup.Data, have.Data)
	if len(i.write) == 0 {
		i.Result = v1alpha1.ResultUnchanged
		return p, nil
	}
	if note := target.UpgradeNote(); note != "" && of != pki.SecretCA && pki.FindOwner(have.ObjectMeta).Kind == pki.OwnerHelm {
		i.Notes = append(i.Notes, note)
	}
	i.keep(have)
	i.refuse(have, o)
	return p, nil
}

// exact are the keys that must be written, or removed, to turn one Secret's data into another's.
func exact(want, have map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for k, v := range want {
		if h, ok := have[k]; !ok || string(h) != string(v) {
			out[k] = v
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			out[k] = nil
		}
	}
	return out
}
