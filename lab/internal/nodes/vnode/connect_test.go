package vnode

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// slowNetwork is a runtime whose CNI plugin waits for an agent that never starts.
type slowNetwork struct {
	Runtime
	asked   chan struct{}
	removed []string
}

func (s *slowNetwork) AddPod(ctx context.Context, _ podwire.Pod) (string, error) {
	close(s.asked)
	<-ctx.Done()
	return "", ctx.Err()
}

func (s *slowNetwork) DelPod(_ context.Context, name string) error {
	s.removed = append(s.removed, name)
	return nil
}

func TestDeletedWhileItsNetworkIsMade(t *testing.T) {
	t.Parallel()
	deleted := newPod()
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for name, end := range map[string]func(*worker){
		"deleted": func(w *worker) { w.update(deleted) },
		"removed": func(w *worker) { w.remove() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runtime := &slowNetwork{asked: make(chan struct{})}
			w := newWorker(nil, &node{runtime: runtime}, newPod())
			result := make(chan error, 1)
			go func() { result <- w.connectByPlugin(t.Context(), w.pod) }()
			<-runtime.asked
			changed := newPod()
			changed.Labels["new"] = "label"
			w.update(changed) // does not end the wait
			select {
			case err := <-result:
				t.Fatalf("it gave up on a pod that still exists: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			end(w)
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if len(runtime.removed) != 1 || runtime.removed[0] != "u1" || w.network {
				t.Errorf("removed %v, network %t", runtime.removed, w.network)
			}
		})
	}
}

func TestNoNetworkForADeletedPod(t *testing.T) {
	t.Parallel()
	runtime := &slowNetwork{asked: make(chan struct{})}
	w := newWorker(nil, &node{runtime: runtime}, newPod())
	w.remove()
	if err := w.connectByPlugin(t.Context(), w.pod); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
