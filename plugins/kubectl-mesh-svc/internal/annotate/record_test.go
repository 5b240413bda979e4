package annotate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	var log []string
	us := newCluster(t, "us", &log, nginx(nil), true)
	plan := &Plan{Action: "affinity local", Manager: "mesh-svc", Items: []*Item{
		NewItem(us.Member, nginx(nil), Values{"x/a": ptr.To("local"), "x/b": nil}),
		NewItem(us.Member, nginx(map[string]string{"x/a": "local"}), Values{"x/a": ptr.To("local")}),
	}}
	dir := filepath.Join(t.TempDir(), "state")
	rec := plan.Record(time.Date(2026, 11, 23, 6, 0, 0, 5, time.UTC))
	file, err := rec.save(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(filepath.Base(file), "undo-20261123T060000Z-affinity-local-") {
		t.Errorf("%s: %v, %v", file, info.Mode(), err)
	}
	got, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rec, got); d != "" || len(got.Items) != 1 {
		t.Errorf("%d items, %s", len(got.Items), d)
	}
}

// TestRecordThatCannotBeSaved: no half of a file is left, and the error says that nothing was changed and where else it can go.
func TestRecordThatCannotBeSaved(t *testing.T) {
	var log []string
	us := newCluster(t, "us", &log, nginx(nil), true)
	plan := &Plan{Action: "globalize", Items: []*Item{NewItem(us.Member, nginx(nil), Values{"x/global": ptr.To("true")})}}
	state := t.TempDir()
	blocked := filepath.Join(state, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		state string
		now   time.Time
		want  string
	}{
		"it cannot be written":      {state, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "year"}, // no such year in JSON
		"no home":                   {"", time.Now(), "$HOME is not defined"},
		"no directory can be made":  {blocked, time.Now(), "not a directory"},
		"a place that is not there": {"relative", time.Now(), "$HOME is not defined"},
	} {
		t.Setenv("HOME", "")
		t.Setenv("XDG_STATE_HOME", c.state)
		_, err := plan.Save(c.now)
		if err == nil || !strings.HasPrefix(err.Error(), "undo record: ") || !strings.Contains(err.Error(), c.want) || !strings.HasSuffix(err.Error(), "; nothing was changed. XDG_STATE_HOME chooses another directory for it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(state, "kubectl-mesh")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestParseRefusesARecordOfNothing: a file that was cut off must not pass for a change that was undone.
func TestParseRefusesARecordOfNothing(t *testing.T) {
	t.Parallel()
	for _, items := range []string{"", `,"items":null`, `,"items":[]`} {
		raw := `{"apiVersion":"` + recordVersion + `","kind":"` + recordKind + `"` + items + "}"
		if _, err := Parse([]byte(raw)); err == nil || !strings.Contains(err.Error(), "it names no Service") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := json.Marshal(Record{APIVersion: recordVersion, Kind: recordKind, Items: []RecordItem{{Cluster: "us", Namespace: "n", Name: "s", Before: Values{"a": nil}, After: Values{"a": ptr.To("b")}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"kind":"UndoRecord"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if err != nil {
			return
		}
		for _, i := range r.Items {
			if i.Namespace == "" || i.Name == "" || i.Cluster == "" {
				t.Errorf("an item that names nothing was accepted: %+v", i)
			}
		}
	})
}
