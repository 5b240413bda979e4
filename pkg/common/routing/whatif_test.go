package routing

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// TestWhatIf: the snapshot that was read stays as it is, and what is not changed is in both.
func TestWhatIf(t *testing.T) {
	t.Parallel()
	a, b := Key{"n", "a"}, Key{"n", "b"}
	snap := &Snapshot{Clusters: []Cluster{
		{Name: "us", Services: map[Key]*Service{a: {Key: a, Endpoints: []Endpoint{{Ready: true, Pod: "1"}, {Serving: true, Terminating: true, Pod: "2"}}}, b: {Key: b}}},
		{Name: "eu", Services: map[Key]*Service{a: {Key: a, Type: "old"}}},
	}}
	other := snap.WithServices("us", map[Key]*Service{a: {Key: a, Type: "new"}})
	if other.Find("us").Services[a].Type != "new" || other.Find("us").Services[b] == nil || other.Find("eu").Services[a].Type != "old" {
		t.Errorf("with another Service: %+v", other.Find("us").Services)
	}
	lost := snap.WithoutEndpoints("us", a)
	if svc := lost.Find("us").Services[a]; len(svc.Endpoints) != 0 || lost.Find("us").Services[b] == nil || lost.Find("eu").Services[a].Type != "old" {
		t.Errorf("without endpoints: %+v", lost.Find("us").Services)
	}
	ready := snap.ReadyOnly([]Key{a})
	if left := ready.Find("us").Services[a].Endpoints; len(left) != 1 || left[0].Pod != "1" || ready.Find("us").Services[b] != nil {
		t.Errorf("the ready ones: %+v", left)
	}
	snap.Clusters[0].NamespacesHidden, snap.Clusters[0].Namespaces = true, map[string]map[string]string{"other": {"read": "too"}}
	snap.Clusters[1].NamespacesHidden = true
	assumed := snap.AssumeGates("eu")
	if us, eu := assumed.Find("us"), assumed.Find("eu"); us.Namespaces["n"][cilium.AnnotationNamespaceGlobal] != "false" || us.Namespaces["other"]["read"] != "too" ||
		eu.Namespaces["n"][cilium.AnnotationNamespaceGlobal] != "true" || us.NamespacesHidden || eu.NamespacesHidden || len(snap.Clusters[0].Namespaces) != 1 {
		t.Errorf("assumed gates: %v, %v", us.Namespaces, eu.Namespaces)
	}
	if len(snap.Find("us").Services[a].Endpoints) != 2 || snap.Find("us").Services[a].Type != "" || len(snap.Find("us").Services) != 2 {
		t.Errorf("what was read is changed: %+v", snap.Find("us").Services[a])
	}
}
