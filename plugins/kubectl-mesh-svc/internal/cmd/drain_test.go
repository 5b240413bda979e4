package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

// formers are Services whose value of shared was absent, explicit, in an alias, junk, and without effect.
var formers = map[string]map[string]string{
	"absent":   {cilium.AnnotationGlobal: "true", "keep": "me"},
	"explicit": {cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "TRUE"},
	"alias":    {cilium.AnnotationGlobalAlias: "true", cilium.AnnotationSharedAlias: "true"},
	"junk":     {cilium.AnnotationGlobal: "true", cilium.AnnotationShared: "yes"},
	"local":    {cilium.AnnotationShared: "true"},
}

// run runs drain or undrain of us as a process of its own would: with what the given members tell, and nothing remembered.
func (f *fakeMesh) run(t *testing.T, verb string, members []*clusters.Member, flags ...func(*drainOptions)) (string, error) {
	t.Helper()
	return f.runOn(t, verb, "us", members, flags...)
}

func (f *fakeMesh) runOn(t *testing.T, verb, cluster string, members []*clusters.Member, flags ...func(*drainOptions)) (string, error) {
	t.Helper()
	var out bytes.Buffer
	e := &env{IOStreams: genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out}, flags: clusters.NewFlags(), later: &clusters.Warnings{}}
	o := &drainOptions{host: "laptop", now: time.Now, writeOptions: &writeOptions{env: e, out: output.NewFlags(), dryRun: "none", yes: true, manager: globalsvc.Manager,
		apply: change.Options{Timeout: time.Minute}}}
	for _, set := range flags {
		set(o)
	}
	if members == nil {
		members = f.members
	}
	fresh := make([]*clusters.Member, len(members)) // a member's Err is this run's
	for i, m := range members {
		c := *m
		fresh[i] = &c
	}
	sel := &clusters.Selection{Members: fresh}
	ctx := f.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	var err error
	if verb == "drain" {
		err = o.drain(ctx, sel, cluster)
	} else {
		err = o.undrain(ctx, sel, cluster)
	}
	return out.String(), err
}

func mustRun(t *testing.T, f *fakeMesh, verb string) string {
	t.Helper()
	out, err := f.run(t, verb, nil)
	if err != nil {
		t.Fatalf("%s: %v\n%s", verb, err, out)
	}
	return out
}

// TestInterruptedAnywhere kills drain and undrain at every write, once before it happens and once before its answer arrives. Whatever is run
// next, on a machine that knows nothing of it, sets it right: in the end every annotation is exactly what it was, and no record is left.
func TestInterruptedAnywhere(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		before, killed string
		then           []string
	}{
		"drain, drained again, put back": {"", "drain", []string{"drain", "drain", "undrain"}},
		"drain, put back":                {"", "drain", []string{"undrain", "undrain"}},
		"undrain, put back":              {"drain", "undrain", []string{"undrain", "undrain"}},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%v", name, after), func(t *testing.T) {
				f := newFakeMesh(t, []string{"us", "eu", "ap"}, formers)
				want := f.state(t, "us")
				for at := 1; ; at++ {
					if c.before != "" {
						mustRun(t, f, c.before)
					}
					f.cut(at, after)
					_, err := f.run(t, c.killed, nil)
					survived := !f.dead
					f.revive()
					if survived {
						if err != nil {
							t.Fatalf("not killed: %v", err)
						}
						if at != 6 { // three Services, and the record before and after them
							t.Errorf("%s makes %d writes, want 5", c.killed, at-1)
						}
						return
					}
					if err == nil {
						t.Errorf("killed at write %d, and no error", at)
					}
					for _, verb := range c.then {
						out := mustRun(t, f, verb)
						if verb == "drain" {
							drained(t, f)
						}
						t.Logf("write %d, %s: %s", at, verb, out)
					}
					if d := cmp.Diff(want, f.state(t, "us")); d != "" {
						t.Errorf("killed at write %d: %s", at, d)
					}
				}
			})
		}
	}
}

// drained checks that nothing that was shared still is.
func drained(t *testing.T, f *fakeMesh) {
	t.Helper()
	state := f.state(t, "us")
	for _, svc := range []string{"absent", "explicit", "alias"} {
		if state[svc+" "+cilium.AnnotationShared] != "false" || state[svc+" "+globalsvc.AnnotationDrained] == "" {
			t.Errorf("%s is not drained: %v", svc, state)
		}
	}
	if state["ap kubectl-mesh-drain-us"] != "drained 3" {
		t.Errorf("the record: %v", state)
	}
}

// TestSharedAgainDuringADrain: a drain that goes on after somebody set a value records that value, not the first one and never our own.
func TestSharedAgainDuringADrain(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newFakeMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.state(t, "us")
	mustRun(t, f, "drain")
	svc := service("absent", map[string]string{cilium.AnnotationGlobal: "true", "keep": "me", cilium.AnnotationShared: "True"})
	if err := f.api["us"].Tracker().Update(corev1.SchemeGroupVersion.WithResource("services"), svc, "shop"); err != nil {
		t.Fatal(err)
	}
	want["absent "+cilium.AnnotationShared] = "True"
	mustRun(t, f, "drain")
	drained(t, f)
	mustRun(t, f, "drain")
	mustRun(t, f, "undrain")
	if d := cmp.Diff(want, f.state(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestTwoDrainsAtOnce: two people drain at the same time, from machines that know the same clusters or not. Nothing is lost: undrain
// puts back exactly what was, and finds all records.
func TestTwoDrainsAtOnce(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newFakeMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.state(t, "us")
	for n := range 16 {
		others := [2][]*clusters.Member{f.members, f.members}
		if n%2 == 1 { // each knows one other cluster only, so that they cannot see one another's record
			others = [2][]*clusters.Member{{f.members[0], f.members[1]}, {f.members[0], f.members[2]}}
		}
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range 2 {
			wg.Go(func() { _, errs[i] = f.run(t, "drain", others[i], func(o *drainOptions) { o.partial = true }) })
		}
		wg.Wait()
		if n%2 == 0 && errs[0] != nil && errs[1] != nil {
			for _, err := range errs { // neither may have gone on: then it says so, and running it again is enough
				if !strings.Contains(err.Error(), "run") {
					t.Errorf("both failed: %v", err)
				}
			}
		}
		mustRun(t, f, "undrain")
		if d := cmp.Diff(want, f.state(t, "us")); d != "" {
			t.Fatalf("round %d (%v): %s", n, errs, d)
		}
	}
}

// onlyInUsAndEU takes the endpoints of ap away, so that its clients need us or eu.
func onlyInUsAndEU(t *testing.T) *fakeMesh {
	t.Helper()
	f := newFakeMesh(t, []string{"us", "eu", "ap"}, map[string]map[string]string{"web": {cilium.AnnotationGlobal: "true"}})
	if err := f.api["ap"].Tracker().Delete(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), "shop", "web-1"); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDrainOfAnotherClusterMeanwhile: what was predicted is predicted again before the first write, and once more with what a drain
// of another cluster is about to write.
func TestDrainOfAnotherClusterMeanwhile(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	const lost = "service shop/web: clients in ap would be left without a ready endpoint; no Service was changed, run the command again"
	for name, c := range map[string]struct {
		call int // of the clock, which is asked once before the question, and once after the mesh was read again
		cut  int // at which write the other drain is cut off
		want string
	}{
		"at the question":                  {1, 0, "the drain is no longer what was planned: " + lost},
		"after that, done":                 {2, 0, "eu is drained since alice on laptop at "},
		"after that, its record only":      {2, 2, "eu is draining since alice on laptop at "},
		"after that, nothing was recorded": {2, 1, ""},
	} {
		f := onlyInUsAndEU(t)
		calls := 0
		out, err := f.run(t, "drain", nil, func(o *drainOptions) {
			o.now = func() time.Time {
				if calls++; calls == c.call {
					f.cut(c.cut, false)
					out, err := f.runOn(t, "drain", "eu", nil)
					if f.revive(); (err != nil) != (c.cut > 0) {
						t.Errorf("%s: drain eu: %v\n%s", name, err, out)
					}
				}
				return time.Now()
			}
		})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), lost) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		state := f.state(t, "us")
		if state["web "+cilium.AnnotationShared] != "" || state["ap kubectl-mesh-drain-us"] != "" || strings.Contains(out, "not drained in full") {
			t.Errorf("%s: something was left: %v\n%s", name, state, out)
		}
	}
}

// TestAnInterruptedDrainAndAnother: a drain that goes on, and may not, leaves its record as it found it.
func TestAnInterruptedDrainAndAnother(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := onlyInUsAndEU(t)
	for _, cluster := range []string{"us", "eu"} {
		f.cut(2, false) // only the record is written
		if out, err := f.runOn(t, "drain", cluster, nil); err == nil {
			t.Fatal(out)
		}
		f.revive()
	}
	want := f.state(t, "us")
	if out, err := f.run(t, "drain", nil); err == nil || !strings.Contains(err.Error(), "eu is draining since") || !strings.Contains(out, "us is not drained in full") {
		t.Errorf("%v\n%s", err, out)
	}
	if d := cmp.Diff(want, f.state(t, "us")); d != "" {
		t.Error(d)
	}
	if out, err := f.runOn(t, "undrain", "eu", nil); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	mustRun(t, f, "drain")
}

// TestDrainsOfTwoClustersAtOnce: never do both go through where that leaves clients without an endpoint.
func TestDrainsOfTwoClustersAtOnce(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := onlyInUsAndEU(t)
	both := []string{"us", "eu"}
	for n := range 32 {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, cluster := range both {
			wg.Go(func() { _, errs[i] = f.runOn(t, "drain", cluster, nil) })
		}
		wg.Wait()
		if errs[0] == nil && errs[1] == nil || f.state(t, "us")["web "+cilium.AnnotationShared] == "false" && f.state(t, "eu")["web "+cilium.AnnotationShared] == "false" {
			t.Fatalf("round %d: both are drained: %v", n, errs)
		}
		for _, cluster := range both {
			if out, err := f.runOn(t, "undrain", cluster, nil); err != nil {
				t.Fatalf("round %d: undrain %s: %v\n%s", n, cluster, err, out)
			}
		}
	}
}

// TestSkipRefused: where only Services are left that cannot be drained, that is what is said, and not that nobody uses the cluster any more.
func TestSkipRefused(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newFakeMesh(t, []string{"us", "eu"}, map[string]map[string]string{"web": {cilium.AnnotationGlobal: "true"}, "lonely": {cilium.AnnotationGlobal: "true"}})
	if err := f.api["eu"].Tracker().Delete(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), "shop", "lonely-1"); err != nil {
		t.Fatal(err)
	}
	skip := func(o *drainOptions) { o.skipRefused, o.apply.AllowPartial = true, true }
	const left = "1 Service could not be drained and clients of other clusters still use them (--skip-refused)"
	const except = "us is drained except for 1 Service, whose endpoints clients of the other clusters still use."
	for _, name := range []string{"the rest", "only refused ones remain"} {
		out, err := f.run(t, "drain", nil, skip)
		if err == nil || err.Error() != left || !strings.Contains(out, except) || strings.Contains(out, "no longer use the endpoints") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if out, err := f.run(t, "drain", nil); err == nil || !strings.Contains(err.Error(), "1 Service of us cannot be drained") || !strings.Contains(out, except) {
		t.Errorf("%v\n%s", err, out)
	}
	mustRun(t, f, "undrain")
	if err := f.api["us"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("services"), "shop", "web"); err != nil {
		t.Fatal(err)
	}
	if out, err := f.run(t, "drain", nil, skip); err == nil || err.Error() != left || f.state(t, "us")["eu kubectl-mesh-drain-us"] != "" {
		t.Errorf("all are refused: %v\n%s", err, out)
	}
}

// TestDrainOfADeadCluster: where it is to be disconnected is said only of clusters that are known to be there.
func TestDrainOfADeadCluster(t *testing.T) {
	dead := &clusters.Error{Class: clusters.ClassTimeout, Err: errors.New("no answer")}
	for name, c := range map[string]struct {
		others []string
		dead   bool
		want   string
	}{
		"others are read":    {[]string{"eu", "ap"}, false, "disconnect it in ap, eu: remove it from"},
		"none is read":       {[]string{"eu", "ap"}, true, ""},
		"there are no other": {nil, false, ""},
	} {
		f := newFakeMesh(t, append([]string{"us"}, c.others...), formers)
		for n, m := range f.members {
			if n == 0 || c.dead {
				m.Err = dead
			}
		}
		out, err := f.run(t, "drain", nil)
		if err == nil || !strings.Contains(err.Error(), `cluster "us" cannot be reached`) || strings.Contains(out, "disconnect") != (c.want != "") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// own makes a Service of us that of an Argo CD application, which owns shared or leaves it to others.
func (f *fakeMesh) own(t *testing.T, name string, ann map[string]string, owns bool) {
	t.Helper()
	svc := service(name, ann)
	svc.ResourceVersion = "2"
	svc.Annotations["argocd.argoproj.io/tracking-id"] = "shop-" + name + ":/Service:shop/" + name
	if owns {
		svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "argocd-controller", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:` + cilium.AnnotationShared + `":{}}}}`)}}
	}
	if err := f.api["us"].Tracker().Update(corev1.SchemeGroupVersion.WithResource("services"), svc, "shop"); err != nil {
		t.Fatal(err)
	}
}

// TestDrainNamesReconcilers: who owns the annotation is named with the durable way, and only --force-conflicts or --skip-refused go on; who merely
// manages the Service is named and no reason to stop. It is the same for undrain.
func TestDrainNamesReconcilers(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	const owned = `Warning: service shop/explicit in us: service.cilium.io/shared is owned by "argocd-controller" (Argo CD application shop-explicit), which would write it again; ` +
		"to make it last, change the manifest in the Git repository of application shop-explicit: kubectl mesh-svc "
	const managed = "Note: service shop/absent in us: managed by Argo CD application shop-absent, which does not own the annotations to be written"
	f := newFakeMesh(t, []string{"us", "eu", "ap"}, formers)
	f.own(t, "explicit", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "TRUE"}, true)
	f.own(t, "absent", map[string]string{cilium.AnnotationGlobal: "true"}, false)
	want := f.state(t, "us")
	force := func(o *drainOptions) { o.force = true }
	for _, dryRun := range []string{"client", "server", "none"} {
		out, err := f.run(t, "drain", nil, func(o *drainOptions) { o.dryRun = dryRun })
		if !strings.Contains(out, owned+"unshare explicit -n shop --local -f FILE") || !strings.Contains(out, managed) || (err != nil) != (dryRun != "client") {
			t.Errorf("%s: %v\n%s", dryRun, err, out)
		}
	}
	if d := cmp.Diff(want, f.state(t, "us")); d != "" {
		t.Errorf("refused: %s", d)
	}
	skip := func(o *drainOptions) { o.skipRefused, o.apply.AllowPartial = true, true }
	if out, err := f.run(t, "drain", nil, skip); err == nil || f.state(t, "us")["explicit "+cilium.AnnotationShared] != "TRUE" || f.state(t, "us")["absent "+cilium.AnnotationShared] != "false" {
		t.Errorf("--skip-refused: %v\n%s", err, out)
	}
	if out, err := f.run(t, "drain", nil, force); err != nil || !strings.Contains(out, owned) {
		t.Errorf("--force-conflicts: %v\n%s", err, out)
	}
	drained(t, f)
	// It takes the annotation back without changing its value: somebody committed what drain wrote.
	state := f.state(t, "us")
	f.own(t, "explicit", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "false", globalsvc.AnnotationDrained: state["explicit "+globalsvc.AnnotationDrained]}, true)
	if out, err := f.run(t, "undrain", nil); err == nil || !strings.Contains(out, owned+"share explicit -n shop --local -f FILE") {
		t.Errorf("undrain: %v\n%s", err, out)
	}
	if d := cmp.Diff(state, f.state(t, "us")); d != "" {
		t.Errorf("undrain, refused: %s", d)
	}
	if out, err := f.run(t, "undrain", nil, force); err != nil {
		t.Errorf("undrain --force-conflicts: %v\n%s", err, out)
	}
	if d := cmp.Diff(want, f.state(t, "us")); d != "" {
		t.Error(d)
	}
}
