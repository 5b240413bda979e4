package drain_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// onlyInUsAndEU takes the endpoints of ap away, so that its clients need us or eu.
func onlyInUsAndEU(t *testing.T) *mesh {
	t.Helper()
	f := newMesh(t, []string{"us", "eu", "ap"}, map[string]map[string]string{"web": {cilium.AnnotationGlobal: "true"}})
	if err := f.API["ap"].Tracker().Delete(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), "shop", "web-1"); err != nil {
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
		at   string // the call of drain ahead of which the other one runs
		cut  int    // at which write the other drain is cut off
		want string
	}{
		"at the question":                  {"dry run of a service", 0, "the drain is no longer what was planned: " + lost},
		"after that, done":                 {"new record", 0, "eu is drained since alice on " + host + " at "},
		"after that, its record only":      {"new record", 2, "eu is draining since alice on " + host + " at "},
		"after that, nothing was recorded": {"new record", 1, ""},
	} {
		f := onlyInUsAndEU(t)
		out, err := f.run(t, "drain", f.meanwhile(c.at, func(context.Context) error {
			f.Cut(c.cut, false)
			out, err := f.runOn(t, "drain", "eu", nil)
			if f.Revive(); (err != nil) != (c.cut > 0) {
				t.Errorf("%s: drain eu: %v\n%s", name, err, out)
			}
			return nil
		}))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), lost) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		state := f.State(t, "us")
		if state["web "+cilium.AnnotationShared] != "" || state["ap kubectl-mesh-drain-us"] != "" || strings.Contains(out, "not drained in full") {
			t.Errorf("%s: something was left: %v\n%s", name, state, out)
		}
	}
}

// TestDrainOfAnotherClusterThatServesNodes: what is certain with the other cluster may not be without it.
func TestDrainOfAnotherClusterThatServesNodes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, map[string]map[string]string{"web": {cilium.AnnotationGlobal: "true"}})
	services := f.API["ap"].CoreV1().Services("shop")
	svc, err := services.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	if err := f.API["ap"].Tracker().Update(corev1.SchemeGroupVersion.WithResource("services"), svc, "shop"); err != nil {
		t.Fatal(err)
	}
	out, err := f.run(t, "drain", f.meanwhile("new record", func(context.Context) error {
		f.Cut(2, false) // only its record is written
		out, err := f.runOn(t, "drain", "eu", nil)
		if f.Revive(); err == nil {
			t.Error(out)
		}
		return nil
	}))
	want := "since planning: in ap, clients on nodes without an endpoint of shop/web would have no other one (internalTrafficPolicy is Local), and nodes are not read; no Service was changed"
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "eu is draining since") || f.State(t, "us")["web "+cilium.AnnotationShared] != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAnInterruptedDrainAndAnother: a drain that goes on, and may not, leaves its record as it found it.
func TestAnInterruptedDrainAndAnother(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := onlyInUsAndEU(t)
	for _, cluster := range []string{"us", "eu"} {
		f.Cut(2, false) // only the record is written
		if out, err := f.runOn(t, "drain", cluster, nil); err == nil {
			t.Fatal(out)
		}
		f.Revive()
	}
	want := f.State(t, "us")
	if out, err := f.run(t, "drain", nil); err == nil || !strings.Contains(err.Error(), "eu is draining since") || !strings.Contains(out, "us is not drained in full") {
		t.Errorf("%v\n%s", err, out)
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
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
		if errs[0] == nil && errs[1] == nil || f.State(t, "us")["web "+cilium.AnnotationShared] == "false" && f.State(t, "eu")["web "+cilium.AnnotationShared] == "false" {
			t.Fatalf("round %d: both are drained: %v", n, errs)
		}
		for _, cluster := range both {
			if out, err := f.runOn(t, "undrain", cluster, nil); err != nil {
				t.Fatalf("round %d: undrain %s: %v\n%s", n, cluster, err, out)
			}
		}
	}
}
