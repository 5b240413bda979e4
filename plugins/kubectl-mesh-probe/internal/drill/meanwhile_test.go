package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// deleteRecord is kubectl delete configmap.
func deleteRecord(ctx context.Context, f *testkit.Mesh) error {
	return f.API["us"].CoreV1().ConfigMaps("shop").Delete(ctx, "kubectl-mesh-drill-web", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{}})
}

// scaleTo is kubectl scale deployment/web.
func scaleTo(ctx context.Context, f *testkit.Mesh, replicas int32) error {
	api := f.API["us"].AppsV1().Deployments("shop")
	d, err := api.Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	d.Spec.Replicas = ptr.To(replicas)
	_, err = api.Update(ctx, d, metav1.UpdateOptions{})
	return err
}

// onceDown calls do once while the backends are away and everything has been read back.
func onceDown(do func()) func(bool) {
	ticks := 0
	return func(down bool) {
		if !down {
			return
		}
		if ticks++; ticks == 20 {
			do()
		}
	}
}

// Somebody deletes the record while the backends are away: the drill still knows what to restore, and does. Its result proves nothing.
func TestRecordDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	var deleted error
	report, err := runWith(t.Context(), scaleDrill(f), ui, (&clients{mesh: f, seen: onceDown(func() { deleted = deleteRecord(context.Background(), f) })}).start)
	if deleted != nil || err == nil || !strings.Contains(err.Error(), "somebody deleted the record of the drill") || state(t, f) != before {
		t.Fatalf("%v, %v, %s, want %s", deleted, err, state(t, f), before)
	}
	if doc := report.Document; doc.State != stateRestored || doc.Complete || doc.RepairCommand != "" || doc.Record != nil || doc.Changes[0].Result != resultRestored {
		t.Errorf("%+v", doc)
	}
}

// A repair may end a drill at any moment: before its first write, between two writes or, at worst, between the look at the record and a write.
func TestRepairedBetweenWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at     int // the write before which somebody repairs, counted from 1
		unseen bool
	}{"before the first write": {1, false}, "between two writes": {2, false}, "just before the first write": {1, true}, "just before the second one": {2, true}} {
		f, ui := fakeMesh(t), &screen{}
		before := state(t, f)
		r := drillOn(t, f, drillrecord.Scale, ui)
		p, n := r.changes(), 0
		look := p.Phases[1].Before
		p.Phases[1].Before = func(ctx context.Context, s change.Step) error {
			if n++; n == c.at {
				if _, err := Repair(ctx, place(f), writer(), ui); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if c.unseen {
				return nil
			}
			return look(ctx, s)
		}
		err := p.Apply(t.Context(), r.Change)
		if errors.Is(err, errRecordGone) == c.unseen {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.giveBack(t.Context()); err != nil || state(t, f) != before || !r.restored.missing || !r.restored.done {
			t.Errorf("%s: %v, %s, want %s", name, err, state(t, f), before)
		}
	}
}

// Once the record is gone, another drill may begin. What it wrote is its own to restore.
func TestAnotherDrillSince(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	first := drillOn(t, f, drillrecord.Scale, ui)
	if err := first.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(t.Context(), place(f), writer(), ui); err != nil {
		t.Fatal(err)
	}
	second := drillOn(t, f, drillrecord.Scale, ui)
	if err := second.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := state(t, f)
	if err := first.giveBack(t.Context()); err != nil || state(t, f) != away || len(first.left()) != 2 || !strings.Contains(first.left()[0], "another drill") {
		t.Errorf("%v, %s, want %s: %q", err, state(t, f), away, first.left())
	}
	if err := second.giveBack(t.Context()); err != nil || state(t, f) != before {
		t.Errorf("%v, %s", err, state(t, f))
	}
}

// Where neither the record nor the API server is there, only the values help.
func TestRecordAndAPIServerGone(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	r.sel.Members = f.Members
	if err := errors.Join(r.takeAway(t.Context()), deleteRecord(t.Context(), f)); err != nil {
		t.Fatal(err)
	}
	f.Break(1, testkit.CutBefore, nil)
	restoreErr := r.giveBack(t.Context())
	report, err := r.conclude(t.Context(), nil, restoreErr)
	const want = "restore them by hand: deployment/web spec.replicas: 3; statefulset/db spec.replicas: 2"
	if err == nil || !strings.HasSuffix(err.Error(), want) || report.Document.State != stateNotRestored || report.Document.RepairCommand != "" {
		t.Errorf("%v, %+v", err, report.Document)
	}
}

// A record that was edited so that nobody can read it is known from before, and deleted.
func TestRecordEdited(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	r := drillOn(t, f, drillrecord.Scale, ui)
	if err := r.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	api := f.API["us"].CoreV1().ConfigMaps("shop")
	cm, err := api.Get(t.Context(), "kubectl-mesh-drill-web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cm.Data["changes.json"] = "[]"
	if _, err := api.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.giveBack(t.Context()); err != nil || state(t, f) != before || r.restored.missing {
		t.Errorf("%v, %s, want %s", err, state(t, f), before)
	}
}

// An API server that has just started may know no roles yet, and reject everything for a moment.
func TestForbiddenAtFirst(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	r := drillOn(t, f, drillrecord.Scale, ui)
	if err := r.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.RestoreWithin = time.Minute
	var asked atomic.Int32
	f.API["us"].PrependReactor("*", "*", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if asked.Add(1) == 1 || a.GetVerb() == "patch" && asked.Load() < 6 {
			return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("RBAC: not yet"))
		}
		return false, nil, nil
	})
	if err := r.giveBack(t.Context()); err != nil || state(t, f) != before {
		t.Errorf("%v, %s, want %s", err, state(t, f), before)
	}
	if !strings.Contains(ui.String(), "no permission: a Role in namespace shop needs") {
		t.Errorf("the rule is not named: %s", ui.String())
	}
}

// Ctrl-C does not hide that somebody else changed an object, which is therefore not restored.
func TestChangedAndInterrupted(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	ctx, cancel := context.WithCancel(t.Context())
	var scaled error
	report, err := runWith(ctx, scaleDrill(f), ui, (&clients{mesh: f, stays: true, seen: onceDown(func() {
		scaled = scaleTo(context.Background(), f, 7)
		cancel()
	})}).start)
	var failed *ResultError
	if scaled != nil || !errors.As(err, &failed) || failed.Interrupted || !strings.Contains(err.Error(), "deployment/web changed to 7 by somebody else") {
		t.Fatalf("%v, %v", scaled, err)
	}
	if doc := report.Document; doc.State != stateNotRestored || doc.Complete || doc.RepairCommand != "" || doc.Record != nil {
		t.Errorf("%+v", doc)
	}
}

// A write that the API server rejected took nothing away: the drill has no times.
func TestFirstWriteRejected(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	f.Break(2, testkit.ErrorBefore, nil)
	if err := r.takeAway(t.Context()); err == nil || !r.marks.write.IsZero() {
		t.Errorf("%v, written at %s", err, r.marks.write)
	}
	f.Revive()
	r = drillOn(t, fakeMesh(t), drillrecord.Scale, ui)
	if err := r.takeAway(t.Context()); err != nil || r.marks.write.IsZero() {
		t.Errorf("%v, written at %s", err, r.marks.write)
	}
}

// An object that somebody else changed before the drill could write it is not left behind by the drill.
func TestConflictAtTheFirstWrite(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	p := r.changes()
	p.Phases[1].Before = func(ctx context.Context, _ change.Step) error { return scaleTo(ctx, f, 7) }
	err := p.Apply(t.Context(), r.Change)
	if !errors.Is(err, change.ErrConflict) {
		t.Fatal(err)
	}
	report, failure := r.conclude(t.Context(), err, r.giveBack(t.Context()))
	if failure == nil || !strings.HasSuffix(failure.Error(), "nothing was changed") || report.Document.State != stateRestored || !strings.HasPrefix(state(t, f), "7 2 ") {
		t.Errorf("%v, %s, %s", failure, report.Document.State, state(t, f))
	}
}

// evictable makes evictions work as in a real cluster, and counts them. What controls a pod creates the next one at once: a StatefulSet under the same
// name. All pods may be gone.
func evictable(f *testkit.Mesh, gone bool) *int {
	api, n := f.API["us"], new(int)
	api.PrependReactor("create", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
		create, ok := a.(k8stesting.CreateActionImpl)
		if !ok || create.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		eviction := create.Object.(*policyv1.Eviction) //nolint:forcetypeassert // a test
		if len(eviction.DeleteOptions.DryRun) > 0 {
			return true, nil, nil
		}
		*n++
		old, err := api.Tracker().Get(a.GetResource(), "shop", eviction.Name)
		if gone || err != nil {
			return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), eviction.Name)
		}
		next := old.(*corev1.Pod).DeepCopy() //nolint:forcetypeassert // a test
		next.UID = "next-" + next.UID
		if !strings.HasPrefix(next.Name, "db-") {
			next.Name += "-next"
		}
		return true, nil, errors.Join(api.Tracker().Delete(a.GetResource(), "shop", eviction.Name), api.Tracker().Create(a.GetResource(), next, "shop"))
	})
	return n
}

// Each pod is evicted once. The new pod of a StatefulSet has the name of the old one, and is not mistaken for it.
func TestEvict(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	evicted := evictable(f, false)
	r := drillOn(t, f, drillrecord.Evict, ui)
	if err := r.takeAway(t.Context()); err != nil || r.marks.write.IsZero() || *evicted != 2 {
		t.Fatalf("%v, written at %s", err, r.marks.write)
	}
	for _, s := range r.steps {
		if s.Result != v1alpha1.ResultChanged {
			t.Errorf("%s: %s %s", s.Target(), s.Result, s.Message)
		}
	}
	if err := r.giveBack(t.Context()); err != nil || !r.restored.done {
		t.Errorf("%v", err)
	}
}

// Nobody restored the evicted pods: what controls them replaces them, and nothing that a user reads says more, however the drill ends.
func TestNothingIsRestoredAfterAnEviction(t *testing.T) {
	t.Parallel()
	const who = "the drill does not replace evicted pods: their controller does"
	for want, tc := range map[string]struct {
		interrupt bool
		lost      bool // the API server, before the record is deleted
		err       error
	}{
		"":                                {},
		"interrupted; " + who:             {interrupt: true},
		"us did not answer again; " + who: {err: errors.New("us did not answer again")},
		"the record of the drill is not deleted:": {lost: true},
	} {
		f, ui := fakeMesh(t), &screen{}
		evictable(f, false)
		r := drillOn(t, f, drillrecord.Evict, ui)
		r.Times, r.RestoreWithin = Times{Return: 10 * time.Second}, 0
		r.marks = marks{cluster: r.target.Name, with: r.With}
		ctx, cancel := context.WithCancel(t.Context())
		err := r.takeAway(ctx)
		if tc.interrupt {
			cancel()
		}
		if tc.lost {
			f.Break(1, testkit.CutBefore, nil)
		}
		restoreErr := r.giveBack(ctx)
		if want == "" {
			r.watch = (&clients{mesh: f, stays: true}).start(ctx, r.Probe, nil, ui, time.Minute)
			err = r.awaitReturn(ctx)
			r.endWatch()
		}
		report, failure := r.conclude(ctx, cmp.Or(err, tc.err), restoreErr)
		cancel()
		got := ""
		if failure != nil {
			got = failure.Error()
		}
		if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%q, want %q", got, want)
		}
		if all := fmt.Sprint(got, ui.String(), report.Document.Reason, r.probeChecks(report.Document)); strings.Contains(all, "previous values") || strings.Contains(all, "estor") && !tc.lost {
			t.Errorf("%q: %s", want, all)
		}
	}
}

// The question may be open for hours. Pods that were replaced meanwhile are not those of the plan: the drill evicts nothing, and says so.
func TestPodsReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	evicted := evictable(f, false)
	r := drillOn(t, f, drillrecord.Evict, ui)
	pods := f.API["us"].CoreV1().Pods("shop")
	one, err := pods.Get(t.Context(), "web-1-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next := one.DeepCopy()
	next.Name, next.UID, next.ResourceVersion = "web-1-b", "u-web-1-b", ""
	_, err1 := pods.Create(t.Context(), next, metav1.CreateOptions{})
	if err := errors.Join(err1, pods.Delete(t.Context(), "web-1-a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{}})); err != nil {
		t.Fatal(err)
	}
	if err := r.takeAway(t.Context()); !errors.Is(err, errChanged) || *evicted != 0 {
		t.Errorf("%v, %d evictions", err, *evicted)
	}
}

// All pods go between the last look and their evictions: nothing was taken away, and nothing is proven.
func TestNothingEvicted(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	evictable(f, true)
	r := drillOn(t, f, drillrecord.Evict, ui)
	err := r.takeAway(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nothing was taken away") || !r.marks.write.IsZero() {
		t.Fatalf("%v, written at %s", err, r.marks.write)
	}
	report, failure := r.conclude(t.Context(), err, r.giveBack(t.Context()))
	if failure == nil || !strings.HasSuffix(failure.Error(), "nothing was changed") || report.Document.Complete || len(report.Document.Checks) > 0 {
		t.Errorf("%v, %+v", failure, report.Document)
	}
}

// Workloads and clients are looked at again as well.
func TestChangedBeforeTheWrite(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ctx context.Context, f *testkit.Mesh) error{
		"errChanged: another Deployment of that name": func(ctx context.Context, f *testkit.Mesh) error {
			api := f.API["us"].AppsV1().Deployments("shop")
			d, err := api.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err
			}
			d.UID = "u-next"
			_, err = api.Update(ctx, d, metav1.UpdateOptions{})
			return err
		},
		"errChanged: an affinity": func(ctx context.Context, f *testkit.Mesh) error {
			api := f.API["eu"].CoreV1().Services("shop")
			svc, err := api.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err
			}
			svc.Annotations["service.cilium.io/affinity"] = "local"
			_, err = api.Update(ctx, svc, metav1.UpdateOptions{})
			return err
		},
		"scaled to 0": func(ctx context.Context, f *testkit.Mesh) error { return scaleTo(ctx, f, 0) },
	} {
		f, ui := fakeMesh(t), &screen{}
		r := drillOn(t, f, drillrecord.Scale, ui)
		if err := change(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		f.Revive()
		err := r.takeAway(t.Context())
		if err == nil || errors.Is(err, errChanged) != strings.HasPrefix(name, "errChanged") || f.Writes() != 1 {
			t.Errorf("%s: %v, %d writes", name, err, f.Writes())
		}
	}
}
