package ca

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Write is one write to an object in Cilium's namespace of a cluster, as a step of a change. It may hold a private key and is never
// printed; What says what it does.
type Write struct {
	change.Outcome

	Of    *State
	What  string
	Needs []permissions.Permission
	// Data are the keys of a Secret that are written, which are compared afterwards; nil for other objects, and if the Secret is deleted.
	Data map[string][]byte
	// Compare compares another object with what was to be written; nil if the object tells nothing, as a Job that was created. A write that the API server
	// did not answer clearly is judged by it.
	Compare func(stored metav1.Object) *change.Difference

	target  change.Target
	deletes bool
	uid     types.UID // of the object that is deleted
	send    func(ctx context.Context, dryRun bool) (metav1.Object, error)
}

func newWrite(of *State, kind change.Kind, name, what string, access []permissions.Access) *Write {
	w := &Write{Of: of, What: what, target: change.Target{Member: of.Member, Kind: kind, Namespace: of.Namespace, Name: name}}
	w.Result = v1alpha1.ResultPlanned
	for _, a := range access {
		w.Needs = append(w.Needs, a.In(of.Namespace, name)...)
	}
	return w
}

// NewSecretPatch writes some keys of a Secret, if it is still as it was read.
func NewSecretPatch(of *State, have *corev1.Secret, data map[string][]byte, manager, what string) *Write {
	w := NewPatch(of, change.Secret, have, change.Fields{Data: data}, manager, what, AccessPatchSecrets())
	w.Data = data
	return w
}

// NewPatch changes fields of an object, if it is still as it was read.
func NewPatch(of *State, kind change.Kind, have metav1.Object, fields change.Fields, manager, what string, access ...permissions.Access) *Write {
	w := newWrite(of, kind, have.GetName(), what, access)
	if fields.Annotations != nil {
		w.Compare = func(stored metav1.Object) *change.Difference { return compareAnnotations(stored, fields.Annotations) }
	}
	w.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return w.target.Patch(ctx, have.GetUID(), have.GetResourceVersion(), fields, manager, dryRun)
	}
	return w
}

// NewRestart replaces the pods of a workload, as kubectl rollout restart does.
func NewRestart(of *State, kind change.Kind, have metav1.Object, now time.Time, manager, what string, access ...permissions.Access) *Write {
	at := now.UTC().Format(time.RFC3339Nano)
	template := map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{restartedAt: at}}}}
	w := NewPatch(of, kind, have, change.Fields{Spec: template}, manager, what, access...)
	former := restarted(have)
	w.Compare = func(stored metav1.Object) *change.Difference {
		if got := restarted(stored); got != at && (got == "" || got == former) { // another time is a later restart, which does the same
			return &change.Difference{Field: "the annotation " + restartedAt, Value: got, Gone: got == ""}
		}
		return nil
	}
	return w
}

// restartedAt is the annotation of a pod template whose change replaces the pods.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// restarted is the annotation of a workload, "" if it has none.
func restarted(o metav1.Object) string {
	switch w := o.(type) {
	case *appsv1.Deployment:
		return w.Spec.Template.Annotations[restartedAt]
	case *appsv1.DaemonSet:
		return w.Spec.Template.Annotations[restartedAt]
	}
	return ""
}

// compareAnnotations compares some annotations of an object with what was to be written; nil stands for one that was removed.
func compareAnnotations(stored metav1.Object, want map[string]*string) *change.Difference {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		have, ok := stored.GetAnnotations()[k]
		if ok != (want[k] != nil) || ok && have != *want[k] {
			return &change.Difference{Field: "the annotation " + k, Value: have, Gone: !ok}
		}
	}
	return nil
}

// NewMeshAPIRestart restarts clustermesh-apiserver, whose etcd reads its CA file only at start.
func NewMeshAPIRestart(of *State, have metav1.Object, now time.Time, manager string) *Write {
	return NewRestart(of, change.Deployment, have, now, manager, "restart: etcd reads its CA file only at start", AccessRestart())
}

// NewCreation creates an object.
func NewCreation(of *State, kind change.Kind, obj metav1.Object, manager, what string, access ...permissions.Access) *Write {
	w := newWrite(of, kind, obj.GetName(), what, access)
	switch o := obj.(type) {
	case *corev1.Secret:
		w.Data = o.Data
	case *corev1.ConfigMap: // a lock: another run may have made one of the same name
		w.Compare = func(stored metav1.Object) *change.Difference {
			if have, ok := stored.(*corev1.ConfigMap); !ok || !maps.Equal(have.Data, o.Data) {
				return &change.Difference{Field: "data"}
			}
			return compareAnnotations(stored, pointers(o.Annotations))
		}
	}
	w.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return w.target.Create(ctx, obj, manager, dryRun)
	}
	return w
}

// pointers returns annotations as they are compared.
func pointers(annotations map[string]string) map[string]*string {
	out := make(map[string]*string, len(annotations))
	for k, v := range annotations {
		out[k] = &v
	}
	return out
}

// NewDeletion deletes an object, if it is still as it was read.
func NewDeletion(of *State, kind change.Kind, have metav1.Object, what string, access ...permissions.Access) *Write {
	w := newWrite(of, kind, have.GetName(), what, access)
	w.deletes, w.uid = true, have.GetUID()
	w.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return have, w.target.Delete(ctx, have.GetUID(), have.GetResourceVersion(), dryRun)
	}
	return w
}

// Target is the object.
func (w *Write) Target() change.Target { return w.target }

// Permissions are those for exactly this write.
func (w *Write) Permissions() []permissions.Permission { return w.Needs }

// Deletes reports whether the object is deleted.
func (w *Write) Deletes() bool { return w.deletes }

// UID is that of the object that is deleted: its owner may create it again before it is read back.
func (w *Write) UID() types.UID { return w.uid }

// Send writes the object, if it is still as it was read.
func (w *Write) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	got, err := w.send(ctx, dryRun)
	return got, change.Conflict(err)
}

// Diff compares what is stored with what was to be written.
func (w *Write) Diff(stored metav1.Object) *change.Difference {
	switch {
	case w.Compare != nil:
		return w.Compare(stored)
	case w.Data != nil:
		return DiffData(stored, w.Data)
	}
	return nil
}

// Change is the write in a document.
func (w *Write) Change() v1alpha1.Change {
	c := ChangeOf(w)
	c.Message = cmp.Or(c.Message, w.What)
	return c
}

// ChangeOf is a step in a document.
func ChangeOf(s change.Step) v1alpha1.Change {
	t, o := s.Target(), s.Status()
	return v1alpha1.Change{Cluster: t.Member.Name, Context: t.Member.Context, Namespace: t.Namespace, Object: t.Kind.Name + "/" + t.Name, Result: o.Result, Message: o.Message}
}

// comment is the line that makes a client read its files again: the text of a peer's configuration is compared, and the line is not part of it.
var comment = regexp.MustCompile(`(?m)^# kubectl mesh-ca: .*\n`)

// NewRefresh changes a comment in each configuration of a peer. The clients then connect again at once, with the CA files of that moment, and nothing is
// counted as a failure (pkg/clustermesh/common/config.go; 1.16 to 1.20, seen with 1.20.2).
func NewRefresh(of *State, now time.Time, manager string) []change.Step {
	line := "# kubectl mesh-ca: read the certificates again at " + now.UTC().Format(time.RFC3339Nano) + "\n"
	var out []change.Step
	for _, name := range []string{cilium.SecretClusterMesh, cilium.SecretKVStoreMesh} {
		secret := of.Secrets[name].Object
		if secret == nil {
			continue
		}
		data := map[string][]byte{}
		for key, value := range secret.Data {
			if bytes.Contains(value, []byte(peerMark)) {
				data[key] = append([]byte(line), comment.ReplaceAll(value, nil)...)
			}
		}
		if len(data) > 0 {
			out = append(out, NewSecretPatch(of, secret, data, manager, "a comment that makes clients connect again"))
		}
	}
	return out
}

// After works out what clusters serve and trust after some writes.
func After(states []*State, steps []change.Step) []pki.Side {
	sides := make([]pki.Side, len(states))
	for n, s := range states {
		sides[n] = s.Side
		sides[n].Objects = maps.Clone(s.Side.Objects)
	}
	for _, each := range steps {
		w, ok := each.(*Write)
		if !ok || w.Data == nil {
			continue
		}
		n := slices.Index(states, w.Of)
		ref := pki.Ref{Kind: pki.Secret, Name: w.target.Name}
		obj := sides[n].Objects[ref]
		obj.Data = maps.Clone(obj.Data)
		if obj.Data == nil {
			obj.Data = map[string][]byte{}
		}
		maps.Copy(obj.Data, w.Data)
		sides[n].Objects[ref] = obj
	}
	return sides
}

// KeepsTrust returns an error for the first pair of clusters that trusts each other before and not after, apart from those that are separated on purpose. Only
// the caller knows whether its command has written anything yet.
func KeepsTrust(before, after []pki.Pair, separates func(pki.Pair) bool) error {
	for n, pair := range after {
		if before[n].Verdict == pki.OK && pair.Verdict != pki.OK && !separates(pair) {
			return fmt.Errorf("this would end the trust between %s and %s (%s)", pair.Client, pair.Server, join(pair.Login.Reason, pair.Identity.Reason))
		}
	}
	return nil
}

// KeepsInside returns an error for the first connection within a cluster that works before some writes and not after.
func KeepsInside(before, after []pki.Side, now time.Time) error {
	for n, side := range after {
		was := pki.Inside(before[n], now)
		for i, link := range pki.Inside(side, now) {
			if was[i].Verdict == pki.OK && link.Verdict != pki.OK {
				return fmt.Errorf("this would end the trust within %s (%s)", side.Name, link.Name)
			}
		}
	}
	return nil
}
