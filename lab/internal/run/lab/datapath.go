package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/install"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/realcilium"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// checkDatapath says whether the lab can have the datapath that was asked for, as far as flags decide.
func (s Spec) checkDatapath(l *state.Lab) error {
	flag := "--datapath=" + l.Datapath
	switch l.Datapath {
	case state.DatapathLab:
		if l.OneCA {
			return fmt.Errorf("--one-ca needs --datapath=%s: otherwise traffic does not depend on certificates", state.DatapathCilium)
		}
		return nil
	case state.DatapathCilium:
	default:
		return fmt.Errorf("--datapath is %q; want %s or %s", l.Datapath, state.DatapathLab, state.DatapathCilium)
	}
	switch {
	case !l.Net:
		return fmt.Errorf("%s and --no-net cannot be used together: Cilium's agents run on nodes", flag)
	case l.Chooser == state.ChooserCilium:
		return fmt.Errorf("%s and --chooser=%s cannot be used together: Cilium's agents choose the backends", flag, state.ChooserCilium)
	case s.PropagationDelay != nil:
		return fmt.Errorf("%s and --propagation-delay cannot be used together: Cilium decides when changes take effect", flag)
	case s.KubeProxyReplacement != nil && !*s.KubeProxyReplacement:
		return fmt.Errorf("%s needs --kube-proxy-replacement: the lab has no kube-proxy", flag)
	}
	for _, c := range l.Clusters {
		if c.CiliumVersion != realcilium.Version {
			return fmt.Errorf("cluster %q: --cilium-version %s: %s is built from Cilium %s only", c.Name, c.CiliumVersion, flag, realcilium.Version)
		}
		if c.Install != string(install.Helm) && c.Install != string(install.Certgen) {
			return fmt.Errorf("cluster %q: --install %s: %s installs with %s or %s only", c.Name, c.Install, flag, install.Helm, install.Certgen)
		}
	}
	return nil
}

// minClang is the oldest clang that compiles the datapath of Cilium 1.20.
const minClang = 18

// CheckMachine says what this machine lacks for a datapath.
func CheckMachine(datapath string) error {
	switch datapath {
	case state.DatapathLab:
		return nil
	case state.DatapathCilium:
		_, err := checkMachine()
		return err
	}
	return fmt.Errorf("--datapath is %q; want %s or %s", datapath, state.DatapathLab, state.DatapathCilium)
}

// checkMachine says what this machine lacks for Cilium's own datapath, and what works without it.
func checkMachine() (clang string, err error) {
	clang, err = findClang()
	if err := errors.Join(err, checkRoot(), checkPrograms(), checkCgroup()); err != nil {
		return "", fmt.Errorf("--datapath=%s does not work on this machine: %s. Without this flag the lab works",
			state.DatapathCilium, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return clang, nil
}

// checkCgroup checks whether nodes can have cgroups. In a container the file system is often mounted read-only.
func checkCgroup() error {
	dir, err := podnet.Cgroup("")
	if err != nil {
		return err
	}
	if root := filepath.Dir(dir); unix.Access(root, unix.W_OK) != nil {
		return fmt.Errorf("it cannot make cgroups in %s", root)
	}
	return nil
}

// checkRoot checks the capabilities that the agent cannot do without.
func checkRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root")
	}
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	var lacks []string
	for name, number := range map[string]uint{"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_BPF": unix.CAP_BPF} {
		if effectiveCapabilities(string(data))>>number&1 == 0 {
			lacks = append(lacks, name)
		}
	}
	slices.Sort(lacks)
	if len(lacks) > 0 {
		return fmt.Errorf("it needs %s", strings.Join(lacks, ", "))
	}
	return nil
}

// effectiveCapabilities reads CapEff of /proc/PID/status.
func effectiveCapabilities(status string) uint64 {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				return 0
			}
			return mask
		}
	}
	return 0
}

// checkPrograms looks for what the agent executes.
func checkPrograms() error {
	var lacks []string
	for program, debian := range map[string]string{"iptables": "iptables", "ipset": "ipset", "ip": "iproute2"} {
		if _, err := find(program); err != nil {
			lacks = append(lacks, debian)
		}
	}
	slices.Sort(lacks)
	if len(lacks) > 0 {
		return fmt.Errorf("it needs Debian's packages %s", strings.Join(lacks, ", "))
	}
	return nil
}

var clangVersion = regexp.MustCompile(`clang version ([0-9]+)\.`)

// findClang finds a compiler that is new enough, whatever its name.
func findClang() (string, error) {
	names := []string{"clang"}
	for v := minClang; v < minClang+8; v++ {
		names = append(names, fmt.Sprintf("clang-%d", v))
	}
	old := ""
	for _, name := range names {
		file, err := find(name)
		if err != nil {
			continue
		}
		major, err := clangMajor(file, clangTimeout)
		if err != nil {
			continue
		}
		if major >= minClang {
			return file, nil
		}
		old = fmt.Sprintf("; %s is clang %d", file, major)
	}
	return "", fmt.Errorf("it needs clang %d or later (Debian's package clang-19)%s", minClang, old)
}

// clangTimeout bounds how long a compiler may take to say its version. What is called clang may be anything.
const clangTimeout = 10 * time.Second

// clangMajor asks a compiler for its version.
func clangMajor(file string, timeout time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "--version")
	cmd.WaitDelay = time.Second // its children may keep the pipe open
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	m := clangVersion.FindStringSubmatch(string(out))
	if m == nil {
		return 0, fmt.Errorf("%s does not say that it is clang", file)
	}
	return strconv.Atoi(m[1])
}

// find looks for a program where distributions put them, whatever PATH says.
func find(program string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"} {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("no %s", program)
}
