package replace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// RestoreConfig says which backup is restored, and where.
type RestoreConfig struct {
	Config

	In     string
	Backup string // the name of the Secret that keeps the CA; empty for a file
	// File is the encrypted file with the CA, nil for a Secret; From is the cluster whose CA is taken from it, empty for that of In.
	File *archive.Reader
	From string
}

// Restore gives one cluster a CA again that was kept there, or in a file.
func Restore(ctx context.Context, c RestoreConfig, ui kernel.UI) (*Report, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	found, err := sel.Resolve("--in", []string{c.In})
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(sel.Members), func(m *clusters.Member) bool { return slices.Contains(found, m) })
	if c.File != nil { // the cluster may have been rebuilt
		found = c.beforeCilium(found, ui)
	}
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
	planned := c.planRestore
	if c.File != nil {
		planned = c.planFile
	}
	plan, err := planned(ctx, states[0])
	if err != nil {
		return c.unwritten("restore", found, err)
	}
	r := &run{Config: c.Config, ui: ui, plan: plan, members: found}
	r.observe(ctx, others)
	// A rotation in other clusters alone does not count: this one may have been rebuilt meanwhile, and cannot be part of it without a CA.
	if err := reissue.NotRotating(ctx, states, states, c.Change.Timeout, ui); err != nil {
		return c.unwritten("restore", found, err)
	}
	return r.carryOut(ctx)
}

// planFile reads the backup file.
func (c RestoreConfig) planFile(ctx context.Context, target *ca.State) (*ca.Plan, error) {
	file, err := c.File.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("--file: %w; nothing was changed", err)
	}
	wanted := cmp.Or(c.From, target.Member.Name)
	e, ok := file.Find(wanted)
	switch {
	case !ok && c.From != "":
		return nil, fmt.Errorf("--from: %s contains no CA of %q; it contains those of: %s. Nothing was changed", c.File.Path, wanted, strings.Join(file.Names(), ", "))
	case !ok:
		return nil, fmt.Errorf("--file: %s contains no CA of %q; it contains those of: %s. To restore one of these, name it with --from. Nothing was changed", c.File.Path, wanted, strings.Join(file.Names(), ", "))
	}
	backup, err := ca.Unpack(e)
	if err != nil {
		return nil, fmt.Errorf("--file: %s cannot be restored: %w; nothing was changed", c.File.Path, err)
	}
	return ca.Restore(target, backup, c.options(), c.Now())
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
