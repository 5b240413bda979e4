package rotate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// isCleanUp reports whether a write is one of a clean-up: it resumes a CronJob, or removes the kept CA or the lock.
func isCleanUp(write string) bool {
	return strings.Contains(write, " cronjobs/") || strings.HasSuffix(write, " secrets/"+rotate.SecretNew) || strings.HasSuffix(write, " configmaps/"+rotate.ConfigMapLock)
}

// TestCleanUpCut: a command that ends after any write of a clean-up leaves a mesh in which the next command removes the rest, or goes back. No key is lost on the way.
func TestCleanUpCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		install func(string, *pkitest.CA) catest.Install
		first   []rotate.Action
		then    rotate.Action
	}{
		"helm, finish again":        {byHelm, []rotate.Action{rotate.Start, rotate.Continue, rotate.Finish}, rotate.Finish},
		"helm, abort the finish":    {byHelm, []rotate.Action{rotate.Start, rotate.Continue, rotate.Finish}, rotate.Abort},
		"certgen, finish again":     {byCertgen, []rotate.Action{rotate.Start, rotate.Continue, rotate.Finish}, rotate.Finish},
		"certgen, abort the finish": {byCertgen, []rotate.Action{rotate.Start, rotate.Continue, rotate.Finish}, rotate.Abort},
		"helm, abort again":         {byHelm, []rotate.Action{rotate.Start, rotate.Abort}, rotate.Abort},
		"certgen, abort again":      {byCertgen, []rotate.Action{rotate.Start, rotate.Abort}, rotate.Abort},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for cut := 1; ; cut++ {
				done := false
				t.Run(fmt.Sprint("cut ", cut), func(t *testing.T) {
					done = cutCleanUp(t, c.install, c.first, c.then, cut)
				})
				if done || t.Failed() {
					return
				}
			}
		})
	}
}

// cutCleanUp runs commands of which the last ends after so many writes of its clean-up, and then another one. It reports whether there are not so many.
func cutCleanUp(t *testing.T, install func(string, *pkitest.CA) catest.Install, first []rotate.Action, then rotate.Action, cut int) bool {
	w := newWorld(t, 9, install, "us", "eu")
	old := firstCA(t, w).Signer()
	for n, action := range first {
		last := n == len(first)-1
		seen := 0
		if last {
			w.Stop = func(write string) bool {
				if isCleanUp(write) {
					seen++
				}
				return seen == cut
			}
		}
		if _, err := w.run(action, "", -1); err != nil && !last {
			t.Fatalf("%s: %v", action, err)
		} else if last && err == nil {
			return true
		}
	}
	w.Stop = nil
	w.nothingLost()
	w.At = w.At.Add(5 * time.Minute) // the run that was cut counts as alive for a while
	report, err := w.run(rotate.Status, "", -1)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.NextSteps) == 0 { // the last write was the end
		w.ends(first[len(first)-1] == rotate.Abort, old)
		return false
	}
	back := then == rotate.Abort
	if !report.UnderWay { // the rotation has ended, and only its locks are left
		back = first[len(first)-1] == rotate.Abort
	}
	w.Stop = func(write string) bool {
		for _, p := range w.Mesh {
			for _, what := range modeltest.Lost(p.Secrets(), old) {
				t.Errorf("after %s: %s: %s", write, p.Name, what)
			}
		}
		return false
	}
	var said []string
	w.said = &said
	if report, err := w.run(then, "", -1); err != nil {
		t.Fatalf("%s: %v (%v)", then, err, report.Waiting)
	}
	if told := strings.Contains(strings.Join(said, "\n"), "The rotation has ended with the CA"); told == report.UnderWay {
		t.Errorf("under way %t: %q", report.UnderWay, said)
	}
	w.ends(back, old)
	return false
}
