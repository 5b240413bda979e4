package vnode

import (
	"context"
	"errors"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// connect gives the pod its address and, if anything runs in it, its network.
func (w *worker) connect(ctx context.Context, pod *corev1.Pod) error {
	if pod.Spec.HostNetwork {
		ip, err := netip.ParseAddr(w.node.Address)
		w.ip = ip
		return err
	}
	if w.node.machine != nil {
		return w.connectByPlugin(ctx, pod)
	}
	ip, err := w.node.pool.take()
	if err != nil {
		return err
	}
	for _, u := range w.units {
		if !u.picture {
			if _, err := w.node.runtime.AddPod(ctx, podwire.Pod{Name: string(w.uid), IP: ip.String()}); err != nil {
				w.node.pool.give(ip)
				return err
			}
			w.network = true
			break
		}
	}
	w.ip = ip
	return nil
}

// connectByPlugin has the node's CNI plugin make the pod's network and choose its address.
func (w *worker) connectByPlugin(ctx context.Context, pod *corev1.Pod) error {
	wanted, stop := w.whileWanted(ctx)
	defer stop()
	text, err := w.node.runtime.AddPod(wanted, podwire.Pod{Name: string(w.uid), Args: [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", pod.Namespace},
		{"K8S_POD_NAME", pod.Name},
		{"K8S_POD_INFRA_CONTAINER_ID", string(w.uid)},
		{"K8S_POD_UID", string(pod.UID)},
	}})
	if err != nil {
		if wanted.Err() != nil && ctx.Err() == nil {
			// The plugin still waits, or has just come to an end.
			err = errors.Join(err, w.node.runtime.DelPod(ctx, string(w.uid)))
		}
		return err
	}
	w.network = true
	w.ip, err = netip.ParseAddr(text)
	return err
}

// whileWanted returns a context that ends when the pod is deleted.
func (w *worker) whileWanted(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	w.newsMu.Lock()
	defer w.newsMu.Unlock()
	if w.news.deleted() {
		cancel()
		return ctx, cancel
	}
	w.giveUp = cancel
	return ctx, func() {
		w.newsMu.Lock()
		defer w.newsMu.Unlock()
		w.giveUp = nil
		cancel()
	}
}
