package backup

import (
	"context"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// ListConfig says whose backups are listed.
type ListConfig struct {
	// Select finds the members. All of them are read: a backup of one may be trusted in another.
	Select  func(context.Context) (*clusters.Selection, error)
	Timeout time.Duration
	In      []string // empty for all members that are read
}

// List returns what is kept in the clusters, and what still uses it.
func List(ctx context.Context, c ListConfig) (v1alpha1.CABackupList, []*clusters.Member, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return v1alpha1.CABackupList{}, nil, err
	}
	inv, err := take(ctx, sel, c.In, c.Timeout)
	if err != nil {
		return v1alpha1.CABackupList{}, nil, err
	}
	doc := v1alpha1.CABackupList{Document: clusters.Document("CABackupList", inv.members), Backups: []v1alpha1.CABackup{}, Unread: inv.gaps}
	for _, k := range inv.kept {
		doc.Backups = append(doc.Backups, k.Document(k.Uses(inv.states), inv.gapsAndDead()))
	}
	if len(inv.gaps) > 0 {
		doc.Complete = false
	}
	return doc, inv.members, nil
}

// inventory is what is kept in some clusters, and everything that may use it.
type inventory struct {
	members []*clusters.Member // all that were to be read, with their errors
	states  []*ca.State        // of those that could be read
	kept    []*ca.KeptSecret   // in the clusters in question
	gaps    []string           // what is not known of the states
}

// take reads all members of a selection, and what is kept in those that are named.
func take(ctx context.Context, sel *clusters.Selection, in []string, timeout time.Duration) (*inventory, error) {
	wanted := sel.Members
	if len(in) > 0 {
		var err error
		if wanted, err = sel.Resolve("--in", in); err != nil {
			return nil, err
		}
	}
	read := ca.ReadAll(ctx, sel.Members, timeout)
	ca.ReadReleases(ctx, read.States, timeout)
	inv := &inventory{members: read.Members, states: read.States, gaps: ca.Gaps(read.States)}
	mine := slices.DeleteFunc(slices.Clone(read.States), func(s *ca.State) bool { return !slices.Contains(wanted, s.Member) })
	var failed []*clusters.Member
	inv.kept, failed = ca.ReadBackups(ctx, mine, timeout)
	for _, f := range failed {
		at := slices.IndexFunc(inv.members, func(m *clusters.Member) bool { return m.Name == f.Name && m.Context == f.Context })
		inv.members[at] = f
	}
	return inv, nil
}

// gapsAndDead are the gaps, with the members that could not be read.
func (inv *inventory) gapsAndDead() []string {
	out := slices.Clone(inv.gaps)
	for _, m := range inv.members {
		if m.Err != nil {
			out = append(out, m.Label()+" could not be read")
		}
	}
	return out
}
