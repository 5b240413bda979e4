package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

func newRestore(e *env) *cobra.Command {
	f := newWriteFlags(e)
	var in, backup string
	cmd := &cobra.Command{
		Use:   "restore --in CLUSTER --backup NAME",
		Short: "Put a former CA back",
		Long: "Put a CA back that sync kept in a Secret of the same cluster, exactly as it was. The CA that is in\n" +
			"place is kept first, in the same way, so that this can be taken back as well. As after sync, the\n" +
			"certificates must be renewed; the commands for that are listed.\n\n" +
			"Backups carry the label mesh.kubectl.io/backup-of=cilium-ca in Cilium's namespace." + writeExits,
		Example: `  # Put a backup back
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --contexts kind-eu

  # See what would be done
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --dry-run=server

  # In a script
  kubectl mesh-ca restore --in eu --backup cilium-ca-backup-3f2a91bc --yes -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case in == "":
				return errors.New("--in is missing; it names the cluster whose CA is put back")
			case backup == "":
				return errors.New("--backup is missing; it names the Secret that holds the former CA")
			}
			o, err := f.toOptions()
			if err != nil {
				return err
			}
			return o.restore(cmd.Context(), in, backup)
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "Cluster whose CA is put back, by Cilium name or context.")
	cmd.Flags().StringVar(&backup, "backup", "", "Name of the Secret that holds the former CA.")
	f.addFlags(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

func (o *writeOptions) restore(ctx context.Context, in, name string) error {
	sel, err := o.selectMembers(ctx)
	if err != nil {
		return err
	}
	found, err := sel.Resolve("--in", []string{in})
	if err != nil {
		return withUnread(err, sel)
	}
	states := ca.ReadAll(ctx, found, o.flags.Timeout)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if dead := o.dead(found); len(dead) > 0 {
		return fmt.Errorf("%s could not be read; nothing was changed", dead[0])
	}
	ca.ReadReleases(ctx, states, o.flags.Timeout)
	target := states[0]
	made := clusters.Each(ctx, found, o.flags.Timeout, func(ctx context.Context, m *clusters.Member) (*ca.Plan, error) {
		backup, err := m.Client.CoreV1().Secrets(target.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("--backup: there is no secret %s/%s; list them with \"%s\"", target.Namespace, name,
				commandline.Tool("kubectl", m.CommandContext(), target.Namespace, "get", "secrets", "-l", "mesh.kubectl.io/backup-of=cilium-ca"))
		}
		if err != nil {
			return nil, fmt.Errorf("read backup %s/%s: %w", target.Namespace, name, err)
		}
		return ca.Restore(target, backup, o.Options, o.now())
	})[0]
	if made.Err != nil {
		return fmt.Errorf("cluster %q: %w; nothing was changed", made.Member.Name, made.Err)
	}
	o.observe(ctx, made.Value, sel.Members, found)
	return o.carryOut(ctx, made.Value, found, nil)
}
