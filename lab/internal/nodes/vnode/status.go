package vnode

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/dns"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// ReadyAnnotation on a pod makes it not ready when it is "false", whatever runs in it.
const ReadyAnnotation = "lab.kubectl-mesh.io/ready"

// status is what the API server should know of the pod.
func (w *worker) status(pod *corev1.Pod) *corev1.PodStatus {
	st := &corev1.PodStatus{
		HostIP: w.node.Address, HostIPs: []corev1.HostIP{{IP: w.node.Address}},
		StartTime: &w.started, QOSClass: pod.Status.QOSClass,
	}
	if w.ip.IsValid() {
		st.PodIP = w.ip.String()
		st.PodIPs = []corev1.PodIP{{IP: st.PodIP}}
	}
	var unready, uninitialized []string
	for _, u := range w.units {
		cs := u.status()
		if u.ephemeral {
			cs.Ready = false
			st.EphemeralContainerStatuses = append(st.EphemeralContainerStatuses, cs)
			continue
		}
		if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == u.spec.Name }) {
			st.InitContainerStatuses = append(st.InitContainerStatuses, cs)
			if u.init && !u.succeeded() {
				uninitialized = append(uninitialized, u.spec.Name)
			}
			continue
		}
		st.ContainerStatuses = append(st.ContainerStatuses, cs)
		if !cs.Ready {
			unready = append(unready, u.spec.Name)
		}
	}
	if st.Phase = phase(w.units, pod.Spec.RestartPolicy); w.expired {
		st.Phase, st.Reason, st.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
	}

	ready := condition(corev1.PodReady, unready, "ContainersNotReady", "containers with unready status")
	if len(unready) == 0 && strings.EqualFold(pod.Annotations[ReadyAnnotation], "false") {
		ready.Status, ready.Reason = corev1.ConditionFalse, "LabAnnotation"
		ready.Message = "annotation " + ReadyAnnotation + " is false"
	}
	containersReady := condition(corev1.ContainersReady, unready, "ContainersNotReady", "containers with unready status")
	if st.Phase == corev1.PodSucceeded {
		ready.Reason, containersReady.Reason = "PodCompleted", "PodCompleted"
		ready.Message, containersReady.Message = "", ""
	}
	var sandbox []string
	if !w.ip.IsValid() {
		sandbox = []string{"network"}
	}
	w.conditions = mergeConditions(w.conditions, metav1.Now(),
		condition(corev1.PodReadyToStartContainers, sandbox, "", ""),
		condition(corev1.PodInitialized, uninitialized, "ContainersNotInitialized", "containers with incomplete status"),
		ready, containersReady,
		condition(corev1.PodScheduled, nil, "", ""))
	st.Conditions = w.conditions
	return st
}

// phase sums the containers up.
func phase(units []*unit, policy corev1.RestartPolicy) corev1.PodPhase {
	ended, failed, begun := true, false, false
	for _, u := range units {
		if u.ephemeral {
			continue
		}
		if u.init {
			if u.terminated() && !u.succeeded() && !u.mayRestart(policy) {
				return corev1.PodFailed
			}
			if !u.succeeded() {
				return corev1.PodPending
			}
			continue
		}
		begun = begun || u.running() || u.terminated() || u.last.Terminated != nil
		if !u.terminated() || u.mayRestart(policy) {
			ended = false
			continue
		}
		failed = failed || !u.succeeded()
	}
	switch {
	case !begun:
		return corev1.PodPending
	case !ended:
		return corev1.PodRunning
	case failed:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// condition is true unless something is missing.
func condition(t corev1.PodConditionType, missing []string, reason, message string) corev1.PodCondition {
	c := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue}
	if len(missing) > 0 {
		c.Status, c.Reason = corev1.ConditionFalse, reason
		if message != "" {
			c.Message = fmt.Sprintf("%s: [%s]", message, strings.Join(missing, " "))
		}
	}
	return c
}

// mergeConditions replaces our conditions, keeps those of others, and moves a transition time only with its status.
func mergeConditions(old []corev1.PodCondition, now metav1.Time, ours ...corev1.PodCondition) []corev1.PodCondition {
	out := slices.Clone(ours)
	for i := range out {
		out[i].LastTransitionTime = now
		for _, o := range old {
			if o.Type == out[i].Type && o.Status == out[i].Status {
				out[i].LastTransitionTime = o.LastTransitionTime
			}
		}
	}
	for _, o := range old {
		if !slices.ContainsFunc(out, func(c corev1.PodCondition) bool { return c.Type == o.Type }) {
			out = append(out, o)
		}
	}
	return out
}

// root is the container's root file system: the image's and the files that a kubelet writes.
func (w *worker) root(pod *corev1.Pod, u *unit, ip string) podwire.Root {
	r := u.image.Root
	if c := u.spec.SecurityContext; c != nil && c.ReadOnlyRootFilesystem != nil {
		r.ReadOnly = *c.ReadOnlyRootFilesystem
	}
	r.Dirs = slices.Clone(r.Dirs)
	if w.volumes == nil {
		for _, m := range u.spec.VolumeMounts {
			r.Dirs = append(r.Dirs, m.MountPath)
		}
	} else {
		r.Binds = append(slices.Clone(r.Binds), w.volumes.Binds(&u.spec)...)
	}
	r.Files = append(slices.Clone(r.Files),
		podwire.File{Path: "/etc/hostname", Content: hostname(pod) + "\n", Mode: 0o644},
		podwire.File{Path: "/etc/hosts", Content: hosts(pod, ip), Mode: 0o644},
		podwire.File{Path: "/etc/resolv.conf", Content: dns.ResolvConf(w.cluster.Cluster.DNSIP, pod.Namespace), Mode: 0o644})
	return r
}
