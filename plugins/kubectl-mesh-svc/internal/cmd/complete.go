package cmd

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// addCompletion lets the shell complete contexts, clusters, namespaces, Services, finding ids, undo records and the words that flags take.
func addCompletion(root *cobra.Command, e *kernel.Env) {
	e.Complete(root, "in")
	cli.CompleteFlag(root, "namespace", e.Flags.NamespaceNames)
	cli.CompleteFlag(root, "ignore", func(context.Context) []string {
		rules := finding.Service()
		ids := make([]string, len(rules))
		for i, r := range rules {
			ids[i] = r.ID
		}
		return ids
	})
	services := func(ctx context.Context, _ []string) []string { return e.Flags.ServiceNames(ctx) }
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
			return e.Flags.MemberNames(ctx)
		})
	}
	for _, c := range root.Commands() {
		if c.Name() == "undo" {
			c.ValidArgsFunction = undoRecords
		}
	}
	cli.CompleteArgs(root, "affinity", func(ctx context.Context, args []string) []string {
		if len(args) == 0 {
			return []string{"local", "remote", "none"}
		}
		return services(ctx, args)
	})
}

// notUndone matches the records that undo refuses.
var notUndone = regexp.MustCompile(`^undo-[^-]+-(undrain|undo-drain)-`)

// undoRecords offers the records of this machine, the latest first. What is typed may be any other file.
func undoRecords(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir, err := annotate.StateDir()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	// The only error is one of the pattern; the names begin with their time.
	files, _ := filepath.Glob(filepath.Join(dir, "undo-*.json"))
	slices.Reverse(files)
	files = slices.DeleteFunc(files, func(f string) bool { return !strings.HasPrefix(f, typed) || notUndone.MatchString(filepath.Base(f)) })
	return files, cobra.ShellCompDirectiveKeepOrder
}
