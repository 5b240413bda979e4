package ca

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// minValidity is how long a CA must still be valid to be copied: nobody renews one by itself.
const minValidity = 14 * 24 * time.Hour

// Plan is what one command will do to Secret cilium-ca, target after target.
type Plan struct {
	Action  string // sync or restore
	Manager string // field manager
	ID      string // tells this run from others that change CAs at the same time
	Now     time.Time
	Items   []*Item
	// Signer is the certificate that will sign in the targets; nil for a restore of a CA that does not parse.
	Signer *x509.Certificate
	// From is the cluster whose CA is copied; nil for a restore. It is not written, but its own leaf certificates may be of another CA too.
	From *State
	// Others are clusters that are neither read from nor written, and may keep copies of certificates that change.
	Others []*State

	source  material // what is copied; the source is read again before each write
	options Options
}

// Item is one target: the step that replaces its cilium-ca. It holds private keys (write): it is never printed.
type Item struct {
	change.Outcome

	State  *State
	Before Facts
	After  Facts
	Owner  pki.Owner
	Notes  []string
	// Backup is the Secret that keeps the former CA; nil where there is none to keep.
	Backup *Backup

	name string            // the Secret: cilium-ca, or a leaf Secret that is restored
	kind corev1.SecretType // of a Secret that is created

	plan  *Plan
	write map[string][]byte // data keys to write; nil removes one
	marks Marks             // what a new object gets
	lock  *lock
}

// Facts are what is shown of a CA before and after. The zero value is: there is none.
type Facts struct {
	Fingerprint string // SHA-256; empty when it does not parse
	Subject     string
	Key         string
	Note        string // why there is no fingerprint
}

// Marks are the ownership marks of a new object, so that Helm can adopt it.
type Marks struct{ Labels, Annotations map[string]string }

// material is a CA on its way from one cluster to another.
type material struct {
	cert, key []byte // as they are written
	ca        pki.CA
	// stored are the files as the source has them. recoded says which of them are written in another form; the certificates and the key are the same.
	stored  [2][]byte
	recoded []string
}

// ErrSource says that the CA to be copied must not be.
var ErrSource = errors.New("cannot be copied")

// Options say how a plan is made.
type Options struct {
	ForceConflicts bool          // also replace a CA that a controller keeps
	Manager        string        // the field manager that will write: what it owns already is not a conflict
	Timeout        time.Duration // for each time that the source is read again
	Wait           time.Duration // how long to wait for another run that changes the source; a default where it is 0
}

// Sync plans to give every target the CA of one cluster. It fails only when that CA is not fit to be copied.
func Sync(from *State, targets []*State, o Options, now time.Time) (*Plan, error) {
	src, err := sourceOf(from, now)
	if err != nil {
		return nil, fmt.Errorf("cluster %q: the CA in secret %s/%s %w: %w", from.Member.Name, from.Namespace, pki.SecretCA, ErrSource, err)
	}
	p := &Plan{Action: "sync", Manager: o.manager(), ID: newID(), Now: now, Signer: src.ca.Signer(), From: from, source: src, options: o}
	for _, t := range targets {
		p.Items = append(p.Items, syncItem(src, t, o))
	}
	return p, nil
}

func (o Options) manager() string { return cmp.Or(o.Manager, pki.FieldManager) }

// sourceOf validates the CA that is to be copied: it parses, its key fits, it is a CA, and valid for a while yet.
func sourceOf(from *State, now time.Time) (material, error) {
	secret := from.CA()
	switch {
	case secret.Unreadable != "":
		return material{}, errors.New(secret.Unreadable)
	case secret.Object == nil:
		return material{}, errors.New("it does not exist")
	}
	ca, err := pki.ParseCA(secret.Object.Data)
	if err != nil {
		return material{}, err
	}
	if err := ca.Usable(now, minValidity); err != nil {
		return material{}, err
	}
	cert, key, recoded, err := pki.Reencode(secret.Object.Data)
	if err != nil {
		return material{}, err
	}
	stored := [2][]byte{secret.Object.Data[ca.Layout.Cert], secret.Object.Data[ca.Layout.Key]}
	return material{cert: cert, key: key, ca: ca, stored: stored, recoded: recoded}, nil
}

func syncItem(src material, target *State, o Options) *Item {
	after := facts(src.ca)
	i, have := newItem(target, pki.SecretCA, after, o)
	if i.Result != v1alpha1.ResultPlanned {
		return i
	}
	if have == nil {
		i.write = map[string][]byte{pki.KeyCACert: src.cert, pki.KeyCAKey: src.key}
		i.adopt(target)
		return i
	}
	i.write = changes(src, have)
	if len(i.write) == 0 {
		i.Result = v1alpha1.ResultUnchanged
		return i
	}
	i.keep(have)
	i.refuse(have, o)
	if i.Owner.Kind == pki.OwnerHelm && i.Result == v1alpha1.ResultPlanned {
		i.Notes = append(i.Notes, fmt.Sprintf("release %s stays its owner", cmp.Or(i.Owner.Name, "of Helm")))
	}
	if undo := target.undoes(src.cert); undo != "" && i.Result == v1alpha1.ResultPlanned {
		i.Notes = append(i.Notes, undo)
	}
	if len(src.recoded) > 0 {
		i.Notes = append(i.Notes, fmt.Sprintf("%s of the source is written as plain PEM, which every signer reads; the certificates and the key are the same", strings.Join(src.recoded, " and ")))
	}
	if len(src.ca.Chain) > 1 {
		i.Notes = append(i.Notes, fmt.Sprintf("%d certificates are copied: they are a chain and not a bundle, see CA006", len(src.ca.Chain)))
	}
	return i
}

// newItem begins an item. The Secret is nil where the target has none, or where the item is settled already.
func newItem(target *State, name string, after Facts, o Options) (*Item, *corev1.Secret) {
	i := &Item{State: target, After: after, name: name, kind: corev1.SecretTypeOpaque}
	i.Result = v1alpha1.ResultPlanned
	secret := target.Secrets[name]
	if secret.Unreadable != "" {
		i.Before.Note = secret.Unreadable
		i.Result, i.Message = v1alpha1.ResultFailed, fmt.Sprintf("secret %s/%s: %s", target.Namespace, name, secret.Unreadable)
		return i, nil
	}
	if secret.Object == nil {
		i.Before.Note = "absent"
		return i, nil
	}
	i.Owner = pki.FindOwner(secret.Object.ObjectMeta, o.Manager)
	i.Before = factsOf(secret.Object.Data)
	return i, secret.Object
}

// refuse settles an item that must not be written as things are.
func (i *Item) refuse(have *corev1.Secret, o Options) {
	switch {
	// The controller comes first: it would write a deleted Secret again.
	case i.Owner.Reconciles() && !o.ForceConflicts:
		i.Result = v1alpha1.ResultRefused
		i.Message = fmt.Sprintf("it is %s; %s, or use --force-conflicts", i.Owner.Kept(), durableFix(i.Owner))
	case have.Immutable != nil && *have.Immutable:
		if i.Backup == nil {
			i.keep(have)
		}
		i.Result = v1alpha1.ResultRefused
		i.Message = fmt.Sprintf("secret %s/%s is immutable and can only be deleted. Keep a copy of it in the cluster, delete it, and run this again: %s && %s",
			have.Namespace, have.Name, i.State.copyOf(have, i.Backup), i.State.kubectl("delete", "secret", have.Name))
	}
}

// durableFix says how the owner itself is made to use the CA.
func durableFix(o pki.Owner) string {
	switch o.Kind {
	case pki.OwnerCertManager:
		return "put the CA into a Secret of its own, make a CA Issuer of that and name it in Cilium's certManagerIssuerRef"
	case pki.OwnerArgoCD, pki.OwnerFlux:
		return "put the CA into what it deploys (Helm values tls.ca.cert and tls.ca.key, encrypted), or take cilium-ca out of it"
	default:
		if o.Source() == "" {
			return "change it at its source"
		}
		return "change it at its source, as " + o.Source() + " names it"
	}
}

// adopt chooses the marks of a new cilium-ca, without which `helm upgrade` of a chart that renders it fails with "invalid ownership metadata". Only the
// target itself tells its release: that of the source is another one.
func (i *Item) adopt(target *State) {
	release := target.Release
	if !release.Known() {
		i.Notes = append(i.Notes, fmt.Sprintf("it is created without Helm's ownership marks: no Helm release is known in %s. Helm takes it over only with --take-ownership (Helm 3.17 and later)", target.Member.Name))
		return
	}
	i.marks = Marks{
		Labels:      map[string]string{pki.LabelManagedBy: "Helm"},
		Annotations: map[string]string{pki.AnnotationRelease: release.Name, pki.AnnotationReleaseNamespace: release.Namespace},
	}
	i.Notes = append(i.Notes, fmt.Sprintf("it is created so that Helm release %s in namespace %s can adopt it", release.Name, release.Namespace))
}

// changes are the data keys of a target that must be written for it to hold the CA, in the layout that it has. Nothing when it holds it already,
// whatever the encoding.
func changes(src material, have *corev1.Secret) map[string][]byte {
	certs, keys := []string{pki.KeyCACert}, []string{pki.KeyCAKey}
	has := func(k string) bool { return len(have.Data[k]) > 0 }
	if have.Type == corev1.SecretTypeTLS || has(pki.KeyTLSCert) || has(pki.KeyTLSKey) {
		// The other layout's keys are written too where they exist: cilium-cli reads ca.crt before tls.crt.
		certs, keys = only(has, certs), only(has, keys)
		certs, keys = append(certs, pki.KeyTLSCert), append(keys, pki.KeyTLSKey)
	}
	out := map[string][]byte{}
	for _, k := range certs {
		if !sameCertificates(src.ca.Chain, have.Data[k]) {
			out[k] = src.cert
		}
	}
	for _, k := range keys {
		if state, _ := pki.CheckKey(src.ca.Signer(), have.Data[k]); state != pki.KeyMatches {
			out[k] = src.key
		}
	}
	return out
}

func only(has func(string) bool, keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !has(k) })
}

func sameCertificates(want []*x509.Certificate, data []byte) bool {
	have, err := pki.ParseCertificates(data)
	return err == nil && slices.EqualFunc(want, have, func(a, b *x509.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) })
}

func facts(ca pki.CA) Facts {
	return Facts{Fingerprint: pki.Fingerprint(ca.Signer()), Subject: ca.Signer().Subject.String(), Key: string(ca.Key)}
}

func factsOf(data map[string][]byte) Facts {
	ca, err := pki.ParseCA(data)
	if err != nil {
		return Facts{Note: err.Error()}
	}
	return facts(ca)
}

// Pending returns the items that are still to be written.
func (p *Plan) Pending() []*Item {
	return slices.DeleteFunc(slices.Clone(p.Items), func(i *Item) bool { return i.Result != v1alpha1.ResultPlanned })
}

// Failed reports whether any item failed, was refused or is unknown.
func (p *Plan) Failed() bool { return p.Change().Failed() }

func sortedKeys(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }

// Question is what a person is asked before the plan is carried out.
func (p *Plan) Question() string {
	names := make([]string, 0, len(p.Items))
	for _, i := range p.Pending() {
		if i.name != pki.SecretCA {
			return fmt.Sprintf("Replace secret %s of %s?", i.name, i.State.Member.Name)
		}
		names = append(names, i.State.Member.Name)
	}
	return fmt.Sprintf("Replace the CA of %s?", strings.Join(names, ", "))
}
