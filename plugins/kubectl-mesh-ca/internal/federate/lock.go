package federate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

const (
	managedBy        = "kubectl-mesh-ca"
	annotationHolder = "mesh.kubectl.io/run"
	// holdFor is how long a run counts as alive after it was last seen, and renewal how long before its end it says so again.
	holdFor = 2 * time.Minute
	renewal = time.Minute
)

// holder is who runs the command.
type holder struct {
	ID    string    `json:"id"`
	Who   string    `json:"who"`
	Until time.Time `json:"until"` // by the clock of the cluster that has the lock
}

// holder is who holds the lock of a cluster; the zero value for nobody. What does not parse is nobody's.
func (c *cluster) holder() holder {
	var h holder
	if c.lock == nil || json.Unmarshal([]byte(c.lock.Annotations[annotationHolder]), &h) != nil {
		return holder{}
	}
	return h
}

// heldBy returns an error if another run may be at work.
func (m *mesh) heldBy(id string) error {
	for _, c := range m.scope {
		if h := c.holder(); h.ID != "" && h.ID != id && c.Member.Earliest(m.at).Before(h.Until) {
			return fmt.Errorf("cluster %q: %s runs a command that federates clusters, and counts as alive until %s by the clock of the cluster; wait for it", c.Member.Name, h.Who, h.Until.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// mark is the annotation of the lock of a cluster.
func (c Config) mark(one *cluster) (string, error) {
	text, err := json.Marshal(holder{ID: c.ID, Who: c.Who, Until: one.Member.Latest(c.Clock.Now()).Add(holdFor).UTC()})
	return string(text), err
}

// take makes the lock of a cluster, or takes over one whose run has ended.
func (c Config) take(one *cluster) (*ca.Write, error) {
	text, err := c.mark(one)
	if err != nil {
		return nil, err
	}
	if one.lock != nil {
		return ca.NewPatch(one.State, change.ConfigMap, one.lock, change.Fields{Annotations: map[string]*string{annotationHolder: ptr.To(text)}}, c.Manager, "the lock of this command", ca.AccessFederationLock()), nil
	}
	return ca.NewCreation(one.State, change.ConfigMap, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: ca.ConfigMapFederation, Namespace: one.Namespace, Labels: map[string]string{pki.LabelManagedBy: managedBy}, Annotations: map[string]string{annotationHolder: text}},
		Data:       map[string]string{"by": c.Who, "since": c.Clock.Now().UTC().Format(time.RFC3339)},
	}, c.Manager, "the lock of this command", ca.AccessFederationLock(), ca.AccessCreateLock()), nil
}

// renew says that this run is alive. Of two runs that take over a lock at once, one gets a conflict and ends.
func (r *run) renew(ctx context.Context) error {
	var failed []error // a cluster that does not answer does not keep the locks of the others from being renewed
	for _, c := range r.m.scope {
		h := c.holder()
		switch {
		case h.ID == "" || h.ID != r.ID && c.Member.Earliest(r.Clock.Now()).After(h.Until):
			continue // not taken yet
		case h.ID != r.ID:
			return fmt.Errorf("cluster %q: %s has taken the lock; %w", c.Member.Name, h.Who, errTaken)
		case h.Until.Sub(c.Member.Latest(r.Clock.Now())) > renewal:
			continue
		}
		text, err := r.mark(c)
		if err != nil {
			return err
		}
		got, err := fanout.Within(ctx, r.Change.Timeout, func(ctx context.Context) (metav1.Object, error) {
			return c.lockTarget().Patch(ctx, c.lock.UID, c.lock.ResourceVersion, change.Fields{Annotations: map[string]*string{annotationHolder: ptr.To(text)}}, r.Manager, false)
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("cluster %q: the lock could not be renewed: %w", c.Member.Name, err))
			continue
		}
		if lock, ok := got.(*corev1.ConfigMap); ok {
			c.lock = lock
		}
	}
	return errors.Join(failed...)
}

func (c *cluster) lockTarget() change.Target {
	return change.Target{Member: c.Member, Kind: change.ConfigMap, Namespace: c.Namespace, Name: ca.ConfigMapFederation}
}

// release removes the locks of this run, and those of runs that have died. What fails here costs the next run two minutes.
func (r *run) release(ctx context.Context) {
	for _, c := range r.m.scope {
		if c.lock == nil && !r.wrote {
			continue
		}
		err := fanout.Do(context.WithoutCancel(ctx), r.Change.Timeout, func(ctx context.Context) error {
			have, err := c.lockTarget().Get(ctx)
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			lock, ok := have.(*corev1.ConfigMap)
			if h := (&cluster{lock: lock}).holder(); !ok || h.ID != r.ID && c.Member.Earliest(r.Clock.Now()).Before(h.Until) {
				return nil
			}
			return c.lockTarget().Delete(ctx, lock.UID, lock.ResourceVersion, false)
		})
		if err != nil {
			r.ui.Warn("cluster %q: the lock (configmap %s) could not be removed, and counts for two more minutes: %v", c.Member.Name, ca.ConfigMapFederation, err)
		}
	}
}
