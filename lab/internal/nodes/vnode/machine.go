package vnode

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/volumes"
)

// refreshVolumes is how often the volumes of a pod are compared with their sources. A kubelet needs up to a minute and a
// half; the lab must not make its users wait.
const refreshVolumes = 2 * time.Second

// prepareVolumes makes the pod's volumes and keeps them up to date until the pod ends.
func (w *worker) prepareVolumes(ctx context.Context, pod *corev1.Pod) error {
	set := volumes.New(w.cluster.client, pod, filepath.Join(w.cluster.VolumeDir, string(w.uid)), w.node.machine.Disk)
	limited, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := set.Prepare(limited); err != nil {
		return errors.Join(err, set.Remove()) // the pod may be deleted before the next attempt
	}
	w.volumes, w.stopVolumes = set, func() {}
	if set.Changes() {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.followVolumes(ctx, pod, set)
		}()
		// A refresh that goes on would write keys into directories that were just removed.
		w.stopVolumes = func() { cancel(); <-ended }
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
	w.stopVolumes()
	return w.volumes.Remove()
}

// postpone reports why the pod's containers cannot be created yet.
func (w *worker) postpone(pod *corev1.Pod, err error) time.Duration {
	if text := err.Error(); text != w.postponed {
		w.cluster.logf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		w.postponed = text
	}
	for _, u := range w.units {
		u.wait("ContainerCreating", err.Error())
	}
	return retryAPI
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
