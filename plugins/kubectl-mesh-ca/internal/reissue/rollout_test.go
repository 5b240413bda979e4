package reissue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// TestDeadNode: a node that is not ready does not keep agents from restarting, and where nothing is due, nothing is done because of it.
func TestDeadNode(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand", "eu": "hand"})
	w.dead = map[string]bool{"eu": true}
	must(t, w.Sleep(context.Background(), 0))
	report, err := w.reissue(reissue.Config{Means: w.means(true, false)})
	if err != nil || !report.Complete {
		t.Fatal(err, report.Waiting)
	}
	w.ends(true)
	if diff := cmp.Diff([]string{"restart us", "restart eu", "agents us", "agents eu"}, w.log); diff != "" {
		t.Error(diff)
	}
	noted := func(line string) bool { return strings.Contains(line, "eu: node node-3 is not ready") }
	if n := slices.IndexFunc(w.said, noted); n < 0 || slices.ContainsFunc(w.said[n+1:], noted) {
		t.Errorf("%q", w.said)
	}
	// The pod that ends on that node is still counted by the DaemonSet.
	writes := w.mesh.Writes()
	if report, err := w.reissue(reissue.Config{Means: w.means(true, false)}); err != nil || !report.Complete || w.mesh.Writes() != writes {
		t.Errorf("again: %v, %v, %q", err, report.Waiting, w.said)
	}
}

// TestUnavailableAgents: where nothing is due, agents that are not available for another reason are not this command's either.
func TestUnavailableAgents(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	for name, edit := range map[string]func(*appsv1.DaemonSet){
		"not available": func(d *appsv1.DaemonSet) { d.Status.UpdatedNumberScheduled = 3 },
		"OnDelete": func(d *appsv1.DaemonSet) {
			d.Spec.UpdateStrategy.Type, d.Status.UpdatedNumberScheduled = appsv1.OnDeleteDaemonSetStrategyType, 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(string) catest.Install {
				return catest.Install{CA: &one, Method: "hand", EtcdStarted: pkitest.Now, Workloads: func(mesh *appsv1.Deployment, d *appsv1.DaemonSet) {
					mesh.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
					d.Status.DesiredNumberScheduled, d.Status.NumberAvailable = 3, 2
					edit(d)
				}}
			}, "us", "eu")
			w.declines = true
			if report, err := w.reissue(reissue.Config{Means: w.means(true, false)}); err != nil || len(report.Changes) > 0 || len(w.said) > 0 {
				t.Errorf("%v, %q", err, w.said)
			}
		})
	}
}

// TestStuckAgents: a roll-out of agents that does not end in one cluster keeps that cluster waiting, and no other one.
func TestStuckAgents(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand", "eu": "hand", "ap": "hand"})
	w.stuck = map[string]bool{"us": true}
	report, err := w.reissue(reissue.Config{Means: w.means(true, false)})
	if !errors.Is(err, reissue.ErrWaiting) || !strings.Contains(err.Error(), "the agents in us were not restarted") || report.Complete || len(report.Waiting) == 0 {
		t.Fatal(err, report.Waiting)
	}
	if diff := cmp.Diff([]string{"restart us", "restart eu", "restart ap", "agents eu", "agents ap"}, w.log); diff != "" {
		t.Error(diff)
	}
	w.stuck = nil
	if report, err := w.reissue(reissue.Config{Means: w.means(true, false)}); err != nil || !report.Complete {
		t.Fatal(err, report.Waiting)
	}
	w.ends(true)
}
