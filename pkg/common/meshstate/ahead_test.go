package meshstate

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// lists counts how often a server was asked for Services.
func lists(s *server) int {
	n := 0
	for _, a := range s.Actions() {
		if a.Matches("list", "services") {
			n++
		}
	}
	return n
}

// TestAhead: what was read ahead is not read again, what the selection left out does not count, and names are those of the selection.
func TestAhead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		namespace string
		want      []int // how often us, eu, ap and other are asked
	}{
		"read ahead":           {"shop", []int{1, 2, 1, 1}},
		"of another namespace": {"default", []int{2, 2, 1, 1}},
		"of all":               {"", []int{2, 2, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu, ap, other := newServer(webService()), newServer(webService()), newServer(webService()), newServer(webService())
			refused := false
			eu.PrependReactor("list", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
				if refused {
					return false, nil, nil
				}
				refused = true
				return true, nil, apierrors.NewUnauthorized("the credentials have expired")
			})
			us.PrependReactor("*", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "", errors.New("not yours"))
			})
			a := NewAhead(t.Context(), time.Minute)
			defer a.Stop()
			for _, m := range []*clusters.Member{us.member("us"), eu.member("eu"), other.member("other")} {
				a.Start(m, Query{Namespace: "shop"})
				<-a.begun[m.Context].done
			}
			renamed := us.member("us").Called("kind-us")
			members := []*clusters.Member{renamed, eu.member("eu"), ap.member("ap")}
			st := a.Read(t.Context(), members, Query{Namespace: c.namespace})
			if len(st.Errors) > 0 || len(st.Clusters) != 3 || st.Clusters[0].Name != "kind-us" || !st.Clusters[0].NamespacesHidden || st.Clusters[1].NamespacesHidden {
				t.Errorf("%v, %+v", st.Errors, st.Clusters)
			}
			if d := cmp.Diff(c.want, []int{lists(us), lists(eu), lists(ap), lists(other)}); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"kind-us: " + ungated}, clusters.TakeUnseen(st.Members)); d != "" {
				t.Error(d)
			}
		})
	}
}
