package clusters

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFound: each member is told of while another one still does not answer, and one context of each cluster.
func TestFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		contexts []string
		want     []string // in any order, but for the last
	}{
		"the mesh of the current context": {nil, []string{"us", "eu", "ap"}},
		"named contexts":                  {[]string{"us", "eu", "ap", "eu-again"}, []string{"us", "eu", "ap"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu, ap, other := newFakeAPI(t, "us", 1, "eu", "ap"), newFakeAPI(t, "eu", 2, "us", "ap"), newFakeAPI(t, "ap", 3, "us", "eu"), newFakeAPI(t, "other", 4)
			two := make(chan struct{})
			ap.before = func(r *http.Request) {
				select {
				case <-two:
				case <-r.Context().Done():
				}
			}
			k := newKubeconfig("us")
			k.api("us", us, "x")
			k.api("eu", eu, "x")
			k.api("eu-again", eu, "y")
			k.api("ap", ap, "x")
			k.api("other", other, "x")
			var got []string
			var once sync.Once
			sel, err := k.flags(t).SelectIn(t.Context(), func(home, m *Member) {
				if home.Context != "us" || m.Err != nil || m.Client == nil {
					t.Errorf("home %s, %s: %v", home.Context, m.Context, m.Err)
				}
				got = append(got, m.Name)
				if m.Name = "changed"; len(got) == 2 { // it is a copy
					once.Do(func() { close(two) })
				}
			}, c.contexts...)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 3 && got[0] == "eu" {
				got[0], got[1] = got[1], got[0]
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if len(sel.Members) != 3 || sel.Members[0].Name != "us" {
				t.Errorf("%v", described(sel))
			}
		})
	}
}

// TestFoundNothing: a cluster without peers is not the mesh that was asked for, so that nothing of it is read.
func TestFoundNothing(t *testing.T) {
	t.Parallel()
	k := newKubeconfig("us")
	k.api("us", newFakeAPI(t, "us", 1), "x")
	_, err := k.flags(t).SelectIn(t.Context(), func(_, m *Member) { t.Errorf("told of %s", m.Name) })
	if err == nil {
		t.Error("no error")
	}
}
