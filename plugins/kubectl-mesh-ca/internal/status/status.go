// Package status reads the CAs and certificates of all clusters, and judges who trusts whom.
package status

import (
	"context"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// Config says what is read.
type Config struct {
	// Select finds the members.
	Select  func(context.Context) (*clusters.Selection, error)
	Timeout time.Duration // for each cluster
	Now     time.Time     // as of which certificates are judged
	// Live observes the running processes; nil for the files only.
	Live live.Observer
}

// Run returns the report, and its members; a member that could not be read has an error.
func Run(ctx context.Context, c Config) (v1alpha1.CAReport, []*clusters.Member, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return v1alpha1.CAReport{}, nil, err
	}
	read := ca.ReadAll(ctx, sel.Members, c.Timeout)
	ca.ReadKept(ctx, read.States, c.Timeout)
	doc := ca.Report(read.Members, read.States, c.Now)
	if c.Live != nil {
		live.Report(ctx, c.Live, read.States, c.Now, &doc)
	}
	return doc, read.Members, nil
}
