package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Set by the linker (-X); empty in a binary that go install made.
var (
	version string
	commit  string
	date    string
)

// Build says what a binary was built from.
type Build struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Date      string `json:"date,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// BuildInfo returns the linker's values, else what Go recorded.
func BuildInfo() Build {
	b := Build{Version: version, Commit: commit, Date: date, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && b.Commit == "" {
				b.Commit = s.Value
			}
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

func newVersion(p Plugin, streams genericiooptions.IOStreams) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "version [-o json]",
		Short:   "Print the version of this plugin",
		Long:    "Print the version of this plugin. No cluster is asked.",
		Example: "  # Print the version\n  " + p.Display + " version\n\n  # Print it for a script\n  " + p.Display + " version -o json",
		Args:    NoArgs(""),
		RunE: func(*cobra.Command, []string) error {
			b := BuildInfo()
			switch format {
			case "":
				_, err := fmt.Fprintf(streams.Out, "%s %s (%s, %s)\n", p.Display, b.Version, b.GoVersion, b.Platform)
				return err
			case "json":
				enc := json.NewEncoder(streams.Out)
				enc.SetIndent("", "  ")
				return enc.Encode(b)
			}
			return fmt.Errorf("--output %q is not known; it is json or left out", format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "", "Output format. Must be one of: json.")
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func newOptions(p Plugin) *cobra.Command {
	return &cobra.Command{
		Use:     "options",
		Short:   "List the flags that every command takes",
		Long:    "List the flags that every command takes.",
		Example: "  # List the flags that every command takes\n  " + p.Display + " options",
		Args:    NoArgs(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Printf("These flags can be given to every command:\n\n%s", pageFor(cmd.OutOrStderr()).flagUsages(cmd.Root().PersistentFlags()))
			return nil
		},
	}
}

// CompletionScript returns the script with which kubectl completes a plugin on a platform; display is what the user types, such as "kubectl mesh-svc".
func CompletionScript(goos, display string) string {
	if goos == windows {
		return "@" + display + " __complete %*\r\n"
	}
	return fmt.Sprintf("#!/usr/bin/env sh\nexec %s __complete \"$@\"\n", display)
}

const windows = "windows"

// CompletionFile returns the name of the file with that script. kubectl looks for it on the PATH; Windows requires an extension.
func CompletionFile(goos, binary string) string {
	name := "kubectl_complete-" + strings.TrimPrefix(binary, "kubectl-")
	if goos == windows {
		name += ".cmd"
	}
	return name
}

// installCompletion returns the command that writes that file.
func installCompletion(goos string, p Plugin) string {
	file := CompletionFile(goos, p.Binary)
	if goos == windows { // > of Windows PowerShell 5.1 would write UTF-16
		return p.Display + " completion kubectl | Set-Content -Encoding ascii DIRECTORY\\" + file
	}
	return p.Display + " completion kubectl > ~/.local/bin/" + file + " && chmod +x ~/.local/bin/" + file
}

// newCompletion prints the shim that lets kubectl complete our arguments. krew cannot install it.
func newCompletion(p Plugin, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion kubectl",
		Short: "Print the script with which kubectl completes this plugin",
		Long: "Print the script with which kubectl completes this plugin. Save it on the PATH as\n" +
			CompletionFile(runtime.GOOS, p.Binary) + ": kubectl runs a file with this name.",
		Example:   "  # Install completion for the current user\n  " + installCompletion(runtime.GOOS, p),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"kubectl"},
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(streams.Out, CompletionScript(runtime.GOOS, p.Display))
			return err
		},
	}
	cmd.DisableFlagsInUseLine = true
	return cmd
}
