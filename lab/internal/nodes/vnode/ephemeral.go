package vnode

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// addEphemeral makes the containers that were added to the pod while it runs, as kubectl debug does. They are never restarted, also not in the
// next life of the lab, and count neither for the pod's phase nor for its readiness.
func (w *worker) addEphemeral(pod *corev1.Pod, now time.Time) {
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if _, err := w.unitOf(c.Name); err == nil {
			continue
		}
		u := w.newUnit(&c, false)
		u.ephemeral = true
		w.refuseHostNetwork(pod, u, now)
		for _, before := range pod.Status.EphemeralContainerStatuses {
			switch {
			case before.Name != c.Name:
			case before.State.Terminated != nil:
				u.state = before.State
			case before.State.Running != nil:
				u.ended(137, "ContainerStatusUnknown", "the lab was stopped while the container ran", now)
			}
		}
		w.units = append(w.units, u)
	}
}

// refuseHostNetwork keeps a container out of the network of this machine.
func (w *worker) refuseHostNetwork(pod *corev1.Pod, u *unit, now time.Time) {
	if pod.Spec.HostNetwork && !u.picture && w.node.machine == nil {
		u.wait("CreateContainerConfigError", "pods of the lab that run cannot have hostNetwork")
		u.retryAt = now.AddDate(100, 0, 0)
	}
}

// driveEphemeral starts the ephemeral containers. As in a kubelet they wait for no other container, and end with the pod's own ones.
func (w *worker) driveEphemeral(ctx context.Context, pod *corev1.Pod, now time.Time) time.Duration {
	over := ended(phase(w.units, pod.Spec.RestartPolicy))
	next := idle
	for _, u := range w.units {
		switch {
		case !u.ephemeral:
		case over:
			w.kill(ctx, pod, u)
		default:
			if wait := w.drive(ctx, pod, u, now); wait > 0 {
				next = min(next, wait)
			}
		}
	}
	return next
}

func ended(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }

// kill ends a container at once; worker.collect takes note of it.
func (w *worker) kill(ctx context.Context, pod *corev1.Pod, u *unit) {
	if u.proc == nil {
		return
	}
	if err := u.proc.Kill(ctx); err != nil {
		w.cluster.logf("pod %s/%s: kill %s: %v", pod.Namespace, pod.Name, u.spec.Name, err)
	}
}

// checkDeadline ends a pod whose activeDeadlineSeconds are over, and returns how long they last.
func (w *worker) checkDeadline(ctx context.Context, pod *corev1.Pod, now time.Time) time.Duration {
	seconds := pod.Spec.ActiveDeadlineSeconds
	if seconds == nil {
		return idle
	}
	left := w.started.Add(time.Duration(*seconds) * time.Second).Sub(now)
	if left > 0 && !w.expired {
		return left
	}
	if !w.expired && ended(phase(w.units, pod.Spec.RestartPolicy)) {
		return idle // it was in time
	}
	w.expired = true
	for _, u := range w.units {
		if u.proc == nil && !u.terminated() { // a picture, or one that waits
			u.ended(137, "Error", "", now)
		}
		w.kill(ctx, pod, u)
	}
	return idle
}
