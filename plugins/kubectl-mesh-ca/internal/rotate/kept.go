package rotate

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// prepared reports whether all that a rotation needs in a cluster is there.
func (m *mesh) prepared(c *cluster) bool {
	return c.kept != nil && m.keeps(c) && c.lock != nil && len(c.active()) == 0
}

// keeps reports whether a cluster keeps OLD: with its key, unless no cluster has that any more.
func (m *mesh) keeps(c *cluster) bool {
	return c.former.Secret != nil && (c.former.Key || !m.old.HasKey())
}

// left reports whether something is there that a clean-up removes.
func (c *cluster) left() bool { return c.kept != nil || c.lock != nil || len(c.suspended()) > 0 }

// active are the CronJobs of certgen that would write in the middle of a rotation.
func (c *cluster) active() []*batchv1.CronJob {
	return slices.DeleteFunc(slices.Clone(c.cronJobs), func(j *batchv1.CronJob) bool { return j.Spec.Suspend != nil && *j.Spec.Suspend })
}

// suspended are the CronJobs that a rotation has suspended. One that a person had suspended stays so.
func (c *cluster) suspended() []*batchv1.CronJob {
	return slices.DeleteFunc(slices.Clone(c.cronJobs), func(j *batchv1.CronJob) bool { return j.Annotations[annotationResume] != ConfigMapLock })
}

// readFormers reads the backups of OLD in clusters that do not keep NEW, because a clean-up was interrupted: only another cluster tells which backup that is.
func (c Config) readFormers(ctx context.Context, m *mesh, of map[*clusters.Member]*cluster) error {
	old := m.replaces()
	var missing []*clusters.Member
	for _, one := range m.clusters {
		if old != "" && one.kept == nil {
			missing = append(missing, one.Member)
		}
	}
	for _, r := range fanout.Each(ctx, missing, c.Change.Timeout, func(ctx context.Context, member *clusters.Member) (struct{}, error) {
		return struct{}{}, of[member].readFormer(ctx, old)
	}) {
		if r.Err != nil {
			return fmt.Errorf("cluster %q: %w", r.Member.Name, r.Err)
		}
	}
	return nil
}

// readFormer reads the backup of OLD, whose fingerprint is given.
func (c *cluster) readFormer(ctx context.Context, old string) error {
	if old == "" {
		return nil
	}
	var err error
	c.former, err = c.ReadFormer(ctx, old, pki.ParseSigner)
	return err
}
