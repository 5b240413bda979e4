package globalsvc

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Undo plans to put back what a record says was there before. A key that is
// neither as it was before nor as we wrote it was changed by somebody since and is left, with the whole Service.
func Undo(m *clusters.Member, svc *corev1.Service, rec change.RecordItem) *change.Item {
	item := change.NewItem(m, svc, rec.Before)
	if item.Result == v1alpha1.ResultUnchanged {
		return item
	}
	if rec.UID != "" && string(svc.UID) != rec.UID {
		item.Result, item.Message = v1alpha1.ResultSkipped, "the Service was deleted and made anew since; it is left as it is"
		return item
	}
	for key, now := range item.Before {
		if !change.Same(now, rec.After[key]) && !change.Same(now, rec.Before[key]) {
			item.Result, item.Message = v1alpha1.ResultSkipped, key+" is now "+change.Show(now)+": somebody changed it since; it is left as it is"
			return item
		}
	}
	return item
}
