package clusters

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// TestField15WhichContextOfACluster: of two contexts of one cluster the user's choice comes first, then the current one, then one that may do what is asked.
func TestField15WhichContextOfACluster(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1, "eu")
	eu := newFakeAPI(t, "eu", 2, "us")
	eu.denied = map[string][]string{"viewer": {"secrets", "services"}, "nobody": {"configmaps", "namespaces"}, "half": {"services"}}
	cases := map[string]struct {
		contexts []string // --contexts
		current  string
		tokens   map[string]string // the contexts of eu
		in       string
		want     string // the context of eu that lists Services in the end
		fails    bool
	}{
		"the first by name is forbidden":        {nil, "us", map[string]string{"a-eu": "half", "b-eu": "admin"}, "", "b-eu", false},
		"the first by name sees less":           {nil, "us", map[string]string{"a-eu": "viewer", "b-eu": "admin"}, "", "b-eu", false},
		"the first by name may not be read":     {nil, "us", map[string]string{"a-eu": "nobody", "b-eu": "admin"}, "", "b-eu", false},
		"all may":                               {nil, "us", map[string]string{"a-eu": "admin", "b-eu": "admin"}, "", "a-eu", false},
		"the current one":                       {[]string{"*"}, "b-eu", map[string]string{"a-eu": "admin", "b-eu": "admin"}, "", "b-eu", false},
		"the current one, although another may": {[]string{"*"}, "a-eu", map[string]string{"a-eu": "half", "b-eu": "admin"}, "", "a-eu", true},
		"named before a glob":                   {[]string{"us", "b-eu", "*"}, "us", map[string]string{"a-eu": "admin", "b-eu": "admin"}, "", "b-eu", false},
		"named, although another may":           {[]string{"us", "b-eu", "*"}, "us", map[string]string{"a-eu": "admin", "b-eu": "half"}, "", "b-eu", true},
		"named before the current one":          {[]string{"*", "b-eu"}, "a-eu", map[string]string{"a-eu": "admin", "b-eu": "admin"}, "", "b-eu", false},
		"named but not to be read":              {[]string{"us", "b-eu", "*"}, "us", map[string]string{"a-eu": "admin", "b-eu": "nobody"}, "", "a-eu", false},
		"--in names it":                         {nil, "us", map[string]string{"a-eu": "admin", "b-eu": "admin"}, "b-eu", "b-eu", false},
		"--in names it, although it may not":    {nil, "us", map[string]string{"a-eu": "admin", "b-eu": "half"}, "b-eu", "b-eu", true},
		"--in names the cluster":                {nil, "us", map[string]string{"a-eu": "half", "b-eu": "admin"}, "eu", "b-eu", false},
		"nobody may":                            {nil, "us", map[string]string{"a-eu": "half", "b-eu": "half"}, "", "a-eu", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKubeconfig(c.current)
			k.api("us", us, "x")
			for context, token := range c.tokens {
				k.api(context, eu, token)
			}
			sel, err := k.flags(t, c.contexts...).Select(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(sel.Members) != 2 {
				t.Fatalf("%v", described(sel))
			}
			who := "eu"
			if c.in != "" {
				who = c.in
			}
			found, err := sel.Resolve("--in", []string{who})
			if err != nil {
				t.Fatal(err)
			}
			eu := found[0]
			r := fanout.Each(t.Context(), []*Member{eu}, DefaultTimeout, func(ctx context.Context, m *Member) (struct{}, error) {
				_, err := m.Client.CoreV1().Services("kube-system").Get(ctx, "web", metav1.GetOptions{})
				if failure.Classify(err).Class == failure.NotFound {
					err = nil
				}
				return struct{}{}, err
			})
			if eu.Context != c.want || (r[0].Err != nil) != c.fails {
				t.Errorf("context %q, %v; want %q, failing %t", eu.Context, r[0].Err, c.want, c.fails)
			}
			// The other one is still a name of the cluster.
			for context := range c.tokens {
				if _, err := sel.Resolve("--in", []string{context}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestField15HomeStaysFirst: a context of the first named cluster that is dropped does not make another cluster home.
func TestField15HomeStaysFirst(t *testing.T) {
	t.Parallel()
	us, eu := newFakeAPI(t, "us", 1, "eu"), newFakeAPI(t, "eu", 2, "us")
	us.denied = map[string][]string{"nobody": {"configmaps", "namespaces"}}
	k := newKubeconfig("")
	k.api("us-ro", us, "nobody")
	k.api("eu", eu, "x")
	k.api("us-admin", us, "x")
	sel, err := k.flags(t, "us-ro", "eu", "us-admin").Select(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if home := sel.Home(); home.Name != "us" || home.Context != "us-admin" || len(sel.Members) != 2 {
		t.Errorf("home is %s; %v", home.Label(), described(sel))
	}
}
