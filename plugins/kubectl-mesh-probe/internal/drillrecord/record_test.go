package drillrecord

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

func sample() *Record {
	return &Record{
		ID: "7f", Service: routing.Key{Namespace: "shop", Name: "web"}, Cluster: "us", ClusterUID: "uid-us", With: Scale, By: "alice on laptop",
		Since:   time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC),
		Changes: []Change{{Kind: "deployment", Name: "web", UID: "u1", Field: FieldReplicas, Before: ptr.To("3"), After: ptr.To("0")}},
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	shared := sample()
	shared.With, shared.Changes = Shared, []Change{{Kind: "service", Name: "web", UID: "u2", Field: FieldShared, After: ptr.To("false")}}
	evict := sample()
	evict.With, evict.Changes = Evict, []Change{{Kind: "pod", Name: "web-1", UID: "u3"}, {Kind: "pod", Name: "web-2", UID: "u4"}}
	for _, want := range []*Record{sample(), shared, evict} {
		cm, err := want.configMap()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(cm)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Record{})); d != "" {
			t.Error(d)
		}
	}
}

// A record that was cut off or edited is not read, so that nothing is written where no drill wrote.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(map[string]string){
		"another layout":  func(d map[string]string) { d[keyLayout] = "v2" },
		"no id":           func(d map[string]string) { delete(d, keyID) },
		"no cluster":      func(d map[string]string) { delete(d, keyCluster) },
		"another Service": func(d map[string]string) { d[keyService] = "api" },
		"no time":         func(d map[string]string) { d[keySince] = "yesterday" },
		"another way":     func(d map[string]string) { d[keyWith] = "delete" },
		"cut off":         func(d map[string]string) { d[keyChanges] = d[keyChanges][:20] },
		"empty":           func(d map[string]string) { d[keyChanges] = "[]" },
		"another kind": func(d map[string]string) {
			d[keyChanges] = `[{"kind":"secret","name":"web","uid":"1","field":"spec.replicas"}]`
		},
		"another field": func(d map[string]string) {
			d[keyChanges] = `[{"kind":"deployment","name":"web","uid":"1","field":"spec.paused"}]`
		},
		"no uid": func(d map[string]string) {
			d[keyChanges] = `[{"kind":"deployment","name":"web","field":"spec.replicas","before":"1","after":"0"}]`
		},
		"no replicas": func(d map[string]string) {
			d[keyChanges] = `[{"kind":"deployment","name":"web","uid":"1","field":"spec.replicas","before":null,"after":"0"}]`
		},
		"negative replicas": func(d map[string]string) {
			d[keyChanges] = `[{"kind":"deployment","name":"web","uid":"1","field":"spec.replicas","before":"-1","after":"0"}]`
		},
		"twice": func(d map[string]string) {
			d[keyWith], d[keyChanges] = "evict", `[{"kind":"pod","name":"a","uid":"1"},{"kind":"pod","name":"a","uid":"1"}]`
		},
		"shared of another": func(d map[string]string) {
			d[keyWith], d[keyChanges] = "shared", `[{"kind":"service","name":"api","uid":"1","field":"service.cilium.io/shared"}]`
		},
		"a change of other ways": func(d map[string]string) { d[keyWith] = "evict" },
	} {
		cm, err := sample().configMap()
		if err != nil {
			t.Fatal(err)
		}
		edit(cm.Data)
		if got, err := parse(cm); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	cm, err := sample().configMap()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cm.Data[keyChanges], cm.Data[keyWith], cm.Data[keySince])
	f.Add(`[{"kind":"pod","name":"a","uid":"1"}]`, "evict", "2026-11-29T12:00:00Z")
	f.Add(`[{"kind":"service","name":"web","uid":"1","field":"service.cilium.io/shared","before":"true","after":"false"}]`, "shared", "2026-11-29T12:00:00Z")
	f.Fuzz(func(t *testing.T, changes, with, since string) {
		data := map[string]string{keyLayout: layout, keyID: "1", keyService: "web", keyCluster: "us", keyWith: with, keySince: since, keyChanges: changes}
		r, err := parse(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: Name("web")}, Data: data})
		if err != nil {
			return
		}
		for _, c := range r.Changes {
			if len(fields[r.With][c.Kind]) == 0 || c.Name == "" || c.UID == "" {
				t.Errorf("%+v", c)
			}
		}
		again, err := r.configMap()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(again)
		if d := cmp.Diff(r, got, cmpopts.IgnoreUnexported(Record{}), cmpopts.EquateApproxTime(time.Second)); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	})
}
