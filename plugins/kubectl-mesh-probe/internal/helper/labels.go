package helper

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// controllerLabels are set by the controllers of workloads to tell their own pods apart. With them, a controller would count the helper pod as its
// own. Cilium leaves most of them out of a pod's identity.
var controllerLabels = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
	"job-name", "controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index",
	LabelManagedBy, // the helper pod has its own
}

// copiedLabels returns the labels of a client pod that a helper pod may have.
func copiedLabels(client map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range client {
		if !slices.Contains(controllerLabels, k) {
			out[k] = v
		}
	}
	return out
}

// Selector is an object that selects pods by their labels.
type Selector struct {
	Object   string // such as: service web
	Effect   string // what it would do with a pod that it selects
	Selector labels.Selector
}

// service returns the selector of a Service; ok is false if it has none.
func service(name string, selector map[string]string) (s Selector, ok bool) {
	if len(selector) == 0 {
		return Selector{}, false
	}
	return Selector{"service " + name, "send requests to it", labels.SelectorFromSet(selector)}, true
}

// controller returns the selector of an object whose controller adopts pods without an owner, and then deletes one that is too many.
func controller(kind, name string, selector *metav1.LabelSelector) (Selector, error) {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return Selector{kind + " " + name, "adopt it, and may delete another of its pods", parsed}, err
}

// conflict returns an error if one of the objects selects a helper pod with copied labels.
func conflict(client map[string]string, all []Selector) error {
	set := labels.Set(copiedLabels(client))
	set[LabelManagedBy] = Manager
	var found []string
	for _, s := range all {
		if s.Selector.Matches(set) {
			found = append(found, fmt.Sprintf("%s (%s) would %s", s.Object, s.Selector, s.Effect))
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return fmt.Errorf("--copy-labels: a helper pod with these labels is selected: %s; use --client=ephemeral without --copy-labels, which has the labels of the client pod because it is in it, or leave out --copy-labels",
		strings.Join(found, "; "))
}
