// Package build makes the lab's own programs on first use and keeps them in the
// user's cache directory under a hash of what they are made from. It calls the go
// command; it knows which programs there are, not what they do.
package build

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Module is the path of the lab's module.
const Module = "github.com/kubectl-mesh/kubectl-mesh/lab"

// KubernetesVersion is the version of Kubernetes that is built if no other is asked for: that of k8s.io/kubernetes in go.mod.
const KubernetesVersion = "1.37.2"

// kubernetesModFiles are the files that require a version of Kubernetes in the place of go.mod, for the control plane alone.
var kubernetesModFiles = map[string]string{KubernetesVersion: "", "1.34.4": "v1.34.mod"}

// KubernetesVersions are the versions of Kubernetes that can be built, in order.
func KubernetesVersions() []string { return slices.Sorted(maps.Keys(kubernetesModFiles)) }

// unusedFor is how long a program is kept that no lab asked for.
const unusedFor = 30 * 24 * time.Hour

// Group is a set of programs that are built together and are in one directory.
type Group struct {
	Programs []string
	// Packages are the import paths of programs that are not in cmd/NAME of the module.
	Packages map[string]string
	// Module is the directory of their module, relative to the lab's; empty means the lab's own.
	Module string
	// ModFile takes the place of the module's go.mod; empty means go.mod.
	ModFile string
	// Notice is printed before a build.
	Notice string
	// Flags are further flags of go build.
	Flags []string
}

// Cluster is the control plane of one of KubernetesVersions, or of KubernetesVersion if version is empty, as in a lab of an older meshlab: the only program with Kubernetes in it. It is
// separate, so that a change elsewhere does not rebuild it.
func Cluster(version string) Group {
	version = cmp.Or(version, KubernetesVersion)
	// What go build would leave empty, as a release build stamps it. The API servers say it of themselves.
	major, minor, _ := strings.Cut(version, ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range []string{
			"gitVersion=v" + version, "gitMajor=" + major, "gitMinor=" + minor, "gitTreeState=clean",
		} {
			flags = append(flags, "-X="+pkg+"."+value)
		}
	}
	return Group{
		Programs: []string{"meshlab-cluster"},
		ModFile:  kubernetesModFiles[version],
		Notice: "building the lab's control plane of Kubernetes " + version + ": kube-apiserver, kube-controller-manager and etcd from source. The first build " +
			"compiles all of Kubernetes and takes about 10 minutes on two cores; the result is cached",
		Flags: []string{"-ldflags=" + strings.Join(flags, " ")},
	}
}

// Net are the nodes and the pod network. They are in one directory because
// meshlab-net looks for meshlab-pod in its own directory.
func Net() Group {
	return Group{
		Programs: []string{"meshlab-net", "meshlab-pod"},
		Notice:   "building the lab's nodes and network",
		Flags:    []string{"-ldflags=-s -w"},
	}
}

// Chooser is the judge of backends that runs Cilium's own code. It is in a separate module, because no other program may
// depend on Cilium.
func Chooser() Group {
	return Group{
		Programs: []string{"meshlab-chooser"},
		Module:   "../test/conformance/v1.20",
		Notice: "building the lab's chooser of backends out of Cilium's own code. The first build takes some minutes on two " +
			"cores; the result is cached",
		Flags: []string{"-ldflags=-s -w"},
	}
}

// Cilium is Cilium's own programs, of one of CiliumVersions. They are in a separate module for each version, because nothing else may depend
// on Cilium.
func Cilium(version string) Group {
	const module = "github.com/cilium/cilium/"
	return Group{
		Programs: []string{"cilium-agent", "clustermesh-apiserver", "cilium-cni", "cilium-dbg"},
		Packages: map[string]string{
			"cilium-agent": module + "daemon", "clustermesh-apiserver": module + "clustermesh-apiserver",
			"cilium-cni": module + "plugins/cilium-cni", "cilium-dbg": module + "cilium-dbg",
		},
		Module: ciliumModules[version],
		Notice: "building Cilium's agent, clustermesh-apiserver, CNI plugin and cilium-dbg from source. The first build takes about " +
			"15 minutes on two cores; the result is cached",
		Flags: []string{"-ldflags=-s -w -X=" + module + "pkg/version.ciliumVersion=" + version},
	}
}

// CiliumVersion is the version of Cilium that is built if no other is asked for.
const CiliumVersion = "1.20.2"

// ciliumModules are the modules that require a version of Cilium, relative to the lab's.
var ciliumModules = map[string]string{CiliumVersion: "../test/realcilium", "1.19.7": "../test/realcilium/v1.19"}

// CiliumVersions are the versions of Cilium that can be built, in order.
func CiliumVersions() []string { return slices.Sorted(maps.Keys(ciliumModules)) }

// Etcd is the etcd that runs beside clustermesh-apiserver.
func Etcd() Group {
	return Group{
		Programs: []string{"etcd"}, Packages: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
		Notice: "building etcd", Flags: []string{"-ldflags=-s -w"},
	}
}

// CiliumHelpers are the lab's own programs in Cilium's pods.
func CiliumHelpers() Group {
	return Group{
		Programs: []string{"meshlab-certgen", "meshlab-clang"},
		Notice:   "building the lab's programs in Cilium's pods", Flags: []string{"-ldflags=-s -w"},
	}
}

// Helm is the helm command.
func Helm() Group {
	return Group{
		Programs: []string{"helm"}, Packages: map[string]string{"helm": "helm.sh/helm/v3/cmd/helm"}, Module: "../tools/helm",
		Notice: "building helm; the first build takes about two minutes on two cores", Flags: []string{"-ldflags=-s -w"},
	}
}

// packageOf is the package of a program, as the go command takes it.
func (g Group) packageOf(program string) string {
	if p, ok := g.Packages[program]; ok {
		return p
	}
	return "./cmd/" + program
}

// Builder builds programs.
type Builder struct {
	// Source is the directory of the lab's module.
	Source string
	// Cache is the directory below which programs are kept.
	Cache string
	// Log gets notices and the go command's messages. Several goroutines write to it.
	Log io.Writer
	// Remind is how often Log hears that a program is still being built. 0 is once a minute.
	Remind time.Duration
}

// New returns a Builder for the lab's sources and the user's cache directory.
func New(log io.Writer) (*Builder, error) {
	source, err := Source()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("the lab keeps its programs in the user's cache directory: %w", err)
	}
	return &Builder{Source: source, Cache: filepath.Join(cache, "kubectl-mesh-lab"), Log: log}, nil
}

// Source finds the lab's sources: in or above the current directory, or above the
// running program, which make puts into bin/ of the clone.
func Source() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	source, err := FindSource(wd)
	if err == nil {
		return source, nil
	}
	if program, programErr := os.Executable(); programErr == nil {
		if source, sourceErr := FindSource(filepath.Dir(program)); sourceErr == nil {
			return source, nil
		}
	}
	return "", err
}

// FindSource returns the directory of the lab's module in or above dir.
func FindSource(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		for _, candidate := range []string{at, filepath.Join(at, "lab")} {
			if isModule(filepath.Join(candidate, "go.mod")) {
				return candidate, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("the lab is built from its sources, and %s is not inside them; change to a clone of kubectl-mesh", dir)
		}
	}
}

func isModule(file string) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line) == "module "+Module
}

// Ensure returns the directory with the programs of a group, which it builds if
// they are not in the cache.
func (b *Builder) Ensure(ctx context.Context, group Group) (string, error) {
	key, err := b.key(ctx, group)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache, key)
	if complete(dir, group) {
		return dir, b.touch(dir)
	}
	if err := os.MkdirAll(b.Cache, 0o700); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(b.Cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	// Somebody else may have built it while we waited for the lock.
	if complete(dir, group) {
		return dir, nil
	}
	if err := b.prune(time.Now().Add(-unusedFor)); err != nil {
		return "", err
	}
	_, _ = fmt.Fprintln(b.Log, group.Notice)
	return dir, b.build(ctx, group, dir)
}

func complete(dir string, group Group) bool {
	for _, program := range group.Programs {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}

// build builds into a directory beside dir and renames it, so that dir is complete
// as soon as it is there.
func (b *Builder) build(ctx context.Context, group Group, dir string) error {
	tmp, err := os.MkdirTemp(b.Cache, "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	for n, program := range group.Programs {
		args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(tmp, program)}, group.Flags...)
		cmd := b.goCommand(ctx, group, append(args, group.packageOf(program))...)
		cmd.Stdout, cmd.Stderr = b.Log, b.Log
		stop := b.remind(fmt.Sprintf("still building %s (%d of %d)", program, n+1, len(group.Programs)))
		err := cmd.Run()
		stop()
		if err != nil {
			return fmt.Errorf("build %s: %w", program, err)
		}
	}
	return os.Rename(tmp, dir)
}

func (b *Builder) goCommand(ctx context.Context, group Group, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // arguments are ours
	cmd.Dir = b.module(group)
	// The nodes' programs run where there is no C library.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if group.ModFile != "" {
		cmd.Env = append(cmd.Env, strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -modfile="+group.ModFile))
	}
	return cmd
}

func (b *Builder) module(group Group) string { return filepath.Join(b.Source, group.Module) }

// key is a hash of everything that goes into the programs.
func (b *Builder) key(ctx context.Context, group Group) (string, error) {
	args := []string{"list", "-deps", "-json=ImportPath,Dir,Standard,Module,GoFiles,SFiles,HFiles,EmbedFiles"}
	for _, program := range group.Programs {
		args = append(args, group.packageOf(program))
	}
	cmd := b.goCommand(ctx, group, args...)
	cmd.Stderr = b.Log
	list, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("list what %s is built from: %w", strings.Join(group.Programs, " and "), err)
	}
	version, err := b.goCommand(ctx, group, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(strings.NewReader(string(list))); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("read the output of go list: %w", err)
		}
		packages = append(packages, p)
	}
	salts := append([]string{string(version)}, group.Flags...)
	if group.Module != "" {
		sum, err := fileSum(filepath.Join(b.module(group), "go.sum"))
		if err != nil {
			return "", err
		}
		salts = append(salts, sum)
	}
	return hash(packages, salts)
}

// ModuleDir is where the go command keeps the sources of a module on which a group's module depends.
func (b *Builder) ModuleDir(ctx context.Context, group Group, module string) (string, error) {
	out, err := b.goCommand(ctx, group, "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (b *Builder) touch(dir string) error {
	now := time.Now()
	return os.Chtimes(dir, now, now)
}

// prune removes the programs that were not asked for since before.
func (b *Builder) prune(before time.Time) error {
	entries, err := os.ReadDir(b.Cache)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() || info.ModTime().After(before) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.Cache, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
