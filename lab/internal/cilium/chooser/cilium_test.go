package chooser

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/wire"
)

// listen makes the socket of a judge in dir and answers each line with what reply makes of it. What the function
// returns ends the judge and its connections.
func listen(t *testing.T, dir string, reply func(wire.Request) wire.Reply) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := wire.Listen(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			converse(t, c, reply)
			stop()
		}
	}()
	return func() {
		cancel()
		l.Close()
		<-ended
	}
}

// converse answers one connection.
func converse(t *testing.T, c net.Conn, reply func(wire.Request) wire.Reply) {
	defer c.Close()
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var r wire.Request
		if err := json.Unmarshal(line, &r); err != nil {
			t.Error(err)
			return
		}
		if err := json.NewEncoder(c).Encode(reply(r)); err != nil {
			return
		}
	}
}

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Annotations: map[string]string{"a": name}}}
}

func TestCiliumIsAskedWithTheObjects(t *testing.T) {
	t.Parallel()
	sl := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}}
	us := Cluster{
		Cluster: routing.Cluster{
			Name: "us", Peers: []string{"eu"}, PeersKnown: true, DefaultGlobalNamespace: true,
			Namespaces: map[string]map[string]string{"default": {"n": "v"}},
		},
		Objects: map[routing.Key]Objects{
			{Namespace: "default", Name: "web"}: {Service: service("web"), Slices: []*discoveryv1.EndpointSlice{sl}},
			{Namespace: "default", Name: "api"}: {Service: service("api")},
		},
	}
	unread := Cluster{Cluster: routing.Cluster{Name: "eu", Gap: "not read yet"}}
	var got wire.Request
	dir := t.TempDir()
	defer listen(t, dir, func(r wire.Request) wire.Reply {
		got = r
		return wire.Reply{Choices: []wire.Choice{{
			Namespace: "default", Name: "web", Address: netip.MustParseAddr("172.20.1.5"), Protocol: "TCP", Port: 80, PortName: "http",
			Backends: []netip.AddrPort{netip.MustParseAddrPort("10.1.1.2:8080")},
		}, {
			Namespace: "default", Name: "web", Address: netip.MustParseAddr("fd00::5"), Protocol: "TCP", Port: 80, PortName: "http",
		}}}
	})()
	c := &Cilium{Dir: dir}
	defer c.Close()
	choices, err := c.Choose(t.Context(), []Cluster{us, unread}, "us")
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Request{Client: "us", Clusters: []wire.Cluster{{
		Name: "us", Peers: []string{"eu"}, DefaultGlobalNamespace: true, Namespaces: map[string]map[string]string{"default": {"n": "v"}},
		Services: []*corev1.Service{service("api"), service("web")}, EndpointSlices: []*discoveryv1.EndpointSlice{sl},
	}}}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
	key := routing.Key{Namespace: "default", Name: "web"}
	http := routing.Port{Name: "http", Protocol: "TCP", Port: 80}
	wantChoices := []Choice{
		{Service: key, Frontend: routing.Frontend{Port: http}, Backends: []netip.AddrPort{netip.MustParseAddrPort("10.1.1.2:8080")}},
		{Service: key, Frontend: routing.Frontend{Port: http, IPv6: true}},
	}
	if d := cmp.Diff(wantChoices, choices, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("choices (-want +got):\n%s", d)
	}
	if choices, err := c.Choose(t.Context(), []Cluster{us, unread}, "eu"); err != nil || choices != nil {
		t.Errorf("a client that was not read: %v, %v", choices, err)
	}
	if _, err := c.Choose(t.Context(), []Cluster{us}, "mars"); err == nil {
		t.Error("a client that is not there has choices")
	}
}

func TestCiliumThatDiesAndComesBack(t *testing.T) {
	t.Parallel()
	version := func(v string) func(wire.Request) wire.Reply {
		return func(wire.Request) wire.Reply { return wire.Reply{Cilium: v} }
	}
	// Deeper than a socket address is long.
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	c := &Cilium{Dir: dir}
	defer c.Close()
	if _, err := c.Version(t.Context()); err == nil || !strings.Contains(err.Error(), `"meshlab up"`) {
		t.Errorf("without a directory: want an error that names the way out, got %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("without a judge: no error")
	}
	end := listen(t, dir, version("1.20.2"))
	for range 2 {
		if v, err := c.Version(t.Context()); v != "1.20.2" || err != nil {
			t.Errorf("version %q, %v", v, err)
		}
	}
	end()
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("after the judge's end: no error")
	}
	end = listen(t, dir, version("first"))
	if v, err := c.Version(t.Context()); v != "first" || err != nil {
		t.Errorf("after an error: version %q, %v", v, err)
	}
	// Between two questions: the kept connection is dead, and nobody has noticed.
	end()
	defer listen(t, dir, version("second"))()
	if v, err := c.Version(t.Context()); v != "second" || err != nil {
		t.Errorf("a new judge: version %q, %v", v, err)
	}
}

func TestCiliumThatRefusesOrHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	defer listen(t, dir, func(wire.Request) wire.Reply { return wire.Reply{Error: "no such thing"} })()
	c := &Cilium{Dir: dir}
	defer c.Close()
	if _, err := c.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("want the judge's error, got %v", err)
	}

	hung := t.TempDir()
	asked, release := make(chan struct{}), make(chan struct{})
	end := listen(t, hung, func(wire.Request) wire.Reply {
		close(asked)
		<-release
		return wire.Reply{}
	})
	h := &Cilium{Dir: hung}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := h.Version(ctx); err == nil {
		t.Error("an interrupted question has an answer")
	}
	close(release)
	end()
}

// The set of backends of before stays while nobody answers.
func TestBackendsStayWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	end := listen(t, dir, func(wire.Request) wire.Reply {
		return wire.Reply{Choices: []wire.Choice{{
			Namespace: "default", Name: "web", Address: netip.MustParseAddr("172.20.1.5"), Protocol: "TCP", Port: 80,
			Backends: []netip.AddrPort{netip.MustParseAddrPort("10.1.1.2:8080")},
		}}}
	})
	us := web("us", "172.20.1.5", false, "10.1.1.2")
	d := &dataplane{state: map[string][]string{}}
	judge := &Cilium{Dir: dir}
	defer judge.Close()
	c := New(judge, d, time.Second, io.Discard)
	c.Add(&Source{Name: "us"})
	want := map[string][]string{"us tcp 172.20.1.5:80": {"10.1.1.2:8080"}}
	play(t, c, time.Unix(0, 0), us)
	if diff := cmp.Diff(want, d.state); diff != "" {
		t.Error(diff)
	}
	end()
	if err := c.apply(t.Context()); err == nil {
		t.Error("no error without a judge")
	}
	if diff := cmp.Diff(want, d.state); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	c := New(Rules{}, nil, 0, &log)
	failing := ""
	for _, err := range []error{nil, io.EOF, io.EOF, io.ErrClosedPipe, nil, nil} {
		failing = c.report(err, failing)
	}
	want := "chooser: the backends stay as they are: EOF\nchooser: the backends stay as they are: io: read/write on closed pipe\nchooser: backends are chosen again\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Error(diff)
	}
}

// The objects of a client's own cluster are live but for their annotations, as the values are.
func TestOwnViewOfObjects(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "default", Name: "web"}
	at := func(ann, pod string) Cluster {
		svc := service("web")
		svc.Annotations = map[string]string{"a": ann}
		return Cluster{
			Cluster: routing.Cluster{Name: "us", Services: map[routing.Key]*routing.Service{key: {Key: key, Annotations: svc.Annotations}}},
			Objects: map[routing.Key]Objects{key: {Service: svc, Slices: []*discoveryv1.EndpointSlice{{ObjectMeta: metav1.ObjectMeta{Name: pod}}}}},
		}
	}
	live, published := at("new", "new"), at("old", "old")
	got := view([]Cluster{live}, []Cluster{published}, "us")[0]
	if o := got.Objects[key]; o.Service.Annotations["a"] != "old" || o.Slices[0].Name != "new" {
		t.Errorf("annotations %v, slice %s", o.Service.Annotations, o.Slices[0].Name)
	}
	if live.Objects[key].Service.Annotations["a"] != "new" {
		t.Error("a shared object was changed")
	}
	if got := view([]Cluster{live}, []Cluster{published}, "eu")[0]; got.Objects[key].Slices[0].Name != "old" {
		t.Error("another cluster's endpoints are seen before they were published")
	}
}
