package ca

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	authv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// ErrPreflight says that a target cannot be changed, and therefore none was.
var ErrPreflight = errors.New("preflight failed; nothing was written in any cluster")

// Preflight asks every target at once whether the plan can be carried out: the permissions for exactly what will be done, then a server-side dry-run
// with admission of each write. Items that fail are marked.
func (p *Plan) Preflight(ctx context.Context, o Options) error {
	pending := p.Pending()
	members := make([]*clusters.Member, len(pending))
	byMember := map[*clusters.Member]*Item{}
	for n, i := range pending {
		members[n], byMember[i.State.Member] = i.State.Member, i
	}
	for _, r := range clusters.Each(ctx, members, o.Timeout, func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		return struct{}{}, p.preflight(ctx, byMember[m], o)
	}) {
		if r.Err != nil {
			i := byMember[r.Member]
			i.Result, i.Message = v1alpha1.ResultFailed, r.Err.Error()
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.Failed() && (!o.AllowPartial || len(p.Pending()) == 0):
		return ErrPreflight
	}
	return nil
}

func (p *Plan) preflight(ctx context.Context, i *Item, o Options) error {
	if err := i.allowed(ctx); err != nil {
		return err
	}
	if err := i.findBackup(ctx); err != nil {
		return err
	}
	if o.AccessOnly {
		return nil
	}
	if i.Backup != nil && i.Backup.Result == v1alpha1.ResultPlanned {
		if err := p.createBackup(ctx, i, true); err != nil {
			return explainDryRun("backup of the former CA", err)
		}
	}
	if err := p.replace(ctx, i, true); err != nil {
		return explainDryRun("secret "+pki.SecretCA, err)
	}
	return nil
}

// explainDryRun names the way out where an admission webhook cannot dry-run.
func explainDryRun(what string, err error) error {
	err = safe(err)
	if apierrors.IsBadRequest(err) {
		return fmt.Errorf("%s: server-side dry-run: %w; with --preflight=access it is left out", what, err)
	}
	return fmt.Errorf("%s: server-side dry-run: %w", what, err)
}

// allowed asks for exactly the verbs that will be used. create cannot be limited to a name (Kubernetes RBAC).
func (i *Item) allowed(ctx context.Context) error {
	type rule struct{ verb, name string }
	rules := []rule{{"get", pki.SecretCA}}
	if i.replaces() {
		rules = append(rules, rule{"patch", pki.SecretCA})
	} else {
		rules = append(rules, rule{"create", ""})
	}
	if i.Backup != nil {
		rules = append(rules, rule{"get", i.Backup.Object.Name}, rule{"create", ""})
	}
	var missing []string
	for _, r := range rules {
		review := &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
			Namespace: i.State.Namespace, Verb: r.verb, Resource: "secrets", Name: r.name,
		}}}
		got, err := i.State.Member.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("ask for permission: %w", err)
		}
		if !got.Status.Allowed {
			text := fmt.Sprintf(`{apiGroups: [""], resources: [secrets], verbs: [%s]}`, r.verb)
			if r.name != "" {
				text = fmt.Sprintf(`{apiGroups: [""], resources: [secrets], resourceNames: [%s], verbs: [%s]}`, r.name, r.verb)
			}
			missing = append(missing, text)
		}
	}
	if len(missing) > 0 {
		// The class makes clusters.Each try another context of the same cluster.
		return &clusters.Error{Class: clusters.ClassForbidden, Err: fmt.Errorf("no permission: a Role in namespace %s needs %s", i.State.Namespace, strings.Join(missing, " and "))}
	}
	return nil
}

// replaces reports whether cilium-ca exists and is patched, rather than made.
func (i *Item) replaces() bool { return i.State.CA().Object != nil }

// maxBackups bounds how many Secrets of one fingerprint are tried: they differ only where keys were repaired.
const maxBackups = 20

// findBackup looks whether the former CA is kept already, and else finds a free name.
func (i *Item) findBackup(ctx context.Context) error {
	if i.Backup == nil {
		return nil
	}
	want := i.Backup.Object
	base := want.Name
	for n := 1; n <= maxBackups; n++ {
		if n > 1 {
			want.Name = fmt.Sprintf("%s-%d", base, n)
		}
		have, err := i.State.Member.Client.CoreV1().Secrets(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return fmt.Errorf("look for backup %s/%s: %w", want.Namespace, want.Name, err)
		case have.Immutable != nil && *have.Immutable && maps.EqualFunc(have.Data, want.Data, bytes.Equal):
			i.Backup.Object, i.Backup.Result = have, v1alpha1.ResultUnchanged
			return nil
		}
	}
	return fmt.Errorf("%d backups %s* exist already and hold something else", maxBackups, base)
}

// safe keeps the answers of an API server from repeating what was sent: an Invalid or Forbidden status may quote field values.
func safe(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	s := status.Status()
	if len(s.Message) < maxMessage && !strings.Contains(s.Message, "PRIVATE KEY") && !strings.Contains(s.Message, encodedPEM) {
		return err
	}
	s.Message, s.Details = fmt.Sprintf("the API server refused it (%s); its message is left out because it may hold the key", s.Reason), nil
	return &apierrors.StatusError{ErrStatus: s}
}

const (
	// maxMessage is longer than any message that does not quote an object.
	maxMessage = 600
	// encodedPEM is how "-----BEGIN" begins in base64.
	encodedPEM = "LS0tLS1CRUdJ"
)
