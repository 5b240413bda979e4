package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// screen is a UI that keeps what the user would read, and answers yes.
type screen struct {
	strings.Builder

	asked int
	no    error
}

func (s *screen) Note(format string, args ...any) { _, _ = fmt.Fprintf(s, format+"\n", args...) }

func (s *screen) Warn(format string, args ...any) { s.Note("Warning: "+format, args...) }

func (s *screen) Show(func() probe.Progress) func() { return func() {} }

func (s *screen) Plan(v1alpha1.DrillReport) error { return nil }

func (s *screen) Confirm(context.Context, string) error {
	s.asked++
	return s.no
}

// fakeMesh has Service shop/web in us and eu. In us its pods belong to a Deployment and to a StatefulSet.
func fakeMesh(t *testing.T) *testkit.Mesh {
	t.Helper()
	f := &testkit.Mesh{}
	for n, name := range []string{"us", "eu"} {
		svc := testkit.Service("web", map[string]string{cilium.AnnotationGlobal: "true"})
		svc.Spec.Selector = map[string]string{"app": "web"}
		slice := testkit.Slice("web", fmt.Sprintf("10.%d.0.1", n+1))
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u-web", ResourceVersion: "1"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To(int32(3))}}
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "u-rs", ResourceVersion: "1", OwnerReferences: controlled("", "apps/v1", "Deployment", "web").OwnerReferences}}
		stateful := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "u-db", ResourceVersion: "1"}, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To(int32(2))}}
		one, two := controlled("web-1-a", "apps/v1", "ReplicaSet", "web-1"), controlled("db-0", "apps/v1", "StatefulSet", "db")
		one.UID, two.UID = "u-web-1-a", "u-db-0"
		client := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "client"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "curl"}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
		one.Spec, one.Status = client.Spec, client.Status
		api := fake.NewClientset(svc, slice, deployment, set, stateful, &one, &two, client)
		m := &clusters.Member{Name: name, Context: "kind-" + name, CiliumNamespace: "kube-system", UID: "uid-" + name, Client: api, Home: n == 0,
			Version: cilium.ParseVersion("1.20.2"), PeersKnown: true, Peers: []string{map[string]string{"us": "eu", "eu": "us"}[name]},
			Config: cilium.Config{ClusterName: name, ClusterID: uint32(n + 1), MaxConnectedClusters: 255, DefaultGlobalNamespace: true}}
		f.Add(m, api)
	}
	return f
}

func place(f *testkit.Mesh) Place {
	return Place{
		Select: func(context.Context) (*clusters.Selection, error) {
			return &clusters.Selection{Members: f.Members}, nil
		},
		Namespace: func(*clusters.Member) string { return "shop" }, In: "us", Service: "web",
	}
}

func writer() Write {
	return Write{DryRun: DryRunNone, Manager: "mesh-probe", Change: change.Options{Timeout: 5 * time.Second}, RestoreWithin: time.Nanosecond, Host: "laptop", Now: time.Now}
}

// drillOn returns a drill that has been planned and checked.
func drillOn(t *testing.T, f *testkit.Mesh, w drillrecord.With, ui UI) *run {
	t.Helper()
	c := Config{Place: place(f), Write: writer(), With: w}
	sel, err := c.Select(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Config: c, ui: ui, sel: sel, namespace: "shop"}
	find := func(ctx context.Context) error { return errors.Join(r.find(ctx), r.findClients()) }
	for _, step := range []func(context.Context) error{find, r.plan, func(ctx context.Context) error { return r.changes().Preflight(ctx, r.Change) }} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// state is what a drill may change.
func state(t *testing.T, f *testkit.Mesh) string {
	t.Helper()
	api := f.API["us"]
	d, err1 := api.AppsV1().Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
	s, err2 := api.AppsV1().StatefulSets("shop").Get(t.Context(), "db", metav1.GetOptions{})
	svc, err3 := api.CoreV1().Services("shop").Get(t.Context(), "web", metav1.GetOptions{})
	cms, err4 := api.CoreV1().ConfigMaps("shop").List(t.Context(), metav1.ListOptions{})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(*d.Spec.Replicas, *s.Spec.Replicas, svc.Annotations, len(cms.Items))
}

// A drill that is killed at any of its writes, before or after the write happens, while it takes the backends away or while it restores them: a repair
// restores exactly the previous state.
func TestKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	for _, w := range []drillrecord.With{drillrecord.Scale, drillrecord.Shared} {
		all := map[drillrecord.With]int{drillrecord.Scale: 6, drillrecord.Shared: 4}[w] // the record, each object, each object, the record
		for at := 1; at <= all; at++ {
			for _, fault := range []testkit.Fault{testkit.CutBefore, testkit.CutAfter} {
				f, ui := fakeMesh(t), &screen{}
				before := state(t, f)
				r := drillOn(t, f, w, ui)
				f.Break(at, fault, nil)
				err := r.takeAway(t.Context())
				if err == nil {
					err = r.giveBack(t.Context())
				}
				if err == nil || !f.Dead() {
					t.Fatalf("%s, write %d, %s: it was not cut off: %v", w, at, fault, err)
				}
				f.Revive()
				left := state(t, f)
				report, err := Repair(t.Context(), place(f), writer(), ui)
				if err != nil || report.Document.State != stateRestored {
					t.Errorf("%s, write %d, %s: repair: %v, %+v", w, at, fault, err, report)
				}
				if now := state(t, f); now != before {
					t.Errorf("%s, write %d, %s: %s, then %s, then %s", w, at, fault, before, left, now)
				}
			}
		}
		f, ui := fakeMesh(t), &screen{}
		before := state(t, f)
		r := drillOn(t, f, w, ui)
		f.Revive()
		if err := r.takeAway(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state(t, f) == before {
			t.Errorf("%s changes nothing", w)
		}
		if err := r.giveBack(t.Context()); err != nil || state(t, f) != before || f.Writes() != all {
			t.Errorf("%s: %v, %d writes, %s, then %s", w, err, f.Writes(), before, state(t, f))
		}
	}
}

// An API server that answers 5xx, loses its answer or cannot be read back at any write of the restoration: the drill tries again and restores.
func TestRestoresDespiteFaults(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 3; at++ {
		for _, fault := range []testkit.Fault{testkit.ErrorBefore, testkit.ErrorAfter, testkit.LostBefore, testkit.LostAfter, testkit.Blind} {
			f, ui := fakeMesh(t), &screen{}
			before := state(t, f)
			r := drillOn(t, f, drillrecord.Scale, ui)
			if err := r.takeAway(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.RestoreWithin = time.Minute
			f.Break(at, fault, nil)
			if fault == testkit.Blind { // the API server can be read again after a while
				time.AfterFunc(300*time.Millisecond, f.Revive)
			}
			begun := time.Now()
			if err := r.giveBack(t.Context()); err != nil || r.restored.missing || !r.restored.done {
				t.Errorf("write %d, %s: %v, record missing: %v, done: %v", at, fault, err, r.restored.missing, r.restored.done)
			}
			// A write that did not happen restored nothing.
			if first := at == 1 && (fault == testkit.ErrorBefore || fault == testkit.LostBefore); first != (r.marks.restore.Sub(begun) >= retryEvery) {
				t.Errorf("write %d, %s: restored after %s", at, fault, r.marks.restore.Sub(begun))
			}
			f.Revive()
			if now := state(t, f); now != before {
				t.Errorf("write %d, %s: %s, then %s", at, fault, before, now)
			}
		}
	}
}

// Ctrl-C while the backends are being taken away: the drill restores.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 3; at++ {
		f, ui := fakeMesh(t), &screen{}
		before := state(t, f)
		r := drillOn(t, f, drillrecord.Scale, ui)
		ctx, cancel := context.WithCancel(t.Context())
		f.Break(at, testkit.Interrupt, cancel)
		if err := r.takeAway(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("write %d: %v", at, err)
		}
		if err := r.giveBack(ctx); err != nil || state(t, f) != before {
			t.Errorf("write %d: %v, %s, then %s", at, err, before, state(t, f))
		}
		if !strings.Contains(ui.String(), "Interrupted. Restoring the previous values first.") || !strings.Contains(ui.String(), "kubectl mesh-probe drill web -n shop --repair --in us") {
			t.Errorf("write %d: the user reads %q", at, ui)
		}
	}
}

// What somebody else changed meanwhile is left as it is, and listed.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	if err := r.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	api := f.API["us"].AppsV1()
	d, err := api.Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.Spec.Replicas = ptr.To(int32(7))
	if _, err := api.Deployments("shop").Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	report, err := Repair(t.Context(), place(f), writer(), ui)
	var failed *ResultError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "deployment/web changed to 7 by somebody else") {
		t.Errorf("%v", err)
	}
	if got := state(t, f); !strings.HasPrefix(got, "7 2 ") || !strings.HasSuffix(got, " 0") {
		t.Errorf("%s, %+v", got, report)
	}
}

// A record in a cluster that was rebuilt since, or that was copied from another one, is refused.
func TestRebuiltCluster(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	if err := r.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := state(t, f)
	f.Members[0].UID = "another"
	_, err := Repair(t.Context(), place(f), writer(), ui)
	if err == nil || !strings.Contains(err.Error(), "this one was rebuilt since") || state(t, f) != left || ui.asked != 0 {
		t.Errorf("%v, %s, asked %d times", err, state(t, f), ui.asked)
	}
}

// A second drill names the first one, and how to repair it; it writes nothing.
func TestAnotherDrill(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	r := drillOn(t, f, drillrecord.Scale, ui)
	if err := r.takeAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"us", "eu"} {
		c := Config{Place: place(f), Write: writer(), With: drillrecord.Shared}
		c.In = in
		f.Revive()
		_, err := Run(t.Context(), c, ui)
		if err == nil || !strings.Contains(err.Error(), "drill web -n shop --repair --in us --contexts kind-us,kind-eu") || !strings.Contains(err.Error(), "alice on laptop") || f.Writes() != 0 {
			t.Errorf("in %s: %v, %d writes", in, err, f.Writes())
		}
	}
}

// Without a record there is nothing to repair, and that is not a failure. A record that cannot be read is one.
func TestNothingToRepair(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	report, err := Repair(t.Context(), place(f), writer(), ui)
	if err != nil || !strings.Contains(report.Document.Reason, "no drill of Service web left anything to restore in namespace shop of us") || ui.asked != 0 {
		t.Errorf("%v, %+v", err, report)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "kubectl-mesh-drill-web", Labels: map[string]string{drillrecord.LabelDrill: "web"}}}
	if _, err := f.API["us"].CoreV1().ConfigMaps("shop").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(t.Context(), place(f), writer(), ui); !errors.Is(err, drillrecord.ErrUnreadable) {
		t.Errorf("%v", err)
	}
}

// A plan that is declined writes nothing.
func TestDeclined(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{no: errors.New("not confirmed")}
	c := Config{Place: place(f), Write: writer(), With: drillrecord.Scale}
	f.Revive()
	c.Probe.Clients.From = podexec.Ref{Kind: "pod", Name: "client"}
	report, err := Run(t.Context(), c, ui)
	documents.CheckValue(t, report.Document)
	if !errors.Is(err, ui.no) || ui.asked != 1 || f.Writes() != 0 || report.Document.State != stateRefused || report.Document.Complete {
		t.Errorf("%v, asked %d times, %d writes, %+v", err, ui.asked, f.Writes(), report)
	}
	for _, ch := range report.Document.Changes {
		if ch.Result != v1alpha1.ResultPlanned || !strings.Contains(ch.Message, "not written") {
			t.Errorf("%+v", ch)
		}
	}
}

// Only ready endpoints count: a drill that would leave clients without a backend is refused before anybody is asked.
func TestNobodyElseAnswers(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	slices := f.API["eu"].DiscoveryV1().EndpointSlices("shop")
	s, err := slices.Get(t.Context(), "web-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false)}
	if _, err := slices.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), Config{Place: place(f), Write: writer(), With: drillrecord.Scale}, ui)
	if err == nil || !strings.Contains(err.Error(), "clients in us, eu would have no backend") || ui.asked != 0 {
		t.Errorf("%v, asked %d times", err, ui.asked)
	}
}
