package sender

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tool"
)

// dialPod is a client pod that can open connections: shell and tools. The time of a connection is known where the shell has a clock.
type dialPod struct {
	words []string
	clock bool
}

// dialPods are those that must work. The other kinds of nc are tested if they are installed.
var dialPods = func() map[string]dialPod {
	all := allDialPods
	for name, program := range map[string]string{"ash OpenBSD nc": "nc.openbsd", "ash ncat": "ncat", "ash traditional nc": "nc.traditional"} {
		if _, err := exec.LookPath(program); err == nil {
			all[name] = dialPod{[]string{"busybox", "nc=" + program, "ls=busybox", "grep=busybox", "sleep=busybox"}, true}
		}
	}
	return all
}()

var allDialPods = map[string]dialPod{
	"bash":               {[]string{"bash", "grep"}, true},
	"bash packed":        {[]string{"bash", "grep", "gzip", "rm", "wc"}, true},
	"dash with bash":     {[]string{"dash", "bash", "grep", "readlink"}, true},
	"ash with bash":      {[]string{"busybox", "bash", "busybox", "grep"}, true},
	"ash busybox nc":     {[]string{"busybox", "nc=busybox", "ls=busybox", "grep=busybox", "sleep=busybox"}, true},
	"ash busybox packed": {[]string{"busybox", "busybox", "ls=busybox", "grep=busybox", "sleep=busybox", "gzip=busybox", "rm=busybox", "wc=busybox"}, true},
	"dash busybox nc":    {[]string{"dash", "nc=busybox", "ls", "grep", "sleep"}, false},
	"dash curl":          {[]string{"dash", "curl", "ls", "grep", "sleep"}, false},
}

// listener accepts connections and treats each as handle does.
type listener struct {
	net.Listener
	accepted atomic.Int64
}

func newListener(t testing.TB, address string, handle func(net.Conn)) *listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("%s: %v", address, err)
	}
	one := &listener{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			one.accepted.Add(1)
			go func() {
				defer func() { _ = c.Close() }()
				handle(c)
			}()
		}
	}()
	return one
}

// silent waits for the client to close the connection.
func silent(c net.Conn) {
	var b [1]byte
	_, _ = c.Read(b[:])
}

// peer is the address that the client's socket should show.
func (l *listener) peer() netip.AddrPort { return netip.MustParseAddrPort(l.Addr().String()) }

func dialConfig(t testing.TB, address string, count int) Config {
	t.Helper()
	cfg := testConfig(t, "tcp://"+address, count)
	cfg.Method, cfg.Timeout = "", 30*time.Second
	return cfg
}

func runDials(t *testing.T, words []string, cfg Config) ([]reply.Reply, Result) {
	t.Helper()
	return runOpenPod(t, words, cfg)
}

// Every connection is counted, and its socket shows where it leads, whatever the server does with it.
func TestDialsAreCounted(t *testing.T) {
	t.Parallel()
	servers := map[string]func(net.Conn){
		"silent": silent,
		"a greeting": func(c net.Conn) {
			_, _ = c.Write([]byte("220 mail ready = 1 2 3\r\n"))
			silent(c)
		},
	}
	for name, pod := range dialPods {
		for kind, handle := range servers {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				l := newListener(t, "127.0.0.1:0", handle)
				replies, res := runDials(t, pod.words, dialConfig(t, l.Addr().String(), 24))
				if !res.Complete || res.Requests != 24 || len(replies) != 24 || len(res.Warnings) > 0 {
					t.Fatalf("%d replies, result %+v", len(replies), res)
				}
				for i, r := range replies {
					if !r.Connected || r.Class != "" || r.Peer != l.peer() || r.Measured != pod.clock || pod.clock && (r.Connect <= 0 || r.Connect != r.Latency) {
						t.Fatalf("connection %d: %+v", i, r)
					}
				}
				if n := l.accepted.Load(); n != 24 {
					t.Errorf("the server saw %d connections", n)
				}
			})
		}
	}
}

// A server that closes at once is connected, too. A tool may have ended before the script saw its socket: then nobody knows where it led.
func TestDialsToAServerThatCloses(t *testing.T) {
	t.Parallel()
	for name, pod := range dialPods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener(t, "127.0.0.1:0", func(net.Conn) {})
			replies, res := runDials(t, pod.words, dialConfig(t, l.Addr().String(), 10))
			if !res.Complete || len(replies) != 10 {
				t.Fatalf("result %+v", res)
			}
			for _, r := range replies {
				if !r.Connected || r.Peer.IsValid() && r.Peer != l.peer() || !r.Peer.IsValid() && strings.Contains(name, "bash") {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func TestDialsByIPv6(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "ash busybox nc", "dash curl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener(t, "[::1]:0", silent)
			replies, res := runDials(t, dialPods[name].words, dialConfig(t, l.Addr().String(), 5))
			if !res.Complete || len(replies) != 5 {
				t.Fatalf("result %+v", res)
			}
			for _, r := range replies {
				if r.Peer != l.peer() {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func TestDialsThatFail(t *testing.T) {
	t.Parallel()
	for name, pod := range dialPods {
		for kind, tc := range map[string]struct {
			address func(*testing.T) string
			class   reply.Class
		}{
			"refused":      {freePort, reply.ClassRefused},
			"unknown name": {func(*testing.T) string { return "nobody.invalid:80" }, reply.ClassDNS},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				replies, res := runDials(t, pod.words, dialConfig(t, tc.address(t), 6))
				if !res.Complete || len(replies) != 6 {
					t.Fatalf("result %+v", res)
				}
				for _, r := range replies {
					if r.Class != tc.class || r.Connected || r.Answered() || r.Message == "" || strings.Contains(r.Message, "mesh-probe") {
						t.Fatalf("%+v", r)
					}
				}
			})
		}
	}
}

// fullListener listens and never accepts. Its queue is full, so the kernel does not answer: the client's connection times out.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*syscall.SockaddrInet4).Port)).String()
	for range 10 {
		// The kernel says how many connections wait, and how many may. A dial that takes long would say the same of a busy machine.
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.Unacked > info.Sacked {
			return address
		}
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("the kernel's queue does not fill")
	return ""
}

func TestDialsTimeOut(t *testing.T) {
	t.Parallel()
	for name, pod := range dialPods {
		for _, open := range []bool{false, true} {
			t.Run(map[bool]string{false: "closed loop, ", true: "open loop, "}[open]+name, func(t *testing.T) {
				t.Parallel()
				cfg := dialConfig(t, fullListener(t), 3)
				cfg.Timeout = time.Second
				if open {
					cfg.Schedule, cfg.Rate = true, 5
				}
				replies, res := runDials(t, pod.words, cfg)
				if !res.Complete || len(replies) != 3 {
					t.Fatalf("result %+v", res)
				}
				for _, r := range replies {
					if r.Class != reply.ClassConnectTimeout || r.Connected {
						t.Errorf("%+v", r)
					}
				}
			})
		}
	}
}

func TestDialsOfTheOpenLoop(t *testing.T) {
	t.Parallel()
	for name, pod := range dialPods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener(t, "127.0.0.1:0", silent)
			cfg := dialConfig(t, l.Addr().String(), 20)
			cfg.Schedule, cfg.Rate = true, 20
			replies, res := runDials(t, pod.words, cfg)
			checkSchedule(t, cfg, res, replies)
			for _, r := range replies {
				if !r.Connected || r.Peer != l.peer() || r.Measured != pod.clock {
					t.Errorf("%+v", r)
				}
			}
			if n := int(l.accepted.Load()); n != len(replies) {
				t.Errorf("the server saw %d connections", n)
			}
			refused := dialConfig(t, freePort(t), 5)
			refused.Schedule, refused.Rate = true, 20
			replies, res = runDials(t, pod.words, refused)
			checkSchedule(t, refused, res, replies)
			for _, r := range replies {
				if r.Class != reply.ClassRefused {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// Without grep, bash connects, and nobody knows where the socket leads.
func TestDialsWithoutTheTable(t *testing.T) {
	t.Parallel()
	l := newListener(t, "127.0.0.1:0", silent)
	replies, res := runDials(t, []string{"bash"}, dialConfig(t, l.Addr().String(), 3))
	if !res.Complete || len(replies) != 3 {
		t.Fatalf("result %+v", res)
	}
	for _, r := range replies {
		if !r.Connected || r.Peer.IsValid() || !r.Measured {
			t.Errorf("%+v", r)
		}
	}
}

// Several streams share the connections, and --tool selects another tool.
func TestDialsOfSeveralStreams(t *testing.T) {
	t.Parallel()
	l := newListener(t, "127.0.0.1:0", silent)
	cfg := dialConfig(t, l.Addr().String(), 90)
	cfg.Streams, cfg.Tool = 3, "nc"
	pods := &freshPods{t: t, words: []string{"busybox", "bash", "nc=busybox", "ls=busybox", "grep=busybox"}}
	n := 0
	res, err := Run(t.Context(), pods, cfg, func(reply.Reply) { n++ })
	if err != nil || !res.Complete || n != 90 || l.accepted.Load() != 90 || !strings.HasPrefix(res.Tool, "busybox nc") {
		t.Errorf("%v, %d replies, %d connections, result %+v", err, n, l.accepted.Load(), res)
	}
}

func TestDialsWithoutATool(t *testing.T) {
	t.Parallel()
	for name, words := range map[string][]string{"nothing": {"dash"}, "wget only": {"dash", "wget", "ls", "grep"}, "nc and no ls": {"dash", "nc=busybox", "grep"}, "curl and no grep": {"dash", "curl", "ls"}} {
		_, err := Run(t.Context(), newLocalPod(t, words[0], words[1:]...), dialConfig(t, "127.0.0.1:1", 1), func(reply.Reply) { t.Error("a reply") })
		if !errors.Is(err, tool.ErrNoDialer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// connecting reports whether a socket of this machine waits for an answer of an address, by the kernel's table.
func connecting(to netip.AddrPort) bool {
	table, err := os.ReadFile("/proc/net/tcp")
	a := to.Addr().As4()
	remote := fmt.Sprintf(" %08X:%04X 02 ", binary.NativeEndian.Uint32(a[:]), to.Port()) // 02 is SYN_SENT
	return err == nil && strings.Contains(string(table), remote)
}

// An interrupt ends the run, also while a connection is being opened, and leaves no process in the pod.
func TestDialsInterrupted(t *testing.T) {
	t.Parallel()
	for name, pod := range dialPods {
		for _, open := range []bool{false, true} {
			t.Run(map[bool]string{false: "closed loop, ", true: "open loop, "}[open]+name, func(t *testing.T) {
				t.Parallel()
				address := fullListener(t)
				cfg := dialConfig(t, address, 3)
				cfg.Timeout = 9 * time.Minute
				if open {
					cfg.Schedule, cfg.Rate = true, 5
				}
				mark := filepath.Join(t.TempDir(), "pod")
				p := newLocalPod(t, pod.words[0], pod.words[1:]...)
				p.env = []string{"MESH_PROBE_TEST=" + mark}
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					defer cancel()
					for range 600 {
						if connecting(netip.MustParseAddrPort(address)) {
							return
						}
						time.Sleep(100 * time.Millisecond)
					}
				}()
				res, err := Run(ctx, p, cfg, func(r reply.Reply) { t.Errorf("a reply: %+v", r) })
				if err != nil || res.Complete {
					t.Errorf("%v, result %+v", err, res)
				}
				<-p.ended
				if diff := cmp.Diff([]string(nil), lingering(mark)); diff != "" {
					t.Errorf("processes that are left (-want +got)\n%s", diff)
				}
			})
		}
	}
}
