package drainrecord

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

func example(services int) *Record {
	r := &Record{ID: "abc", Cluster: "us", ClusterUID: "u", State: Draining, By: "alice on laptop", Manager: "mesh-svc", Since: time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)}
	var entries []Entry
	for n := range services {
		e := Entry{Key: routing.Key{Namespace: fmt.Sprintf("team-%d", n%40), Name: fmt.Sprintf("service-with-a-name-%d", n)}, UID: uuid.NewUUID()}
		if n%10 == 0 {
			e.Former = ptr.To("true")
		}
		entries = append(entries, e)
	}
	r.Put(entries...)
	return r
}

// TestRoundTrip: what is stored comes back, absent and empty values apart, up to more Services than a cluster has.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3000, 20000} {
		want := example(n)
		if n > 0 {
			want.Entries[0].Former = ptr.To("")
		}
		cm, err := want.configMap()
		if err != nil {
			t.Fatal(err)
		}
		if size := cm.Size(); size > 1<<20 {
			t.Errorf("%d Services take %d bytes; a ConfigMap holds %d", n, size, 1<<20)
		} else {
			t.Logf("%d Services take %d bytes", n, size)
		}
		got, err := parse(cm)
		if err != nil || len(got.Entries) != n {
			t.Fatalf("%d entries of %d, %v", len(got.Entries), n, err)
		}
		if n > 3000 {
			continue // comparing takes long and shows no more
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Record{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%d: %s", n, d)
		}
	}
	if _, err := example(48000).configMap(); err == nil || !strings.Contains(err.Error(), "a ConfigMap holds") {
		t.Errorf("what does not fit: %v", err)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	r := &Record{}
	b, a := routing.Key{Namespace: "n", Name: "b"}, routing.Key{Namespace: "n", Name: "a"}
	r.Put(Entry{Key: b, UID: "1"}, Entry{Key: a, UID: "2"})
	r.Put(Entry{Key: b, UID: "3", Former: ptr.To("true")})
	want := []Entry{{Key: a, UID: "2"}, {Key: b, UID: "3", Former: ptr.To("true")}}
	if d := cmp.Diff(want, r.Entries); d != "" {
		t.Error(d)
	}
	if e := r.Find(b); e == nil || e.UID != types.UID("3") || r.Find(routing.Key{Namespace: "n", Name: "c"}) != nil {
		t.Errorf("found %v", e)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	if got := Name("us-east-1"); got != "kubectl-mesh-drain-us-east-1" {
		t.Error(got)
	}
	upper, dot := Name("US"), Name("u.s")
	if upper == Name("us") || upper == dot || strings.ToLower(upper) != upper {
		t.Errorf("%s, %s", upper, dot)
	}
}

// TestParseRefusesWhatIsNotWhole: half of the previous values must not pass for all.
func TestParseRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*corev1.ConfigMap)
		want  string
	}{
		"a newer layout": {func(cm *corev1.ConfigMap) { cm.Data[keyLayout] = "v2" }, "newer version"},
		"no state":       {func(cm *corev1.ConfigMap) { delete(cm.Data, keyState) }, "not complete"},
		"no id":          {func(cm *corev1.ConfigMap) { delete(cm.Data, keyID) }, "not complete"},
		"no entries":     {func(cm *corev1.ConfigMap) { cm.BinaryData = nil }, keyEntries},
		"cut off":        {func(cm *corev1.ConfigMap) { cm.BinaryData[keyEntries] = cm.BinaryData[keyEntries][:30] }, keyEntries},
		"another count":  {func(cm *corev1.ConfigMap) { cm.Data[keyCount] = "7" }, `says that it holds "7" Services and holds 2`},
		"no time":        {func(cm *corev1.ConfigMap) { cm.Data[keySince] = "yesterday" }, "since"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm, err := example(2).configMap()
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(cm)
			if _, err := parse(cm); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	cm, err := example(3).configMap()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cm.BinaryData[keyEntries], "3")
	f.Add([]byte("{}"), "0")
	f.Fuzz(func(t *testing.T, raw []byte, count string) {
		cm, err := example(0).configMap()
		if err != nil {
			t.Fatal(err)
		}
		cm.BinaryData[keyEntries], cm.Data[keyCount] = raw, count
		r, err := parse(cm)
		if err != nil {
			return
		}
		for _, e := range r.Entries {
			if e.Namespace == "" || e.Name == "" {
				t.Errorf("an entry that names nothing was accepted: %+v", e)
			}
		}
	})
}

func TestStore(t *testing.T) {
	t.Parallel()
	m := &clusters.Member{Name: "eu", CiliumNamespace: "cilium", Client: fake.NewClientset()}
	empty := &clusters.Member{Name: "ap", CiliumNamespace: "kube-system", Client: fake.NewClientset()}
	dead := &clusters.Member{Name: "sa", Err: &failure.Error{Class: failure.Refused, Err: errors.New("no")}}
	rec := example(3)
	if err := rec.Create(t.Context(), m, false); err != nil {
		t.Fatal(err)
	}
	if err := example(1).Create(t.Context(), m, false); !errors.Is(err, ErrTaken) {
		t.Errorf("a second record: %v", err)
	}
	found, unread := Search(t.Context(), []*clusters.Member{empty, m, dead}, time.Minute, "us")
	if len(found) != 1 || len(unread) != 1 || !strings.Contains(unread[0].Error(), `cluster "sa"`) {
		t.Fatalf("found %v, unread %v", found, unread)
	}
	if d := cmp.Diff(rec, found[0], cmpopts.IgnoreUnexported(Record{}), cmpopts.IgnoreFields(Record{}, "Member")); d != "" || found[0].Member != m {
		t.Error(d)
	}
	if want := "configmap cilium/kubectl-mesh-drain-us of cluster eu"; found[0].Place() != want {
		t.Errorf("place %q, want %q", found[0].Place(), want)
	}
	found[0].State = Drained
	if err := found[0].Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, _ := Search(t.Context(), []*clusters.Member{m}, time.Minute, "us"); again[0].State != Drained || len(again[0].Entries) != 3 {
		t.Errorf("%+v", again[0])
	}
	for range 2 { // a record that is gone is not an error
		if err := found[0].Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if found, _ := Search(t.Context(), []*clusters.Member{m}, time.Minute, "us"); len(found) != 0 {
		t.Errorf("still there: %v", found)
	}
}

// TestOthers: the records of other clusters are found by their label or, where ConfigMaps may not be listed, by the names of those that are read.
func TestOthers(t *testing.T) {
	t.Parallel()
	forbid := func(verb string) k8stesting.ReactionFunc {
		return func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(corev1.Resource("configmaps"), "", errors.New(verb))
		}
	}
	member := func(name string, without ...string) *clusters.Member {
		api := fake.NewClientset()
		for _, verb := range without {
			api.PrependReactor(verb, "configmaps", forbid(verb))
		}
		return &clusters.Member{Name: name, CiliumNamespace: "cilium", Client: api}
	}
	us, eu, ap := member("us"), member("eu", "list"), member("ap", "list", "get")
	for cluster, in := range map[string]*clusters.Member{"us": eu, "eu": us, "ap": eu, "gone": us} {
		rec := example(1)
		rec.Cluster = cluster
		if err := rec.Create(t.Context(), in, false); err != nil {
			t.Fatal(err)
		}
	}
	found, hidden, unread := Others(t.Context(), []*clusters.Member{us, eu, ap}, time.Minute, "us")
	var got []string
	for _, r := range found {
		got = append(got, r.Cluster+" in "+r.Member.Name)
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"ap in eu", "eu in us", "gone in us"}, got); d != "" || !slices.Equal(hidden, []string{"ap"}) || len(unread) != 0 {
		t.Errorf("%s; hidden %v, unread %v", d, hidden, unread)
	}
}
