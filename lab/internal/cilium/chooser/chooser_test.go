package chooser

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// web makes a cluster with Service default/web, annotated and with backends.
func web(cluster, vip string, global bool, backends ...string) routing.Cluster {
	svc := &routing.Service{
		Key: routing.Key{Namespace: "default", Name: "web"}, Type: "ClusterIP",
		ClusterIPs: []netip.Addr{netip.MustParseAddr(vip)},
		Ports:      []routing.Port{{Protocol: "TCP", Port: 80}},
	}
	if global {
		svc.Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	}
	for _, b := range backends {
		svc.Endpoints = append(svc.Endpoints, routing.Endpoint{
			Addr: netip.MustParseAddr(b), Ports: []routing.Port{{Protocol: "TCP", Port: 8080}}, Ready: true, Serving: true,
		})
	}
	return routing.Cluster{
		Name: cluster, Version: cilium.ParseVersion("1.18.11"), DefaultGlobalNamespace: true,
		Namespaces: map[string]map[string]string{"default": nil},
		Services:   map[routing.Key]*routing.Service{svc.Key: svc},
	}
}

// dataplane keeps what it was told.
type dataplane struct {
	mu    sync.Mutex
	state map[string][]string
	calls int
}

func (d *dataplane) SetVIPs(_ context.Context, vips []podwire.VIP) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	for _, v := range vips {
		key := v.Cluster + " " + v.Protocol + " " + v.Addr
		if len(v.Backends) == 0 {
			delete(d.state, key)
			continue
		}
		d.state[key] = v.Backends
	}
	return nil
}

// newMesh is a controller of two clusters whose states the test tells by itself.
func newMesh(clusters ...routing.Cluster) (*Controller, *dataplane) {
	d := &dataplane{state: map[string][]string{}}
	c := New(Rules{}, d, time.Second, io.Discard)
	for _, cl := range clusters {
		c.Add(&Source{Name: cl.Name, Version: cl.Version})
	}
	return c, d
}

// members are clusters without the objects they were read from, which the rules do not need.
func members(clusters []routing.Cluster) []Cluster {
	out := make([]Cluster, len(clusters))
	for i, c := range clusters {
		out[i] = Cluster{Cluster: c}
	}
	return out
}

// play: the clusters look so at a time; then what is due is published and applied.
func play(t *testing.T, c *Controller, now time.Time, state ...routing.Cluster) {
	t.Helper()
	if state != nil {
		c.observe(members(state), now)
	}
	c.publish(now)
	if err := c.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPropagation(t *testing.T) {
	t.Parallel()
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const us, eu = "us tcp 172.20.1.5:80", "eu tcp 172.20.2.5:80"
	local := []routing.Cluster{web("us", "172.20.1.5", false, "10.1.1.2"), web("eu", "172.20.2.5", false, "10.2.1.2")}
	global := []routing.Cluster{web("us", "172.20.1.5", true, "10.1.1.2"), web("eu", "172.20.2.5", true, "10.2.1.2")}
	c, d := newMesh(local...)
	check := func(what string, wantUS, wantEU []string) {
		t.Helper()
		if diff := cmp.Diff(wantUS, d.state[us]); diff != "" {
			t.Errorf("%s: clients in us: %s", what, diff)
		}
		if diff := cmp.Diff(wantEU, d.state[eu]); diff != "" {
			t.Errorf("%s: clients in eu: %s", what, diff)
		}
	}
	usOnly, euOnly, both := []string{"10.1.1.2:8080"}, []string{"10.2.1.2:8080"}, []string{"10.1.1.2:8080", "10.2.1.2:8080"}

	play(t, c, t0, local...)
	check("the first state counts at once", usOnly, euOnly)
	play(t, c, t0.Add(10*time.Second), global...)
	check("annotations take the delay, at home too", usOnly, euOnly)
	play(t, c, t0.Add(10*time.Second+999*time.Millisecond))
	check("just before the delay is over", usOnly, euOnly)
	play(t, c, t0.Add(11*time.Second))
	check("after the delay", both, both)

	gone := slices.Clone(global)
	gone[0] = web("us", "172.20.1.5", true)
	play(t, c, t0.Add(20*time.Second), gone...)
	check("a lost pod is left at once at home, later elsewhere", euOnly, both)
	play(t, c, t0.Add(21*time.Second))
	check("and everywhere after the delay", euOnly, euOnly)

	calls := d.calls
	play(t, c, t0.Add(30*time.Second), gone...)
	if d.calls != calls {
		t.Error("nothing changed, but the dataplane was told")
	}

	without := slices.Clone(gone)
	without[1].Services = nil
	play(t, c, t0.Add(40*time.Second), without...)
	play(t, c, t0.Add(41*time.Second))
	check("a deleted Service has no address any more", nil, nil)
}

func TestAClusterThatIsReadLate(t *testing.T) {
	t.Parallel()
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	us, eu := web("us", "172.20.1.5", true, "10.1.1.2"), web("eu", "172.20.2.5", true, "10.2.1.2")
	unread := routing.Cluster{Name: "eu", Gap: "not read yet"}
	c, d := newMesh(us, eu)
	both := []string{"10.1.1.2:8080", "10.2.1.2:8080"}

	play(t, c, t0, us, unread)
	if diff := cmp.Diff(map[string][]string{"us tcp 172.20.1.5:80": {"10.1.1.2:8080"}}, d.state); diff != "" {
		t.Error(diff)
	}
	play(t, c, t0.Add(500*time.Millisecond), us, eu)
	// The publication of the state in which eu was unread comes due now and must not take it away.
	play(t, c, t0.Add(1100*time.Millisecond))
	want := map[string][]string{"us tcp 172.20.1.5:80": both, "eu tcp 172.20.2.5:80": both}
	if diff := cmp.Diff(want, d.state); diff != "" {
		t.Error(diff)
	}
}

func TestDNSAndTheAPIServerAreNotBalanced(t *testing.T) {
	t.Parallel()
	us := web("us", "172.20.1.10", false, "10.1.1.2")
	api := web("us", "172.20.1.1", false, "127.0.0.1").Services[routing.Key{Namespace: "default", Name: "web"}]
	api.Name = "kubernetes"
	us.Services[api.Key] = api
	c, d := newMesh(us)
	c.Skip = []netip.Addr{netip.MustParseAddr("172.20.1.10")}
	play(t, c, time.Now(), us)
	if len(d.state) > 0 {
		t.Errorf("balanced: %v", d.state)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	us := web("us", "172.20.1.5", true, "10.1.1.2", "10.1.1.3")
	key := routing.Key{Namespace: "default", Name: "web"}
	us.Services[key].Endpoints[0].Pod = "web-0"
	us.Services[key].Endpoints[1].Ready = false
	us.Services[key].Endpoints[1].Serving = false
	c, _ := newMesh(us)
	play(t, c, time.Now(), us)

	if _, ok := c.Records("us", "default", "nope"); ok {
		t.Error("a Service that is not there has records")
	}
	got, ok := c.Records("us", "default", "web")
	if !ok || !slices.Equal(got.Addrs, us.Services[key].ClusterIPs) {
		t.Errorf("ClusterIP Service: %v, %t", got, ok)
	}
	us.Services[key].Headless = true
	us.Services[key].ClusterIPs = nil
	got, ok = c.Records("us", "default", "web")
	pod := netip.MustParseAddr("10.1.1.2")
	if !ok || !slices.Equal(got.Addrs, []netip.Addr{pod}) || got.Hosts["web-0"] != pod {
		t.Errorf("headless Service: %v, %t", got, ok)
	}
}
