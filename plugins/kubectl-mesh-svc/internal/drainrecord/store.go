package drainrecord

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// manager is the field manager of the ConfigMap.
const manager = "mesh-svc"

// ErrTaken says that somebody else wrote the record meanwhile. Nothing was written by us.
var ErrTaken = errors.New("somebody else changed the record meanwhile")

// ErrUnreadable says that there is a ConfigMap of the record's name, and no record can be read from it.
var ErrUnreadable = errors.New("it cannot be read as a record")

// Search reads the records of a cluster in all given members. A member whose answer is not known is in unread, with the reason.
// The oldest record comes first.
func Search(ctx context.Context, members []*clusters.Member, timeout time.Duration, cluster string) (found []*Record, unread []error) {
	results := fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (*Record, error) {
		return get(ctx, m, cluster)
	})
	for _, r := range results {
		switch {
		case r.Err == nil && r.Value != nil:
			found = append(found, r.Value)
		case r.Err == nil:
		case apierrors.IsForbidden(r.Err):
			rule := permissions.Permission{Verb: "get", Resource: "configmaps", Namespace: r.Member.CiliumNamespace, Name: Name(cluster)}
			unread = append(unread, fmt.Errorf("cluster %q: no permission to read the record: %s", r.Member.Name, rule))
		default:
			unread = append(unread, fmt.Errorf("cluster %q: %w", r.Member.Name, r.Err))
		}
	}
	slices.SortStableFunc(found, func(a, b *Record) int { return a.Since.Compare(b.Since) })
	return found, unread
}

// get reads the record in one member; nil where there is none.
func get(ctx context.Context, m *clusters.Member, cluster string) (*Record, error) {
	cm, err := api(m).Get(ctx, Name(cluster), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return read(m, cm)
}

// read reads a record out of its ConfigMap.
func read(m *clusters.Member, cm *corev1.ConfigMap) (*Record, error) {
	r, err := parse(cm)
	if err != nil {
		return nil, unreadable(m, cm, err)
	}
	if Name(r.Cluster) != cm.Name {
		return nil, unreadable(m, cm, fmt.Errorf("it is the record of cluster %q", r.Cluster))
	}
	r.Member = m
	return r, nil
}

// unreadable names the ConfigMap, what is wrong with it, and what removes it: no command overwrites a record that it cannot parse.
func unreadable(m *clusters.Member, cm *corev1.ConfigMap, err error) error {
	return fmt.Errorf("configmap %s/%s: %w: %w. The Services' own marks hold the previous values too; to delete it, run: %s",
		cm.Namespace, cm.Name, ErrUnreadable, err, commandline.Tool("kubectl", m.Origin().At(), cm.Namespace, "delete", "configmap", cm.Name))
}

// Others reads the records of drains of other clusters in all given members. hidden are the members in which they may not be read, and
// a member whose answer is not known is in unread, with the reason.
func Others(ctx context.Context, members []*clusters.Member, timeout time.Duration, cluster string) (found []*Record, hidden []string, unread []error) {
	var names []string
	for _, m := range members {
		if m.Name != cluster {
			names = append(names, m.Name)
		}
	}
	results := fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) ([]*Record, error) {
		return others(ctx, m, names)
	})
	for _, r := range results {
		switch {
		case r.Err == nil:
			found = append(found, slices.DeleteFunc(r.Value, func(r *Record) bool { return r.Cluster == cluster })...)
		case apierrors.IsForbidden(r.Err):
			hidden = append(hidden, r.Member.Name)
		default:
			unread = append(unread, fmt.Errorf("cluster %q: %w", r.Member.Name, r.Err))
		}
	}
	return found, hidden, unread
}

// others lists the records in one member. Who may not list ConfigMaps may be allowed to read those of single clusters.
func others(ctx context.Context, m *clusters.Member, names []string) ([]*Record, error) {
	var out []*Record
	list, err := api(m).List(ctx, metav1.ListOptions{LabelSelector: LabelDrain})
	if apierrors.IsForbidden(err) {
		for _, name := range names {
			r, err := get(ctx, m, name)
			if err != nil {
				return nil, err
			}
			if r != nil {
				out = append(out, r)
			}
		}
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		r, err := read(m, &list.Items[i])
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func api(m *clusters.Member) typedcorev1.ConfigMapInterface {
	return m.Client.CoreV1().ConfigMaps(m.CiliumNamespace)
}

// MayKeep asks whether the record of a cluster may be kept in a member.
func MayKeep(ctx context.Context, m *clusters.Member, timeout time.Duration, cluster string, create bool) error {
	err := change.Review(ctx, m, timeout, Permissions(m, cluster, create)...)
	var missing *permissions.MissingError
	if errors.As(err, &missing) {
		return fmt.Errorf("no permission to keep the record: %s", permissions.Needs(missing.Permissions))
	}
	return err
}

// Create stores a new record in a member. ErrTaken: there is one already.
func (r *Record) Create(ctx context.Context, m *clusters.Member, dryRun bool) error {
	return r.createAs(ctx, r, m, dryRun)
}

// createAs stores a new record as next has it.
func (r *Record) createAs(ctx context.Context, next *Record, m *clusters.Member, dryRun bool) error {
	next.uid, next.version = "", ""
	cm, err := next.configMap()
	if err != nil {
		return err
	}
	o := metav1.CreateOptions{FieldManager: manager}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	got, err := api(m).Create(ctx, cm, o)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	if err != nil {
		return err
	}
	if !dryRun {
		*r = *next
		r.stored(m, got)
	}
	return nil
}

// Update stores the record over what was read. ErrTaken: it is no longer what was read.
func (r *Record) Update(ctx context.Context) error {
	cm, err := r.configMap()
	if err != nil {
		return err
	}
	got, err := api(r.Member).Update(ctx, cm, metav1.UpdateOptions{FieldManager: manager})
	if err != nil {
		return taken(err)
	}
	r.stored(r.Member, got)
	return nil
}

// Advance stores the record as change makes it. It is changed only once that has succeeded. ErrTaken: as for Update.
func (r *Record) Advance(ctx context.Context, change func(*Record)) error {
	next := *r
	change(&next)
	if err := next.Update(ctx); err != nil {
		return err
	}
	*r = next
	return nil
}

// Now reads the record as it is stored now: nil if it does not exist, the record itself when nobody has written it since.
func (r *Record) Now(ctx context.Context) (*Record, error) {
	now, err := get(ctx, r.Member, r.Cluster)
	if err == nil && now != nil && now.uid == r.uid && now.version == r.version {
		return r, nil
	}
	return now, err
}

// Delete removes the record if it still is what was read. A record that is already gone is not an error.
func (r *Record) Delete(ctx context.Context) error {
	err := api(r.Member).Delete(ctx, Name(r.Cluster), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &r.uid, ResourceVersion: &r.version}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return taken(err)
}

func (r *Record) stored(m *clusters.Member, cm *corev1.ConfigMap) {
	r.Member, r.uid, r.version = m, cm.UID, cm.ResourceVersion
}

func taken(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return err
}
