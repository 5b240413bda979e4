package ca

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// Issuance is what cert-manager will do with a certificate, by its Certificate. Only ReadIssuances reads it.
type Issuance struct {
	// Name is that of the Certificate.
	Name string
	// Duration is how long the next certificate will be valid.
	Duration time.Duration
	// Note says why the other fields are unknown. It is empty if they are known.
	Note string

	renews time.Time // from the status; zero if the status has no time
	before time.Duration
	// percent is the part of the validity that is left at the renewal. If it is 0, before applies.
	percent int64
}

// defaultDuration is how long certificates of cert-manager are valid without spec.duration.
const defaultDuration = 90 * day

// parseIssuance reads a Certificate (cert-manager.io/v1).
func parseIssuance(obj *unstructured.Unstructured) Issuance {
	out := Issuance{Name: obj.GetName(), Duration: defaultDuration}
	for _, field := range []struct {
		name string
		to   *time.Duration
	}{{"duration", &out.Duration}, {"renewBefore", &out.before}} {
		text, found, err := unstructured.NestedString(obj.Object, "spec", field.name)
		if err != nil || !found {
			continue
		}
		if *field.to, err = time.ParseDuration(text); err != nil {
			out.Note = fmt.Sprintf("spec.%s of certificate %s cannot be parsed", field.name, obj.GetName())
		}
	}
	if n, found, err := unstructured.NestedInt64(obj.Object, "spec", "renewBeforePercentage"); err == nil && found {
		out.percent = n
	}
	if text, found, err := unstructured.NestedString(obj.Object, "status", "renewalTime"); err == nil && found {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			out.renews = at
		}
	}
	return out
}

// Renews returns when cert-manager issues a certificate again: what its status says, else what its controller works out, which is a third of the validity before the
// end unless the Certificate says otherwise (cert-manager pkg/util/pki/renewaltime.go, from v1.16 on, with renewBeforePercentage).
func (i Issuance) Renews(notBefore, notAfter time.Time) (time.Time, bool) {
	const third = 3
	lives := notAfter.Sub(notBefore)
	before := lives / third
	switch {
	case i.Note != "":
		return time.Time{}, false
	case i.renews.After(notBefore) && i.renews.Before(notAfter):
		return i.renews, true
	case i.percent > 0 && i.percent < 100:
		before = lives / 100 * time.Duration(i.percent)
	case i.before > 0 && i.before < lives:
		before = i.before
	}
	return notAfter.Add(-before), true
}

// ReadIssuances reads the Certificates of all Secrets that cert-manager keeps.
func ReadIssuances(ctx context.Context, states []*State, timeout time.Duration) {
	members := make([]*clusters.Member, len(states))
	of := map[*clusters.Member]*State{}
	for n, s := range states {
		members[n], of[s.Member] = s.Member, s
	}
	for _, r := range fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (map[string]Issuance, error) {
		return of[m].issuances(ctx), nil
	}) {
		of[r.Member].Issuances = r.Value
		if r.Err != nil {
			of[r.Member].IssuancesNote = r.Err.Err.Error()
		}
	}
}

func (s *State) issuances(ctx context.Context) map[string]Issuance {
	out := map[string]Issuance{}
	for name, secret := range s.Secrets {
		if secret.Object == nil {
			continue
		}
		o := pki.FindOwner(secret.Object.ObjectMeta)
		switch {
		case o.Kind != pki.OwnerCertManager:
			continue
		case o.Name == "":
			out[name] = Issuance{Note: "the Secret does not name its Certificate"}
			continue
		}
		got, err := change.Target{Member: s.Member, Kind: change.Certificate, Namespace: s.Namespace, Name: o.Name}.Get(ctx)
		obj, ok := got.(*unstructured.Unstructured)
		switch {
		case apierrors.IsForbidden(err):
			out[name] = Issuance{Name: o.Name, Note: fmt.Sprintf("no permission to read certificate %s", o.Name)}
		case err != nil:
			out[name] = Issuance{Name: o.Name, Note: fmt.Sprintf("read certificate %s: %v", o.Name, err)}
		case !ok:
			out[name] = Issuance{Name: o.Name, Note: fmt.Sprintf("certificate %s cannot be parsed", o.Name)}
		default:
			out[name] = parseIssuance(obj)
		}
	}
	return out
}

// RenewalUnknown says why the date is unknown on which cert-manager issues the certificate in a Secret again. It is "" if the date is known, or if another owner keeps it.
func (s *State) RenewalUnknown(secret string) string {
	obj := s.Secrets[secret].Object
	if obj == nil || pki.FindOwner(obj.ObjectMeta).Kind != pki.OwnerCertManager {
		return ""
	}
	if s.IssuancesNote != "" {
		return s.IssuancesNote
	}
	return s.Issuances[secret].Note
}

// Renewal returns when cert-manager issues the certificate in a Secret again, if that was read.
func (s *State) Renewal(secret string, notBefore, notAfter time.Time) (time.Time, bool) {
	i, ok := s.Issuances[secret]
	if !ok {
		return time.Time{}, false
	}
	return i.Renews(notBefore, notAfter)
}
