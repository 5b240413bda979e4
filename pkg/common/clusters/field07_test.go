package clusters

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// described returns what a selection calls its members: name, context and whether it was read.
func described(sel *Selection) []string {
	var out []string
	for _, m := range sel.Members {
		line := m.Label()
		if m.Err != nil {
			line += " unread"
		}
		out = append(out, line)
	}
	return out
}

func everything(sel *Selection) string {
	lines := sel.Warnings
	for _, m := range sel.Failed() {
		lines = append(lines, m.Label()+": "+m.Err.Error())
	}
	return strings.Join(lines, "\n")
}

// TestField07AContextKeepsItsName: one peer is missing and one context cannot be read; only the context's own entries can say that it is that peer.
func TestField07AContextKeepsItsName(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1, "eu")
	token := &clientcmdapi.AuthInfo{Token: "of-us"}
	oidc := &clientcmdapi.AuthInfo{AuthProvider: &clientcmdapi.AuthProviderConfig{Name: "none"}}
	cases := map[string]struct {
		context, cluster string // names of the entries of the context that cannot be read
		user             string
		auth             *clientcmdapi.AuthInfo
		ca               []byte
		want             string // what its member is called, "" for a peer without a context
	}{
		"Rancher's direct context of us":     {"us-cp1", "us-cp1", "us", token, us.ca(), ""},
		"the same with a user of its own":    {"us-cp1", "us-cp1", "us-cp1", &clientcmdapi.AuthInfo{Token: "x"}, us.ca(), ""},
		"a name that says nothing":           {"old", "old", "old", &clientcmdapi.AuthInfo{Token: "x"}, nil, ""},
		"eu in another word":                 {"neutral", "feudal", "museum", &clientcmdapi.AuthInfo{Token: "x"}, nil, ""},
		"eu is the region":                   {"arn:aws:eks:eu-west-1:1:cluster/test", "arn:aws:eks:eu-west-1:1:cluster/test", "test", &clientcmdapi.AuthInfo{Token: "x"}, nil, ""},
		"the region of Google":               {"gke_eu_europe-west1_test", "gke_eu_europe-west1_test", "test", &clientcmdapi.AuthInfo{Token: "x"}, nil, ""},
		"both names":                         {"us-to-eu", "tunnel", "tunnel", &clientcmdapi.AuthInfo{Token: "x"}, nil, ""},
		"eu by name, but with us's CA":       {"eu", "eu", "eu", &clientcmdapi.AuthInfo{Token: "x"}, us.ca(), ""},
		"eu by name, but with us's token":    {"eu", "eu", "eu", token, nil, ""},
		"the context says it":                {"kind-eu", "c", "u", &clientcmdapi.AuthInfo{Token: "x"}, nil, "eu (context kind-eu) unread"},
		"the cluster entry says it":          {"backup", "EU", "u", &clientcmdapi.AuthInfo{Token: "x"}, nil, "eu (context backup) unread"},
		"the user entry says it":             {"backup", "c", "admin@eu", &clientcmdapi.AuthInfo{Token: "x"}, nil, "eu (context backup) unread"},
		"the name of EKS":                    {"arn:aws:eks:us-east-1:1:cluster/eu", "arn:aws:eks:us-east-1:1:cluster/eu", "u", &clientcmdapi.AuthInfo{Token: "x"}, nil, "eu (context arn:aws:eks:us-east-1:1:cluster/eu) unread"},
		"a login for all clusters, shared":   {"eu", "eu", "oidc", oidc, nil, "eu unread"},
		"the context is called as the peer":  {"eu", "eu", "eu", &clientcmdapi.AuthInfo{Token: "x"}, nil, "eu unread"},
		"the same, with a CA of its own too": {"eu", "eu", "eu", &clientcmdapi.AuthInfo{Token: "x"}, []byte("-----BEGIN CERTIFICATE-----\nanother one\n-----END CERTIFICATE-----\n"), "eu unread"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKubeconfig("us")
			k.add("us", us.URL, us.ca(), token)
			k.Clusters[c.cluster] = &clientcmdapi.Cluster{Server: nobody, CertificateAuthorityData: c.ca}
			k.AuthInfos[c.user] = c.auth
			k.Contexts[c.context] = &clientcmdapi.Context{Cluster: c.cluster, AuthInfo: c.user}
			want := []string{"us", c.want}
			named := c.want
			if c.want == "" {
				want[1], named = "eu unread", c.context+" unread"
			}

			// The mesh of the current context: us is shown, and eu is a member that was not read.
			sel, err := k.flags(t).Select(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, described(sel)); d != "" {
				t.Errorf("the mesh: %s", d)
			}
			if c.want == "" {
				eu := sel.Members[1]
				if eu.Context != "" || eu.Err.Class == failure.Refused {
					t.Errorf("eu got the context %q and the class %s", eu.Context, eu.Err.Class)
				}
				if said := everything(sel); !strings.Contains(said, c.context) || !strings.Contains(said, "--contexts") {
					t.Errorf("said: %s", said)
				}
			}

			// The same contexts by name, and all of them.
			for _, all := range []bool{false, true} {
				f := k.flags(t, "us", c.context)
				if all {
					f.Contexts, f.AllContexts = nil, true
				}
				sel, err := f.Select(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var dead string
				for _, line := range described(sel) {
					if strings.HasSuffix(line, "unread") {
						dead = line
					}
				}
				if dead != named {
					t.Errorf("all %t: %q, want %q", all, dead, named)
				}
			}
		})
	}
}

// TestField07HomeIsShownWithoutAPeer: where no context belongs to a peer, home is shown, and each peer is a member that was not read.
func TestField07HomeIsShownWithoutAPeer(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1, "ap", "eu")
	other := newFakeAPI(t, "test", 9)
	k := newKubeconfig("us")
	k.api("us", us, "x")
	k.api("test", other, "x")
	sel, err := k.flags(t).Select(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"us", "ap unread", "eu unread"}, described(sel)); d != "" {
		t.Error(d)
	}
	if said := everything(sel); !strings.Contains(said, "--contexts") {
		t.Errorf("said: %s", said)
	}
	if home := sel.Home(); home == nil || home.Name != "us" || home.Err != nil {
		t.Errorf("home %+v", home)
	}
}

// TestField07SeveralContextsOfAPeer: Rancher's file of eu, of which no context answers, is one peer, and nobody knows through which context.
func TestField07SeveralContextsOfAPeer(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1, "ap", "eu")
	k := newKubeconfig("us")
	k.api("us", us, "x")
	for _, name := range []string{"eu", "eu-cp1", "ap"} {
		k.add(name, nobody, nil, &clientcmdapi.AuthInfo{Token: name})
	}
	sel, err := k.flags(t).Select(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"us", "ap unread", "eu unread"}, described(sel)); d != "" {
		t.Error(d)
	}
	ap, eu := sel.Members[1], sel.Members[2]
	if ap.Context != "ap" || ap.Err.Class != failure.Refused || eu.Context != "" || !strings.Contains(eu.Err.Error(), "eu-cp1") {
		t.Errorf("ap is context %q (%s), eu is context %q: %s", ap.Context, ap.Err.Class, eu.Context, eu.Err)
	}
}

// TestField07WarningsBesideAnError: what was found out before an error is reported too.
func TestField07WarningsBesideAnError(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1, "eu")
	us.denied = map[string][]string{"": {"namespaces"}, "x": {"namespaces"}}
	alone := newFakeAPI(t, "alone", 1)
	alone.denied = us.denied
	twin, other := newFakeAPI(t, "eu", 2, "us"), newFakeAPI(t, "eu", 3, "us")
	other.uid = "uid-other"
	cases := map[string]struct {
		home *fakeAPI
		err  string
	}{
		"home has no peers": {alone, "has no peers"},
		"two candidates":    {us, "may be context"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKubeconfig("home")
			k.api("home", c.home, "x")
			k.api("a", twin, "a")
			k.api("b", other, "b")
			f := k.flags(t)
			f.Config.Context = ptr.To("home")
			sel, err := f.Select(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v", err)
			}
			if sel == nil || !strings.Contains(strings.Join(sel.Warnings, "\n"), "cannot determine whether another context is the same cluster") {
				t.Errorf("the warnings are lost: %+v", sel)
			}
		})
	}
}
