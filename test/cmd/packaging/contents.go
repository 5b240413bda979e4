package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// The names, in an archive, of our license and of the licenses of the linked modules.
const (
	licenseName = "LICENSE"
	noticesFile = "THIRD_PARTY_NOTICES"
)

// writeContents writes into dir what an archive has besides the binary and LICENSE: the notices of the modules in the
// binary and the script for shell completion. source is the checkout that the binary was built from.
func writeContents(ctx context.Context, source, binary, dir string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	i := slices.IndexFunc(plugins(), func(p plugin) bool { return p.command() == path.Base(info.Path) })
	if i < 0 {
		return fmt.Errorf("%s is built from %s, which is not a plugin", binary, info.Path)
	}
	p := plugins()[i]
	modules, err := linkedModules(ctx, source, info)
	if err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	notices, err := writeNotices(p.command(), modules)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, noticesFile), []byte(notices), 0o644); err != nil {
		return err
	}
	goos := buildSetting(info, "GOOS")
	return writeFile(filepath.Join(dir, p.completion(goos)), []byte(cli.CompletionScript(goos, p.display())), 0o755)
}

// writeFile also creates the file's directory. The mode does not depend on the umask.
func writeFile(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // what is packed is public
		return err
	}
	if err := os.WriteFile(name, data, mode); err != nil { //nolint:gosec // a file of the release, named by this program
		return err
	}
	return os.Chmod(name, mode) //nolint:gosec // as above
}

// command is the name of the binary without the extension of a platform. kubectl looks for it: the dash of the plugin's
// name becomes an underscore.
func (p plugin) command() string { return "kubectl-" + strings.ReplaceAll(string(p), "-", "_") }

// mainPackage is what go build and go install are given, in this repository.
func (p plugin) mainPackage() string {
	return fmt.Sprintf("./plugins/kubectl-%s/cmd/%s", p, p.command())
}

// display is what a user types.
func (p plugin) display() string { return "kubectl " + string(p) }

// completion is the file that kubectl runs to complete the plugin's arguments.
func (p plugin) completion(goos string) string { return cli.CompletionFile(goos, p.command()) }

// contents names the files of an archive.
func (p plugin) contents(on platform) []string {
	files := []string{licenseName, noticesFile, p.binary(on), p.completion(on.OS)}
	slices.Sort(files)
	return files
}
