package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// linkedModules lists the modules in a Go binary, with Go's standard library as one of them. It asks the go command for
// the packages and compares its answer with what the linker recorded in the binary. Both must come from the same source tree.
func linkedModules(ctx context.Context, source string, info *debug.BuildInfo) ([]linkedModule, error) {
	system, arch := buildSetting(info, "GOOS"), buildSetting(info, "GOARCH")
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Standard,Module", info.Path)
	list.Dir = source
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED="+buildSetting(info, "CGO_ENABLED"))
	out, err := commandOutput(list)
	if err != nil {
		return nil, err
	}
	modules, err := parsePackages(out, info.Main.Path)
	if err != nil {
		return nil, err
	}
	if err := compareWithBuildInfo(modules, info); err != nil {
		return nil, err
	}
	env := exec.CommandContext(ctx, "go", "env", "GOROOT")
	env.Dir = source
	root, err := commandOutput(env)
	if err != nil {
		return nil, err
	}
	return append(modules, linkedModule{Path: "Go standard library", Version: info.GoVersion, Dir: strings.TrimSpace(string(root))}), nil
}

// parsePackages reads what `go list -deps -json` prints. It leaves out the standard library and the main module.
func parsePackages(list []byte, main string) ([]linkedModule, error) {
	var modules []linkedModule
	for decoder := json.NewDecoder(bytes.NewReader(list)); ; {
		type moduleJSON struct {
			Path, Version, Dir string
			Replace            *moduleJSON
		}
		var pkg struct {
			Dir      string
			Standard bool
			Module   *moduleJSON
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return modules, nil
		} else if err != nil {
			return nil, err
		}
		if pkg.Standard || pkg.Module == nil || pkg.Module.Path == main {
			continue
		}
		if pkg.Module.Replace != nil {
			return nil, fmt.Errorf("%s is replaced; a release must consist of published modules", pkg.Module.Path)
		}
		i := slices.IndexFunc(modules, func(m linkedModule) bool { return m.Path == pkg.Module.Path })
		if i < 0 {
			i = len(modules)
			modules = append(modules, linkedModule{Path: pkg.Module.Path, Version: pkg.Module.Version, Dir: pkg.Module.Dir})
		}
		modules[i].Packages = append(modules[i].Packages, pkg.Dir)
	}
}

func compareWithBuildInfo(modules []linkedModule, info *debug.BuildInfo) error {
	var listed, recorded []string
	for _, m := range modules {
		listed = append(listed, m.String())
	}
	for _, m := range info.Deps {
		recorded = append(recorded, m.Path+" "+m.Version)
	}
	slices.Sort(listed)
	slices.Sort(recorded)
	if !slices.Equal(listed, recorded) {
		return fmt.Errorf("the binary was not built from this source tree: it contains %v, but go list names %v", recorded, listed)
	}
	return nil
}

func buildSetting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// commandOutput runs a command and returns its stdout; the error has its stderr.
func commandOutput(cmd *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), err, stdout.String(), stderr.String())
	}
	return stdout.Bytes(), nil
}
