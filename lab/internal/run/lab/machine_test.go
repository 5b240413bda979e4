package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// What is missing is one line, which also says what still works.
func TestMachine(t *testing.T) {
	t.Parallel()
	const all, none = "CapEff:\t000001ffffffffff\n", "CapEff:\t00000000a80425fb\n" // none: the default of containers
	clang := func(version string) string { return "echo 'Debian clang version " + version + "'" }
	everything := map[string]string{"iptables": "true", "ipset": "true", "ip": "true", "clang-19": clang("19.1.7")}
	for name, c := range map[string]struct {
		euid     int
		status   string
		programs map[string]string
		cgroup   error
		want     string // between the fixed beginning and end; "" is nothing missing
	}{
		"everything":      {0, all, everything, nil, ""},
		"ordinary user":   {1000, none, everything, nil, "it needs root"},
		"container":       {0, none, everything, nil, "it needs CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN"},
		"no clang":        {0, all, map[string]string{"iptables": "true", "ipset": "true", "ip": "true"}, nil, "it needs clang 18 or later (Debian's package clang-19)"},
		"no programs":     {0, all, map[string]string{"clang": clang("20.1.0")}, nil, "it needs Debian's packages iproute2, ipset, iptables"},
		"cgroups":         {0, all, everything, errors.New("it cannot make cgroups in /sys/fs/cgroup"), "it cannot make cgroups in /sys/fs/cgroup"},
		"several at once": {1000, none, map[string]string{"ip": "true"}, errors.New("no cgroups"), "it needs clang 18 or later (Debian's package clang-19); it needs root; it needs Debian's packages ipset, iptables; no cgroups"},
	} {
		dir := t.TempDir()
		m := machine{c.euid, filepath.Join(dir, "status"), []string{filepath.Join(dir, "missing"), dir}, func() error { return c.cgroup }}
		for name, script := range c.programs {
			program.Write(t, filepath.Join(dir, name), "#!/bin/sh\n"+script+"\n")
		}
		if err := os.WriteFile(m.status, []byte(c.status), 0o600); err != nil {
			t.Fatal(err)
		}
		compiler, err := m.check()
		if c.want == "" {
			if err != nil || compiler != filepath.Join(dir, "clang-19") {
				t.Errorf("%s: %q, %v", name, compiler, err)
			}
			continue
		}
		if want := "--datapath=cilium does not work on this machine: " + c.want + ". Without this flag the lab works"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// A compiler that is too old is named.
func TestOldClang(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program.Write(t, filepath.Join(dir, "clang"), "#!/bin/sh\necho 'clang version 14.0.6'\n")
	if _, err := (machine{dirs: []string{dir}}).findClang(); err == nil || !strings.HasSuffix(err.Error(), "; "+filepath.Join(dir, "clang")+" is clang 14") {
		t.Errorf("%v", err)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]uint64{
		"Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n": 0x1ffffffffff,
		"CapEff:\tnonsense\n": 0,
		"":                    0,
	} {
		if got := effectiveCapabilities(status); got != want {
			t.Errorf("%q: got %#x, want %#x", status, got, want)
		}
	}
}

func TestClangMajor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script  string
		timeout time.Duration
		want    int // 0: an error
	}{
		"Debian's":       {"echo 'Debian clang version 19.1.7 (3+b1)'", time.Minute, 19},
		"an old one":     {"echo 'clang version 14.0.6'", time.Minute, 14},
		"something else": {"echo 'gcc (Debian 14.2.0)'", time.Minute, 0},
		"it fails":       {"echo 'clang version 19.1.7'; exit 1", time.Minute, 0},
		"it hangs":       {"sleep 600", 50 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "clang")
			program.Write(t, file, "#!/bin/sh\n"+tc.script+"\n")
			got, err := clangMajor(file, tc.timeout)
			if (err != nil) != (tc.want == 0) || err == nil && got != tc.want {
				t.Errorf("got %d, error %v; want %d", got, err, tc.want)
			}
		})
	}
}
