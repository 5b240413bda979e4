package drain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// before calls something ahead of some calls. It cannot be done by a reactor, which the fake calls with its lock held.
type before struct {
	kubernetes.Interface
	do func(ctx context.Context, what string) error
}

type (
	beforeCore struct {
		typedcorev1.CoreV1Interface
		before
	}
	beforeServices struct {
		typedcorev1.ServiceInterface
		before
	}
	beforeRecords struct {
		typedcorev1.ConfigMapInterface
		before
	}
)

func (b before) CoreV1() typedcorev1.CoreV1Interface { return beforeCore{b.Interface.CoreV1(), b} }

func (b beforeCore) Services(ns string) typedcorev1.ServiceInterface {
	return beforeServices{b.CoreV1Interface.Services(ns), b.before}
}

func (b beforeCore) ConfigMaps(ns string) typedcorev1.ConfigMapInterface {
	return beforeRecords{b.CoreV1Interface.ConfigMaps(ns), b.before}
}

func (b beforeServices) List(ctx context.Context, o metav1.ListOptions) (*corev1.ServiceList, error) {
	if err := b.do(ctx, "services listed"); err != nil {
		return nil, err
	}
	return b.ServiceInterface.List(ctx, o)
}

func (b beforeServices) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, o metav1.PatchOptions, sub ...string) (*corev1.Service, error) {
	what := "service"
	if len(o.DryRun) > 0 {
		what = "dry run of a service"
	}
	if err := b.do(ctx, what); err != nil {
		return nil, err
	}
	svc, err := b.ServiceInterface.Patch(ctx, name, pt, data, o, sub...)
	if err == nil && len(o.DryRun) == 0 {
		err = b.do(ctx, "next service")
	}
	return svc, err
}

func (b beforeRecords) Create(ctx context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error) {
	if len(o.DryRun) == 0 {
		if err := b.do(ctx, "new record"); err != nil {
			return nil, err
		}
	}
	return b.ConfigMapInterface.Create(ctx, cm, o)
}

func (b beforeRecords) Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	if err := b.do(ctx, "record "+cm.Data["state"]); err != nil {
		return nil, err
	}
	return b.ConfigMapInterface.Update(ctx, cm, o)
}

func (b beforeRecords) List(ctx context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
	if err := b.do(ctx, "records listed"); err != nil {
		return nil, err
	}
	return b.ConfigMapInterface.List(ctx, o)
}

// meanwhile returns the members as a process sees them for which something happens, once, just ahead of one of its calls.
func (f *mesh) meanwhile(what string, do func(context.Context) error) []*clusters.Member {
	var once sync.Once
	out := make([]*clusters.Member, len(f.Members))
	for n, m := range f.Members {
		c := *m
		c.Client = before{m.Client, func(ctx context.Context, w string) (err error) {
			if w == what {
				once.Do(func() { err = do(ctx) })
			}
			return err
		}}
		out[n] = &c
	}
	return out
}

// TestUndrainDuringADrain: drain says what became of the record that it wrote, and nothing that is no longer so.
func TestUndrainDuringADrain(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	const gone = "configmap kube-system/kubectl-mesh-drain-us of cluster ap is gone: somebody undrained us meanwhile, or deleted it; "
	const both = "; to undo the drain, run: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap; to take it out of service and record it again, run: kubectl mesh-svc drain us --contexts kind-us,kind-eu,kind-ap"
	const written = "all Services are written and carry their previous values themselves, but "
	for name, c := range map[string]struct {
		at    string // the call of drain ahead of which undrain runs
		cut   int    // the write of undrain that does not happen
		want  string // what drain says
		state string // the record's, in the document
	}{
		"before the last check":         {"records listed", 0, gone + "no Service was changed, run the command again", ""},
		"before the first Service":      {"service", 0, written + strings.TrimSuffix(gone, "; ") + both, ""},
		"after the first Service":       {"next service", 0, `cluster "us": drain us service shop/absent: written, but an admission webhook or a controller removed mesh.kubectl.io/drained`, ""},
		"before the last write":         {"record drained", 0, written + strings.TrimSuffix(gone, "; ") + both, ""},
		"before the last write, halted": {"record drained", 2, written + "us is being undrained since alice on " + host + " at ", "undraining"},
	} {
		f := newMesh(t, []string{"us", "eu", "ap"}, formers)
		want := f.State(t, "us")
		out, err := f.run(t, "drain", f.meanwhile(c.at, func(context.Context) error {
			f.Cut(c.cut, false)
			if out, err := f.run(t, "undrain", nil); (err != nil) != (c.cut > 0) {
				t.Errorf("%s: undrain: %v\n%s", name, err, out)
			}
			f.Revive()
			return nil
		}), "-o=json")
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if c.at == "next service" && !strings.HasSuffix(err.Error(), strings.TrimSuffix(gone, "; ")) {
			t.Errorf("%s: the error does not say what became of the record: %v", name, err)
		}
		for _, never := range []string{"The previous values are stored in", "no longer use the endpoints", "us is drained", "To go on, run:"} {
			if strings.Contains(out, never) {
				t.Errorf("%s: %q in\n%s", name, never, out)
			}
		}
		if got := document(t, out).state(); got != c.state {
			t.Errorf("%s: the record is %q in the document, want %q", name, got, c.state)
		}
		mustRun(t, f, "undrain")
		if d := cmp.Diff(want, f.State(t, "us")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestDrainDuringAnUndrain: a record whose Services are being marked while undrain takes it over is kept.
func TestDrainDuringAnUndrain(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	f.Cut(2, false) // the record only
	if _, err := f.run(t, "drain", nil); err == nil {
		t.Fatal("not killed")
	}
	f.Revive()
	out, err := f.run(t, "undrain", f.meanwhile("record undraining", func(ctx context.Context) error {
		svc, err := f.API["us"].CoreV1().Services("shop").Get(ctx, "absent", metav1.GetOptions{})
		if err != nil {
			return err
		}
		svc.Annotations[cilium.AnnotationShared], svc.Annotations[drainrecord.AnnotationDrained] = "false", `{"drain":"d","cluster":"us","record":"ap","shared":null}`
		_, err = f.API["us"].CoreV1().Services("shop").Update(ctx, svc, metav1.UpdateOptions{})
		return err
	}))
	const what = "us is being drained at the same time: 1 Service has got the mark meanwhile (shop/absent); the record is kept in configmap kube-system/kubectl-mesh-drain-us of cluster ap, run the command again"
	if err == nil || err.Error() != what || strings.Contains(out, "is back in service") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := f.State(t, "us")["ap kubectl-mesh-drain-us"]; got != "undraining 3" {
		t.Errorf("the record: %q", got)
	}
	mustRun(t, f, "undrain")
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
}

// TestRecordNotMarkedAsComplete: the document has the state of the record, and the error names the flag that gives more time.
func TestRecordNotMarkedAsComplete(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	late := f.meanwhile("record drained", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	out, err := f.run(t, "drain", late, "-o=json", "--cluster-timeout=300ms", "--skip-refused", "--preflight=access")
	if err == nil || !strings.Contains(err.Error(), "could not be marked as complete: cluster \"ap\": drain us configmap kube-system/kubectl-mesh-drain-us: it was not written: no answer within 300ms (--cluster-timeout)") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := document(t, out).state(); got != "draining" {
		t.Errorf("the record is %q in the document", got)
	}
	if !strings.Contains(out, "The drain of us is not marked as complete. To go on, run: kubectl mesh-svc drain us --skip-refused --preflight=access --contexts kind-us,kind-eu,kind-ap") {
		t.Error(out)
	}
}

// TestTakingBack: drain ends with the command that puts the cluster back, undrain and the undo of a drain with drain, which asks and checks. To
// undo these would drain again without.
func TestTakingBack(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	f := newMesh(t, []string{"us", "eu", "ap"}, formers)
	want := f.State(t, "us")
	undo := func(name string) (string, error) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "kubectl-mesh", "undo-*Z-"+name+"-us-*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", name, files, err)
		}
		rec, err := annotate.Load(files[len(files)-1])
		if err != nil {
			t.Fatal(err)
		}
		return f.undo(t, rec)
	}
	ends := func(out, line string) {
		t.Helper()
		if !strings.HasSuffix(out, "\n"+line+"\n") {
			t.Errorf("the end is not %q:\n%s", line, out)
		}
	}
	out := mustRun(t, f, "drain")
	ends(out, "To undo it, on any machine, run: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap")
	if !strings.Contains(out, "\nUndo file on this machine: "+dir) {
		t.Error(out)
	}
	out = mustRun(t, f, "drain")
	ends(out, "To undo it, on any machine, run: kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap")
	if strings.Contains(out, "Undo file") {
		t.Errorf("nothing was written: %s", out)
	}
	ends(mustRun(t, f, "undrain"), "To undo it, run: kubectl mesh-svc drain us --contexts kind-us,kind-eu,kind-ap")
	out, err := undo("undrain")
	const refused = "would take us out of service again without a check of what its clients are left with; nothing was changed. To drain it after that check, run: kubectl mesh-svc drain us --context kind-us"
	if err == nil || err.Error() != `to undo "undrain us" `+refused {
		t.Errorf("%v\n%s", err, out)
	}
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
	_, file, _ := strings.Cut(mustRun(t, f, "drain"), "\nUndo file on this machine: ")
	file, _, _ = strings.Cut(file, "\n")
	rec, err := annotate.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	out, err = f.undo(t, rec)
	if err != nil || !strings.Contains(out, "To undo it, run: kubectl mesh-svc drain us --context kind-us\n") || strings.Contains(out, "mesh-svc undo ") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := undo("undo-drain"); err == nil || err.Error() != `to undo "undo drain us" `+refused {
		t.Errorf("%v\n%s", err, out)
	}
	mustRun(t, f, "undrain")
	if d := cmp.Diff(want, f.State(t, "us")); d != "" {
		t.Error(d)
	}
	for _, c := range []struct{ verb, file, command string }{{"drain", "drain-us", "kubectl mesh-svc undrain us --contexts kind-us,kind-eu,kind-ap"}, {"undrain", "", "kubectl mesh-svc drain us --contexts kind-us,kind-eu,kind-ap"}} {
		out, err := f.run(t, c.verb, nil, "-o=json")
		d := document(t, out)
		if err != nil || d.UndoCommand != c.command || (d.UndoFile != "") != (c.file != "") || !strings.Contains(d.UndoFile, c.file) {
			t.Errorf("%s: %v %q %q", c.verb, err, d.UndoFile, d.UndoCommand)
		}
	}
}

// undo runs undo with what all members tell.
func (f *mesh) undo(t *testing.T, rec *annotate.Record) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "undo.json")
	raw, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	r := testkit.Command{New: cmd.New, Members: f.Members}.Run(t.Context(), t, "undo", file)
	return r.Out + r.ErrOut, r.Err
}

// TestDocumentOfNothing: scripts get a document also where the command ends before its first write.
func TestDocumentOfNothing(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		verb    string
		begun   bool   // there is the record of a drain that was cut off at its second Service
		at      string // the call ahead of which Ctrl-C comes
		want    error
		changes int
		state   string
	}{
		"the question is refused":        {"drain", false, "", confirm.ErrNoTerminal, 3, ""},
		"the same, of one that goes on":  {"drain", true, "", confirm.ErrNoTerminal, 3, "draining"},
		"drain is interrupted reading":   {"drain", false, "services listed", context.Canceled, 0, ""},
		"drain, looking for other ones":  {"drain", false, "records listed", context.Canceled, 3, "draining"},
		"undrain is interrupted reading": {"undrain", true, "services listed", context.Canceled, 0, ""},
		"undrain, at the record":         {"undrain", true, "record undraining", context.Canceled, 1, "undraining"},
	} {
		f := newMesh(t, []string{"us", "eu", "ap"}, formers)
		if c.begun {
			f.Cut(3, false)
			if _, err := f.run(t, "drain", nil); err == nil {
				t.Fatal("not killed")
			}
			f.Revive()
			f.own(t, "local", map[string]string{cilium.AnnotationGlobal: "true"}, false) // which the record does not hold yet
		}
		ctx, cancel := context.WithCancel(t.Context())
		f.ctx = ctx
		out, err := f.run(t, c.verb, f.meanwhile(c.at, func(ctx context.Context) error {
			cancel()
			return ctx.Err()
		}), "-o=json", fmt.Sprintf("--yes=%v", c.at != ""))
		cancel()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		d := document(t, out)
		if d.Complete || d.Cluster != "us" || d.UndoFile != "" || d.state() != c.state || d.Record != nil && d.Record.Services != 3 {
			t.Errorf("%s: complete %v, cluster %q, undo file %q, record %v", name, d.Complete, d.Cluster, d.UndoFile, d.Record)
		}
		n := 0
		for _, change := range d.Changes {
			if change.Result == v1alpha1.ResultPlanned {
				n++
			}
			if change.Result == v1alpha1.ResultPlanned && !strings.Contains(change.Message, "not written: the command ended before it") {
				t.Errorf("%s: %s", name, change.Message)
			}
		}
		if want := c.changes; n != want {
			t.Errorf("%s: %d are planned, want %d\n%s", name, n, want, out)
		}
	}
}

type doc v1alpha1.DrainReport

// document reads the document out of what a command printed on both streams.
func document(t *testing.T, out string) *doc {
	t.Helper()
	i := strings.Index(out, "{\n")
	if i < 0 {
		t.Fatalf("no document in %q", out)
	}
	var d doc
	if err := json.NewDecoder(strings.NewReader(out[i:])).Decode(&d); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return &d
}

func (d *doc) state() string {
	if d.Record == nil {
		return ""
	}
	return d.Record.State
}
