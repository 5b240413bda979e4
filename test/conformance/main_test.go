package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	results, err := read(strings.NewReader(`{"version":"1.20.2","function":"export","cases":7,"differences":1,"seed":3}
{"version":"1.19.7","function":"export","cases":7,"differences":0,"seed":4}
{"version":"1.19.7","function":"backend selection","cases":7,"differences":0,"seed":4}
{"version":"1.19.5","function":"export","cases":7,"differences":0,"seed":5}
`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(body.Result{Version: "1.20.2", Function: "export", Cases: 7, Differences: 1, Seed: 3}, results[0]); d != "" {
		t.Error(d)
	}
	var out bytes.Buffer
	if err := write(&out, results); err != nil {
		t.Fatal(err)
	}
	want := `CILIUM                            FUNCTION            CASES   DIFFERENCES   SEED
1.20.2                            export              7       1             3
1.19.7                            export              7       0             4
1.19.7                            backend selection   7       0             4
1.19.5                            export              7       0             5
1.20, other than 1.20.2           unjudged                                  
1.19, other than 1.19.7, 1.19.5   unjudged                                  
1.18                              unjudged                                  
1.17                              unjudged                                  
1.16                              unjudged                                  
1.15                              unjudged                                  
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestModuleIs(t *testing.T) {
	t.Parallel()
	m := module{version: cilium.Version{Major: 1, Minor: 19, Patch: 7}}
	for wanted, is := range map[string]bool{"1.19": true, "1.19.7": true, "1.19.5": false, "1.1": false, "1.20": false, "": false} {
		if m.is(wanted) != is {
			t.Errorf("%q: %t", wanted, !is)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"1.14"}, ".", nil); err == nil || !strings.Contains(err.Error(), "no judge for Cilium 1.14") {
		t.Errorf("a version without a judge: %v", err)
	}
	if err := run(t.Context(), []string{"exporter", "1.20"}, ".", nil); err == nil || !strings.Contains(err.Error(), "exporter runs alone") {
		t.Errorf("the exporter together with a judge: %v", err)
	}
	dir := t.TempDir()
	if err := run(t.Context(), nil, dir, nil); err == nil || !strings.Contains(err.Error(), "top of the repository") {
		t.Errorf("no modules: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "v1.20"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "v1.20", "go.mod"), []byte("module x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), nil, dir, nil); err == nil || !strings.Contains(err.Error(), "no requirement of github.com/cilium/cilium") {
		t.Errorf("a module without Cilium: %v", err)
	}
}
