// Package cli is what the three plugins' command lines share: the root command,
// its help, exit codes, version and completion. It knows cobra; it knows nothing of clusters.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
)

// The exit codes. docs/exit-codes.md is the user's page about them.
const (
	ExitOK          = 0
	ExitFailure     = 1   // a finding or missed expectation; for writing commands any error
	ExitNoAnswer    = 2   // reading commands: usage, a member missing, inconclusive
	ExitInterrupted = 130 // Ctrl-C, SIGTERM or SIGHUP
)

// annotationWrites marks commands whose every error is ExitFailure.
const annotationWrites = "kubectl-mesh/writes"

// ExitError is an error with an exit code. A nil Err sets the code without printing anything.
type ExitError struct {
	Code int
	Err  error
}

// Error returns the message of the cause.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// Writes marks a command as one that changes something: all its errors, usage included, exit with 1.
func Writes(cmd *cobra.Command) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[annotationWrites] = "true"
	return cmd
}

// IsWriting reports whether a command was marked by Writes.
func IsWriting(cmd *cobra.Command) bool { return cmd != nil && cmd.Annotations[annotationWrites] != "" }

// Plugin says what a root command is called.
type Plugin struct {
	Binary  string // kubectl-mesh_svc
	Display string // kubectl mesh-svc
	Short   string
	Long    string
	Example string
	Schemas Schemas // of the documents that it prints; nil for none
}

// NewRoot returns a root command with version, options, completion and schema.
func NewRoot(p Plugin, streams genericiooptions.IOStreams) *cobra.Command {
	root := &cobra.Command{
		Use:           p.Binary,
		Short:         p.Short,
		Long:          p.Long,
		Example:       p.Example,
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: p.Display},
		Args:          rootArgs(p),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2 // cobra sets its default only for the suggestions that it prints itself
	root.SetHelpCommand(&cobra.Command{Use: "help [command]", Short: "Show the help of a command", RunE: func(_ *cobra.Command, args []string) error {
		cmd, _, err := root.Find(args)
		if err == nil && cmd == root && len(args) > 0 {
			err = rootArgs(p)(root, args)
		}
		if err != nil {
			return err
		}
		return cmd.Help()
	}})
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpFunc(printHelp)
	addVerbosity(root)
	root.AddCommand(newVersion(p, streams), newOptions(p), newCompletion(p, streams))
	if p.Schemas != nil {
		root.AddCommand(newSchema(p, streams))
	}
	return root
}

// rootArgs turns an unknown subcommand into an error with suggestions.
func rootArgs(p Plugin) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		msg := fmt.Sprintf("unknown command %q for %q", args[0], p.Display)
		if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
			msg += "; did you mean " + strings.Join(s, " or ") + "?"
		} else {
			msg += fmt.Sprintf("; run %q", p.Display+" --help")
		}
		return errors.New(msg)
	}
}

// NoArgs refuses arguments: cobra's own calls them unknown commands. hint says what the command takes instead; it may be empty.
func NoArgs(hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		msg := fmt.Sprintf("%s accepts no arguments; got %q", cmd.Name(), args[0])
		if hint != "" {
			msg += "; " + hint
		}
		return errors.New(msg)
	}
}

// Main runs the root command and returns the exit code. Nothing that a library logs is shown without -v.
func Main(ctx context.Context, root *cobra.Command, streams genericiooptions.IOStreams) int {
	code, _ := Execute(ctx, root, streams)
	return code
}

// Execute is Main, and also returns the error that was printed.
func Execute(ctx context.Context, root *cobra.Command, streams genericiooptions.IOStreams) (int, error) {
	silenceLogs()
	cmd, err := root.ExecuteContextC(ctx)
	return report(ctx, cmd, err, streams), err
}

// report prints an error and returns its exit code.
func report(ctx context.Context, cmd *cobra.Command, err error, streams genericiooptions.IOStreams) int {
	if err == nil {
		return ExitOK
	}
	var exit *ExitError
	code := ExitNoAnswer
	if IsWriting(cmd) {
		code = ExitFailure
	}
	if errors.As(err, &exit) {
		code = exit.Code
		if exit.Err == nil {
			return code
		}
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, syscall.EIO)) { // EIO: the terminal is gone
		message := "interrupted"
		var unanswered *confirm.InterruptedError
		if errors.As(err, &unanswered) {
			message = unanswered.Error()
		}
		_, _ = fmt.Fprintf(streams.ErrOut, "error: %s\n", message)
		return ExitInterrupted
	}
	_, _ = fmt.Fprintf(streams.ErrOut, "error: %s\n", lines(err))
	return code
}

// lines is an error in one line, or, if it has several reasons, in one line for each of them and one before.
func lines(err error) string {
	var several *failure.ReasonsError
	if !errors.As(err, &several) || len(several.Each) < 2 {
		return text.OneLine(err.Error())
	}
	before, after, _ := strings.Cut(err.Error(), several.Error())
	out := text.OneLine(before+several.Err.Error()+after) + ":"
	for _, reason := range several.Each {
		out += "\n- " + text.OneLine(reason)
	}
	return out
}

// usageTemplate is cobra's without the inherited flags, which `options` lists.
const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Available Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if (and .HasParent .HasAvailableLocalFlags)}}

Flags:
{{.LocalNonPersistentFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableSubCommands}}

Use "{{.CommandPath}} COMMAND --help" for more about a command.{{end}}
Use "{{.Root.CommandPath}} options" for a list of flags that every command takes.
`
