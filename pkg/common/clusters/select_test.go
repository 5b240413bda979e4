package clusters

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

func member(name string, id uint32, peers ...string) *Member {
	return &Member{Name: name, Context: "kind-" + name, UID: "uid-" + name, CiliumNamespace: "kube-system", Config: cilium.Config{ClusterName: name, ClusterID: id}, Peers: peers, PeersKnown: true}
}

func dead(context string, class failure.Class) *Member {
	return &Member{Name: context, Context: context, entry: entry{names: []string{context}}, Err: &failure.Error{Class: class, Err: errors.New("no answer")}}
}

func memberNames(ms []*Member) []string {
	var out []string
	for _, m := range ms {
		n := m.Name
		if m.Err != nil {
			n += "!" + string(m.Err.Class)
		}
		out = append(out, n)
	}
	return out
}

func TestJoinPeers(t *testing.T) {
	t.Parallel()
	home := member("us", 1, "ap", "eu")
	twin := member("eu", 2, "us")
	twin.Context, twin.UID = "other-eu", "uid-2"
	cases := map[string]struct {
		others []*Member
		want   []string
		warn   string
		err    string
	}{
		"all":                {[]*Member{member("eu", 2, "us", "ap"), member("ap", 3, "us", "eu")}, []string{"us", "ap", "eu"}, "", ""},
		"a stranger":         {[]*Member{member("eu", 2, "us"), member("ap", 3, "us"), member("test", 9, "us")}, []string{"us", "ap", "eu"}, "", ""},
		"not mutual":         {[]*Member{member("eu", 2), member("ap", 3, "us")}, []string{"us", "ap"}, "not the other way round", ""},
		"same id":            {[]*Member{member("eu", 1, "us"), member("ap", 3, "us")}, []string{"us", "ap"}, "same cluster id", ""},
		"no context for":     {[]*Member{member("eu", 2, "us")}, []string{"us", "eu"}, `peer "ap" has no context`, ""},
		"one is dead":        {[]*Member{member("eu", 2, "us"), dead("kind-ap", failure.Refused)}, []string{"us", "ap!refused", "eu"}, "", ""},
		"two are dead":       {[]*Member{dead("kind-eu", failure.Refused), dead("kind-ap", failure.Timeout)}, []string{"us", "ap!timeout", "eu!refused"}, "", ""},
		"two of one are":     {[]*Member{member("ap", 3, "us"), dead("kind-eu", failure.Refused), dead("eu-cp1", failure.Timeout)}, []string{"us", "ap", "eu!error"}, "", ""},
		"strangers are dead": {[]*Member{dead("old", failure.Refused), dead("older", failure.Timeout)}, []string{"us", "ap!kubeconfig", "eu!kubeconfig"}, "", ""},
		"unrelated dead":     {[]*Member{member("eu", 2, "us"), member("ap", 3, "us"), dead("old", failure.Timeout)}, []string{"us", "ap", "eu"}, "", ""},
		"two candidates":     {[]*Member{member("eu", 2, "us"), twin}, nil, "", `may be context "kind-eu" or "other-eu"`},
		"nobody":             {[]*Member{member("test", 9)}, []string{"us", "ap!kubeconfig", "eu!kubeconfig"}, "", ""},
		"without cilium":     {[]*Member{member("eu", 2, "us"), member("ap", 3, "us"), dead("plain", failure.NoCilium)}, []string{"us", "ap", "eu"}, "", ""},
		"peers of it hidden": {[]*Member{{Name: "eu", Context: "kind-eu", Config: cilium.Config{ClusterID: 2}}, member("ap", 3, "us")}, []string{"us", "ap", "eu"}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &Warnings{}
			got, err := joinPeers(home, c.others, w)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if d := cmp.Diff(c.want, memberNames(got)); d != "" {
				t.Error(d)
			}
			if lines := strings.Join(w.Lines(), "\n"); !strings.Contains(lines, c.warn) {
				t.Errorf("warnings %q, want %q", lines, c.warn)
			}
		})
	}
}

func TestCollapse(t *testing.T) {
	t.Parallel()
	second := member("us", 1)
	second.Context = "admin-us"
	for current, want := range map[string]string{"": "kind-us", "kind-us": "kind-us", "admin-us": "admin-us"} {
		w := &Warnings{}
		got := collapse([]*Member{member("us", 1), second, member("eu", 2)}, current, nil, w)
		if len(got) != 2 || got[0].Context != want {
			t.Errorf("current %q: %v", current, got[0].Context)
		}
		if len(w.Lines()) != 1 {
			t.Error("no warning")
		}
		sel := &Selection{Members: got}
		for _, alias := range []string{"kind-us", "admin-us"} {
			if ms, err := sel.Resolve("--in", []string{alias}); err != nil || ms[0] != got[0] {
				t.Errorf("%s: %v", alias, err)
			}
		}
	}
}

func TestCollapseKeepsWhatWorks(t *testing.T) {
	t.Parallel()
	for _, current := range []string{"", "dev-eu"} {
		broken := dead("dev-eu", failure.Forbidden)
		broken.UID = "uid-eu"
		got := collapse([]*Member{member("us", 1), broken, member("eu", 2)}, current, nil, &Warnings{})
		if len(got) != 2 || got[1].Context != "kind-eu" {
			t.Errorf("current %q: %v", current, memberNames(got))
		}
	}
}

// TestSingleFlagsStayAtHome: a token for one cluster must not be sent to another one.
func TestSingleFlagsStayAtHome(t *testing.T) {
	t.Setenv("KUBECONFIG", writeConfig(t, t.TempDir(), "c", "a", "a=https://127.0.0.1:1", "b=https://127.0.0.1:2"))
	f := NewFlags()
	f.Config.BearerToken = ptr.To("secret")
	if _, err := f.Select(t.Context()); err == nil || !strings.Contains(err.Error(), "--token cannot be used with a mesh") {
		t.Errorf("error %v", err)
	}
}

func TestNameUnread(t *testing.T) {
	t.Parallel()
	ms := []*Member{member("us", 1, "eu", "ap"), dead("kind-eu", failure.Refused), member("ap", 3, "us", "eu")}
	nameUnread(ms)
	if ms[1].Name != "eu" {
		t.Errorf("the unread member is called %q", ms[1].Name)
	}
	ms = []*Member{member("us", 1, "eu", "ap"), dead("a", failure.Refused), dead("b-eu", failure.Refused), dead("c-eu", failure.Refused)}
	nameUnread(ms)
	if d := cmp.Diff([]string{"us", "a!refused", "b-eu!refused", "c-eu!refused"}, memberNames(ms)); d != "" {
		t.Error(d)
	}
}

// TestUniqueNames: a cluster keeps its Cilium name unless another cluster has it. The context of a member whose name is not known is not such a name.
func TestUniqueNames(t *testing.T) {
	t.Parallel()
	in := func(context string, m *Member) *Member { m.Context = context; return m }
	const shared = `more than one cluster is called "default"; they are shown by their contexts`
	cases := map[string]struct {
		members []*Member
		want    []string
		warn    []string
	}{
		"each its own": {[]*Member{member("us", 1), member("eu", 2), dead("ap", failure.Refused)}, []string{"us", "eu", "ap!refused"}, nil},
		"the context of a dead member": {[]*Member{member("us", 1, "eu"), dead("eu", failure.Refused), in("eu-direct", member("eu", 2, "us"))},
			[]string{"us", "context/eu!refused", "eu"}, []string{`context "eu" is shown as "context/eu", because another cluster is called "eu"`}},
		"and of one without Cilium": {[]*Member{in("eu-direct", member("eu", 2, "us")), dead("eu", failure.NoCilium)},
			[]string{"eu", "context/eu!no-cilium"}, []string{`context "eu" is shown as "context/eu", because another cluster is called "eu"`}},
		"that label is a context too": {[]*Member{member("eu", 2), dead("eu", failure.Refused), dead("context/eu", failure.Refused)},
			[]string{"eu", "context/eu!refused", "context/context/eu!refused"}, []string{`context "eu" is shown as "context/eu", because another cluster is called "eu"`,
				`context "context/eu" is shown as "context/context/eu", because another cluster is called "context/eu"`}},
		"one name twice": {[]*Member{in("a", member("default", 0)), in("b", member("default", 0)), member("eu", 2)}, []string{"a", "b", "eu"}, []string{shared}},
		"one name twice, and a dead context of that name": {[]*Member{in("a", member("default", 0)), in("b", member("default", 0)), dead("default", failure.Refused)},
			[]string{"a", "b", "context/default!refused"}, []string{shared, `context "default" is shown as "context/default", because another cluster is called "default"`}},
		"one name twice, in the context of another name": {[]*Member{in("us", member("default", 0)), in("eu", member("default", 0)), member("us", 1)},
			[]string{"context/us", "eu", "us"}, []string{shared, `context "us" is shown as "context/us", because another cluster is called "us"`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &Warnings{}
			nameUnread(c.members)
			uniqueNames(c.members, w)
			if d := cmp.Diff(c.want, memberNames(c.members)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.warn, w.Lines()); d != "" {
				t.Error(d)
			}
			for _, m := range c.members {
				if m.Err != nil && m.Identified() {
					t.Errorf("%s: its new name counts as one that Cilium knows", m.Name)
				}
			}
		})
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	odd := member("kind-us", 4)
	odd.Context = "x"
	sel := &Selection{Members: []*Member{member("us", 1), member("eu", 2), odd}}
	got, err := sel.Resolve("--in", []string{"eu", "kind-eu", "us"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"eu", "us"}, memberNames(got)); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{"ap": `--in: no cluster "ap"`, "kind-us": "means both"} {
		if _, err := sel.Resolve("--in", []string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*Flags){
		"--contexts and --all-contexts": func(f *Flags) { f.Contexts, f.AllContexts = []string{"a"}, true },
		"--context and --contexts":      func(f *Flags) { f.Contexts, f.Config.Context = []string{"a"}, ptr.To("b") },
		"--cluster-timeout":             func(f *Flags) { f.Timeout = 0 },
		"empty name":                    func(f *Flags) { f.Contexts = []string{"a", ""} },
	} {
		f := NewFlags()
		set(f)
		if err := f.validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
