package vnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
)

const (
	// firstBackoff doubles with each failure up to maxBackoff; a container that ran for
	// goodRun starts again. A kubelet waits 10 s to 5 min: too long for a lab.
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	goodRun      = 30 * time.Second
)

// unit is one container of a pod over its restarts. The worker's lock guards it.
type unit struct {
	spec corev1.Container
	init bool // must end well before the next one starts
	// ephemeral: added while the pod runs, and never restarted.
	ephemeral bool
	image     images.Image
	// picture: shown running without a process.
	picture bool

	env      []string
	proc     *podnet.Process
	procName string
	attempt  int
	restarts int32
	failures int
	retryAt  time.Time

	state, last corev1.ContainerState
	startedUp   bool // by its startup probe
	probeReady  bool
	stopProbe   context.CancelFunc
	logs, old   *logFile
}

// newUnit looks the container's image up. What cannot run says so in its state.
func (w *worker) newUnit(c *corev1.Container, isInit bool) *unit {
	u := &unit{spec: *c, init: isInit}
	u.wait("ContainerCreating", "")
	if w.cluster.Programs != nil {
		if img, ok := w.cluster.Programs(c); ok {
			u.image = img
			return u
		}
	}
	name, ours := images.Name(c.Image)
	if !ours || w.node.runtime == nil {
		u.picture = true
		return u
	}
	img, err := w.cluster.Images.Find(name)
	if err != nil {
		u.wait("ErrImagePull", err.Error())
		u.retryAt = time.Now().AddDate(100, 0, 0)
		return u
	}
	u.image = img
	return u
}

func (u *unit) wait(reason, message string) {
	u.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func (u *unit) running() bool    { return u.state.Running != nil }
func (u *unit) terminated() bool { return u.state.Terminated != nil }

// succeeded reports whether the container has ended for good.
func (u *unit) succeeded() bool { return u.terminated() && u.state.Terminated.ExitCode == 0 }

// started takes note of a new process.
func (u *unit) started(now time.Time) {
	u.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}}
	u.startedUp = u.spec.StartupProbe == nil
	u.probeReady = u.startedUp && u.spec.ReadinessProbe == nil
}

// ended takes note of the end of the process and plans the next start.
func (u *unit) ended(code int, reason, message string, now time.Time) {
	t := &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: reason, Message: message,
		FinishedAt: metav1.NewTime(now), ContainerID: u.id(),
	}
	if reason == "" {
		t.Reason = map[bool]string{true: "Completed", false: "Error"}[code == 0]
	}
	ranFor := time.Duration(0)
	if u.running() {
		t.StartedAt = u.state.Running.StartedAt
		ranFor = now.Sub(t.StartedAt.Time)
	}
	if u.stopProbe != nil {
		u.stopProbe()
		u.stopProbe = nil
	}
	u.state = corev1.ContainerState{Terminated: t}
	u.last = u.state
	u.proc, u.startedUp, u.probeReady = nil, false, false
	if ranFor >= goodRun {
		u.failures = 0
	}
	u.retryAt = now.Add(min(maxBackoff, firstBackoff<<min(u.failures, 8)))
	u.failures++
}

// mayRestart reports whether the pod's policy restarts an ended container.
func (u *unit) mayRestart(policy corev1.RestartPolicy) bool {
	switch {
	case u.ephemeral:
		return false
	case u.init:
		return !u.succeeded() && policy != corev1.RestartPolicyNever
	case policy == corev1.RestartPolicyAlways:
		return true
	case policy == corev1.RestartPolicyOnFailure:
		return !u.succeeded()
	}
	return false
}

// failedStart tells the two ways in which a start can fail.
func (u *unit) failedStart(err error, now time.Time) {
	if errors.Is(err, podnet.ErrNotFound) {
		u.ended(127, "StartError", err.Error(), now)
		return
	}
	u.ended(128, "StartError", err.Error(), now)
}

// id is shown where a runtime's container id stands.
func (u *unit) id() string {
	if u.procName == "" {
		return ""
	}
	return "meshlab://" + u.procName
}

// status is the container's part of the pod's status.
func (u *unit) status() corev1.ContainerStatus {
	started := u.running() && u.startedUp
	image := u.spec.Image
	st := corev1.ContainerStatus{
		Name: u.spec.Name, Image: image, ImageID: image, ContainerID: u.id(),
		State: u.state, LastTerminationState: u.last, RestartCount: u.restarts,
		Ready: u.running() && u.probeReady, Started: &started,
	}
	if u.init {
		st.Ready = u.succeeded()
	}
	if u.terminated() {
		st.LastTerminationState = corev1.ContainerState{}
	}
	return st
}

// nameOf makes the name of a process: unique over restarts, and readable in the log.
func nameOf(pod *corev1.Pod, u *unit) string {
	return fmt.Sprintf("%s/%s/%d", pod.UID, u.spec.Name, u.attempt)
}
