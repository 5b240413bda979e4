package drillrecord

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// What is stored under the name of a record is the record, that of another drill, or the record as somebody edited it.
func TestNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(cm *corev1.ConfigMap) // nil deletes it
		gone bool
		err  error
	}{
		"as it was":                      {func(*corev1.ConfigMap) {}, false, nil},
		"deleted":                        {nil, true, nil},
		"another drill":                  {func(cm *corev1.ConfigMap) { cm.UID, cm.Data[keyID] = "2", "other" }, true, nil},
		"stored again":                   {func(cm *corev1.ConfigMap) { cm.UID = "2" }, false, nil},
		"edited, another id":             {func(cm *corev1.ConfigMap) { cm.Data[keyID] = "other" }, false, nil},
		"edited, no changes":             {func(cm *corev1.ConfigMap) { delete(cm.Data, keyChanges) }, false, nil},
		"another one that is unreadable": {func(cm *corev1.ConfigMap) { cm.UID, cm.Data = "2", nil }, false, ErrUnreadable},
	} {
		cm, err := sample().configMap()
		if err != nil {
			t.Fatal(err)
		}
		cm.UID, cm.ResourceVersion = "1", "7"
		r, err := read(&clusters.Member{Name: "us"}, cm)
		if err != nil {
			t.Fatal(err)
		}
		api := fake.NewClientset()
		if c.edit != nil {
			cm.ResourceVersion = "8"
			c.edit(cm)
			if _, err := api.CoreV1().ConfigMaps("shop").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		r.Member = &clusters.Member{Name: "us", Client: api}
		now, err := r.Now(t.Context())
		if !errors.Is(err, c.err) || (now == nil) != (c.gone || c.err != nil) {
			t.Errorf("%s: %+v, %v", name, now, err)
		}
		if now != nil && (now.version != "8" || now.uid != cm.UID || len(now.Changes) != 1 || now.ID != "7f") {
			t.Errorf("%s: %+v", name, now)
		}
	}
}
