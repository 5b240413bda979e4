package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// Change is a command that writes, for CheckFaults.
type Change struct {
	// Mesh returns a new mesh, each time the same.
	Mesh func(t *testing.T) *Mesh
	// Command runs in that mesh; its arguments are those of a command that is not asked anything.
	Command func(m *Mesh) Command
	Args    []string
	// Content is what an object of a report holds, for comparing; "" where it does not exist. It does not count locks and the like.
	Content func(t *testing.T, m *Mesh, c v1alpha1.Change) string
}

// CheckFaults makes every fault happen at every write of a command, and holds what the command reports to what is really there. These are the promises
// of every command that writes:
//
//   - changed means that the object is as it was to become, planned that it is as it was;
//   - what cannot be read back is unknown; the command stops there;
//   - an answer that does not tell is read back, and unknown only if that fails too;
//   - Ctrl-C lets the write end, so that its outcome is known, and then stops;
//   - a report is complete only if nothing is unknown and nothing is left; what is left says so;
//   - the exit code is 0 for all or nothing to do, 130 after Ctrl-C, else 1.
func CheckFaults(t *testing.T, c Change) {
	t.Helper()
	whole := c.run(t, c.Mesh(t), 0, "")
	if whole.result.Code != 0 || !whole.doc.Complete {
		t.Fatalf("without a fault: exit code %d\n%s", whole.result.Code, whole.result.ErrOut)
	}
	for _, fault := range Faults {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			for at := 1; at <= whole.writes; at++ {
				r := c.run(t, c.Mesh(t), at, fault)
				for _, problem := range c.problems(t, r, whole, at, fault) {
					t.Errorf("at write %d of %d: %s", at, whole.writes, problem)
				}
			}
		})
	}
}

// CheckUnconfirmed holds a command that nobody confirms to a document that says so, and to changing nothing. Its arguments are without --yes.
func CheckUnconfirmed(t *testing.T, c Change) {
	t.Helper()
	r := c.run(t, c.Mesh(t), 0, "")
	if r.result.Code != 1 || r.doc.Complete || len(r.doc.Changes) == 0 || r.writes > 0 {
		t.Errorf("exit code %d, complete %v, %d changes, %d writes\n%s", r.result.Code, r.doc.Complete, len(r.doc.Changes), r.writes, r.result.ErrOut)
	}
	for _, change := range r.doc.Changes {
		if change.Result != v1alpha1.ResultPlanned || !strings.Contains(change.Message, "not written") {
			t.Errorf("%s %s: %s %q", change.Cluster, change.Object, change.Result, change.Message)
		}
	}
}

// outcome is one run of a command.
type outcome struct {
	mesh   *Mesh
	writes int
	result Result
	doc    v1alpha1.ChangeReport
}

func (c Change) run(t *testing.T, m *Mesh, at int, fault Fault) outcome {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.Break(at, fault, cancel)
	o := outcome{mesh: m, result: c.Command(m).Run(ctx, t, append(c.Args, "-o", "json", "--cluster-timeout", "1m")...)}
	o.writes = m.Writes()
	m.Revive()
	if err := json.Unmarshal([]byte(o.result.Out), &o.doc); err != nil {
		t.Fatalf("%s at write %d: no document: %v\n%s%s", fault, at, err, o.result.Out, o.result.ErrOut)
	}
	return o
}

// problems compares what a command reported with what is there. whole is the run without a fault.
func (c Change) problems(t *testing.T, r, whole outcome, at int, fault Fault) []string {
	t.Helper()
	before, count := c.Mesh(t), map[string]int{}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, change := range r.doc.Changes {
		count[change.Result]++
		is, was, will := c.Content(t, r.mesh, change), c.Content(t, before, change), c.Content(t, whole.mesh, change)
		name := change.Cluster + " " + change.Object + " (" + change.Result + ")"
		switch change.Result {
		case v1alpha1.ResultChanged:
			if is != will {
				add("%s is not as it was to become", name)
			}
		case v1alpha1.ResultPlanned, v1alpha1.ResultFailed:
			if is != was {
				add("%s is not as it was", name)
			}
		}
		if change.Result == v1alpha1.ResultPlanned && !strings.Contains(change.Message, "not written") {
			add("%s does not say that it was not written: %q", name, change.Message)
		}
	}
	left := count[v1alpha1.ResultPlanned] + count[v1alpha1.ResultUnknown]
	if r.doc.Complete != (left == 0) {
		add("complete is %v, and %d are planned or unknown", r.doc.Complete, left)
	}
	if cleanup := len(r.mesh.Members); count[v1alpha1.ResultFailed] > 0 && r.writes > at+cleanup {
		add("%d writes, although the command had to stop", r.writes)
	}
	unknown := count[v1alpha1.ResultUnknown] > 0
	if readable := fault != CutBefore && fault != CutAfter && fault != Blind; readable && unknown {
		add("an outcome is unknown although everything can be read")
	}
	code := 1
	switch {
	case fault == Interrupt:
		code = 130
	case left == 0 && count[v1alpha1.ResultFailed] == 0 && (fault == ErrorAfter || fault == LostAfter):
		code = 0
	}
	if blindAtTheEnd := fault == Blind && left == 0; r.result.Code != code && !blindAtTheEnd {
		add("exit code %d, want %d", r.result.Code, code)
	}
	return out
}
