package sender

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// Cilium picks the backend of a connection in a BPF program that the kernel runs when a socket connects (cgroup/connect4). These tests load such a
// program for the processes of one pod, and so show that the table of sockets has the backend, and not the address that the tool was told.

// virtual is an address that leads nowhere without the program.
const virtual = "10.96.0.77"

// balanced is a pod whose processes are in a cgroup.
type balanced struct {
	*localPod

	cgroup string
}

func (b balanced) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	enter := []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(b.cgroup, "cgroup.procs")}
	return b.localPod.Exec(ctx, append(enter, command...), stdin, stdout, stderr)
}

// newCgroup creates a cgroup, and lets its processes connect to 127.0.0.1 or 127.0.0.2 by chance when they connect to the virtual address.
func newCgroup(t *testing.T, port uint16) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loading a program into the kernel requires root")
	}
	dir, err := os.MkdirTemp(cgroupRoot(t), "mesh-probe-test-") //nolint:usetesting // a cgroup is made in the cgroup file system
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		var err error
		for range 100 { // a process that has just ended may still be in it
			if err = os.Remove(dir); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error(err)
	})
	group, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(group) })
	program := load(t, port)
	link := struct{ program, target, kind, flags uint32 }{program, uint32(group), unix.BPF_CGROUP_INET4_CONNECT, 0}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(&link)), unsafe.Sizeof(link))
	if errno != 0 {
		t.Skipf("attach the program: %v", errno)
	}
	t.Cleanup(func() { _ = unix.Close(int(fd)) })
	return dir
}

// cgroupRoot is where cgroup2 is mounted.
func cgroupRoot(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Skip("there is no cgroup2")
	return ""
}

// load loads the program. Its context is struct bpf_sock_addr: the address is at 4 and the port at 24, both in the byte order of the network.
func load(t *testing.T, port uint16) uint32 {
	t.Helper()
	address := func(s string) int32 {
		a := netip.MustParseAddr(s).As4()
		return int32(binary.NativeEndian.Uint32(a[:]))
	}
	var network [2]byte
	binary.BigEndian.PutUint16(network[:], port)
	type instruction struct {
		op, registers byte // the source in the upper half
		offset        int16
		value         int32
	}
	code := []instruction{
		{0xbf, 0x16, 0, 0},                    // r6 = r1
		{0x61, 0x62, 4, 0},                    // r2 = the address
		{0x56, 0x02, 8, address(virtual)},     // leave other addresses alone
		{0x85, 0x00, 0, 7},                    // r0 = bpf_get_prandom_u32()
		{0xb4, 0x02, 0, address("127.0.0.1")}, // r2 = the first backend
		{0x57, 0x00, 0, 1},                    // r0 &= 1
		{0x15, 0x00, 1, 0},                    // if it is not 0:
		{0xb4, 0x02, 0, address("127.0.0.2")}, // r2 = the second backend
		{0x63, 0x26, 4, 0},                    // the address = r2
		{0xb4, 0x02, 0, int32(binary.NativeEndian.Uint16(network[:]))},
		{0x63, 0x26, 24, 0}, // the port = r2
		{0xb7, 0x00, 0, 1},  // allow
		{0x95, 0x00, 0, 0},
	}
	license := []byte("Apache-2.0\x00")
	program := struct {
		kind, instructions       uint32
		code, license            uint64
		logLevel, logSize        uint32
		log                      uint64
		version, flags           uint32
		name                     [16]byte
		device, expectedAttached uint32
	}{kind: unix.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, instructions: uint32(len(code)), code: uint64(uintptr(unsafe.Pointer(&code[0]))),
		license: uint64(uintptr(unsafe.Pointer(&license[0]))), expectedAttached: unix.BPF_CGROUP_INET4_CONNECT}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&program)), unsafe.Sizeof(program))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	if errno != 0 {
		t.Skipf("load the program: %v", errno)
	}
	t.Cleanup(func() { _ = unix.Close(int(fd)) })
	return uint32(fd)
}

// The kernel's table has the backend of each connection, with each tool, although the tool connects to the address of the Service.
func TestDialsBehindASocketLoadBalancer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "dash with bash", "ash busybox nc", "dash busybox nc", "dash curl"} {
		for _, open := range []bool{false, true} {
			t.Run(map[bool]string{false: "closed loop, ", true: "open loop, "}[open]+name, func(t *testing.T) {
				t.Parallel()
				first := newListener(t, "127.0.0.1:0", silent)
				_, port, err := net.SplitHostPort(first.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				second := newListener(t, "127.0.0.2:"+port, silent)
				cfg := dialConfig(t, virtual+":5432", 40)
				if open {
					cfg.Schedule, cfg.Rate = true, 20
				}
				words := dialPods[name].words
				pod := balanced{newLocalPod(t, words[0], words[1:]...), newCgroup(t, first.peer().Port())}
				got := map[netip.AddrPort]int64{}
				res, err := Run(t.Context(), pod, cfg, func(r reply.Reply) {
					if r.Class != "" {
						t.Errorf("%+v", r)
					}
					got[r.Peer]++
				})
				<-pod.ended
				if err != nil || !res.Complete || res.Requests+res.Schedule.Dropped != 40 {
					t.Fatalf("%v, result %+v", err, res)
				}
				if a, b := first.accepted.Load(), second.accepted.Load(); len(got) != 2 || got[first.peer()] != a || got[second.peer()] != b {
					t.Errorf("the sockets show %v; the backends saw %d and %d connections", got, a, b)
				}
			})
		}
	}
}
