package rotate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// holder is who runs a command of the rotation at the moment.
type holder struct {
	ID    string    `json:"id"`
	Who   string    `json:"who"`
	Until time.Time `json:"until"` // by the clock of the cluster that has the lock

	cluster string // which has it; not written
}

const annotationHolder = "mesh.kubectl.io/run"

// holderOf returns who holds a lock; the zero value where nobody does, or where what is written there does not parse.
func holderOf(lock *corev1.ConfigMap) holder {
	var h holder
	if lock == nil || json.Unmarshal([]byte(lock.Annotations[annotationHolder]), &h) != nil {
		return holder{}
	}
	return h
}

// heldBy returns who else runs a command of the rotation, if that may still be so.
func (m *mesh) heldBy(id string) (holder, bool) {
	for _, c := range m.clusters {
		h := holderOf(c.lock)
		if h.ID != "" && h.ID != id && c.Member.Earliest(m.at).Before(h.Until) {
			h.cluster = c.Member.Name
			return h, true
		}
	}
	return holder{}, false
}

// holdFor is how long a run counts as alive after it was last seen, and renewal how long before its end it says so again.
const (
	holdFor = 2 * time.Minute
	renewal = time.Minute
)

// hold says on the lock of the first cluster, by name, that this run is alive. Of two runs that begin at once, one gets a conflict and ends.
func (r *run) hold(ctx context.Context) error {
	if h, busy := r.m.heldBy(r.ID); busy {
		return r.busy(h)
	}
	for _, c := range r.m.clusters {
		if c.lock == nil {
			continue
		}
		have := holderOf(c.lock)
		now := c.Member.Latest(r.Clock.Now())
		if have.ID == r.ID && have.Until.Sub(now) > renewal {
			return nil
		}
		text, err := json.Marshal(holder{ID: r.ID, Who: r.Who, Until: now.Add(holdFor).UTC()})
		if err != nil {
			return err
		}
		target := change.Target{Member: c.Member, Kind: change.ConfigMap, Namespace: c.Namespace, Name: ConfigMapLock}
		_, err = fanout.Within(ctx, r.Change.Timeout, func(ctx context.Context) (struct{}, error) {
			_, err := target.Patch(ctx, c.lock.UID, c.lock.ResourceVersion, change.Fields{Annotations: map[string]*string{annotationHolder: ptr.To(string(text))}}, r.Manager, false)
			return struct{}{}, err
		})
		if apierrors.IsConflict(err) {
			return fmt.Errorf("cluster %q: another command of this rotation runs at the same time; this one ends", c.Member.Name)
		}
		if err != nil {
			return fmt.Errorf("cluster %q: the lock of the rotation could not be renewed: %w", c.Member.Name, err)
		}
		// The lock that is removed at the end must be the one that was read.
		return r.relock(ctx, c)
	}
	return nil
}

func (r *run) busy(h holder) error {
	return fmt.Errorf("%s runs a command of this rotation, and counts as alive until %s by the clock of %s; wait for it", h.Who, h.Until.UTC().Format(time.RFC3339), h.cluster)
}

// relock reads the lock of a cluster again.
func (r *run) relock(ctx context.Context, c *cluster) error {
	got, err := fanout.Within(ctx, r.Change.Timeout, func(ctx context.Context) (*cluster, error) {
		fresh := &cluster{State: c.State}
		return fresh, fresh.readRotation(ctx)
	})
	if err != nil {
		return err
	}
	c.lock = got.lock
	return nil
}

// release gives the lock free, so that the next command need not wait. What fails here costs two minutes.
func (r *run) release(ctx context.Context) {
	for _, c := range r.m.clusters {
		if holderOf(c.lock).ID != r.ID {
			continue
		}
		target := change.Target{Member: c.Member, Kind: change.ConfigMap, Namespace: c.Namespace, Name: ConfigMapLock}
		_, _ = fanout.Within(context.WithoutCancel(ctx), r.Change.Timeout, func(ctx context.Context) (struct{}, error) {
			have, err := target.Get(ctx)
			if err != nil {
				return struct{}{}, err
			}
			if lock, ok := have.(*corev1.ConfigMap); !ok || holderOf(lock).ID != r.ID {
				return struct{}{}, nil
			}
			_, err = target.Patch(ctx, have.GetUID(), have.GetResourceVersion(), change.Fields{Annotations: map[string]*string{annotationHolder: nil}}, r.Manager, false)
			return struct{}{}, err
		})
	}
}
