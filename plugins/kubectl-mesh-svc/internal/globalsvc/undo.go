package globalsvc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// spellings maps the deprecated keys to the current ones. A key and its alias are one setting: putting back an alias under a key that
// somebody removed since would bring the setting back that they took away. The mark of a drain explains shared and is one with it.
var spellings = map[string]string{
	cilium.AnnotationGlobalAlias:   cilium.AnnotationGlobal,
	cilium.AnnotationSharedAlias:   cilium.AnnotationShared,
	AnnotationDrained:              cilium.AnnotationShared,
	cilium.AnnotationAffinityAlias: cilium.AnnotationAffinity,
}

// setting returns the key by which a setting is known, whichever of its spellings is given.
func setting(key string) string {
	if k, ok := spellings[key]; ok {
		return k
	}
	return key
}

// Undo plans to put back what a record says was there before, setting by setting. One that is neither as it was before nor
// as we wrote it was changed by somebody since: it is left, and left says so. A write is one patch, so a mixture of the two is not ours either.
// mesh is the clusters of a command that is printed.
func Undo(m *clusters.Member, svc *corev1.Service, rec annotate.RecordItem, mesh commandline.Mesh) (item *annotate.Item, left bool) {
	rec = withMark(svc, rec)
	item = annotate.NewItem(m, svc, rec.Before)
	if item.Result == v1alpha1.ResultUnchanged {
		return item, false
	}
	if rec.UID != "" && string(svc.UID) != rec.UID {
		item.Result, item.Message = v1alpha1.ResultSkipped, "the Service was deleted and made anew since; it is left as it is"
		return item, true
	}
	differs := func(from annotate.Values) map[string]bool {
		out := map[string]bool{}
		for key, now := range item.Before {
			if !annotate.Same(now, from[key]) {
				out[setting(key)] = true
			}
		}
		return out
	}
	before, after := differs(rec.Before), differs(rec.After)
	edits := annotate.Values{}
	var says []string
	for key, was := range rec.Before {
		if !before[setting(key)] || !after[setting(key)] {
			edits[key] = was
		} else if now := item.Before[key]; key == AnnotationDrained && now != nil && !annotate.Same(now, rec.After[key]) {
			says = append(says, fmt.Sprintf("%s is what a later drain wrote; it is left as it is; to end the drain, run: %s", cilium.AnnotationShared, commands{mesh: mesh}.undrain(m.Name)))
		} else if !annotate.Same(now, rec.After[key]) {
			says = append(says, key+" is now "+annotate.Show(now)+": somebody changed it since; it is left as it is")
		}
	}
	if len(says) == 0 {
		return item, false
	}
	slices.Sort(says)
	item = annotate.NewItem(m, svc, edits)
	if item.Message = strings.Join(says, "; "); item.Result == v1alpha1.ResultUnchanged {
		item.Result = v1alpha1.ResultSkipped
	}
	return item, true
}

// withMark completes the record of a change that knew no mark on a Service that bears one: a drain came after it, and what shared is now is the
// drain's, though it may be the very value that the change wrote.
func withMark(svc *corev1.Service, rec annotate.RecordItem) annotate.RecordItem {
	_, known := rec.Before[AnnotationDrained]
	concerned := false
	for key := range rec.Before {
		concerned = concerned || setting(key) == cilium.AnnotationShared
	}
	if known || !concerned || Drained(svc.Annotations) == nil {
		return rec
	}
	rec.Before, rec.After = maps.Clone(rec.Before), maps.Clone(rec.After)
	rec.Before[AnnotationDrained], rec.After[AnnotationDrained] = nil, nil
	return rec
}
