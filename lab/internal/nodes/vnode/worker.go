package vnode

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/volumes"
)

const (
	idle     = time.Hour
	retryAPI = time.Second
)

// worker runs one pod: one goroutine that is woken by news of the pod, by the end of
// a process, by a probe or by a timer, and each time takes the pod a step towards what it should be.
type worker struct {
	cluster *Cluster
	node    *node
	uid     types.UID
	wake    chan struct{}

	// news has a lock of its own: a step takes long when a CNI plugin or the API server does, and the one goroutine that tells all
	// pods of a cluster their news must not wait for it.
	newsMu sync.Mutex
	news   news
	giveUp context.CancelFunc // ends a wait for the pod's network; nil while there is none

	mu      sync.Mutex
	pod     *corev1.Pod // as of the last step
	started metav1.Time
	ip      netip.Addr
	network bool // the pod has a network namespace
	units   []*unit
	ending  time.Time // when the grace period is over; zero while the pod is to run
	done    bool      // nothing of the pod is left here
	expired bool      // its activeDeadlineSeconds are over

	volumes     *volumes.Set // nil until they are made; only on machines
	stopVolumes func()       // set with volumes

	conditions []corev1.PodCondition
	sent       []byte // the status that the API server has from us
	postponed  string // why the containers could not be created, as logged last
}

// news is what the API server last told of a pod.
type news struct {
	pod     *corev1.Pod
	removed bool // the object is gone
}

// deleted reports whether the pod need not start any more.
func (n news) deleted() bool { return n.removed || n.pod.DeletionTimestamp != nil }

func newWorker(c *Cluster, n *node, pod *corev1.Pod) *worker {
	return &worker{cluster: c, node: n, uid: pod.UID, pod: pod, news: news{pod: pod}, wake: make(chan struct{}, 1)}
}

func (w *worker) update(pod *corev1.Pod) { w.tell(news{pod: pod}) }

func (w *worker) remove() { w.tell(news{removed: true}) }

func (w *worker) tell(n news) {
	w.newsMu.Lock()
	if n.pod != nil {
		w.news.pod = n.pod
	}
	w.news.removed = w.news.removed || n.removed
	if w.news.deleted() && w.giveUp != nil {
		w.giveUp()
	}
	w.newsMu.Unlock()
	w.kick()
}

func (w *worker) kick() {
	select {
	case w.wake <- struct{}{}:
	default: // a step is due anyway
	}
}

func (w *worker) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return // the node process ends the pod's processes
		case <-w.wake:
		case <-timer.C:
		}
		next, end := w.step(ctx)
		if end {
			return
		}
		timer.Reset(next)
	}
}

// step does what is due and says when to look again. The lock is not held while the status is written.
func (w *worker) step(ctx context.Context) (next time.Duration, end bool) {
	w.newsMu.Lock()
	pod, removed := w.news.pod, w.news.removed
	w.newsMu.Unlock()
	w.mu.Lock()
	w.pod = pod
	now := time.Now()
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	switch {
	case removed:
		w.destroy(ctx)
		w.mu.Unlock()
		return 0, true
	case pod.DeletionTimestamp != nil && finished && w.units == nil:
		w.done, next = true, idle
	case pod.DeletionTimestamp != nil:
		next = w.terminate(ctx, pod, now)
	case finished && w.units == nil:
		w.mu.Unlock()
		return idle, false // it ended in an earlier life of the lab
	default:
		next = w.advance(ctx, pod, now)
	}
	done := w.done
	var status *corev1.PodStatus
	if w.units != nil {
		status = w.status(pod)
	}
	w.mu.Unlock()

	if err := w.report(ctx, pod, status); err != nil {
		if ctx.Err() == nil && !apierrors.IsNotFound(err) {
			w.cluster.logf("pod %s/%s: write status: %v", pod.Namespace, pod.Name, err)
		}
		return min(next, retryAPI), false
	}
	if done {
		if err := w.deleteObject(ctx, pod); err != nil {
			w.cluster.logf("pod %s/%s: delete: %v", pod.Namespace, pod.Name, err)
			return retryAPI, false
		}
	}
	return next, false
}

// advance starts what should run.
func (w *worker) advance(ctx context.Context, pod *corev1.Pod, now time.Time) time.Duration {
	if w.units == nil {
		w.begin(pod, now)
	}
	w.addEphemeral(pod, now)
	w.collect(now)
	deadline := w.checkDeadline(ctx, pod, now)
	if w.expired {
		return deadline
	}
	if !w.ip.IsValid() {
		if err := w.connect(ctx, pod); err != nil {
			return w.postpone(pod, err)
		}
	}
	if w.volumes == nil && w.node.machine != nil {
		if err := w.prepareVolumes(ctx, pod); err != nil {
			return w.postpone(pod, err)
		}
	}
	next := min(deadline, w.driveEphemeral(ctx, pod, now))
	for _, u := range w.units {
		if u.ephemeral {
			continue
		}
		if wait := w.drive(ctx, pod, u, now); wait > 0 {
			next = min(next, wait)
		}
		if u.init && !u.succeeded() {
			break // the ones behind it wait
		}
	}
	return next
}

// begin makes the pod's containers, with the restarts that an earlier life of the lab counted.
func (w *worker) begin(pod *corev1.Pod, now time.Time) {
	w.started = metav1.NewTime(now)
	if pod.Status.StartTime != nil {
		w.started = *pod.Status.StartTime
	}
	w.conditions = pod.Status.Conditions
	before := map[string]corev1.ContainerStatus{}
	for _, st := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		before[st.Name] = st
	}
	add := func(c *corev1.Container, isInit bool) {
		u := w.newUnit(c, isInit)
		if st, ok := before[c.Name]; ok && !u.picture && (st.State.Running != nil || st.State.Terminated != nil) {
			u.restarts, u.attempt = st.RestartCount+1, int(st.RestartCount)+1
		}
		w.refuseHostNetwork(pod, u, now)
		w.units = append(w.units, u)
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		add(c, !sidecar)
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i], false)
	}
}

// collect takes note of processes that have ended.
func (w *worker) collect(now time.Time) {
	for _, u := range w.units {
		if u.proc == nil {
			continue
		}
		select {
		case <-u.proc.Done():
			u.ended(u.proc.ExitCode(), "", "", now)
		default:
		}
	}
}

// drive starts one container if it is due and says when to look again; 0 means no timer.
func (w *worker) drive(ctx context.Context, pod *corev1.Pod, u *unit, now time.Time) time.Duration {
	switch {
	case u.running():
		return 0
	case u.picture:
		if u.init {
			u.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: "Completed", StartedAt: metav1.NewTime(now), FinishedAt: metav1.NewTime(now),
			}}
			return 0
		}
		u.started(now)
		u.startedUp, u.probeReady = true, true
		return 0
	case u.terminated() && !u.mayRestart(pod.Spec.RestartPolicy):
		return 0
	case now.Before(u.retryAt):
		if u.terminated() {
			u.wait("CrashLoopBackOff", "restarting failed container "+u.spec.Name)
		}
		return u.retryAt.Sub(now)
	}
	if u.attempt > 0 && u.last.Terminated != nil {
		u.restarts++
	}
	err := w.start(ctx, pod, u)
	u.attempt++
	if err != nil {
		if ctx.Err() == nil {
			w.cluster.logf("pod %s/%s: container %s: %v", pod.Namespace, pod.Name, u.spec.Name, err)
		}
		u.failedStart(err, now)
		return time.Until(u.retryAt)
	}
	return 0
}

func (w *worker) start(ctx context.Context, pod *corev1.Pod, u *unit) error {
	at := place{cluster: w.cluster.Cluster.Name, podIP: w.ip.String(), hostIP: w.node.Address}
	if w.node.machine != nil {
		at.configMap = w.configMapKey(ctx, pod.Namespace)
		at.kubernetes = w.cluster.Kubernetes
	}
	env, err := environment(pod, &u.spec, u.image.Env, at)
	if err != nil {
		return err
	}
	u.env = env
	u.procName = nameOf(pod, u)
	logs, err := newLogFile(filepath.Join(w.cluster.LogDir, string(w.uid), u.spec.Name), u.attempt)
	if err != nil {
		return err
	}
	u.old.remove()
	u.old, u.logs = u.logs, logs
	stdout, stderr, err := logs.pipes()
	if err != nil {
		return err
	}
	network := string(w.uid)
	if pod.Spec.HostNetwork {
		network = "" // the node's
	}
	proc, err := w.node.runtime.StartContainer(ctx, podwire.Start{
		Proc: u.procName, Pod: network, Hostname: hostname(pod), Privileged: u.image.Privileged,
		Root: w.root(pod, u, at.podIP), Argv: command(&u.spec, u.image.Command, newVars(env).get), Env: env, Dir: u.spec.WorkingDir,
	}, stdout, stderr)
	_ = stdout.Close() // the container has its own copies
	_ = stderr.Close()
	if err != nil {
		return err
	}
	u.proc = proc
	u.started(time.Now())
	go func() {
		<-proc.Done()
		w.kick()
	}()
	w.watchProbes(ctx, u)
	return nil
}

// report writes the pod's status if it differs from what was written last.
func (w *worker) report(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus) error {
	if status == nil {
		return nil // it ended in an earlier life of the lab, which has reported it
	}
	data, err := json.Marshal(status)
	if err != nil {
		return err
	}
	if bytes.Equal(data, w.sent) {
		return nil
	}
	err = w.cluster.patchStatus(ctx, pod, json.RawMessage(data))
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		w.sent = data // gone or replaced: nobody wants it any more
		return nil
	}
	return err
}
