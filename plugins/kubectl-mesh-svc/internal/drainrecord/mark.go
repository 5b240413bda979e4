package drainrecord

import (
	"encoding/json"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// AnnotationDrained marks a drained Service. Drain writes it in one patch with the shared annotation, so that a Service
// always has both or neither, even if the command is interrupted.
const AnnotationDrained = "mesh.kubectl.io/drained"

// Mark is the value of AnnotationDrained.
type Mark struct {
	Drain   string  `json:"drain"`            // id of the drain
	Cluster string  `json:"cluster"`          // the drained cluster: a backup of it may be restored elsewhere
	Record  string  `json:"record,omitempty"` // the cluster that holds the record
	Shared  *string `json:"shared"`           // the previous value; null if it was absent
}

// Text returns the mark as the annotation's text.
func (m Mark) Text() *string {
	raw, err := json.Marshal(m)
	if err != nil {
		return ptr.To("") // four strings are always encoded
	}
	return ptr.To(string(raw))
}

// MarkOn returns the mark that a drain left on a Service, nil if there is none. A mark that cannot be parsed has no cluster.
func MarkOn(ann map[string]string) *Mark {
	raw, ok := ann[AnnotationDrained]
	if !ok {
		return nil
	}
	var m Mark
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		return &Mark{}
	}
	return &m
}

// OutOfService reports whether a Service of the cluster is out of service until undrain restores it. A mark that cannot be
// parsed counts, because the record may have the previous value.
func OutOfService(ann map[string]string, cluster string) bool {
	return Marked(ann, cluster) && ann[cilium.AnnotationShared] == Unshared
}

// Marked reports whether a Service has the mark of a drain of the cluster, or one that cannot be parsed. The mark of
// another cluster comes from a backup and does not need undrain.
func Marked(ann map[string]string, cluster string) bool {
	m := MarkOn(ann)
	return m != nil && (m.Cluster == cluster || m.Cluster == "")
}

// Unshared is the value that a drain writes to the shared annotation.
const Unshared = "false"
