// Package cli is meshlab's command line: flags to a lab.Spec, and what the lab says
// of itself to text. It decides nothing about the lab.
package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/lab"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

const (
	stateVariable    = "MESHLAB_STATE"
	clustersVariable = "CLUSTERS"
	defaultStateName = ".lab"
)

const long = `Run an embedded Cilium cluster mesh: real Kubernetes API servers, one process per
cluster, and nodes whose pods are processes of this machine. lab/README.md says what
is real and what imitates Cilium.

The lab keeps everything in its state directory: .lab beside the sources, or
MESHLAB_STATE, or --state.`

// NewCommand returns the root command.
func NewCommand(out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "meshlab",
		Short:         "Run an embedded Cilium cluster mesh",
		Long:          long,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(out)
	root.SetErr(errOut)
	var stateDir string
	root.PersistentFlags().StringVar(&stateDir, "state", "", "State directory; the default is $"+stateVariable+", else "+defaultStateName+" beside the sources.")

	manager := func() (*lab.Manager, error) {
		dir, err := findState(stateDir, os.Getenv(stateVariable))
		if err != nil {
			return nil, err
		}
		return &lab.Manager{Dir: dir, Programs: &lazyBuilder{log: errOut}, Log: errOut}, nil
	}
	root.AddCommand(newUp(manager), newDown(manager), newStatus(manager), newEnv(manager),
		newStart(manager), newStop(manager), newFreeze(manager), newThaw(manager), newCut(manager), newHeal(manager), newCheck(), newBuild(errOut), newChaos(manager, errOut))
	return root
}

// managerFunc makes the manager when the flags are known.
type managerFunc func() (*lab.Manager, error)

// findState returns the state directory as an absolute path.
func findState(flag, variable string) (state.Dir, error) {
	dir := flag
	if dir == "" {
		dir = variable
	}
	if dir == "" {
		source, err := build.Source()
		if err != nil {
			return "", fmt.Errorf("no state directory: %w, or set %s", err, stateVariable)
		}
		dir = filepath.Join(filepath.Dir(source), defaultStateName)
	}
	abs, err := filepath.Abs(dir)
	return state.Dir(abs), err
}

// exports are the lines that make a shell use the lab.
func exports(dir state.Dir) string {
	var b strings.Builder
	for _, v := range []struct{ name, value string }{
		{"KUBECONFIG", dir.Kubeconfig()},
		{"MESHLAB_KUBECONFIG", dir.Kubeconfig()},
		{stateVariable, string(dir)},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", v.name, quote(v.value))
	}
	return b.String()
}

// printExports prints the lines that make a shell use the lab, with its directory of programs if it has one.
func printExports(out io.Writer, dir state.Dir) error {
	text := exports(dir)
	if _, err := os.Stat(dir.BinDir()); err == nil {
		text += fmt.Sprintf("export PATH=%s:$PATH\n", quote(dir.BinDir()))
	}
	_, err := io.WriteString(out, text)
	return err
}

// quote quotes a word for a POSIX shell if it needs that.
func quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// values reads "us=1.18.11,eu=1.20.2" or "1.18.11"; the key of the latter is "".
func values(flag, text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	result := map[string]string{}
	for _, item := range strings.Split(text, ",") {
		name, value, named := strings.Cut(item, "=")
		if !named {
			name, value = "", item
		}
		if value == "" || named && name == "" {
			return nil, fmt.Errorf("%s: %q is neither VALUE nor CLUSTER=VALUE", flag, item)
		}
		if _, ok := result[name]; ok {
			return nil, fmt.Errorf("%s: %q is given twice", flag, item)
		}
		result[name] = value
	}
	return result, nil
}
