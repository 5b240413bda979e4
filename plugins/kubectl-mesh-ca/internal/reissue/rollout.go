package reissue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// rollout is how far the pods of a workload are replaced.
type rollout struct {
	// left says what is missing; "" if all pods are replaced and available.
	left string
	// replacing: some pods are still to be replaced. Otherwise pods may be missing only because they are not available.
	replacing bool
}

// rolledOut says whether pods of a workload are still to be replaced, or are not available.
func (w *Work) rolledOut(ctx context.Context, s *ca.State, kind change.Kind, name string) ([]string, error) {
	r, err := w.rollout(ctx, s, kind, name)
	if err != nil || r.left == "" {
		return nil, err
	}
	return []string{r.left}, nil
}

// rollout reads how far the pods of a workload are replaced. It does not count agents on nodes that are not ready: the DaemonSet counts them while the Node exists.
func (w *Work) rollout(ctx context.Context, s *ca.State, kind change.Kind, name string) (rollout, error) {
	got, err := fanout.Within(ctx, w.Change.Timeout, (change.Target{Member: s.Member, Kind: kind, Namespace: s.Namespace, Name: name}).Get)
	if err != nil {
		return rollout{fmt.Sprintf("%s: %s %s could not be read: %v", s.Member.Name, kind.Name, name, err), true}, nil
	}
	var done, want, available int32
	var seen bool
	switch o := got.(type) {
	case *appsv1.Deployment:
		want, available, seen = ptr.Deref(o.Spec.Replicas, 1), o.Status.AvailableReplicas, o.Status.ObservedGeneration >= o.Generation
		if done = o.Status.UpdatedReplicas; o.Status.Replicas > done { // old pods are still there
			done = min(done, want-1)
		}
	case *appsv1.DaemonSet:
		want, available, done, seen = o.Status.DesiredNumberScheduled, o.Status.NumberAvailable, o.Status.UpdatedNumberScheduled, o.Status.ObservedGeneration >= o.Generation
		if o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType { // nothing replaces these pods, so that there is nothing to wait for
			done = want
		}
		switch {
		case available >= want:
			delete(w.unreachable, s.Member.Name)
		case seen && done >= available: // no pod on such a node is available, so that the pods need not be read while more of them are to be replaced
			if done, want, err = w.reachable(ctx, s, done, want); err != nil {
				return rollout{fmt.Sprintf("%s: cannot determine which agents are on nodes that are not ready: %v", s.Member.Name, err), done < want}, nil
			}
		}
	default:
		return rollout{}, errKind
	}
	switch {
	case !seen:
		return rollout{fmt.Sprintf("%s: %s %s has not begun to replace its pods", s.Member.Name, kind.Name, name), true}, nil
	case done >= want && available >= want:
		return rollout{}, nil
	}
	return rollout{fmt.Sprintf("%s: %s %s has replaced %d of %d pods, %d are available", s.Member.Name, kind.Name, name, done, want, available), done < want}, nil
}

// reachable takes the agents on nodes that are not ready out of the numbers of a DaemonSet, and notes their nodes once. An error leaves the numbers as they are.
func (w *Work) reachable(ctx context.Context, s *ca.State, done, want int32) (doneThere, wantThere int32, err error) {
	pods, err := fanout.Within(ctx, w.Change.Timeout, func(ctx context.Context) (*corev1.PodList, error) {
		return s.Member.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: live.SelectAgents})
	})
	if err != nil {
		return done, want, err
	}
	cluster, now := s.Member.Name, map[string]bool{}
	before := w.unreachable[cluster]
	for n := range pods.Items {
		p := &pods.Items[n]
		if !live.NodeNotReady(p) {
			continue
		}
		now[p.Name] = true
		want--
		if p.DeletionTimestamp == nil { // the DaemonSet deletes old pods that are not available at once; this one is not old
			done--
		}
		if !before[p.Name] {
			w.ui.Note("%s: node %s is not ready, so this command does not wait for its agent. When the node is back, check this agent with kubectl mesh-ca status --live", cluster, p.Spec.NodeName)
		}
	}
	if w.unreachable == nil {
		w.unreachable = map[string]map[string]bool{}
	}
	w.unreachable[cluster] = now
	return done, want, nil
}

// settle waits until no earlier roll-out replaces agents: an earlier command may have ended meanwhile. It returns the clusters in which one still does so after the
// time to wait, with what is missing. The agents of the others need not wait for them.
func (w *Work) settle(ctx context.Context) (stuck map[string]string, err error) {
	err = w.await(ctx, "the agents in all clusters", func(ctx context.Context) ([]string, error) {
		var left []string
		stuck = map[string]string{}
		for _, c := range w.withAgents() {
			r, err := w.rollout(ctx, c.State, change.DaemonSet, cilium.DaemonSetName)
			if err != nil {
				return nil, err
			}
			if r.left != "" {
				left = append(left, r.left)
			}
			if r.replacing {
				stuck[c.name()] = r.left
			}
		}
		return left, nil
	})
	if errors.Is(err, ErrWaiting) {
		err = nil
	}
	return stuck, err
}

// unsettled is the error for the clusters whose agents were left out, nil if there are none.
func (w *Work) unsettled(stuck map[string]string) error {
	if len(stuck) == 0 {
		return nil
	}
	clusters := slices.Sorted(maps.Keys(stuck))
	for _, name := range clusters {
		w.waiting = append(w.waiting, stuck[name])
	}
	return w.stopped(fmt.Errorf("%w: the agents in %s were not restarted, because an earlier roll-out did not end within %s (--wait): %s", ErrWaiting, strings.Join(clusters, ", "), w.Wait, stuck[clusters[0]]))
}

// errOnDelete says that a restart of the agents would replace no pod.
var errOnDelete = errors.New("the updateStrategy of daemonset " + cilium.DaemonSetName + " is OnDelete, so that a restart replaces no agent. " +
	"Set updateStrategy.type to RollingUpdate in the Helm values, or leave out --restart, follow the printed steps and delete the agents' pods yourself")
