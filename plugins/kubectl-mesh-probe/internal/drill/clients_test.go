package drill

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
)

// Without a client pod in one of the clusters, or with a client that is itself a backend, nobody is asked.
func TestNoClient(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"nobody": "use --from-clusters to choose the clusters", "web-1-a": "client pod web-1-a in us is one of the pods that the drill removes"} {
		f, ui := fakeMesh(t), &screen{}
		c := Config{Place: place(f), Write: writer(), With: drillrecord.Scale}
		c.Probe.Clients.From = podexec.Ref{Kind: "pod", Name: name}
		if _, err := Run(t.Context(), c, ui); err == nil || !strings.Contains(err.Error(), want) || ui.asked != 0 {
			t.Errorf("%s: %v, asked %d times", name, err, ui.asked)
		}
	}
}

// With several client pods, none of them may be a backend.
func TestOneOfManyClientsIsABackend(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	team := map[string]string{"team": "shop"}
	for _, api := range f.API {
		set, err := api.AppsV1().ReplicaSets("shop").Get(t.Context(), "web-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		set.Spec.Selector = &metav1.LabelSelector{MatchLabels: team}
		if _, err := api.AppsV1().ReplicaSets("shop").Update(t.Context(), set, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"client", "web-1-a"} {
			p, err := api.CoreV1().Pods("shop").Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p.Labels = labels.Merge(p.Labels, team)
			if _, err := api.CoreV1().Pods("shop").Update(t.Context(), p, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	writes := f.Writes()
	c := Config{Place: place(f), Write: writer(), With: drillrecord.Scale}
	c.Probe.Clients.From, c.Probe.Clients.Which = podexec.Ref{Kind: "replicaset", Name: "web-1"}, podexec.EveryReady
	_, err := Run(t.Context(), c, ui)
	if err == nil || !strings.Contains(err.Error(), "client pod web-1-a in us is one of the pods that the drill removes") || ui.asked != 0 || f.Writes() != writes {
		t.Errorf("%v, asked %d times", err, ui.asked)
	}
}

// TestDrillAfterAKilledOne: the backends that a killed drill took away are missing, and its record has the way out.
func TestDrillAfterAKilledOne(t *testing.T) {
	t.Parallel()
	for _, w := range []drillrecord.With{drillrecord.Scale, drillrecord.Shared} {
		f := fakeMesh(t)
		killed := drillOn(t, f, w, &screen{})
		if err := killed.takeAway(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, pod := range []string{"web-1-a", "db-0"} {
			if err := f.API["us"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "shop", pod); err != nil {
				t.Fatal(err)
			}
		}
		c := Config{Place: place(f), Write: writer(), With: w}
		sel, err := c.Select(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again := &run{Config: c, ui: &screen{}, sel: sel, namespace: "shop"}
		if err := errors.Join(again.find(t.Context()), again.findClients()); err != nil {
			t.Fatal(err)
		}
		if err := again.plan(t.Context()); err == nil || !strings.Contains(err.Error(), "was not finished") || !strings.Contains(err.Error(), "--repair --in us") {
			t.Errorf("%s: %v", w, err)
		}
	}
}
