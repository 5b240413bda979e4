package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
)

// Nothing is replaced: neither a record, nor what a run that was cut short left. A record has its name when it is complete.
func TestRecordReplacesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run")
	exists := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	f, err := createRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := createRecord(path); err == nil || !strings.Contains(err.Error(), "run.partial exists") {
		t.Errorf("a second record: %v", err)
	}
	f.abandon()
	if exists(path + partialSuffix) {
		t.Error("a record without requests was left")
	}
	if f, err = createRecord(path); err != nil {
		t.Fatal(err)
	}
	doc := v1alpha1.ProbeReport{Clients: []v1alpha1.ProbeClient{{Cluster: "us"}}}
	f.Begin(doc, nil)
	f.Request(history.Request{Client: "us", Start: time.Unix(1000, 0), Status: 200})
	if exists(path) {
		t.Error("the file has its name before it is complete")
	}
	doc.Clients[0].Requests = 1
	if err := f.finish(doc); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || exists(path+partialSuffix) {
		t.Errorf("%v, %v", info, err)
	}
	if rec, err := readRecord(path, false); err != nil || rec.Log.Len() != 1 {
		t.Errorf("%v", err)
	}
	if _, err := createRecord(path); err == nil || !strings.Contains(err.Error(), "the file exists") {
		t.Errorf("over a record: %v", err)
	}
	if _, err := createRecord(filepath.Join(path, "no", "directory")); err == nil {
		t.Error("no directory")
	}
}

// A crash keeps what was written more than a second before.
func TestRecordIsFlushed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run")
	f, err := createRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Begin(v1alpha1.ProbeReport{Clients: []v1alpha1.ProbeClient{{Cluster: "us"}}}, nil)
	for n := range 10 {
		f.Request(history.Request{Client: "us", Start: time.Unix(int64(n), 0), Status: 200})
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if rec, err := readRecord(path+partialSuffix, true); err == nil && rec.Log.Len() == 10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was written")
		}
	}
	if _, err := readRecord(path+partialSuffix, false); err == nil || !strings.Contains(err.Error(), "cut short after 10 requests; to print what it has, run: kubectl mesh-probe report "+path+partialSuffix+" --partial") {
		t.Errorf("%v", err)
	}
	f.abandon()
	if _, err := os.Stat(path + partialSuffix); err != nil {
		t.Error("the requests of a run without a report were removed")
	}
}
