package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/proc"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

var errNoPrograms = errors.New("there are no programs in this test")

// noPrograms fails a lab at the point where it would run something.
type noPrograms struct{}

func (noPrograms) Ensure(context.Context, build.Group) (string, error) { return "", errNoPrograms }

func (noPrograms) ModuleDir(context.Context, build.Group, string) (string, error) {
	return "", errNoPrograms
}

func testManager(t *testing.T) (*Manager, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return &Manager{Dir: state.Dir(filepath.Join(t.TempDir(), "lab")), Programs: noPrograms{}, Log: &log}, &log
}

func TestSpecDefaults(t *testing.T) {
	t.Parallel()
	l, err := Spec{}.lab("/lab")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range l.Clusters {
		got = append(got, c.Name+" "+c.CiliumVersion+" "+c.Install)
	}
	if diff := cmp.Diff([]string{"us 1.18.11 helm", "eu 1.18.11 helm", "ap 1.18.11 helm"}, got); diff != "" {
		t.Errorf("clusters (-want +got):\n%s", diff)
	}
	if !l.Connected || !l.Net || time.Duration(l.PropagationDelay) != 100*time.Millisecond {
		t.Errorf("connected %v, net %v, delay %v", l.Connected, l.Net, time.Duration(l.PropagationDelay))
	}
}

func TestSpecByName(t *testing.T) {
	t.Parallel()
	l, err := Spec{
		Clusters:      []string{"a", "b"},
		CiliumVersion: map[string]string{"": "1.19.5", "b": "1.20.2"},
		Install:       map[string]string{"a": "certgen"},

		KubernetesVersion: map[string]string{"b": "1.34.4"},
	}.lab("/lab")
	if err != nil {
		t.Fatal(err)
	}
	a, b := l.Clusters[0], l.Clusters[1]
	got := []string{a.CiliumVersion, a.Install, a.KubernetesVersion, b.CiliumVersion, b.Install, b.KubernetesVersion}
	if diff := cmp.Diff([]string{"1.19.5", "certgen", "1.37.2", "1.20.2", "helm", "1.34.4"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, versions := range map[string]map[string]string{
		`--kubernetes-version names cluster "mars"`:                          {"mars": "1.34.4"},
		`cluster "us": --kubernetes-version is "1.2.3"; want 1.34.4 or 1.37`: {"": "1.2.3"},
	} {
		if _, err := (Spec{KubernetesVersion: versions}).lab("/lab"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, want %s", versions, err, want)
		}
	}
}

func TestSpecOfTheChooser(t *testing.T) {
	t.Parallel()
	no := false
	for name, tc := range map[string]struct {
		spec Spec
		want string // versions, or an error
	}{
		"nothing asked for":     {Spec{}, "rules 1.18.11"},
		"the rules":             {Spec{Chooser: "rules", CiliumVersion: map[string]string{"": "1.16.1"}}, "rules 1.16.1"},
		"Cilium":                {Spec{Chooser: "cilium"}, "cilium 1.20.2"},
		"Cilium, another patch": {Spec{Chooser: "cilium", CiliumVersion: map[string]string{"": "1.20.0"}}, "cilium 1.20.0"},
		"Cilium, another minor": {Spec{Chooser: "cilium", CiliumVersion: map[string]string{"b": "1.19.5"}}, `cluster "b": --cilium-version 1.19.5: --chooser=cilium runs the code of Cilium 1.20.2`},
		"Cilium without nodes":  {Spec{Chooser: "cilium", Net: &no}, "--chooser=cilium and --no-net cannot be used together"},
		"somebody else":         {Spec{Chooser: "me"}, `--chooser is "me"; want rules or cilium`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.spec.Clusters = []string{"a", "b"}
			l, err := tc.spec.lab("/lab")
			got := fmt.Sprint(err)
			if err == nil {
				got = l.Chooser + " " + l.Clusters[1].CiliumVersion
			}
			if !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSpecCompatible(t *testing.T) {
	t.Parallel()
	there, err := Spec{CiliumVersion: map[string]string{"eu": "1.20.2"}}.lab("/lab")
	if err != nil {
		t.Fatal(err)
	}
	no, delay := false, 5*time.Second
	for name, tc := range map[string]struct {
		spec Spec
		want string
	}{
		"nothing asked for":    {Spec{}, ""},
		"the same":             {Spec{Clusters: []string{"us", "eu", "ap"}, CiliumVersion: map[string]string{"eu": "1.20.2"}}, ""},
		"other clusters":       {Spec{Clusters: []string{"us", "eu"}}, "with the clusters us,eu,ap is there already, not us,eu"},
		"another order":        {Spec{Clusters: []string{"eu", "us", "ap"}}, "not eu,us,ap"},
		"another version":      {Spec{CiliumVersion: map[string]string{"": "1.18.11"}}, `cluster "eu" has Cilium 1.20.2, not 1.18.11`},
		"version of nobody":    {Spec{CiliumVersion: map[string]string{"mars": "1.18.11"}}, `names cluster "mars"`},
		"another Kubernetes":   {Spec{KubernetesVersion: map[string]string{"eu": "1.34.4"}}, `cluster "eu" has Kubernetes 1.37.2, not 1.34.4`},
		"Kubernetes of nobody": {Spec{KubernetesVersion: map[string]string{"mars": "1.34.4"}}, `--kubernetes-version names cluster "mars"`},
		"another way":          {Spec{Install: map[string]string{"us": "certgen"}}, `"us" was installed by helm, not certgen`},
		"not connected":        {Spec{Connected: &no}, "--connect=true"},
		"without nodes":        {Spec{Net: &no}, "--net=true"},
		"another chooser":      {Spec{Chooser: "cilium"}, "a lab is there already with --chooser=rules"},
		"another delay":        {Spec{PropagationDelay: &delay}, "propagation delay of 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.spec.compatible(there)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestDownLeavesNothing(t *testing.T) {
	t.Parallel()
	m, _ := testManager(t)
	if _, err := m.Up(t.Context(), Spec{}); !errors.Is(err, errNoPrograms) {
		t.Fatalf("up: %v", err)
	}
	if _, err := m.Dir.Read(); err != nil {
		t.Fatalf("a lab that failed to start leaves its files for a look at the logs: %v", err)
	}
	if err := m.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(string(m.Dir)) {
		t.Error("the state directory is still there")
	}
	if err := m.Down(t.Context()); err != nil {
		t.Errorf("down once more: %v", err)
	}
}

func TestUpRemovesALabThatDied(t *testing.T) {
	t.Parallel()
	m, log := testManager(t)
	for range 2 {
		if _, err := m.Up(t.Context(), Spec{}); !errors.Is(err, errNoPrograms) {
			t.Fatalf("up: %v", err)
		}
		// Must not be in the way: the lab is dead, whatever its clusters are called.
		if err := os.WriteFile(m.Dir.LabFile(), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Up(t.Context(), Spec{Clusters: []string{"a", "b"}}); !errors.Is(err, errNoPrograms) {
		t.Fatalf("up: %v", err)
	}
	if got := strings.Count(log.String(), "removing what is left of a lab that died"); got != 2 {
		t.Errorf("said %d times that a dead lab is removed, want 2:\n%s", got, log)
	}
	if exists(m.Dir.ClusterDir("us")) || !exists(m.Dir.ClusterDir("a")) {
		t.Error("want the files of the new lab alone")
	}
}

func TestFailedUpLeavesARunningLabAlone(t *testing.T) {
	t.Parallel()
	m, _ := testManager(t)
	if _, err := m.Up(t.Context(), Spec{}); !errors.Is(err, errNoPrograms) {
		t.Fatalf("up: %v", err)
	}
	net, err := proc.Spawn(proc.Command{
		Path: "/bin/sleep", Args: []string{"600"}, Dir: t.TempDir(), Log: m.Dir.NetLog(), PIDFile: m.Dir.NetPID(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = net.Signal(unix.SIGKILL) })
	if _, err := m.Up(t.Context(), Spec{}); !errors.Is(err, errNoPrograms) {
		t.Fatalf("up: %v", err)
	}
	if got := net.Condition(); got != proc.Running {
		t.Errorf("the network of the lab that ran is %s", got)
	}
	if err := m.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := net.Condition(); got != proc.Gone {
		t.Errorf("after down the network is %s", got)
	}
}

func TestSomebodyElsesDirectory(t *testing.T) {
	t.Parallel()
	m, _ := testManager(t)
	// As /etc looks on a machine with Kubernetes.
	precious := []string{"kubernetes/pki/ca.key", "kubeconfig", "lab.json"}
	for _, name := range precious {
		file := filepath.Join(string(m.Dir), name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Down(t.Context()); err != nil {
		t.Errorf("down: %v", err)
	}
	if _, err := m.Up(t.Context(), Spec{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("up: want a refusal, got %v", err)
	}
	for _, name := range precious {
		if !exists(filepath.Join(string(m.Dir), name)) {
			t.Errorf("%s was removed", name)
		}
	}
}

func TestCommandsWithoutALab(t *testing.T) {
	t.Parallel()
	m, _ := testManager(t)
	for name, err := range map[string]error{
		"stop": m.Stop(t.Context(), "us", false), "start": m.Start(t.Context(), "us"), "freeze": m.Freeze("us"), "thaw": m.Thaw("us"),
	} {
		if !errors.Is(err, state.ErrNoLab) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if exists(string(m.Dir)) {
		t.Error("asking made a state directory")
	}
}

func TestUnknownCluster(t *testing.T) {
	t.Parallel()
	m, _ := testManager(t)
	if _, err := m.Up(t.Context(), Spec{}); !errors.Is(err, errNoPrograms) {
		t.Fatalf("up: %v", err)
	}
	if err := m.Stop(t.Context(), "kind-us", false); !errors.Is(err, ErrNoSuchCluster) {
		t.Errorf("stop by context name: %v", err)
	}
	if err := m.Freeze("us"); err == nil || !strings.Contains(err.Error(), "meshlab start us") {
		t.Errorf("freeze of what does not run: %v", err)
	}
}

func TestPoll(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	close(ended)
	never := func() bool { return false }
	if err := poll(t.Context(), ended, never); !errors.Is(err, errEnded) {
		t.Errorf("a process that ended: %v", err)
	}
	if err := poll(t.Context(), nil, func() bool { return true }); err != nil {
		t.Errorf("ready at once: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := poll(canceled, nil, never); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if err := poll(late, nil, never); !errors.Is(err, errNotReady) {
		t.Errorf("too late: %v", err)
	}
}
