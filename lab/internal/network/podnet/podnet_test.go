package podnet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
)

// world is a node with a few pods, as far as this machine allows.
type world struct {
	t      *testing.T
	client *podnet.Client
	store  *images.Store
	procs  int
}

// binary is meshlab-pod, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "podnet")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "meshlab-pod")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "../../../cmd/meshlab-pod")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build meshlab-pod: %v\n%s", err, out))
	}
	m.Run()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := images.Open(t.Context(), binary)
	if err != nil {
		t.Fatal(err)
	}
	if install, _ := store.Missing(); len(install) > 0 {
		t.Skipf("this machine lacks programs: apt-get install %s", strings.Join(install, " "))
	}
	setup := podwire.Setup{WorkDir: t.TempDir(), Clusters: []podwire.ClusterNet{
		{Name: "us", PodCIDR: "10.1.0.0/16", ServiceCIDR: "172.20.1.0/24", DNSIP: "172.20.1.10"},
		{Name: "eu", PodCIDR: "10.2.0.0/16", ServiceCIDR: "172.20.2.0/24", DNSIP: "172.20.2.10"},
	}}
	client, err := podnet.Start(t.Context(), binary, setup, t.Output())
	if errors.Is(err, podnet.ErrNotAllowed) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t: t, client: client, store: store}
}

// run starts a pod with one container.
func (w *world) run(name, ip, image string, env ...string) *podnet.Process {
	w.t.Helper()
	img, err := w.store.Find(image)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.client.AddPod(w.t.Context(), podwire.Pod{Name: name, IP: ip}); err != nil {
		w.t.Fatal(err)
	}
	img.Root.Files = append(img.Root.Files, podwire.File{Path: "/etc/resolv.conf", Content: "nameserver 172.20.1.10\n", Mode: 0o644})
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	p, err := w.client.StartContainer(w.t.Context(), podwire.Start{
		Proc: name, Pod: name, Hostname: name, Root: img.Root, Argv: img.Command, Env: append(img.Env, env...),
	}, null, null)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// sh runs a command in a pod and returns what it printed and its exit code.
func (w *world) sh(pod string, argv ...string) (string, int) {
	w.t.Helper()
	r, wr, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	w.procs++
	p, err := w.client.Exec(w.t.Context(), podwire.Exec{
		Proc: fmt.Sprintf("%s-exec-%d", pod, w.procs), Container: pod, Argv: argv, Env: []string{"PATH=" + images.Path},
	}, null, wr, wr)
	_ = wr.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(out), p.ExitCode()
}

// serving waits until a pod accepts connections.
func (w *world) serving(addr string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if c, err := w.client.Dial(ctx, "tcp", addr); err == nil {
			_ = c.Close()
			return
		}
	}
	w.t.Fatalf("%s does not serve", addr)
}

// eventually waits for what other processes do.
func (w *world) eventually(ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			w.t.Fatal("it did not happen")
		}
	}
}

func TestPodNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.run("client", "10.1.1.2", "busybox")
	w.run("web-us", "10.1.1.3", "web", "CLUSTER=us", "STYLE=echo")
	w.run("web-eu", "10.2.1.3", "web", "CLUSTER=eu", "BODY=from $CLUSTER")
	w.serving("10.1.1.3:80")
	w.serving("10.2.1.3:80")

	vip := func(backends ...string) {
		t.Helper()
		err := w.client.SetVIPs(ctx, []podwire.VIP{{Cluster: "us", Addr: "172.20.1.5:8080", Protocol: "tcp", Backends: backends}})
		if err != nil {
			t.Fatal(err)
		}
	}

	// The steps build on one another: one node, as starting it is the long part.
	t.Run("1 own file system, host name and address", func(t *testing.T) {
		out, _ := w.sh("client", "sh", "-c", "hostname; ls /; ip -4 -o addr show eth0; tty; cat /etc/resolv.conf")
		for _, want := range []string{"client\n", "10.1.1.2/32", "not a tty", "nameserver 172.20.1.10"} {
			if !strings.Contains(out, want) {
				t.Errorf("output lacks %q:\n%s", want, out)
			}
		}
		if strings.Contains(out, "home") || strings.Contains(out, "boot") {
			t.Errorf("the pod sees the machine's root directory:\n%s", out)
		}
	})
	t.Run("1a neither the machine's settings nor its devices", func(t *testing.T) {
		for _, script := range []string{
			"echo 1 > /proc/sys/kernel/panic", "mknod /tmp/disk b 1 0", "mount -t tmpfs none /tmp", "hostname other", "umount /proc/sys",
		} {
			if out, code := w.sh("client", "sh", "-c", script); code == 0 {
				t.Errorf("%q is allowed: %s", script, out)
			}
		}
	})
	t.Run("2 pods reach each other and see the real source", func(t *testing.T) {
		out, _ := w.sh("client", "wget", "-qO-", "http://10.1.1.3")
		if !strings.Contains(out, "client_address=10.1.1.2") {
			t.Errorf("source address is not the pod's:\n%s", out)
		}
	})
	t.Run("3 a service address goes to its backend, also across clusters", func(t *testing.T) {
		vip("10.2.1.3:80")
		if out, _ := w.sh("client", "wget", "-qO-", "http://172.20.1.5:8080"); out != "from eu" {
			t.Errorf("got %q", out)
		}
	})
	t.Run("4 a change turns new connections", func(t *testing.T) {
		vip("10.1.1.3:80")
		if out, _ := w.sh("client", "wget", "-qO-", "http://172.20.1.5:8080"); !strings.Contains(out, "Hostname: web-us") {
			t.Errorf("got %q", out)
		}
	})
	t.Run("5 a pod reaches itself through its service", func(t *testing.T) {
		if out, _ := w.sh("web-us", "wget", "-qO-", "http://172.20.1.5:8080"); !strings.Contains(out, "Hostname: web-us") {
			t.Errorf("got %q", out)
		}
	})
	t.Run("6 no backend is refused", func(t *testing.T) {
		vip()
		out, code := w.sh("client", "wget", "-qO-", "http://172.20.1.5:8080")
		if code == 0 || !strings.Contains(out, "Connection refused") {
			t.Errorf("exit code %d, output %q", code, out)
		}
	})
	t.Run("7 the service address is another cluster's nothing", func(t *testing.T) {
		vip("10.1.1.3:80")
		out, code := w.sh("web-eu", "wget", "-qO-", "http://172.20.1.5:8080")
		if code == 0 || !strings.Contains(out, "Connection refused") {
			t.Errorf("exit code %d, output %q", code, out)
		}
	})
	t.Run("8 a cut loses packets between clusters and heals", func(t *testing.T) {
		faults := podwire.Faults{Cuts: [][2]string{{"10.1.0.0/16", "10.2.0.0/16"}}}
		if err := w.client.SetFaults(ctx, faults); err != nil {
			t.Fatal(err)
		}
		if out, code := w.sh("client", "timeout", "1", "wget", "-qO-", "http://10.2.1.3"); code == 0 {
			t.Errorf("the cut clusters still talk: %q", out)
		}
		if _, code := w.sh("client", "wget", "-qO-", "http://10.1.1.3"); code != 0 {
			t.Error("traffic inside a cluster is cut too")
		}
		if err := w.client.SetFaults(ctx, podwire.Faults{}); err != nil {
			t.Fatal(err)
		}
		if out, _ := w.sh("client", "wget", "-qO-", "http://10.2.1.3"); out != "from eu" {
			t.Errorf("after healing: %q", out)
		}
	})
	t.Run("9 sockets among the pods belong to this process", func(t *testing.T) {
		l, err := w.client.Listen(ctx, "tcp4", "172.20.1.10:5353")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		go answerOnce(l)
		if out, _ := w.sh("client", "nc", "172.20.1.10", "5353"); out != "hello 10.1.1.2\n" {
			t.Errorf("got %q", out)
		}
	})
}

// A source port is used again. What became of its first connection, to a backend that is gone, must not decide about the second for long.
func TestSourcePortOfALostConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("client", "10.1.1.2", "curl")
	w.run("web", "10.1.1.3", "web", "BODY=here")
	w.serving("10.1.1.3:80")
	vip := func(backend string) {
		t.Helper()
		if err := w.client.SetVIPs(t.Context(), []podwire.VIP{{Cluster: "us", Addr: "172.20.1.5:80", Protocol: "tcp", Backends: []string{backend}}}); err != nil {
			t.Fatal(err)
		}
	}
	get := []string{"curl", "-s", "-m", "2", "--local-port", "40000", "http://172.20.1.5/"}
	vip("10.1.1.99:80") // nobody
	if out, code := w.sh("client", get...); code != 28 {
		t.Fatalf("nobody answers: exit code %d, %q; want a time-out", code, out)
	}
	vip("10.1.1.3:80")
	time.Sleep(13 * time.Second) // longer than the time for which the lab tracks the first
	if out, code := w.sh("client", get...); code != 0 || out != "here" {
		t.Errorf("the second connection of the same port: exit code %d, %q", code, out)
	}
}

// answerOnce greets one connection by its address.
func answerOnce(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	_, _ = fmt.Fprintf(c, "hello %s\n", host)
}

func TestSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("client", "10.1.1.2", "curl")
	var backends []string
	for i := range 3 {
		ip := fmt.Sprintf("10.1.1.%d", 10+i)
		w.run("web"+fmt.Sprint(i), ip, "web", "BODY=b"+fmt.Sprint(i)+"\n")
		w.serving(ip + ":80")
		backends = append(backends, ip+":80")
	}
	if err := w.client.SetVIPs(t.Context(), []podwire.VIP{{Cluster: "us", Addr: "172.20.1.5:80", Protocol: "tcp", Backends: backends}}); err != nil {
		t.Fatal(err)
	}
	const n = 900
	out, code := w.sh("client", "curl", "-s", "-H", "Connection: close", fmt.Sprintf("http://172.20.1.5/#[1-%d]", n))
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	count := map[string]int{}
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		count[s.Text()]++
	}
	chi := 0.0
	for i := range 3 {
		d := float64(count[fmt.Sprintf("b%d", i)]) - n/3
		chi += d * d / (n / 3)
	}
	if chi > 27.6 { // 1e-6 at two degrees of freedom
		t.Errorf("spread %v is not even: chi-square %.1f", count, chi)
	}
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	before, err := w.client.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	box := w.run("box", "10.1.1.2", "busybox")
	web := w.run("web", "10.1.1.3", "web")
	w.run("bare", "10.1.1.4", "distroless")

	if _, code := w.sh("box", "sh", "-c", "exit 7"); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if _, code := w.sh("box", "sh", "-c", "kill -9 $$"); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
	_, err = w.client.Exec(ctx, podwire.Exec{Proc: "none", Container: "bare", Argv: []string{"sh"}}, os.Stdin, os.Stdin, os.Stdin)
	if !errors.Is(err, podnet.ErrNotFound) {
		t.Errorf("a command that is not there: %v, want ErrNotFound", err)
	}

	p, tty, err := w.client.ExecTTY(ctx, podwire.Exec{
		Proc: "tty", Container: "box", Argv: []string{"sh", "-c", "tty; stty size"}, Env: []string{"PATH=" + images.Path}, Rows: 33, Cols: 101,
	})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(tty) // ends with EIO when the last process closes the terminal
	if !strings.Contains(string(out), "/dev/pts/0") || !strings.Contains(string(out), "33 101") {
		t.Errorf("terminal said %q", out)
	}
	if code := p.ExitCode(); code != 0 {
		t.Errorf("exit code %d on a terminal", code)
	}
	if err := tty.Close(); err != nil {
		t.Error(err)
	}

	// What a command leaves behind does not stay a zombie, although nothing in the container waits for it.
	for _, pod := range []string{"box", "web"} {
		if _, code := w.sh(pod, "sh", "-c", "(true & sleep 0.01 &) ; exit 0"); code != 0 {
			t.Errorf("exit code %d", code)
		}
		w.eventually(func() bool {
			out, _ := w.sh(pod, "sh", "-c", "cat /proc/[0-9]*/stat")
			return !strings.Contains(out, ") Z ")
		})
	}

	// web handles SIGTERM; sleep as PID 1 does not and would wait out any grace period.
	for name, p := range map[string]*podnet.Process{"web": web, "box": box} {
		if err := p.Terminate(ctx); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"web": 0, "box": 137}[name]
		if code := p.ExitCode(); code != want {
			t.Errorf("%s ended with %d, want %d", name, code, want)
		}
	}
	for i := range 20 {
		name, ip := fmt.Sprintf("many%d", i), fmt.Sprintf("10.1.2.%d", 2+i)
		w.run(name, ip, "busybox")
	}
	for i := range 20 {
		if err := w.client.DelPod(ctx, fmt.Sprintf("many%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"box", "web", "bare"} {
		if err := w.client.DelPod(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	after, err := w.client.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Errorf("left behind: before %+v, after %+v", before, after)
	}
}

func TestDeathOfTheLab(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.run("box", "10.1.1.2", "busybox")
	if err := w.client.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.client.Done():
	default:
		t.Error("the node still runs")
	}
	if code := p.ExitCode(); code != 137 {
		t.Errorf("the container ended with %d", code)
	}
	if _, err := w.client.AddPod(t.Context(), podwire.Pod{Name: "late", IP: "10.1.1.9"}); err == nil {
		t.Error("a pod was added to a node that is gone")
	}
}
