package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
)

// failOnValues are the values of --fail-on. With the last one, findings do not change the exit code.
func failOnValues() []string {
	return []string{string(finding.Error), string(finding.Warning), string(finding.Info), string(finding.Never)}
}

const failOnUsage = "Minimum severity that causes exit code 1. Must be one of: error, warning, info, never."

func checkFailOn(value string) error {
	if slices.Contains(failOnValues(), value) {
		return nil
	}
	return fmt.Errorf("--fail-on %q is not known; it must be one of: %s", value, strings.Join(failOnValues(), ", "))
}

// exitOf returns the exit code of a reading command: what was not examined comes before what was found.
func exitOf(ctx context.Context, e *kernel.Env, doc v1alpha1.Document, members []*clusters.Member, failOn string) error {
	dead := e.Unread(members...)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(dead) > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d clusters could not be read; the result is not complete", len(dead), len(members))}
	case !doc.Complete:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("something could not be read or parsed, see the findings; the result is not complete")}
	case finding.Worst(doc.Findings, finding.Severity(failOn)):
		return &cli.ExitError{Code: cli.ExitFailure}
	}
	return nil
}
