package drain_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// formers are Services whose value of shared was absent, explicit, in an alias, junk, and without effect.
var formers = map[string]map[string]string{
	"absent":   {cilium.AnnotationGlobal: "true", "keep": "me"},
	"explicit": {cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "TRUE"},
	"alias":    {cilium.AnnotationGlobalAlias: "true", cilium.AnnotationSharedAlias: "true"},
	"junk":     {cilium.AnnotationGlobal: "true", cilium.AnnotationShared: "yes"},
	"local":    {cilium.AnnotationShared: "true"},
}

// mesh is a fake mesh, and what runs in it.
type mesh struct {
	*testkit.Mesh
	ctx context.Context //nolint:containedctx // of the commands that are run; the test's own if nil
}

func newMesh(t *testing.T, names []string, services map[string]map[string]string) *mesh {
	t.Helper()
	return &mesh{Mesh: testkit.NewMesh(t, names, services)}
}

// host is the name of this machine, as a record has it.
var host, _ = os.Hostname()

// run runs drain or undrain of us as a process of its own would: with what the given members tell, and nothing remembered.
func (f *mesh) run(t *testing.T, verb string, members []*clusters.Member, flags ...string) (string, error) {
	t.Helper()
	return f.runOn(t, verb, "us", members, flags...)
}

func (f *mesh) runOn(t *testing.T, verb, cluster string, members []*clusters.Member, flags ...string) (string, error) {
	t.Helper()
	if members == nil {
		members = f.Members
	}
	fresh := make([]*clusters.Member, len(members)) // a member's Err is this run's
	for i, m := range members {
		c := *m
		fresh[i] = &c
	}
	ctx := f.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	r := testkit.Command{New: cmd.New, Members: fresh}.Run(ctx, t, slices.Concat([]string{verb, cluster, "--yes", "--cluster-timeout=1m"}, flags)...)
	return r.Out + r.ErrOut, r.Err
}

func mustRun(t *testing.T, f *mesh, verb string) string {
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
		"drain, drained again, undrained": {"", "drain", []string{"drain", "drain", "undrain"}},
		"drain, undrained":                {"", "drain", []string{"undrain", "undrain"}},
		"undrain, undrained":              {"drain", "undrain", []string{"undrain", "undrain"}},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%v", name, after), func(t *testing.T) {
				f := newMesh(t, []string{"us", "eu", "ap"}, formers)
				want := f.State(t, "us")
				for at := 1; ; at++ {
					if c.before != "" {
						mustRun(t, f, c.before)
					}
					f.Cut(at, after)
					_, err := f.run(t, c.killed, nil)
					survived := !f.Dead()
					f.Revive()
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
					if d := cmp.Diff(want, f.State(t, "us")); d != "" {
						t.Errorf("killed at write %d: %s", at, d)
					}
				}
			})
		}
	}
}

// drained checks that nothing that was shared still is.
func drained(t *testing.T, f *mesh) {
	t.Helper()
	state := f.State(t, "us")
	for _, svc := range []string{"absent", "explicit", "alias"} {
		if state[svc+" "+cilium.AnnotationShared] != "false" || state[svc+" "+drainrecord.AnnotationDrained] == "" {
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
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	mustRun(t, f, "drain")
	svc := testkit.Service("absent", map[string]string{cilium.AnnotationGlobal: "true", "keep": "me", cilium.AnnotationShared: "True"})
	if err := f.API["us"].Tracker().Update(corev1.SchemeGroupVersion.WithResource("services"), svc, "shop"); err != nil {
		t.Fatal(err)
	}
	want["absent "+cilium.AnnotationShared] = "True"
	mustRun(t, f, "drain")
	drained(t, f)
	mustRun(t, f, "drain")
	mustRun(t, f, "undrain")
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestTwoDrainsAtOnce: two people drain at the same time, from machines that know the same clusters or not. Nothing is lost: undrain
// restores exactly what was, and finds all records.
func TestTwoDrainsAtOnce(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	for n := range 16 {
		others := [2][]*clusters.Member{f.Members, f.Members}
		if n%2 == 1 { // each knows one other cluster only, so that they cannot see one another's record
			others = [2][]*clusters.Member{{f.Members[0], f.Members[1]}, {f.Members[0], f.Members[2]}}
		}
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range 2 {
			wg.Go(func() { _, errs[i] = f.run(t, "drain", others[i], "--allow-partial") })
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
		if d := cmp.Diff(want, f.State(t, "us")); d != "" {
			t.Fatalf("round %d (%v): %s", n, errs, d)
		}
	}
}

// TestSkipRefused: where only Services are left that cannot be drained, the report says so, and not that nobody uses the cluster any more.
func TestSkipRefused(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu"}, map[string]map[string]string{"web": {cilium.AnnotationGlobal: "true"}, "lonely": {cilium.AnnotationGlobal: "true"}})
	if err := f.API["eu"].Tracker().Delete(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), "shop", "lonely-1"); err != nil {
		t.Fatal(err)
	}
	const skip = "--skip-refused"
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
	if err := f.API["us"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("services"), "shop", "web"); err != nil {
		t.Fatal(err)
	}
	if out, err := f.run(t, "drain", nil, skip); err == nil || err.Error() != left || f.State(t, "us")["eu kubectl-mesh-drain-us"] != "" {
		t.Errorf("all are refused: %v\n%s", err, out)
	}
}

// TestDrainOfADeadCluster: the note about disconnecting names only clusters that are known to exist.
func TestDrainOfADeadCluster(t *testing.T) {
	dead := &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")}
	for name, c := range map[string]struct {
		others []string
		dead   bool
		want   string
	}{
		"others are read":    {[]string{"eu", "ap"}, false, "disconnect it in ap, eu: remove it from"},
		"none is read":       {[]string{"eu", "ap"}, true, ""},
		"there are no other": {nil, false, ""},
	} {
		f := newMesh(t, append([]string{"us"}, c.others...), formers)
		for n, m := range f.Members {
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

// own makes a Service of us that of an Argo CD application, which owns shared or leaves it to others. uid is that of a Service that was recreated.
func (f *mesh) own(t *testing.T, name string, ann map[string]string, owns bool, uid ...types.UID) {
	t.Helper()
	svc := testkit.Service(name, ann)
	svc.ResourceVersion = "2"
	if len(uid) > 0 {
		svc.UID = uid[0]
	}
	svc.Annotations["argocd.argoproj.io/tracking-id"] = "shop-" + name + ":/Service:shop/" + name
	if owns {
		svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "argocd-controller", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:` + cilium.AnnotationShared + `":{}}}}`)}}
	}
	if err := f.API["us"].Tracker().Update(corev1.SchemeGroupVersion.WithResource("services"), svc, "shop"); err != nil {
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
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	f.own(t, "explicit", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "TRUE"}, true)
	f.own(t, "absent", map[string]string{cilium.AnnotationGlobal: "true"}, false)
	want := f.State(t, "us")
	const force = "--force-conflicts"
	for _, dryRun := range []string{"client", "server", "none"} {
		out, err := f.run(t, "drain", nil, "--dry-run="+dryRun)
		if !strings.Contains(out, owned+"unshare explicit -n shop --local -f FILE") || !strings.Contains(out, managed) || (err != nil) != (dryRun != "client") {
			t.Errorf("%s: %v\n%s", dryRun, err, out)
		}
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Errorf("refused: %s", d)
	}
	const skip = "--skip-refused"
	if out, err := f.run(t, "drain", nil, skip); err == nil || f.State(t, "us")["explicit "+cilium.AnnotationShared] != "TRUE" || f.State(t, "us")["absent "+cilium.AnnotationShared] != "false" {
		t.Errorf("--skip-refused: %v\n%s", err, out)
	}
	if out, err := f.run(t, "drain", nil, force); err != nil || !strings.Contains(out, owned) {
		t.Errorf("--force-conflicts: %v\n%s", err, out)
	}
	drained(t, f)
	// It takes the annotation back without changing its value: somebody committed what drain wrote. Or it has recreated the Service from there, and the
	// record alone has the former value.
	mark := f.State(t, "us")["explicit "+drainrecord.AnnotationDrained]
	for _, c := range []struct {
		name, uid string
		ann       map[string]string
	}{
		{"recreated", "uid-recreated", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "false"}},
		{"with its mark", "uid-explicit", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "false", drainrecord.AnnotationDrained: mark}},
	} {
		f.own(t, "explicit", c.ann, true, types.UID(c.uid))
		state := f.State(t, "us")
		for _, set := range []string{"--allow-partial=false", "--allow-partial=true"} {
			out, err := f.run(t, "undrain", nil, set)
			if err == nil || !strings.Contains(err.Error(), "preflight failed") || !strings.Contains(out, owned+"share explicit -n shop --local -f FILE") || strings.Contains(out, "is deleted") {
				t.Errorf("undrain %s, %s: %v\n%s", set, c.name, err, out)
			}
			if d := cmp.Diff(state, f.State(t, "us")); d != "" {
				t.Errorf("undrain %s, %s, refused: %s", set, c.name, d)
			}
		}
	}
	if out, err := f.run(t, "undrain", nil, force); err != nil {
		t.Errorf("undrain --force-conflicts: %v\n%s", err, out)
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestDrainWithoutKnowing: what cannot be read stops a drain only where it leaves open whether clients would be left without an endpoint, and
// --allow-partial goes on.
func TestDrainWithoutKnowing(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	hide := func(cluster string) func(*mesh) {
		return func(f *mesh) {
			f.API[cluster].PrependReactor("list", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "", errors.New("not yours"))
			})
		}
	}
	for name, c := range map[string]struct {
		lack func(*mesh)
		want string // "": nothing stops it
	}{
		"the peers":                 {func(f *mesh) { f.Members[0].Peers, f.Members[0].PeersKnown = nil, false }, "the peers of us are unknown"},
		"namespaces of a server":    {hide("eu"), "namespaces may not be read in eu, and clients of shop/web may have no other endpoint"},
		"namespaces of the clients": {hide("ap"), ""},
		"its own namespaces":        {hide("us"), ""},
		"the peers of the clients":  {func(f *mesh) { f.Members[2].Peers, f.Members[2].PeersKnown = nil, false }, "the peers of ap are unknown, and clients of shop/web may have no other endpoint"},
		"the peers of a server":     {func(f *mesh) { f.Members[1].Peers, f.Members[1].PeersKnown = nil, false }, ""},
	} {
		f := onlyInUsAndEU(t)
		c.lack(f)
		out, err := f.run(t, "drain", nil)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || f.State(t, "us")["web "+cilium.AnnotationShared] != "" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if out, err := f.run(t, "drain", nil, "--allow-partial"); err != nil || !strings.Contains(out, c.want) || f.State(t, "us")["web "+cilium.AnnotationShared] != "false" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
