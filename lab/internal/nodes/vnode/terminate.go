package vnode

import (
	"context"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// terminate takes a deleted pod down: SIGTERM, the grace period, SIGKILL, then the network.
func (w *worker) terminate(ctx context.Context, pod *corev1.Pod, now time.Time) time.Duration {
	if w.done {
		return idle
	}
	if w.units == nil {
		w.begin(pod, now) // deleted before it was started; nothing of it runs
	}
	w.collect(now)
	if w.ending.IsZero() {
		grace := time.Duration(0)
		if s := pod.DeletionGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		w.ending = now.Add(grace)
		for _, u := range w.units {
			if u.proc != nil {
				if err := u.proc.Terminate(ctx); err != nil {
					w.cluster.logf("pod %s/%s: stop %s: %v", pod.Namespace, pod.Name, u.spec.Name, err)
				}
			}
		}
	}
	left := false
	for _, u := range w.units {
		switch {
		case u.proc == nil:
			if u.running() {
				u.ended(0, "", "", now) // a picture
			}
		case !now.Before(w.ending):
			if err := u.proc.Kill(ctx); err != nil {
				w.cluster.logf("pod %s/%s: kill %s: %v", pod.Namespace, pod.Name, u.spec.Name, err)
			}
			left = true
		default:
			left = true
		}
	}
	if left {
		return max(w.ending.Sub(now), retryAPI)
	}
	w.destroy(ctx)
	return idle
}

// destroy removes all that is left of the pod on this side.
func (w *worker) destroy(ctx context.Context) {
	if w.done {
		return
	}
	for _, u := range w.units {
		if u.stopProbe != nil {
			u.stopProbe()
		}
	}
	if w.network {
		if err := w.node.runtime.DelPod(ctx, string(w.uid)); err != nil && ctx.Err() == nil {
			w.cluster.logf("pod %s: remove: %v", w.uid, err)
		}
	}
	if w.ip.IsValid() && !w.pod.Spec.HostNetwork && w.node.machine == nil {
		w.node.pool.give(w.ip)
	}
	if err := w.removeVolumes(); err != nil {
		w.cluster.logf("pod %s: volumes: %v", w.uid, err)
	}
	for _, u := range w.units {
		u.logs.close()
		u.old.close()
	}
	if err := os.RemoveAll(filepath.Join(w.cluster.LogDir, string(w.uid))); err != nil {
		w.cluster.logf("pod %s: logs: %v", w.uid, err)
	}
	w.done = true
}

// deleteObject confirms the end of a pod that was deleted.
func (w *worker) deleteObject(ctx context.Context, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	now := int64(0)
	err := w.cluster.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
