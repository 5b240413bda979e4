package replace

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// RestoreConfig says which backup is restored, and where.
type RestoreConfig struct {
	Config

	In     string
	Backup string
}

// Restore gives one cluster a CA again that was kept there.
func Restore(ctx context.Context, c RestoreConfig, ui kernel.UI) (*Report, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	found, err := sel.Resolve("--in", []string{c.In})
	if err != nil {
		return nil, withUnread(err, sel)
	}
	others := slices.DeleteFunc(slices.Clone(sel.Members), func(m *clusters.Member) bool { return slices.Contains(found, m) })
	read := ca.ReadAll(ctx, found, c.Change.Timeout)
	states := read.States
	found = read.Members
	if ctx.Err() != nil {
		return c.unwritten("restore", found, ctx.Err())
	}
	if dead := ui.Unread(found...); len(dead) > 0 {
		return c.unwritten("restore", found, fmt.Errorf("%s could not be read; nothing was changed", dead[0]))
	}
	ca.ReadReleases(ctx, states, c.Change.Timeout)
	plan, err := c.planRestore(ctx, states[0])
	if err != nil {
		return c.unwritten("restore", found, err)
	}
	r := &run{Config: c.Config, ui: ui, plan: plan, members: found}
	r.observe(ctx, others)
	return r.carryOut(ctx)
}

// planRestore reads the backup.
func (c RestoreConfig) planRestore(ctx context.Context, target *ca.State) (*ca.Plan, error) {
	made := fanout.Each(ctx, []*clusters.Member{target.Member}, c.Change.Timeout, func(ctx context.Context, m *clusters.Member) (*ca.Plan, error) {
		backup, err := m.Client.CoreV1().Secrets(target.Namespace).Get(ctx, c.Backup, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("--backup: secret %s/%s does not exist; list the backups with \"%s\"", target.Namespace, c.Backup,
				commandline.Tool("kubectl", m.Origin().At(), target.Namespace, "get", "secrets", "-l", "mesh.kubectl.io/backup-of=cilium-ca"))
		}
		if err != nil {
			return nil, fmt.Errorf("read backup %s/%s: %w", target.Namespace, c.Backup, err)
		}
		return ca.Restore(target, backup, c.options(), c.Now())
	})[0]
	if made.Err != nil {
		return nil, fmt.Errorf("cluster %q: %w; nothing was changed", made.Member.Name, made.Err)
	}
	return made.Value, nil
}
