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

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// minClang is the oldest clang that compiles the datapath of Cilium 1.20.
const minClang = 18

// CheckMachine says what this machine lacks for a datapath.
func CheckMachine(datapath string) error {
	switch datapath {
	case state.DatapathLab:
		return nil
	case state.DatapathCilium:
		_, err := thisMachine.check()
		return err
	}
	return fmt.Errorf("--datapath is %q; want %s or %s", datapath, state.DatapathLab, state.DatapathCilium)
}

// machine is where to look for what Cilium needs.
type machine struct {
	euid   int
	status string   // the process's file in /proc
	dirs   []string // where distributions put programs, whatever PATH says
	// cgroup returns an error if nodes cannot have cgroups.
	cgroup func() error
}

var thisMachine = machine{os.Geteuid(), "/proc/self/status", []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"}, checkCgroup}

// check says what the machine lacks for Cilium's own datapath, and what works without it. It returns the compiler.
func (m machine) check() (clang string, err error) {
	clang, err = m.findClang()
	if err := errors.Join(err, m.checkRoot(), m.checkPrograms(), m.cgroup()); err != nil {
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
func (m machine) checkRoot() error {
	if m.euid != 0 {
		return errors.New("it needs root")
	}
	data, err := os.ReadFile(m.status)
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
func (m machine) checkPrograms() error {
	var lacks []string
	for program, debian := range map[string]string{"iptables": "iptables", "ipset": "ipset", "ip": "iproute2"} {
		if _, err := m.find(program); err != nil {
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
func (m machine) findClang() (string, error) {
	names := []string{"clang"}
	for v := minClang; v < minClang+8; v++ {
		names = append(names, fmt.Sprintf("clang-%d", v))
	}
	old := ""
	for _, name := range names {
		file, err := m.find(name)
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
const clangTimeout = time.Minute

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
	found := clangVersion.FindStringSubmatch(string(out))
	if found == nil {
		return 0, fmt.Errorf("%s does not say that it is clang", file)
	}
	return strconv.Atoi(found[1])
}

func (m machine) find(program string) (string, error) {
	for _, dir := range m.dirs {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("no %s", program)
}
