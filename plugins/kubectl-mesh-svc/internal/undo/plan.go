package undo

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
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

// spellings maps the deprecated keys to the current ones. A key and its alias are one setting: if a user has removed the key since,
// restoring the alias would restore the removed setting. The mark of a drain belongs to the shared setting.
var spellings = map[string]string{
	cilium.AnnotationGlobalAlias:   cilium.AnnotationGlobal,
	cilium.AnnotationSharedAlias:   cilium.AnnotationShared,
	drainrecord.AnnotationDrained:  cilium.AnnotationShared,
	cilium.AnnotationAffinityAlias: cilium.AnnotationAffinity,
}

// setting returns the key by which a setting is known, whichever of its spellings is given.
func setting(key string) string {
	if k, ok := spellings[key]; ok {
		return k
	}
	return key
}

// planItem plans to restore the previous values of a record, setting by setting. A setting with neither the previous nor the written value
// was changed since: it is left unchanged, and left is true. A write is one patch, so a mixture of both values was also changed since.
// mesh holds the clusters for printed commands.
func planItem(m *clusters.Member, svc *corev1.Service, rec annotate.RecordItem, mesh commandline.Mesh) (item *annotate.Item, left bool) {
	rec = withMark(svc, rec)
	item = annotate.NewItem(m, svc, rec.Before)
	if item.Result == v1alpha1.ResultUnchanged {
		return item, false
	}
	if rec.UID != "" && string(svc.UID) != rec.UID {
		item.Result, item.Message = v1alpha1.ResultSkipped, "the Service was recreated since; it is left unchanged"
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
		} else if now := item.Before[key]; key == drainrecord.AnnotationDrained && now != nil && !annotate.Same(now, rec.After[key]) {
			says = append(says, fmt.Sprintf("a later drain wrote %s; it is left unchanged; to end the drain, run: %s", cilium.AnnotationShared, plugin.Undrain(mesh, m.Name)))
		} else if !annotate.Same(now, rec.After[key]) {
			says = append(says, key+" is now "+annotate.Show(now)+": it was changed since; it is left unchanged")
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

// withMark completes the record of a change without a mark for a Service that has one now: a drain came after the change, so the present value
// of shared belongs to the drain, even if it equals the value that the change wrote.
func withMark(svc *corev1.Service, rec annotate.RecordItem) annotate.RecordItem {
	_, known := rec.Before[drainrecord.AnnotationDrained]
	concerned := false
	for key := range rec.Before {
		concerned = concerned || setting(key) == cilium.AnnotationShared
	}
	if known || !concerned || drainrecord.MarkOn(svc.Annotations) == nil {
		return rec
	}
	rec.Before, rec.After = maps.Clone(rec.Before), maps.Clone(rec.After)
	rec.Before[drainrecord.AnnotationDrained], rec.After[drainrecord.AnnotationDrained] = nil, nil
	return rec
}
