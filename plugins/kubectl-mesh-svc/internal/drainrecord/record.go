// Package drainrecord keeps the previous values of the Services of a drained cluster, in two places: in a mark on each Service, and in a ConfigMap of
// another member, where a second person finds it and where it outlives the drained cluster. It knows the API and the layout of both; its
// callers decide which values are restored.
package drainrecord

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// State is how far a drain has come.
type State string

// The states. A record that is gone is a cluster that is in service.
const (
	// Draining: the record is complete, the Services may not all be written yet.
	Draining State = "draining"
	// Drained: all Services of the record were written.
	Drained State = "drained"
	// Undraining: the previous values are being restored.
	Undraining State = "undraining"
)

// Entry is one Service and the value that its annotation for shared had; nil is absent.
type Entry struct {
	routing.Key
	UID    types.UID // empty: of a Service that was not there when the record of a rebuilt cluster was continued
	Former *string
}

// Record is everything that is needed to restore a drained cluster.
type Record struct {
	ID         string // of this drain; the Services' marks carry it
	Cluster    string // Cilium's name of the drained cluster
	ClusterUID string // to tell whether it was rebuilt; empty when it could not be read
	State      State
	By         string // who began the state, for people
	Since      time.Time
	Manager    string // the field manager that the Services were written with
	Entries    []Entry

	// Where it stands; set once it was read or stored.
	Member  *clusters.Member
	uid     types.UID
	version string
}

// Find returns the entry of a Service, or nil.
func (r *Record) Find(key routing.Key) *Entry {
	n, ok := slices.BinarySearchFunc(r.Entries, key, func(e Entry, k routing.Key) int { return compare(e.Key, k) })
	if !ok {
		return nil
	}
	return &r.Entries[n]
}

// Put adds entries; one for a Service that is there already takes its place.
func (r *Record) Put(entries ...Entry) {
	byKey := make(map[routing.Key]Entry, len(r.Entries)+len(entries))
	for _, list := range [][]Entry{r.Entries, entries} {
		for _, e := range list {
			byKey[e.Key] = e
		}
	}
	r.Entries = make([]Entry, 0, len(byKey))
	for _, e := range byKey {
		r.Entries = append(r.Entries, e)
	}
	slices.SortFunc(r.Entries, func(a, b Entry) int { return compare(a.Key, b.Key) })
}

func compare(a, b routing.Key) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// Who says who began the state, and when.
func (r *Record) Who() string {
	return fmt.Sprintf("%s at %s", cmp.Or(r.By, "somebody"), r.Since.UTC().Format(time.RFC3339))
}

// Place says where the record stands.
func (r *Record) Place() string {
	return fmt.Sprintf("configmap %s/%s of cluster %s", r.Member.CiliumNamespace, Name(r.Cluster), r.Member.Name)
}

var plainName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Name returns the name of the ConfigMap for a cluster. Cilium's names of clusters are labels of DNS since 1.17;
// an older one that is not is told apart from its like by a hash.
func Name(cluster string) string {
	const prefix = "kubectl-mesh-drain-"
	if plainName.MatchString(cluster) {
		return prefix + cluster
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(cluster)) // a hash never fails
	return prefix + strconv.FormatUint(h.Sum64(), 16)
}

// The layout of the ConfigMap. The entries are packed: a ConfigMap holds 1 MiB, and a name with its UID takes some 90 bytes as text.
const (
	layout         = "v1"
	keyLayout      = "layout"
	keyID          = "id"
	keyCluster     = "cluster"
	keyClusterUID  = "clusterUID"
	keyState       = "state"
	keyBy          = "by"
	keySince       = "since"
	keyManager     = "fieldManager"
	keyCount       = "services"
	keyEntries     = "services.json.gz"
	labelManagedBy = "app.kubernetes.io/managed-by"
	// LabelDrain marks the records, with the drained cluster's name, if that is a valid label value.
	LabelDrain = "mesh.kubectl.io/drain"

	maxBytes    = 1<<20 - 4<<10 // of the packed entries; the rest is for the other keys
	maxUnpacked = 64 << 20
)

// packed is how entries are stored: namespace, name, then the UID and, unless it was absent, the previous value.
type packed map[string]map[string][]string

// configMap returns the record as it is stored.
func (r *Record) configMap() (*corev1.ConfigMap, error) {
	p := packed{}
	for _, e := range r.Entries {
		if p[e.Namespace] == nil {
			p[e.Namespace] = map[string][]string{}
		}
		v := []string{string(e.UID)}
		if e.Former != nil {
			v = append(v, *e.Former)
		}
		p[e.Namespace][e.Name] = v
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(p), z.Close()); err != nil {
		return nil, err
	}
	if b.Len() > maxBytes {
		return nil, fmt.Errorf("the previous values of %d Services take %d bytes; a ConfigMap holds %d", len(r.Entries), b.Len(), maxBytes)
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: Name(r.Cluster), Labels: map[string]string{labelManagedBy: "kubectl-mesh", LabelDrain: ""},
			UID: r.uid, ResourceVersion: r.version},
		Data: map[string]string{keyLayout: layout, keyID: r.ID, keyCluster: r.Cluster, keyClusterUID: r.ClusterUID, keyState: string(r.State), keyBy: r.By,
			keySince: r.Since.UTC().Format(time.RFC3339), keyManager: r.Manager, keyCount: strconv.Itoa(len(r.Entries))},
		BinaryData: map[string][]byte{keyEntries: b.Bytes()},
	}
	if plainName.MatchString(r.Cluster) {
		cm.Labels[LabelDrain] = r.Cluster
	}
	return cm, nil
}

// parse reads a record. What is not complete is an error: half of the previous values must not pass for all of them.
func parse(cm *corev1.ConfigMap) (*Record, error) {
	if v := cm.Data[keyLayout]; v != layout {
		return nil, fmt.Errorf("its layout is %q, not %q: a newer version of this plugin may have written it", v, layout)
	}
	r := &Record{ID: cm.Data[keyID], Cluster: cm.Data[keyCluster], ClusterUID: cm.Data[keyClusterUID], State: State(cm.Data[keyState]),
		By: cm.Data[keyBy], Manager: cm.Data[keyManager], uid: cm.UID, version: cm.ResourceVersion}
	if !slices.Contains([]State{Draining, Drained, Undraining}, r.State) || r.ID == "" || r.Cluster == "" {
		return nil, fmt.Errorf("it is not complete: id %q, cluster %q, state %q", r.ID, r.Cluster, r.State)
	}
	since, err := time.Parse(time.RFC3339, cm.Data[keySince])
	if err != nil {
		return nil, fmt.Errorf("since: %w", err)
	}
	r.Since = since
	z, err := gzip.NewReader(bytes.NewReader(cm.BinaryData[keyEntries]))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyEntries, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxUnpacked))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyEntries, err)
	}
	var p packed
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", keyEntries, err)
	}
	var entries []Entry
	for namespace, services := range p {
		for name, v := range services {
			if namespace == "" || name == "" || len(v) < 1 || len(v) > 2 {
				return nil, fmt.Errorf("%s: the entry of %s/%s is not complete", keyEntries, namespace, name)
			}
			e := Entry{Key: routing.Key{Namespace: namespace, Name: name}, UID: types.UID(v[0])}
			if len(v) == 2 {
				e.Former = &v[1]
			}
			entries = append(entries, e)
		}
	}
	r.Put(entries...)
	if n := cm.Data[keyCount]; n != strconv.Itoa(len(r.Entries)) {
		return nil, fmt.Errorf("it says that it holds %q Services and holds %d", n, len(r.Entries))
	}
	return r, nil
}
