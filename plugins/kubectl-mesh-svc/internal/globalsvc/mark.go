package globalsvc

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
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

// value returns the mark as the annotation's text.
func (m Mark) value() *string {
	raw, err := json.Marshal(m)
	if err != nil {
		return ptr.To("") // four strings are always encoded
	}
	return ptr.To(string(raw))
}

// Drained returns the mark that a drain left on a Service, nil if there is none. A mark that cannot be parsed has no cluster.
func Drained(ann map[string]string) *Mark {
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

// outOfService reports whether the Service is as a drain of the cluster left it.
func outOfService(svc *corev1.Service, cluster string) bool {
	return awaits(svc.Annotations, cluster) && Drained(svc.Annotations).Cluster == cluster
}

// awaits reports whether a Service of the cluster is out of service until undrain restores it. A mark that cannot be
// parsed counts, because the record may have the previous value.
func awaits(ann map[string]string, cluster string) bool {
	return marked(ann, cluster) && ann[cilium.AnnotationShared] == unshared
}

// marked reports whether a Service has the mark of a drain of the cluster, or one that cannot be parsed. The mark of
// another cluster comes from a backup and does not need undrain.
func marked(ann map[string]string, cluster string) bool {
	m := Drained(ann)
	return m != nil && (m.Cluster == cluster || m.Cluster == "")
}

// unshared is what drain writes.
const unshared = "false"
