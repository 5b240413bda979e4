package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

const rotateLong = `Replace the CA of a mesh with a new one, in phases that can be interrupted, continued and undone.

Between any two writes, clusters that trust each other still do, except with --emergency. A phase
begins only when the running processes are ready for it: mesh-ca checks which certificates each etcd
serves, which files each node has, and when each client read its CA file. The commands read the phase
from the certificates themselves, so any of them can continue from any machine after a crash.

  rotate plan       show the phases; nothing is written (rotate alone does the same)
  rotate start      keep both CAs in every cluster, and make either acceptable everywhere
  rotate continue   switch to the new CA
  rotate finish     stop accepting the previous CA
  rotate abort      restore the previous CA, until finish has removed what it needs
  rotate status     show the phase, and what it waits for
  rotate repair     repair a mesh in which one cluster was given another CA by hand

docs/rotation.md is the runbook.`

func newRotate(e *kernel.Env) *cobra.Command {
	cmd := newRotation(e, rotate.Plan, "rotate", "Replace the CA of the mesh without an outage", rotateLong, `  # See the phases
  kubectl mesh-ca rotate

  # See the phases of a mesh whose contexts are named
  kubectl mesh-ca rotate --contexts kind-us,kind-eu,kind-ap`)
	for _, c := range []struct {
		action               rotate.Action
		short, long, example string
	}{
		{rotate.Plan, "Show the phases of a rotation", "Show the phases of a rotation, the method that suits the owners of the certificates, and what\nprevents it. Nothing is written.", `  # The mesh of the current context
  kubectl mesh-ca rotate plan`},
		{rotate.Start, "Begin a rotation", "Begin a rotation. Both CAs are kept in every cluster before anything else is written. Then either CA\nbecomes acceptable everywhere. rotate abort goes back, except after --emergency.", `  # Begin, with a new CA that is valid for five years
  kubectl mesh-ca rotate start --valid-for 1825d

  # See what would be written first, checked by every API server
  kubectl mesh-ca rotate start --dry-run=server

  # The key of the CA is known to others: replace it at once
  kubectl mesh-ca rotate start --emergency`},
		{rotate.Continue, "Switch to the new CA", "Continue a rotation, from any machine, until only the last phase is left. After a crash, the command does\nonly what is missing.", `  # Go on
  kubectl mesh-ca rotate continue`},
		{rotate.Finish, "Stop accepting the previous CA", "End a rotation: the previous CA is not accepted any more. It stays in a backup Secret in every cluster,\nwith its key, until kubectl mesh-ca backups prune removes it.", `  # End the rotation
  kubectl mesh-ca rotate finish`},
		{rotate.Abort, "Restore the previous CA", "Restore the previous CA everywhere, without an outage. This works in every phase of a rotation that has\nnot ended, but not after rotate start --emergency.", `  # Go back
  kubectl mesh-ca rotate abort`},
		{rotate.Status, "Show the phase of a rotation", "Show the phase of a rotation, and what the next phase waits for. Nothing is written.", `  # Where the rotation of the current mesh is
  kubectl mesh-ca rotate status`},
	} {
		cmd.AddCommand(newRotation(e, c.action, string(c.action), c.short, c.long, c.example))
	}
	cmd.AddCommand(newRepair(e))
	return cmd
}

// planExits is the end of the help of the commands that write nothing.
const planExits = "\n\nExit codes: 0 shown; 2 usage, a rotation that would be refused, or something that could not be read; 130\ninterrupted."

func exits(action rotate.Action) string {
	if action == rotate.Plan || action == rotate.Status {
		return planExits
	}
	return kernel.WriteExits
}

func newRotation(e *kernel.Env, action rotate.Action, use, short, long, example string) *cobra.Command {
	f := kernel.NewWriteFlags(pki.FieldManager)
	c := rotate.Config{Action: action, Wait: rotate.DefaultWait, Quiet: rotate.DefaultQuiet, Poll: rotate.DefaultPoll}
	keyType := string(pki.ECDSA)
	validFor := lifetime(pki.DefaultCAValidity)
	emergency := false
	var ignoreNodes, ignoreClients, ignoreClusters []string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long + exits(action), Example: example, Args: cli.NoArgs("--contexts says which clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config := c
			var err error
			if config.Write, err = f.Config(e); err != nil {
				return err
			}
			if emergency {
				config.Method = string(rotate.Emergency)
			}
			switch {
			case emergency && c.Method != "":
				return errors.New("--emergency and --method cannot be used together")
			case c.Method == string(rotate.Emergency):
				return fmt.Errorf("--method %q is invalid; use --emergency", c.Method)
			case config.Wait <= 0:
				return errors.New("--wait must be greater than 0")
			case validFor < minRotationValidity:
				return fmt.Errorf("--valid-for %s is too short: leaf certificates end no later than their CA; use at least %s", &validFor, new(minRotationValidity))
			case keyType != string(pki.ECDSA) && keyType != string(pki.RSA):
				return fmt.Errorf("--key-type %q is invalid; it must be one of: %s, %s", keyType, pki.ECDSA, pki.RSA)
			}
			if config.Ignore, err = rotate.ParseIgnore(ignoreNodes, ignoreClients); err != nil {
				return err
			}
			config.Ignore.Clusters = ignoreClusters
			config.RetryFlags = append(config.RetryFlags, waitFlag(config.Wait, rotate.DefaultWait)...)
			config.StartFlags = startFlags(c.Method, emergency, pki.KeyType(keyType), validFor)
			config.NewCA = pki.CAOptions{KeyType: pki.KeyType(keyType), Validity: time.Duration(validFor)}
			config.Select, config.Clock = e.Select, clock{e.Now}
			config.Observer = rotate.Processes{Observer: live.New(e.Flags.Timeout, e.Now), Now: e.Now}
			config.Who, config.ID = whoAmI()
			config.Show = func(r rotate.Report, _ bool) []output.Section { return view.Rotation(r.RotationReport) }
			return printRotation(e, f.Out, config, f.UI(e), cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.Var((*lifetime)(&c.Wait), "wait", "Maximum time to wait until a phase can begin.")
	fs.StringSliceVar(&ignoreNodes, "ignore-node", nil, "Do not wait for the agent on this dead node, CLUSTER/NODE (repeatable). Refused if the agent answers.")
	fs.StringSliceVar(&ignoreClients, "ignore-client", nil, "Do not wait until etcd stops rejecting connections from this IP address, of a client outside the mesh (repeatable).")
	fs.StringSliceVar(&ignoreClusters, "ignore-cluster", nil, "Go on without this cluster, by Cilium name, which took part in the rotation and is gone for good or was rebuilt (repeatable). Refused while the command reads it, or another cluster has it as a peer.")
	if action == rotate.Plan || action == rotate.Start {
		fs.StringVar(&c.Method, "method", "", "Must be one of: cross-sign, bundle. Defaults to the method that suits the owners of the certificates.")
		fs.BoolVar(&emergency, "emergency", false, "If true, replace the CA at once, because its key is lost or known to others. Clusters do not accept each other meanwhile.")
		fs.StringVar(&keyType, "key-type", keyType, "Key of the new CA. Must be one of: ecdsa, rsa.")
		fs.Var(&validFor, "valid-for", "Time for which the new CA is valid, such as 3650d.")
	}
	if action == rotate.Plan || action == rotate.Status {
		f.Out.AddFlags(fs)
		return cmd
	}
	usages := writeUsages
	usages.ForceConflicts = "If true, also rotate where a reconciler such as Argo CD or Flux keeps the certificates."
	f.AddFlags(fs, usages)
	return cli.Writes(cmd)
}

// startFlags are the flags of rotate start as they are typed again, nothing for their defaults.
func startFlags(method string, emergency bool, key pki.KeyType, validFor lifetime) []string {
	var out []string
	if emergency {
		out = append(out, "--emergency")
	}
	if method != "" {
		out = append(out, "--method="+method)
	}
	if key != pki.ECDSA {
		out = append(out, "--key-type="+string(key))
	}
	if validFor != lifetime(pki.DefaultCAValidity) {
		out = append(out, "--valid-for="+validFor.String())
	}
	return out
}

// minRotationValidity is that of the leaf certificates that Cilium's chart makes from 1.20 on: one year.
const minRotationValidity = lifetime(366 * 24 * time.Hour)

func printRotation(e *kernel.Env, out *output.Flags, c rotate.Config, ui kernel.UI, ctx context.Context) error { //nolint:revive // ctx is that of the command
	report, failure := rotate.Run(ctx, c, ui)
	var names []string
	for _, ch := range report.Changes {
		names = append(names, ch.Object)
	}
	var tables []output.Section
	if failure == nil || len(report.Changes) > 0 {
		tables = view.Rotation(report.RotationReport)
	}
	if err := e.PrintResult(out, report.RotationReport, names, tables); err != nil {
		return errors.Join(failure, err)
	}
	if failure == nil {
		for _, line := range view.RotationNext(report.RotationReport) {
			e.Say("%s", line)
		}
	}
	return failure
}

// clock is the real time.
type clock struct{ now func() time.Time }

func (c clock) Now() time.Time { return c.now() }

func (clock) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// whoAmI says who runs a command, and where, for the lock; the id tells two runs of one person apart.
func whoAmI() (who, id string) {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	who = name + "@" + host
	return who, fmt.Sprintf("%s/%d/%d", who, os.Getpid(), time.Now().UnixNano())
}
