package drillrecord

import (
	"context"
	"errors"
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
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// ErrTaken says that somebody else stored, changed or deleted the record meanwhile. Nothing was written by us.
var ErrTaken = errors.New("somebody else changed the record meanwhile")

// ErrUnreadable says that a ConfigMap with the label of a record cannot be read as one.
var ErrUnreadable = errors.New("it cannot be read as the record of a drill")

// ProblemError is what keeps records from being known: a member that cannot be asked, or one record that cannot be read.
type ProblemError struct {
	Member *clusters.Member
	// Service is that of the record that cannot be read. It is empty if no record of the member is known.
	Service string
	Err     error
}

// Error names the cluster.
func (p *ProblemError) Error() string { return fmt.Sprintf("cluster %q: %v", p.Member.Name, p.Err) }

// Unwrap returns the cause.
func (p *ProblemError) Unwrap() error { return p.Err }

// List returns the records in a namespace of all given members; an empty namespace is all of them. The oldest record comes first. What is not known
// is in problems: it does not hide the other records.
func List(ctx context.Context, members []*clusters.Member, timeout time.Duration, namespace string) (found []*Record, problems []*ProblemError) {
	results := fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (*corev1.ConfigMapList, error) {
		return m.Client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelDrill})
	})
	for _, r := range results {
		if r.Err != nil {
			problems = append(problems, &ProblemError{Member: r.Member, Err: lacking(r.Err, "list", namespace)})
			continue
		}
		for i := range r.Value.Items {
			cm := &r.Value.Items[i]
			record, err := read(r.Member, cm)
			if err != nil {
				problems = append(problems, &ProblemError{Member: r.Member, Service: strings.TrimPrefix(cm.Name, Name("")), Err: err})
				continue
			}
			found = append(found, record)
		}
	}
	slices.SortStableFunc(found, func(a, b *Record) int { return a.Since.Compare(b.Since) })
	return found, problems
}

// Join makes one error of problems; nil for none.
func Join(problems []*ProblemError) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// lacking names the rule where the API server answered that a permission is missing.
func lacking(err error, verb, namespace string) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	rule := permissions.Permission{Verb: verb, Resource: "configmaps", Namespace: namespace}
	return fmt.Errorf("the records of drills: %w", &permissions.MissingError{Permissions: []permissions.Permission{rule}, Err: err})
}

// Now reads the record as it is stored now. It is nil if it does not exist any more, also where another drill has stored its own in its place. If
// somebody edited it so that it cannot be read, it is what it was.
func (r *Record) Now(ctx context.Context) (*Record, error) {
	cm, err := r.Member.Client.CoreV1().ConfigMaps(r.Service.Namespace).Get(ctx, Name(r.Service.Name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, lacking(err, "get", r.Service.Namespace)
	}
	now, err := read(r.Member, cm)
	known := r.uid != "" && cm.UID == r.uid
	switch {
	case known && (err != nil || now.ID != r.ID):
		was := *r
		was.version = cm.ResourceVersion
		return &was, nil //nolint:nilerr // what was edited is known
	case err != nil:
		return nil, err
	case now.ID != r.ID:
		return nil, nil
	}
	return now, nil
}

// read reads a record out of its ConfigMap. No command overwrites one that it cannot parse.
func read(m *clusters.Member, cm *corev1.ConfigMap) (*Record, error) {
	r, err := parse(cm)
	if err != nil {
		return nil, fmt.Errorf("configmap %s/%s: %w: %w. Restore what it names by hand, then run: %s",
			cm.Namespace, cm.Name, ErrUnreadable, err, deletion(m, cm.Namespace, cm.Name))
	}
	r.Member = m
	return r, nil
}

// DeleteCommand is the command that deletes the record, and restores nothing.
func (r *Record) DeleteCommand() string {
	return deletion(r.Member, r.Service.Namespace, Name(r.Service.Name))
}

func deletion(m *clusters.Member, namespace, name string) string {
	return commandline.Tool("kubectl", m.Origin().At(), namespace, "delete", "configmap", name)
}

// Accesses are the permissions that a record needs.
func Accesses() []permissions.Access {
	return []permissions.Access{
		{Resource: "configmaps", Verbs: []string{"get", "list", "delete"}, Place: permissions.InServices, Writes: true, For: "the record with the previous values, in every cluster: it is deleted when they are restored"},
		{Resource: "configmaps", Verbs: []string{"create"}, Place: permissions.InServices, Writes: true, For: "the same; create cannot be limited to a name"},
	}
}

// Step stores a new record or deletes one, as a step of a change.
type Step struct {
	change.Outcome

	record  *Record
	member  *clusters.Member
	manager string
	deletes bool
	lost    bool // the last write got no clear answer
}

// Store makes a record in a member.
func Store(r *Record, m *clusters.Member, manager string) *Step {
	s := &Step{record: r, member: m, manager: manager}
	s.Result = v1alpha1.ResultPlanned
	return s
}

// Remove deletes a record that is stored.
func Remove(r *Record) *Step {
	s := &Step{record: r, member: r.Member, deletes: true}
	s.Result = v1alpha1.ResultPlanned
	return s
}

// Target is the ConfigMap of the record.
func (s *Step) Target() change.Target {
	return change.Target{Member: s.member, Kind: change.ConfigMap, Namespace: s.record.Service.Namespace, Name: Name(s.record.Service.Name)}
}

// Permissions are those for storing the record and for deleting it: who may not delete it must not store it.
func (s *Step) Permissions() []permissions.Permission {
	all := Accesses()
	needed := all[0].In(s.record.Service.Namespace, "")
	if !s.deletes {
		needed = append(needed, all[1].In(s.record.Service.Namespace, "")...)
	}
	return needed
}

// Deletes reports whether the record is deleted.
func (s *Step) Deletes() bool { return s.deletes }

// UID is that of the stored record, empty for a new one.
func (s *Step) UID() types.UID { return s.record.uid }

// Send stores or deletes the record.
func (s *Step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	if s.deletes {
		err := s.Target().Delete(ctx, s.record.uid, s.record.version, dryRun)
		switch {
		case apierrors.IsNotFound(err):
			return nil, nil
		case apierrors.IsConflict(err):
			return nil, fmt.Errorf("%w: %w", ErrTaken, err)
		case err != nil:
			return nil, err
		}
		return &metav1.ObjectMeta{Name: s.Target().Name}, nil
	}
	cm, err := s.record.configMap()
	if err != nil {
		return nil, err
	}
	got, err := s.Target().Create(ctx, cm, s.manager, dryRun)
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil, fmt.Errorf("%w: %w", ErrTaken, err)
	case dryRun:
		return got, err
	}
	if s.lost = err != nil; err == nil {
		s.stored(got)
	}
	return got, err
}

// Diff compares whose record is stored. A record whose answer was lost is taken over as it was read back.
func (s *Step) Diff(stored metav1.Object) *change.Difference {
	cm, ok := stored.(*corev1.ConfigMap)
	if !ok || cm.Data[keyID] != s.record.ID || cm.Labels[LabelDrill] != s.record.Service.Name {
		return &change.Difference{Field: s.Target().String()}
	}
	if s.lost {
		s.lost = false
		s.stored(stored)
	}
	return nil
}

func (s *Step) stored(got metav1.Object) {
	s.record.Member, s.record.uid, s.record.version = s.member, got.GetUID(), got.GetResourceVersion()
}
