package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// severalRun is a probe with two client pods in us and one in eu.
func severalRun(t *testing.T, ui UI) *run {
	t.Helper()
	r := fieldRun(t, ui, "us", "eu")
	members := r.mesh.selection.Members
	r.sources, r.clients = nil, nil
	r.addSources(members[0], podexec.Found{Pods: []podexec.Pod{{Name: "a"}, {Name: "b"}}, NotReady: 1})
	r.addSources(members[1], podexec.Found{Pods: []podexec.Pod{{Name: "a"}}})
	for _, c := range r.clients {
		c.result = sender.Result{Complete: true, Start: time.Unix(1, 0), End: time.Unix(2, 0)}
	}
	return r
}

func TestClientNames(t *testing.T) {
	t.Parallel()
	var ui screen
	r := severalRun(t, &ui)
	var names, places []string
	for _, c := range r.clients {
		names, places = append(names, c.name), append(places, c.where())
	}
	if d := cmp.Diff([]string{"us/a", "us/b", "eu"}, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"client us/a", "client us/b", "cluster eu"}, places); d != "" {
		t.Error(d)
	}
	if !strings.Contains(ui.String(), "that are not ready, and so send no requests: 1.") {
		t.Errorf("%q", ui.String())
	}
	var doc []string
	for _, c := range r.clients {
		d := c.describe(r.mesh.members)
		doc = append(doc, d.Name+" "+d.Cluster+" "+d.Pod+" "+where(d))
	}
	if d := cmp.Diff([]string{"us/a us a client us/a", "us/b us b client us/b", "eu eu a cluster eu"}, doc); d != "" {
		t.Error(d)
	}
}

// TestChecksOfSeveralClients: each check names its client pod, and that of a silent one does not count for the other pod of its cluster.
func TestChecksOfSeveralClients(t *testing.T) {
	t.Parallel()
	var ui screen
	r := severalRun(t, &ui)
	r.services[0].expect, _ = judge.ParseExpectations([]string{"errors<1%"}, r.mesh.members, false)
	var clients []string
	for _, c := range r.clients {
		for _, k := range r.describeChecks(c) {
			clients = append(clients, k.Client)
		}
	}
	if d := cmp.Diff([]string{"us/a", "us/b", "eu"}, clients); d != "" {
		t.Error(d)
	}
	silent := failing("us", "dns")
	silent.Name = "us/a"
	failed, _ := countChecks(v1alpha1.ProbeReport{Checks: []v1alpha1.ProbeCheck{check("us/a", judge.Fail), check("us/b", judge.Fail)}}, []v1alpha1.ProbeClient{silent})
	if failed != 1 {
		t.Errorf("%d checks failed, want that of us/b only", failed)
	}
	_, err := r.conclude(t.Context(), v1alpha1.ProbeReport{Clients: []v1alpha1.ProbeClient{silent, failing("us", "dns")}})
	if err == nil || !strings.HasPrefix(err.Error(), "client us/a: no request was answered from 2 client pods: ") {
		t.Errorf("error %v", err)
	}
}

// TestCaveatsOfACluster are reported once, however many of its pods send requests; those of a pod are reported with the pod.
func TestCaveatsOfACluster(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us")
	r.sources, r.clients = nil, nil
	r.addSources(r.mesh.selection.Members[0], podexec.Found{Pods: []podexec.Pod{{Name: "a", HostNetwork: true}, {Name: "b"}}})
	if got := ui.String(); strings.Count(got, "Warning: client us/a: pod a uses the network of its node") != 1 || strings.Contains(got, "us/b") {
		t.Errorf("%q", got)
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  Config
		want time.Duration
	}{
		"short":    {Config{Send: sender.Config{Count: 400, Rate: 200}, MaxCount: 10000}, time.Hour},
		"long":     {Config{Send: sender.Config{Duration: 3 * time.Hour}}, 6 * time.Hour},
		"slow":     {Config{Send: sender.Config{Count: 400, Rate: 0.1}, MaxCount: 1000}, 20000 * time.Second},
		"no limit": {Config{Send: sender.Config{Count: 400}}, time.Hour},
		"settle":   {Config{Send: sender.Config{Duration: time.Hour}, Settle: time.Minute}, 2*time.Hour + settleRounds*time.Minute},
	} {
		if got := lifetime(c.cfg); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestExplainSuggestsAClient: only where there is none yet, and where the command can have one.
func TestExplainSuggestsAClient(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{wire.ErrNoShell, tool.ErrNoTool, tool.ErrNoDialer} {
		c := &source{member: &clusters.Member{Name: "us"}, name: "us", pod: podexec.Pod{Namespace: "shop", Name: "a"}}
		if got := c.explain(cause, Clients{}).Error(); !strings.Contains(got, "--client=ephemeral --image IMAGE") || !strings.Contains(got, "--client=pod --image IMAGE") {
			t.Error(got)
		}
		if got := c.explain(cause, Clients{NoHelper: true}).Error(); strings.Contains(got, "--client") || !strings.HasSuffix(got, "or another pod with --from") {
			t.Error(got)
		}
		c.helper = &helper.Helper{}
		if got := c.explain(tool.ErrNoTool, Clients{}).Error(); !strings.HasSuffix(got, "use an --image with curl or wget") {
			t.Error(got)
		}
		if got := c.explain(tool.ErrNoDialer, Clients{}).Error(); !strings.HasSuffix(got, "use an --image with bash, nc or curl") {
			t.Error(got)
		}
		if got := c.explain(wire.ErrNoShell, Clients{}).Error(); strings.Contains(got, "--container") || !strings.Contains(got, "use an --image with sh") {
			t.Error(got)
		}
	}
}

// TestHelperThatIsLeft: a helper pod that could not be removed is not a success.
func TestHelperThatIsLeft(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us")
	r.left = 1
	if _, err := r.conclude(t.Context(), v1alpha1.ProbeReport{Clients: []v1alpha1.ProbeClient{answering("us")}}); err == nil || err.Error() != "helper pods that could not be removed: 1" {
		t.Errorf("error %v", err)
	}
}

func TestAccessesOf(t *testing.T) {
	t.Parallel()
	base := len(Accesses())
	for want, kinds := range map[int][]string{base: nil, base + 1: {"ephemeral"}, base + 5: {"pod"}, base + 6: {"pod", "ephemeral"}} {
		got, err := AccessesOf(kinds)
		if err != nil || len(got) != want {
			t.Errorf("%v: %d rules, want %d: %v", kinds, len(got), want, err)
		}
	}
	if _, err := AccessesOf([]string{"vm"}); err == nil {
		t.Error("a client of no kind")
	}
}
