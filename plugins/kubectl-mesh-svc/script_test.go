package svc_test

import (
	"encoding/json"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

// TestScripts runs kubectl mesh-svc as a user does, against the lab.
func TestScripts(t *testing.T) {
	labtest.Run(t, "testdata/script", labtest.Commands{"restores": restores})
}

// restores puts the data of an object back at the end of the script, whatever happened: restores CONTEXT NAMESPACE KIND/NAME.
func restores(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: restores CONTEXT NAMESPACE KIND/NAME")
	}
	kubectl := func(more ...string) error {
		return ts.Exec("kubectl", append([]string{"--context", args[0], "-n", args[1]}, more...)...)
	}
	ts.Check(kubectl("get", args[2], "-o", "jsonpath={.data}"))
	data := ts.ReadFile("stdout")
	if !json.Valid([]byte(data)) {
		ts.Fatalf("%s has no data", args[2])
	}
	ts.Defer(func() {
		if err := kubectl("patch", args[2], "--type=json", "-p", `[{"op":"replace","path":"/data","value":`+data+`}]`); err != nil {
			ts.Logf("%v", err)
		}
	})
}
