// Package drillrecord keeps what a drill changes, with the previous values, in a ConfigMap in the namespace of the Service in the drilled cluster.
// There --repair finds it from any machine, whatever happened to the command that stored it. The package knows the API and the layout of the
// ConfigMap; its callers decide what is restored.
package drillrecord

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// With is how a drill takes the backends away.
type With string

// The ways.
const (
	// Scale scales the workloads of the Service's pods to 0.
	Scale With = "scale"
	// Evict evicts the Service's pods.
	Evict With = "evict"
	// Shared stops offering the Service's endpoints to other clusters.
	Shared With = "shared"
)

// Ways are all of them.
func Ways() []With { return []With{Scale, Evict, Shared} }

// Change is one value that a drill overwrites.
type Change struct {
	// Kind is deployment, statefulset, replicaset, service or pod, and Field what is changed: spec.replicas, or an annotation's key. A pod has
	// no field: it is evicted, and what controls it replaces it.
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	UID   types.UID `json:"uid"`
	Field string    `json:"field,omitempty"`
	// Before is the previous value and After the one that the drill writes; nil is absent.
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// Record is everything that is needed to restore what a drill changed.
type Record struct {
	ID         string // of this drill
	Service    routing.Key
	Cluster    string // Cilium's name of the drilled cluster
	ClusterUID string // to tell whether it was rebuilt; empty if it could not be read
	With       With
	By         string // who drills, and on which machine
	Since      time.Time
	Changes    []Change

	// Where it is stored; set once it was read or stored.
	Member  *clusters.Member
	uid     types.UID
	version string
}

// Who says who began the drill, and when.
func (r *Record) Who() string {
	return fmt.Sprintf("%s at %s", cmp.Or(r.By, "somebody"), r.Since.UTC().Format(time.RFC3339))
}

// Place says where the record is stored.
func (r *Record) Place() string {
	return fmt.Sprintf("configmap %s/%s of cluster %s", r.Service.Namespace, Name(r.Service.Name), r.Member.Name)
}

// Rebuilt reports whether a cluster is not the one that the record was stored in.
func (r *Record) Rebuilt(m *clusters.Member) bool {
	return r.ClusterUID != "" && m.UID != "" && r.ClusterUID != m.UID
}

// Touches reports whether the record changes an object.
func (r *Record) Touches(kind, name string) bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Kind == kind && c.Name == name })
}

// Name returns the name of the ConfigMap for a Service, whose own name has at most 63 characters.
func Name(service string) string { return "kubectl-mesh-drill-" + service }

// The layout of the ConfigMap.
const (
	layout         = "v1"
	keyLayout      = "layout"
	keyID          = "id"
	keyService     = "service"
	keyCluster     = "cluster"
	keyClusterUID  = "clusterUID"
	keyWith        = "with"
	keyBy          = "by"
	keySince       = "since"
	keyChanges     = "changes.json"
	labelManagedBy = "app.kubernetes.io/managed-by"
	// LabelDrill marks the records, with the name of the Service.
	LabelDrill = "mesh.kubectl.io/drill"
)

// configMap returns the record as it is stored.
func (r *Record) configMap() (*corev1.ConfigMap, error) {
	changes, err := json.Marshal(r.Changes)
	if err != nil {
		return nil, err
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Service.Namespace, Name: Name(r.Service.Name),
			Labels: map[string]string{labelManagedBy: "kubectl-mesh-probe", LabelDrill: r.Service.Name},
		},
		Data: map[string]string{
			keyLayout: layout, keyID: r.ID, keyService: r.Service.Name, keyCluster: r.Cluster, keyClusterUID: r.ClusterUID, keyWith: string(r.With),
			keyBy: r.By, keySince: r.Since.UTC().Format(time.RFC3339), keyChanges: string(changes),
		},
	}, nil
}

// fields are, for each kind, the fields that a drill may change. A record that was edited must not lead to a write elsewhere.
var fields = map[With]map[string][]string{
	Scale:  {"deployment": {FieldReplicas}, "statefulset": {FieldReplicas}, "replicaset": {FieldReplicas}},
	Evict:  {"pod": {""}},
	Shared: {"service": {FieldShared}},
}

// FieldReplicas is the field that a drill with scale changes, and FieldShared the annotation that one with shared does.
const (
	FieldReplicas = "spec.replicas"
	FieldShared   = "service.cilium.io/shared"
)

// parse reads a record from its ConfigMap.
func parse(cm *corev1.ConfigMap) (*Record, error) {
	d := cm.Data
	if d[keyLayout] != layout {
		return nil, fmt.Errorf("its layout is %q, and this version reads %q", d[keyLayout], layout)
	}
	r := &Record{
		ID: d[keyID], Service: routing.Key{Namespace: cm.Namespace, Name: d[keyService]}, Cluster: d[keyCluster], ClusterUID: d[keyClusterUID],
		With: With(d[keyWith]), By: d[keyBy], uid: cm.UID, version: cm.ResourceVersion,
	}
	var err error
	if r.Since, err = time.Parse(time.RFC3339, d[keySince]); err != nil {
		return nil, fmt.Errorf("%s: %w", keySince, err)
	}
	switch {
	case r.ID == "" || r.Cluster == "":
		return nil, errors.New("it is not complete")
	case Name(r.Service.Name) != cm.Name:
		return nil, fmt.Errorf("it is the record of Service %q", r.Service.Name)
	case fields[r.With] == nil:
		return nil, fmt.Errorf("%s: %q is not scale, evict or shared", keyWith, r.With)
	}
	if err := json.Unmarshal([]byte(d[keyChanges]), &r.Changes); err != nil {
		return nil, fmt.Errorf("%s: %w", keyChanges, err)
	}
	if len(r.Changes) == 0 {
		return nil, fmt.Errorf("%s: it names no object", keyChanges)
	}
	seen := map[[2]string]bool{}
	for n, c := range r.Changes {
		at := [2]string{c.Kind, c.Name}
		switch {
		case c.Name == "" || c.UID == "" || seen[at], !slices.Contains(fields[r.With][c.Kind], c.Field):
			return nil, fmt.Errorf("%s: item %d is not one that a drill with %s writes", keyChanges, n+1, r.With)
		case r.With == Shared && c.Name != r.Service.Name:
			return nil, fmt.Errorf("%s: item %d is another Service", keyChanges, n+1)
		case r.With == Scale && (!replicas(c.Before) || !replicas(c.After)):
			return nil, fmt.Errorf("%s: item %d has no number of replicas", keyChanges, n+1)
		}
		seen[at] = true
	}
	return r, nil
}

// replicas reports whether a value is a number of replicas.
func replicas(v *string) bool {
	_, err := Replicas(v)
	return err == nil
}

// Replicas reads a number of replicas.
func Replicas(v *string) (int32, error) {
	var n int32
	if v == nil {
		return 0, errors.New("no number of replicas")
	}
	if err := json.Unmarshal([]byte(*v), &n); err != nil || n < 0 || *v == "null" {
		return 0, fmt.Errorf("%q is not a number of replicas", *v)
	}
	return n, nil
}
