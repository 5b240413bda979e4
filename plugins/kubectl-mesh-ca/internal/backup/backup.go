// Package backup copies the CAs of clusters into an encrypted file (backup), lists what is kept in the clusters (backups), and deletes what nothing uses any
// more (backups prune).
package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Config says which CAs are copied, and into which file.
type Config struct {
	// Select finds the members.
	Select  func(context.Context) (*clusters.Selection, error)
	Timeout time.Duration
	Now     func() time.Time

	In   []string // empty for all members that are read
	File *archive.Writer
}

// UI is how the use cases talk to the person who runs them.
type UI interface {
	Note(format string, args ...any)
	// Unread says which members could not be read, and returns their names.
	Unread(members ...*clusters.Member) []string
}

// Run copies the CA of every cluster in question into one new file, or writes no file.
func Run(ctx context.Context, c Config, ui UI) (*v1alpha1.CABackupReport, error) {
	if err := c.File.Check(); err != nil {
		return nil, err
	}
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	members := sel.Members
	if len(c.In) > 0 {
		if members, err = sel.Resolve("--in", c.In); err != nil {
			return nil, err
		}
	}
	read := ca.ReadAll(ctx, members, c.Timeout)
	report := &v1alpha1.CABackupReport{Document: clusters.Document("CABackupReport", read.Members), File: c.File.Path, Clusters: []v1alpha1.CABackupItem{}}
	report.Complete = false // until the file is there
	if ctx.Err() != nil {
		return report, ctx.Err()
	}
	if dead := ui.Unread(read.Members...); len(dead) > 0 {
		return report, fmt.Errorf("%s could not be read; no file was written. Name the others with --in to leave it out", strings.Join(dead, ", "))
	}
	content := archive.File{Created: c.Now().UTC()}
	var problems []error
	for _, s := range read.States {
		e, notes, err := s.Entry()
		if err != nil {
			problems = append(problems, fmt.Errorf("cluster %q: %w", s.Member.Name, err))
			continue
		}
		for _, n := range notes {
			ui.Note("cluster %s: %s", s.Member.Name, n)
		}
		content.Clusters = append(content.Clusters, e)
		report.Clusters = append(report.Clusters, v1alpha1.CABackupItem{Cluster: e.Cluster, Context: e.Context, Namespace: e.Namespace, Secret: e.Secret, Owner: e.Owner,
			Fingerprint: e.Fingerprint, Subject: e.Subject, NotAfter: e.NotAfter, Notes: notes})
	}
	if len(problems) > 0 {
		return report, fmt.Errorf("%w; no file was written. Name the others with --in to leave it out", errors.Join(problems...))
	}
	if names := content.Names(); len(slices.Compact(slices.Sorted(slices.Values(names)))) < len(names) {
		return report, errors.New("two clusters have one name, and a restore could not tell them apart; name one with --in")
	}
	need, err := c.File.Write(ctx, content)
	if err != nil {
		return report, fmt.Errorf("%w; no file was written", err)
	}
	report.OpensWith, report.Complete = string(need), true
	for _, s := range read.States {
		report.RestoreCommands = append(report.RestoreCommands, ca.RestoreFile(s.Member, c.File.Path))
	}
	return report, nil
}
