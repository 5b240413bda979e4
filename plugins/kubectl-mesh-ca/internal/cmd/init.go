package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/initca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// initFlags are what the user typed.
type initFlags struct {
	in                        []string
	printValues, showKey      bool
	keyType, commonName       string
	validFor                  lifetime
	release, releaseNamespace string
}

// check returns the mistake in the flags, if any.
func (f *initFlags) check(e *kernel.Env, w *kernel.WriteFlags) error {
	switch {
	case len(f.in) == 0 && !f.printValues:
		return errors.New("--in is missing; name the contexts of the clusters that get the CA, or use --print-values")
	case len(f.in) > 0 && f.printValues:
		return errors.New("--in and --print-values cannot be used together")
	case f.showKey && !f.printValues:
		return errors.New("--show-key needs --print-values, the only output that contains a key")
	case f.printValues && w.Out.Format != "":
		return errors.New("--output cannot be used with --print-values, which prints YAML")
	case f.printValues && !f.showKey && output.IsTerminal(e.Out):
		return errors.New("stdout is a terminal, and the values contain a private key; write them to a file that is encrypted, such as with \"... | age -e -r age1... > values.age\", or use --show-key")
	case f.release == "":
		return errors.New("--release is empty; it names the Helm release that will adopt the CA")
	}
	return nil
}

// options returns the CA that is asked for.
func (f *initFlags) options(e *kernel.Env) pki.CAOptions {
	return pki.CAOptions{CommonName: f.commonName, KeyType: pki.KeyType(f.keyType), Validity: time.Duration(f.validFor), Now: e.Now()}
}

func newInit(e *kernel.Env) *cobra.Command {
	w := kernel.NewWriteFlags(pki.FieldManager)
	f := initFlags{keyType: string(pki.ECDSA), validFor: lifetime(3650 * 24 * time.Hour), commonName: "Cilium CA", release: "cilium"}
	cmd := &cobra.Command{
		Use:   "init (--in CONTEXT,... | --print-values)",
		Short: "Create one CA for clusters in which Cilium is not installed yet",
		Long: "Create one CA for clusters in which Cilium is not installed yet, so that they trust each other from the\n" +
			"start. The command writes it as Secret cilium-ca in every cluster that --in names, or in none, with the\n" +
			"labels and annotations by which Helm adopts it. The installation of Cilium then signs all certificates\n" +
			"with it. The command refuses a cluster that has a CA or Cilium: use sync or rotate there.\n\n" +
			"With --print-values it prints the CA as values of Cilium's chart instead, with its private key, and only\n" +
			"to a file or a pipe: encrypt the output." + kernel.WriteExits,
		Example: `  # Two new clusters
  kubectl mesh-ca init --in kind-us,kind-eu

  # An RSA key, in another namespace, for a release with another name
  kubectl mesh-ca init --in kind-us --key-type rsa --cilium-namespace cilium --release cni --release-namespace cilium

  # Values for GitOps, encrypted at once
  kubectl mesh-ca init --print-values | age -e -r age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p > ca.age`,
		Args: cli.NoArgs("--in names the contexts of the clusters"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(e, w); err != nil {
				return err
			}
			o := f.options(e)
			if f.printValues {
				return printValues(e, o)
			}
			c, err := w.Config(e)
			if err != nil {
				return err
			}
			report, err := initca.Run(cmd.Context(), initca.Config{
				Write: c, Select: e.SelectIn, Contexts: len(e.Flags.Contexts) > 0 || e.Flags.AllContexts, In: f.in, Namespace: e.Flags.CiliumNamespace,
				Release: ca.Release{Name: f.release, Namespace: f.releaseNamespace}, CA: o,
			}, w.UI(e))
			return printInit(e, w.Out, report, err)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&f.in, "in", nil, "Contexts of the clusters that get the CA (repeatable).")
	fs.BoolVar(&f.printValues, "print-values", false, "If true, print the CA with its key as Helm values and ask no cluster.")
	fs.BoolVar(&f.showKey, "show-key", false, "If true, --print-values also prints to a terminal.")
	fs.StringVar(&f.keyType, "key-type", f.keyType, "Type of the key. Must be one of: ecdsa (P-256), rsa (3072 bits).")
	fs.Var(&f.validFor, "valid-for", "How long the CA is valid, such as 3650d.")
	fs.StringVar(&f.commonName, "common-name", f.commonName, "Common name of the CA.")
	fs.StringVar(&f.release, "release", f.release, "Helm release that will install Cilium and adopt the CA.")
	fs.StringVar(&f.releaseNamespace, "release-namespace", "", "Namespace of the Helm release. Defaults to Cilium's namespace.")
	usages := writeUsages
	usages.ForceConflicts = ""
	w.AddFlags(fs, usages)
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// printValues is the only place in which a key is printed: that is what the user asked for.
func printValues(e *kernel.Env, o pki.CAOptions) error {
	values, err := initca.Values(o)
	if err != nil {
		return err
	}
	if _, err := e.Out.Write(values); err != nil {
		return err
	}
	e.Warn("the values contain the private key of the CA: encrypt them, and do not commit them as they are")
	return nil
}

// printInit prints what became of each cluster, and how to remove what was made.
func printInit(e *kernel.Env, out *output.Flags, r *initca.Report, failure error) error {
	if r == nil {
		return failure
	}
	var tables []output.Section
	if r.Begun {
		tables = view.Changes(r.CAChangeReport)
	}
	if err := e.PrintResult(out, r.CAChangeReport, kernel.Names(r.ChangeReport), tables); err != nil {
		return errors.Join(failure, err)
	}
	if len(r.UndoCommands) > 0 {
		e.Say("")
		e.Say("%s", "Install Cilium with the same namespace and release; the CA must not be set in the values (tls.ca).")
		e.Say("To remove the CA again before the installation, run:")
		for _, u := range r.UndoCommands {
			e.Say("  %s", u)
		}
	}
	if failure != nil && len(r.UndoCommands) > 0 {
		return fmt.Errorf("%w; not every cluster has the CA", failure)
	}
	return failure
}
