package ca_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// schedule lets one run make some requests, then the other one some, and then both go on at the same time.
type schedule struct {
	mu    sync.Mutex
	turns [2]int // requests that a run may make in its turn
	turn  int    // whose turn it is; 2 for both
	waits *sync.Cond
}

func newSchedule(first, second int) *schedule {
	s := &schedule{turns: [2]int{first, second}}
	s.waits = sync.NewCond(&s.mu)
	return s
}

// request waits until a run may make its next request.
func (s *schedule) request(run int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.turn < run {
		s.waits.Wait()
	}
	if s.turn != run {
		return
	}
	if s.turns[run] == 0 {
		s.next(run)
		for run == 0 && s.turn == 1 { // the first one waits for the turn of the second
			s.waits.Wait()
		}
		return
	}
	s.turns[run]--
}

func (s *schedule) next(run int) {
	if s.turn == run {
		s.turn++
		s.waits.Broadcast()
	}
}

// done ends the turn of a run that has ended.
func (s *schedule) done(run int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next(run)
}

// TestField14SyncsInOppositeDirections runs two syncs, from us and from eu, and stops each of them at every request in turn. They never swap the CAs, at
// least one of them fails, and one that does not fail did what it says.
func TestField14SyncsInOppositeDirections(t *testing.T) {
	t.Parallel()
	cas := map[string]pkitest.CA{"us": pkitest.NewCA(t, pkitest.Spec{}), "eu": pkitest.NewCA(t, pkitest.Spec{})}
	const requests = 14 // more than one run makes
	both := 0
	for first := range requests {
		for second := range requests {
			failures := opposite(t, cas, first, second)
			switch failures {
			case 0:
				t.Errorf("stopped after %d and %d requests: both succeeded", first, second)
			case 2:
				both++
			}
		}
	}
	if both > 0 {
		t.Errorf("in %d of %d orders both runs failed; one must go through", both, requests*requests)
	}
}

// opposite carries out two plans and returns how many failed.
func opposite(t *testing.T, cas map[string]pkitest.CA, first, second int) int {
	t.Helper()
	servers := map[string]*catest.Server{}
	for name, own := range cas {
		servers[name] = catest.NewServer(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cilium-ca", Namespace: catest.Namespace, UID: types.UID(name), ResourceVersion: "7"}, Data: own.CASecret()})
	}
	s := newSchedule(first, second)
	from := []string{"us", "eu"}
	plans := make([]*ca.Plan, len(from))
	o := ca.Options{Timeout: time.Minute}
	ready := false
	for run := range from {
		member := func(name string) *clusters.Member {
			client := servers[name].Client(func() {
				if ready {
					s.request(run)
				}
			})
			return &clusters.Member{Name: name, Context: "kind-" + name, CiliumNamespace: catest.Namespace, Config: cilium.Config{ClusterName: name}, Client: client}
		}
		source, target := member(from[run]), member(from[1-run])
		states := ca.ReadAll(t.Context(), []*clusters.Member{source, target}, time.Minute).States
		p, err := ca.Sync(states[0], states[1:], o, pkitest.Now)
		if err != nil {
			t.Fatal(err)
		}
		p.ID = fmt.Sprint(run)
		plans[run] = p
	}
	ready = true
	errs := make([]error, len(from))
	var wg sync.WaitGroup
	for run, p := range plans {
		wg.Go(func() {
			defer s.done(run)
			errs[run] = errors.Join(p.Change().Preflight(t.Context(), change.Options{Timeout: time.Minute, AccessOnly: true}), p.Change().Apply(t.Context(), engine))
		})
	}
	wg.Wait()
	at := fmt.Sprintf("stopped after %d and %d requests (errors %v)", first, second, errs)
	now := map[string]string{}
	for name, server := range servers {
		secret := server.Secret("cilium-ca")
		for owner, authority := range cas {
			if bytes.Equal(secret.Data["ca.crt"], authority.CertPEM) && bytes.Equal(secret.Data["ca.key"], authority.KeyPEM) {
				now[name] = owner
			}
		}
		if len(secret.Annotations["mesh.kubectl.io/ca-change"]) > 0 {
			t.Errorf("%s: a mark is left in %s", at, name)
		}
	}
	if now["us"] == "eu" && now["eu"] == "us" {
		t.Errorf("%s: the CAs are swapped", at)
	}
	failures := 0
	for run, err := range errs {
		switch {
		case err != nil:
			failures++
		case now[from[1-run]] != from[run] || now[from[run]] != from[run]:
			t.Errorf("%s: sync from %s succeeded, and us has the CA of %s, eu that of %s", at, from[run], now["us"], now["eu"])
		}
	}
	return failures
}

// TestMarkByTheClockOfTheCluster: whether a run that marked a CA may still be at work does not depend on this machine's clock.
func TestMarkByTheClockOfTheCluster(t *testing.T) {
	t.Parallel()
	cas := map[string]pkitest.CA{"us": pkitest.NewCA(t, pkitest.Spec{}), "eu": pkitest.NewCA(t, pkitest.Spec{})}
	for name, c := range map[string]struct {
		ahead, age time.Duration // of the cluster's clock, and of the mark
		busy       bool
	}{
		"a cluster ahead": {20 * time.Minute, time.Minute, true}, "a cluster behind": {-20 * time.Minute, time.Minute, true},
		"an old mark, ahead": {20 * time.Minute, 15 * time.Minute, false}, "an old mark, behind": {-5 * time.Minute, 15 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := make([]*clusters.Member, 0, 2)
			for _, cluster := range []string{"us", "eu"} {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cilium-ca", Namespace: catest.Namespace, UID: types.UID(cluster), ResourceVersion: "7"}, Data: cas[cluster].CASecret()}
				if cluster == "us" {
					since := time.Now().Add(c.ahead - c.age).UTC().Format(time.RFC3339)
					secret.Annotations = map[string]string{"mesh.kubectl.io/ca-change": `{"id":"0","action":"sync","since":"` + since + `"}`}
				}
				m := &clusters.Member{Name: cluster, Context: "kind-" + cluster, CiliumNamespace: catest.Namespace, Config: cilium.Config{ClusterName: cluster}, Client: catest.NewServer(secret).Client(func() {})}
				members = append(members, m.WithSkew(clusters.Skew{Low: c.ahead, High: c.ahead}))
			}
			states := ca.ReadAll(t.Context(), members, time.Minute).States
			p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute}, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			p.ID = "1"
			err = errors.Join(p.Change().Preflight(t.Context(), change.Options{Timeout: time.Minute, AccessOnly: true}), p.Change().Apply(t.Context(), engine))
			if errors.Is(err, ca.ErrBusy) != c.busy || !c.busy && err != nil {
				t.Error(err)
			}
		})
	}
}
