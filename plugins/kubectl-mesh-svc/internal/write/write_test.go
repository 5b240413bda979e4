package write_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
)

// many is a mesh of three clusters with 300 Services of every previous value. ap's admission changes what is written to s20 and refuses s30; eu has no s40.
func many(t *testing.T) (f *mesh, names []string) {
	t.Helper()
	services := map[string]map[string]string{}
	for n := range 100 {
		name := fmt.Sprintf("s%02d", n)
		names = append(names, name)
		services[name] = []map[string]string{
			nil, {cilium.AnnotationGlobal: "true"}, {cilium.AnnotationGlobalAlias: "true", "keep": "me"}, {cilium.AnnotationGlobal: "false"}, {cilium.AnnotationGlobal: "True", cilium.AnnotationShared: "no"},
		}[n%5]
	}
	f = newMesh(t, []string{"us", "eu", "ap"}, services)
	if err := f.API["eu"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("services"), "shop", "s40"); err != nil {
		t.Fatal(err)
	}
	f.API["ap"].PrependReactor("patch", "services", func(a k8stesting.Action) (bool, runtime.Object, error) {
		switch patch, _ := a.(k8stesting.PatchActionImpl); patch.Name {
		case "s20":
			return true, testkit.Service("s20", map[string]string{cilium.AnnotationGlobal: "false"}), nil
		case "s30":
			return true, nil, apierrors.NewForbidden(corev1.Resource("services"), "s30", errors.New("policy"))
		}
		return false, nil, nil
	})
	return f, names
}

// mesh is a fake mesh, and what runs in it.
type mesh struct{ *testkit.Mesh }

func newMesh(t *testing.T, names []string, services map[string]map[string]string) *mesh {
	t.Helper()
	return &mesh{testkit.NewMesh(t, names, services)}
}

// run runs a command in the members as a process of its own would, and returns what it printed.
func (f *mesh) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	r := testkit.Command{New: cmd.New, Members: f.Members}.Run(t.Context(), t, args...)
	return r.Out, r.ErrOut, r.Err
}

// globalize is globalize of Services of shop.
func (f *mesh) globalize(t *testing.T, names []string, flags ...string) (stdout, stderr string, err error) {
	t.Helper()
	return f.run(t, slices.Concat([]string{"globalize", "-n", "shop", "--yes"}, names, flags)...)
}

func (f *mesh) states(t *testing.T) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for _, m := range f.Members {
		out[m.Name] = f.State(t, m.Name)
	}
	return out
}

// TestRefusedByAdmission: what admission of the last cluster would make something else of is written nowhere, and a dry run says so.
func TestRefusedByAdmission(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f, _ := many(t)
	before := f.states(t)
	for _, dryRun := range []string{"server", "none"} {
		out, _, err := f.globalize(t, []string{"s19", "s20"}, "--dry-run="+dryRun)
		if want := `s20       refused   admission in the cluster changes ` + cilium.AnnotationGlobal + ` to "false"`; !strings.Contains(out, want) || err == nil || !strings.Contains(err.Error(), "nothing was written in any cluster") {
			t.Errorf("%s: %v\n%s", dryRun, err, out)
		}
	}
	if d := cmp.Diff(before, f.states(t)); d != "" {
		t.Error(d)
	}
}

// TestHundreds: of 300 Services the report says exactly which were written when the connection is lost in the middle,
// and undo puts exactly these back.
func TestHundreds(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, after := range map[string]bool{"before the write": false, "before its answer": true} {
		t.Run(name, func(t *testing.T) {
			f, names := many(t)
			before := f.states(t)
			f.Cut(113, after) // us has 80 to be written
			stdout, stderr, err := f.globalize(t, names, "-o=json", "--allow-partial")
			f.Revive()
			var doc v1alpha1.ChangeReport
			if jerr := json.Unmarshal([]byte(stdout), &doc); jerr != nil || err == nil || doc.Complete || !strings.HasPrefix(doc.RetryCommand, "kubectl mesh-svc globalize s00 ") {
				t.Fatalf("%v, %v\n%s", jerr, err, stderr)
			}
			want, counts, wrote := map[string]map[string]string{}, map[string]int{}, 0
			for cluster := range before {
				want[cluster] = maps.Clone(before[cluster])
			}
			is := f.states(t)
			for _, c := range doc.Changes {
				counts[c.Cluster+" "+c.Result]++
				svc := strings.TrimPrefix(c.Object, "service/")
				written := c.Result == v1alpha1.ResultChanged
				if c.Result == v1alpha1.ResultUnknown { // the API server answered some of them, and none could be read back
					written = is[c.Cluster][svc+" "+cilium.AnnotationGlobal] == "true"
				}
				if !written {
					continue
				}
				wrote++
				for k, v := range c.After {
					delete(want[c.Cluster], svc+" "+k)
					if v != nil {
						want[c.Cluster][svc+" "+k] = *v
					}
				}
			}
			if did := map[bool]int{false: 112, true: 113}[after]; wrote != did {
				t.Errorf("%d Services were written, want %d", wrote, did)
			}
			if d := cmp.Diff(want, is); d != "" {
				t.Errorf("what is there is not what the report says: %s", d)
			}
			if d := cmp.Diff(map[string]int{"us changed": 80, "us unchanged": 20, "eu unknown": 33, "eu planned": 46, "eu absent": 1, "eu unchanged": 20,
				"ap planned": 78, "ap unchanged": 20, "ap refused": 1, "ap failed": 1}, counts); d != "" {
				t.Error(d)
			}

			rec, err := annotate.Load(doc.UndoFile)
			if err != nil || !strings.Contains(stderr, "To undo it, run: kubectl mesh-svc undo "+doc.UndoFile+" --contexts ") {
				t.Fatalf("%v\n%s", err, stderr)
			}
			stdout, stderr, err = f.run(t, "undo", doc.UndoFile, "-o=json")
			doc = v1alpha1.ChangeReport{}
			if jerr := json.Unmarshal([]byte(stdout), &doc); jerr != nil || err != nil || !doc.Complete {
				t.Fatalf("%v, %v\n%s", jerr, err, stderr)
			}
			counts = map[string]int{}
			for _, c := range doc.Changes {
				counts[c.Result]++
			}
			if d := cmp.Diff(map[string]int{"changed": wrote, "unchanged": len(rec.Items) - wrote}, counts); d != "" {
				t.Errorf("undo: %s", d)
			}
			if d := cmp.Diff(before, f.states(t)); d != "" {
				t.Errorf("not as it was: %s", d)
			}
		})
	}
}
