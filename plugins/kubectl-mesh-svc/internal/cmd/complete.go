package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// addCompletion lets the shell complete contexts, clusters, Services and finding ids.
func addCompletion(root *cobra.Command, e *env) {
	cli.CompleteFlag(root, "contexts", e.flags.ContextNames)
	cli.CompleteFlag(root, "context", e.flags.ContextNames)
	cli.CompleteFlag(root, "in", e.flags.MemberNames)
	cli.CompleteFlag(root, "ignore", func(context.Context) []string {
		rules := finding.Service()
		ids := make([]string, len(rules))
		for i, r := range rules {
			ids[i] = r.ID
		}
		return ids
	})
	services := func(ctx context.Context, _ []string) []string { return e.flags.ServiceNames(ctx) }
	for _, verb := range []string{"check", "graph", "globalize", "unglobalize", "share", "unshare"} {
		cli.CompleteArgs(root, verb, services)
	}
	cli.CompleteArgs(root, "describe", func(ctx context.Context, args []string) []string {
		if len(args) > 0 {
			return nil
		}
		return services(ctx, args)
	})
	for _, verb := range []string{"drain", "undrain"} {
		cli.CompleteArgs(root, verb, func(ctx context.Context, args []string) []string {
			if len(args) > 0 {
				return nil
			}
			return e.flags.MemberNames(ctx)
		})
	}
	cli.CompleteArgs(root, "affinity", func(ctx context.Context, args []string) []string {
		if len(args) == 0 {
			return []string{"local", "remote", "none"}
		}
		return services(ctx, args)
	})
}
