package vnode

import (
	"context"
	"net/netip"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/volumes"
)

// refreshVolumes is how often the volumes of a pod are compared with their sources. A kubelet needs up to a minute and a
// half; the lab must not make its users wait.
const refreshVolumes = 2 * time.Second

// connectByPlugin has the node's CNI plugin make the pod's network and choose its address.
func (w *worker) connectByPlugin(ctx context.Context, pod *corev1.Pod) error {
	text, err := w.node.runtime.AddPod(ctx, podwire.Pod{Name: string(w.uid), Args: [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", pod.Namespace},
		{"K8S_POD_NAME", pod.Name},
		{"K8S_POD_INFRA_CONTAINER_ID", string(w.uid)},
		{"K8S_POD_UID", string(pod.UID)},
	}})
	if err != nil {
		return err
	}
	w.network = true
	w.ip, err = netip.ParseAddr(text)
	return err
}

// prepareVolumes makes the pod's volumes and keeps them up to date until the pod ends.
func (w *worker) prepareVolumes(ctx context.Context, pod *corev1.Pod) error {
	set := volumes.New(w.cluster.client, pod, filepath.Join(w.cluster.VolumeDir, string(w.uid)), w.node.machine.Disk)
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := set.Prepare(limited); err != nil {
		return err
	}
	w.volumes = set
	if set.Changes() {
		ctx, w.stopVolumes = context.WithCancel(ctx)
		go w.followVolumes(ctx, pod, set)
	}
	return nil
}

func (w *worker) followVolumes(ctx context.Context, pod *corev1.Pod, set *volumes.Set) {
	tick := time.NewTicker(refreshVolumes)
	defer tick.Stop()
	failing := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, apiTimeout)
		err := set.Refresh(limited)
		cancel()
		switch {
		case err == nil:
			failing = ""
		case ctx.Err() == nil && err.Error() != failing:
			failing = err.Error()
			w.cluster.logf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		}
	}
}

func (w *worker) removeVolumes() error {
	if w.volumes == nil {
		return nil
	}
	if w.stopVolumes != nil {
		w.stopVolumes()
	}
	return w.volumes.Remove()
}

// configMapKey reads keys of ConfigMaps for the environment of a container.
func (w *worker) configMapKey(ctx context.Context, namespace string) func(name, key string) (string, bool, error) {
	return func(name, key string) (string, bool, error) {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		config, err := w.cluster.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		value, ok := config.Data[key]
		return value, ok, nil
	}
}
