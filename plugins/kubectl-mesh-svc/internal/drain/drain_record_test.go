package drain_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
)

// TestUndrainWithoutTheRecord: the record is deleted only where it was, and undrain says no more than that.
func TestUndrainWithoutTheRecord(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	mustRun(t, f, "drain")
	frozen := *f.Members[2]
	frozen.Err = &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")}
	const partial = "--allow-partial"
	withoutAP := []*clusters.Member{f.Members[0], f.Members[1], &frozen}
	out, err := f.run(t, "undrain", withoutAP, partial)
	if err != nil || strings.Contains(out, "is deleted") || !strings.Contains(out, "us is back in service. A record of the drain may be left where none could be read. When it can be, run: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if f.State(t, "us")["ap kubectl-mesh-drain-us"] == "" {
		t.Fatal("the record is gone")
	}
	if out, err := f.run(t, "undrain", withoutAP, partial); err != nil || strings.Contains(out, "us is not drained") {
		t.Errorf("%v\n%s", err, out)
	}
	if out := mustRun(t, f, "undrain"); !strings.Contains(out, "the record of the drain is deleted") {
		t.Error(out)
	}
	mustRun(t, f, "drain")
	if err := f.API["ap"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("configmaps"), "kube-system", "kubectl-mesh-drain-us"); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, f, "undrain"); !strings.Contains(out, "us is back in service; no other cluster holds a record of the drain.") {
		t.Error(out)
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestUndrainBesideADeadCluster: with the record at hand a cluster that cannot be read is in nobody's way, and no error.
func TestUndrainBesideADeadCluster(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	mustRun(t, f, "drain")
	members := slices.Clone(f.Members)
	for n, m := range f.Members {
		if f.State(t, "us")[m.Name+" kubectl-mesh-drain-us"] == "" && m.Name != "us" {
			dead := *m
			dead.Err = &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")}
			members[n] = &dead
		}
	}
	out, err := f.run(t, "undrain", members)
	if err != nil || strings.Contains(out, "error:") || !strings.Contains(out, "Warning: cluster ") || !strings.Contains(out, "need not be: the record of the drain is in ") {
		t.Errorf("%v\n%s", err, out)
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestUnreadableRecord: it is named, with what is wrong and the command that deletes it, also where --allow-partial goes on without it.
func TestUnreadableRecord(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	mustRun(t, f, "drain")
	cms := f.API["ap"].CoreV1().ConfigMaps("kube-system")
	cm, err := cms.Get(t.Context(), "kubectl-mesh-drain-us", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cm.Data["services"] = "7"
	if _, err := cms.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	const what = `cluster "ap": configmap kube-system/kubectl-mesh-drain-us: it cannot be read as a record: it says that it holds "7" Services and holds 3.`
	const command = "kubectl --context kind-ap -n kube-system delete configmap kubectl-mesh-drain-us"
	for _, partial := range []bool{false, true} {
		set := fmt.Sprintf("--allow-partial=%v", partial)
		if _, err := f.run(t, "drain", nil, set); err == nil || !strings.Contains(err.Error(), what) || !strings.HasSuffix(err.Error(), command) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("drain, partial=%v: %v", partial, err)
		}
		out, err := f.run(t, "undrain", nil, set)
		if text := fmt.Sprint(out, err); (err == nil) != partial || !strings.Contains(text, what) || !strings.Contains(text, command) {
			t.Errorf("undrain, partial=%v: %v\n%s", partial, err, out)
		}
	}
	if err := f.API["ap"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("configmaps"), "kube-system", "kubectl-mesh-drain-us"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
	mustRun(t, f, "drain")
}

// TestRecordOfAnother: a record that another machine made is continued or named.
func TestRecordOfAnother(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	f.Cut(3, false) // the record and one Service are written
	if _, err := f.run(t, "drain", nil); err == nil {
		t.Fatal("not killed")
	}
	f.Revive()
	const no = "--yes=false"
	out, err := f.run(t, "drain", nil, no)
	if err == nil || !strings.Contains(err.Error(), "--yes") || !strings.Contains(out, "Plan: drain us") {
		t.Errorf("without --yes: %v\n%s", err, out)
	}
	f.Cut(2, false) // undrain has taken over the record
	if _, err := f.run(t, "undrain", nil); err == nil {
		t.Fatal("not killed")
	}
	f.Revive()
	if _, err := f.run(t, "drain", nil); err == nil || !strings.Contains(err.Error(), "us is being undrained since alice on "+host+" at") {
		t.Errorf("drain during an undrain: %v", err)
	}
	// Somebody who does not read the cluster with the record must not take the marks for everything.
	if _, err := f.run(t, "undrain", []*clusters.Member{f.Members[0], f.Members[1]}); err == nil || !strings.Contains(err.Error(), "name ap as the cluster that holds the record") {
		t.Errorf("undrain without ap: %v", err)
	}
	mustRun(t, f, "undrain")
}

// TestRebuilt: the cluster was rebuilt, and its Services are there only in part. The record waits for the rest, unless it is given up.
func TestRebuilt(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	mustRun(t, f, "drain")
	rebuilt := newMesh(t, []string{"us", "eu", "ap"}, map[string]map[string]string{"absent": {cilium.AnnotationGlobal: "true"}})
	f.API["us"], f.Members[0] = rebuilt.API["us"], rebuilt.Members[0]
	f.Members[0].UID = "uid-us-rebuilt"
	out, err := f.run(t, "undrain", nil)
	if err == nil || !strings.Contains(out, "us was rebuilt, and 2 Services that it had are not there. Their previous values are kept. Run this again when they are there, or with --forget to give them up: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap\n") {
		t.Errorf("%v\n%s", err, out)
	}
	// One comes as it stood while it was drained, without the mark.
	if err := f.API["us"].Tracker().Add(func() *corev1.Service {
		s := testkit.Service("explicit", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "false"})
		s.UID = "recreated"
		return s
	}()); err != nil {
		t.Fatal(err)
	}
	out, err = f.run(t, "undrain", nil, "--forget")
	if err == nil || !strings.Contains(out, "the record of the drain is deleted") {
		t.Errorf("%v\n%s", err, out)
	}
	want := map[string]string{"absent " + cilium.AnnotationGlobal: "true"}
	maps.Copy(want, map[string]string{"explicit " + cilium.AnnotationGlobal: "True", "explicit " + cilium.AnnotationShared: "TRUE"})
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestRebuiltAndDrainedAgain: the record then is that of the rebuilt cluster. What is not there yet is kept, what is deleted later is not waited
// for, and what ends the waiting is named.
func TestRebuiltAndDrainedAgain(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, later := range map[string]bool{"as it was restored": false, "more is restored": true} {
		f := newMesh(t, []string{"us", "eu", "ap"}, formers)
		mustRun(t, f, "drain")
		rebuilt := newMesh(t, []string{"us", "eu", "ap"}, map[string]map[string]string{"absent": {cilium.AnnotationGlobal: "true"}, "alias": formers["alias"]})
		f.API["us"], f.Members[0] = rebuilt.API["us"], rebuilt.Members[0]
		f.Members[0].UID = "uid-us-rebuilt"
		mustRun(t, f, "drain")
		cm, err := f.API["ap"].CoreV1().ConfigMaps("kube-system").Get(t.Context(), "kubectl-mesh-drain-us", metav1.GetOptions{})
		if err != nil || cm.Data["clusterUID"] != "uid-us-rebuilt" || cm.Data["services"] != "3" {
			t.Fatalf("%s: %v %v", name, err, cm.Data)
		}
		services := corev1.SchemeGroupVersion.WithResource("services")
		if err := f.API["us"].Tracker().Delete(services, "shop", "alias"); err != nil {
			t.Fatal(err)
		}
		if later {
			svc := testkit.Service("explicit", map[string]string{cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "false"})
			svc.UID = "recreated"
			if err := f.API["us"].Tracker().Add(svc); err != nil {
				t.Fatal(err)
			}
		}
		out, err := f.run(t, "undrain", nil)
		if later {
			if err == nil || !strings.Contains(out, "the record of the drain is deleted") || f.State(t, "us")["explicit "+cilium.AnnotationShared] != "TRUE" {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
			continue
		}
		if err == nil || !strings.Contains(out, "1 Service that it had is not there. Its previous value is kept. Run this again when it is there, or with --forget to give it up: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap\n") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if _, err := f.run(t, "drain", nil); err == nil || !strings.Contains(err.Error(), "To finish it, run: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap") {
			t.Errorf("%s: %v", name, err)
		}
		out, err = f.run(t, "undrain", nil, "--forget")
		if err == nil || f.State(t, "us")["ap kubectl-mesh-drain-us"] != "" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestOtherVerbsDuringADrain: share and unshare leave a drained Service alone unless they are forced. Then it is out of the drain, and
// undrain leaves it as they made it.
func TestOtherVerbsDuringADrain(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for verb, wanted := range map[string]map[string]string{ // of Service absent, after undrain
		"share":   {},
		"unshare": {cilium.AnnotationShared: "false"},
	} {
		f := newMesh(t, []string{"us", "eu", "ap"}, formers)
		want := f.State(t, "us")
		for k, v := range wanted {
			want["absent "+k] = v
		}
		mustRun(t, f, "drain")
		drainedState := f.State(t, "us")
		write := func(force bool) (string, error) {
			r := testkit.Command{New: cmd.New, Members: f.Members}.Run(t.Context(), t, verb, "absent", "-n", "shop", "--in", "us", fmt.Sprintf("--force-conflicts=%v", force))
			return r.Out + r.ErrOut, r.Err
		}
		out, err := write(false)
		if err == nil || err.Error() != "nothing was changed" || !strings.Contains(strings.Join(strings.Fields(out), " "), "it is drained; to change it anyway, use --force-conflicts; to end the drain and restore the previous value, run: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap") {
			t.Errorf("%s: %v\n%s", verb, err, out)
		}
		if d := cmp.Diff(drainedState, f.State(t, "us")); d != "" {
			t.Errorf("%s: %s", verb, d)
		}
		if out, err := write(true); err != nil {
			t.Errorf("%s, forced: %v\n%s", verb, err, out)
		}
		out, err = f.run(t, "undrain", nil)
		if left := verb == "unshare"; left != (err != nil) {
			t.Errorf("%s: undrain: %v\n%s", verb, err, out)
		}
		if d := cmp.Diff(want, f.State(t, "us")); d != "" {
			t.Errorf("%s: %s", verb, d)
		}
	}
}
