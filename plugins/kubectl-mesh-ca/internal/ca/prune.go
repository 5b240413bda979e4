package ca

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// PrunePlan says which backups are deleted, and why others are not.
type PrunePlan struct {
	Items []*PruneItem
}

// PruneItem is one backup: the step that deletes it, unless it is settled already.
type PruneItem struct {
	change.Outcome

	Kept *KeptSecret
}

// Evidence is what a decision to delete rests on.
type Evidence struct {
	States []*State
	// Gaps are what could not be read. With any, nothing is deleted.
	Gaps []string
	// Rotations are the clusters in which a rotation is under way. With any, nothing is deleted: abort needs OLD's key until the end, and a backup with that
	// key may be older than the rotation, because a CA is kept once.
	Rotations map[string]time.Time
}

// Prune plans to delete the backups that nothing uses and that are at least olderThan old. It is pure.
func Prune(kept []*KeptSecret, ev Evidence, olderThan time.Duration, now time.Time) *PrunePlan {
	p := &PrunePlan{}
	for _, k := range kept {
		i := &PruneItem{Kept: k}
		i.Result, i.Message = decide(k, ev, olderThan, now)
		p.Items = append(p.Items, i)
	}
	return p
}

func decide(k *KeptSecret, ev Evidence, olderThan time.Duration, now time.Time) (result, message string) {
	uses := k.Uses(ev.States)
	age := now.Sub(k.Secret.CreationTimestamp.Time)
	switch {
	case len(ev.Rotations) > 0:
		return v1alpha1.ResultRefused, "a rotation is under way, and going back needs the former CA: " + rotationText(ev.Rotations)
	case len(uses) > 0:
		return v1alpha1.ResultSkipped, "kept, because it is in use: " + usesText(uses)
	case k.State.misses(k.Of()): // see readDeleted
		return v1alpha1.ResultSkipped, fmt.Sprintf("kept, because secret %s does not exist, although processes mount it: restore the Secret or let its owner create it again", k.Of())
	case len(k.subjects) == 0:
		return v1alpha1.ResultSkipped, "kept, because it contains no certificate that parses and cannot be judged; delete it by hand"
	case len(ev.Gaps) > 0:
		return v1alpha1.ResultRefused, "cannot determine whether it is in use: " + strings.Join(ev.Gaps, "; ")
	case age < olderThan:
		return v1alpha1.ResultSkipped, fmt.Sprintf("kept, because it was made %s ago, less than %s (--older-than)", days(age), days(olderThan))
	}
	return v1alpha1.ResultPlanned, ""
}

func rotationText(rotations map[string]time.Time) string {
	var out []string
	for name, since := range rotations {
		out = append(out, fmt.Sprintf("%s since %s (configmap %s, secret %s)", name, since.UTC().Format(time.RFC3339), ConfigMapRotation, SecretRotation))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// days is a duration in days where it is a day or more.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day {
		return fmt.Sprintf("%dd", int(d/day))
	}
	return d.Round(time.Minute).String()
}

// usesText names what uses a backup, as a sentence ends.
func usesText(uses []v1alpha1.CAUse) string {
	verbs := map[string]string{v1alpha1.UseHolds: "trusts it", v1alpha1.UseSigned: "is signed by it", v1alpha1.UseKey: "has its key"}
	const most = 3
	var out []string
	for n, u := range uses {
		if n == most {
			out = append(out, fmt.Sprintf("and %d more", len(uses)-most))
			break
		}
		if u.How == v1alpha1.UseLoaded {
			out = append(out, fmt.Sprintf("%s of %s may still trust it (%s)", u.Object, u.Cluster, u.Message))
			continue
		}
		out = append(out, fmt.Sprintf("%s of %s %s", u.Object, u.Cluster, verbs[u.How]))
	}
	return strings.Join(out, ", ")
}

// Change returns the steps: one deletion for each backup. gate is asked before the first one; it looks again whether the backups are still unused.
func (p *PrunePlan) Change(gate func(context.Context) error) *change.Plan {
	phase := &change.Phase{Gate: gate}
	for _, i := range p.Items {
		phase.Steps = append(phase.Steps, i)
	}
	return &change.Plan{Action: "prune", Phases: []*change.Phase{phase}}
}

// Pending returns the backups that are still to be deleted.
func (p *PrunePlan) Pending() []*KeptSecret {
	var out []*KeptSecret
	for _, i := range p.Items {
		if i.Result == v1alpha1.ResultPlanned {
			out = append(out, i.Kept)
		}
	}
	return out
}

// Report returns the plan, or its results, as a document for scripts.
func (p *PrunePlan) Report(members []*clusters.Member, dryRun string) v1alpha1.CAChangeReport {
	r := v1alpha1.CAChangeReport{ChangeReport: v1alpha1.ChangeReport{
		Document: clusters.Document("CAChangeReport", members), Action: "prune", DryRun: dryRun, Changes: []v1alpha1.Change{},
	}}
	for _, i := range p.Items {
		s := i.Kept.State
		c := v1alpha1.Change{Cluster: s.Member.Name, Context: s.Member.Context, Namespace: i.Kept.Secret.Namespace, Object: "secret/" + i.Kept.Secret.Name,
			Before: factsOf(i.Kept.Secret.Data).values(), After: Facts{}.values(), Result: i.Result, Message: i.Message}
		if i.Result == v1alpha1.ResultSkipped || i.Result == v1alpha1.ResultRefused {
			c.After = c.Before
		}
		r.Changes = append(r.Changes, c)
		if i.Incomplete() {
			r.Complete = false
		}
	}
	return r
}

// Target is the backup.
func (i *PruneItem) Target() change.Target { return i.Kept.State.secret(i.Kept.Secret.Name) }

// Permissions are those to delete it, and to see that it is gone.
func (i *PruneItem) Permissions() []permissions.Permission {
	return append(accessReadBackup().In(i.Kept.Secret.Namespace, i.Kept.Secret.Name), accessDelete().In(i.Kept.Secret.Namespace, i.Kept.Secret.Name)...)
}

// Deletes makes it a change.Deleter.
func (i *PruneItem) Deletes() bool { return true }

// UID makes it a change.Identified.
func (i *PruneItem) UID() types.UID { return i.Kept.Secret.UID }

// Send deletes the backup that was judged, and no other one of its name. One that is gone already needs nothing.
func (i *PruneItem) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	have := i.Kept.Secret
	err := i.Target().Delete(ctx, have.UID, have.ResourceVersion, dryRun)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // there is nothing to send, see change.Step
	case apierrors.IsConflict(err):
		return nil, change.ErrConflict
	case err != nil:
		return nil, err
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: have.Name, Namespace: have.Namespace}}, nil
}

// Diff has nothing to compare: that the backup is gone is all.
func (i *PruneItem) Diff(metav1.Object) *change.Difference { return nil }
