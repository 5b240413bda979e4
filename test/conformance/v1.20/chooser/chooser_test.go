package chooser

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/v1.20/judge"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/wire"
)

// conditions are ready, serving and terminating: y, n, or - for absent.
type conditions string

func (c conditions) at(i int) *bool {
	if c[i] == '-' {
		return nil
	}
	yes := c[i] == 'y'
	return &yes
}

// cluster has Service default/web, whose endpoints are 10.ID.0.1, 10.ID.0.2 ... with these conditions.
func cluster(name string, id byte, annotations map[string]string, endpoints ...conditions) wire.Cluster {
	ip := netip.AddrFrom4([4]byte{172, 20, id, 5}).String()
	sl := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("http"), Protocol: ptr(corev1.ProtocolTCP), Port: ptr[int32](8080)}},
	}
	for i, c := range endpoints {
		sl.Endpoints = append(sl.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{netip.AddrFrom4([4]byte{10, id, 0, byte(i + 1)}).String()},
			Conditions: discoveryv1.EndpointConditions{Ready: c.at(0), Serving: c.at(1), Terminating: c.at(2)},
		})
	}
	return wire.Cluster{
		Name: name, DefaultGlobalNamespace: true, Peers: []string{"us", "eu", "ap"},
		Namespaces: map[string]map[string]string{"default": nil},
		Services: []*corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: annotations},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeClusterIP, ClusterIP: ip, ClusterIPs: []string{ip},
				Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}},
			},
		}},
		EndpointSlices: []*discoveryv1.EndpointSlice{sl},
	}
}

func ptr[T any](v T) *T { return &v }

// The answers below were worked out by hand from Cilium's documentation; what gives them is Cilium's own code, asked
// through a real socket as the lab asks.
func TestAnswers(t *testing.T) {
	t.Parallel()
	global := map[string]string{"service.cilium.io/global": "true"}
	with := func(key, value string) map[string]string {
		return map[string]string{"service.cilium.io/global": "true", key: value}
	}
	us := func(ann map[string]string, e ...conditions) wire.Cluster { return cluster("us", 1, ann, e...) }
	eu := func(ann map[string]string, e ...conditions) wire.Cluster { return cluster("eu", 2, ann, e...) }
	gated := eu(global, "yyn")
	gated.Namespaces["default"] = map[string]string{"clustermesh.cilium.io/global": "false"}
	closed := eu(global, "yyn")
	closed.DefaultGlobalNamespace = false
	stranger := us(global, "yyn")
	stranger.Peers = nil
	const l, l2, r, r2 = "10.1.0.1:8080", "10.1.0.2:8080", "10.2.0.1:8080", "10.2.0.2:8080"

	ask := dialJudge(t)
	for name, tc := range map[string]struct {
		us, eu wire.Cluster
		want   []string
	}{
		"global in both":                    {us(global, "yyn"), eu(global, "yyn"), []string{l, r}},
		"global at home alone":              {us(global, "yyn"), eu(nil, "yyn"), []string{l}},
		"global there alone":                {us(nil, "yyn"), eu(global, "yyn"), []string{l}},
		"by the old name":                   {us(map[string]string{"io.cilium/global-service": "TRUE"}, "yyn"), eu(global, "yyn"), []string{l, r}},
		"not shared":                        {us(global, "yyn"), eu(with("service.cilium.io/shared", "false"), "yyn"), []string{l}},
		"junk for shared":                   {us(global, "yyn"), eu(with("service.cilium.io/shared", "yes"), "yyn"), []string{l}},
		"affinity local":                    {us(with("service.cilium.io/affinity", "local"), "yyn"), eu(global, "yyn"), []string{l}},
		"affinity local, nobody at home":    {us(with("service.cilium.io/affinity", "local"), "nnn"), eu(global, "yyn"), []string{r}},
		"affinity remote":                   {us(with("service.cilium.io/affinity", "remote"), "yyn"), eu(global, "yyn"), []string{r}},
		"affinity remote, nobody there":     {us(with("service.cilium.io/affinity", "remote"), "yyn"), eu(global), []string{l}},
		"affinity none in 1.20":             {us(with("service.cilium.io/affinity", "none"), "yyn"), eu(global, "yyn"), []string{l, r}},
		"the namespace is gated":            {us(global, "yyn"), gated, []string{l}},
		"namespaces are gated by default":   {us(global, "yyn"), closed, []string{l}},
		"not a peer":                        {stranger, eu(global, "yyn"), []string{l}},
		"absent conditions are ready":       {us(global, "---"), eu(global, "---"), []string{l, r}},
		"terminating beside active":         {us(global, "yyn", "nyy"), eu(nil), []string{l}},
		"terminating alone":                 {us(global, "nyy", "nyy"), eu(nil), []string{l, l2}},
		"terminating, does not serve":       {us(global, "nny"), eu(nil), nil},
		"serving but not ready":             {us(global, "nyn"), eu(nil), nil},
		"serving but not ready there":       {us(global), eu(global, "nyn"), []string{r}},
		"terminating there beside active":   {us(global, "yyn"), eu(global, "nyy"), []string{l, r}},
		"one of two is ready there":         {us(global), eu(global, "nnn", "yyn"), []string{r2}},
		"active there, terminating at home": {us(global, "nyy"), eu(global, "yyn"), []string{r}},
	} {
		reply := ask(wire.Request{Client: "us", Clusters: []wire.Cluster{tc.eu, tc.us}})
		if reply.Error != "" || len(reply.Choices) != 1 {
			t.Errorf("%s: reply %+v", name, reply)
			continue
		}
		var got []string
		for _, b := range reply.Choices[0].Backends {
			got = append(got, b.String())
		}
		if d := cmp.Diff(tc.want, got, cmpopts.SortSlices(strings.Compare)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		frontend := reply.Choices[0]
		frontend.Backends = nil
		want := wire.Choice{Namespace: "default", Name: "web", Address: netip.MustParseAddr("172.20.1.5"), Protocol: "TCP", Port: 80, PortName: "http"}
		if d := cmp.Diff(want, frontend, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("%s: frontend (-want +got):\n%s", name, d)
		}
	}
	t.Run("what cannot be answered", func(t *testing.T) {
		if r := ask(wire.Request{}); r.Cilium != judge.Version || r.Error != "" || len(r.Choices) > 0 {
			t.Errorf("who answers: %+v", r)
		}
		if r := ask(wire.Request{Client: "mars"}); !strings.Contains(r.Error, `"mars"`) {
			t.Errorf("a client that is not there: %+v", r)
		}
		if r := ask("junk"); r.Error == "" {
			t.Errorf("junk: %+v", r)
		}
		if r := ask(wire.Request{}); r.Error != "" {
			t.Errorf("after junk: %+v", r)
		}
	})
}

// dialJudge starts the judge on a socket; the function asks it one question.
func dialJudge(t *testing.T) (ask func(question any) wire.Reply) {
	t.Helper()
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, j, dir, os.Stderr) }()
	c := dial(t, dir, served)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewReader(c)
	return func(question any) wire.Reply {
		t.Helper()
		if err := json.NewEncoder(c).Encode(question); err != nil {
			t.Fatal(err)
		}
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var r wire.Reply
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// dial connects as soon as somebody listens.
func dial(t *testing.T, dir string, served <-chan error) net.Conn {
	t.Helper()
	for {
		c, err := wire.Dial(t.Context(), dir)
		if err == nil {
			return c
		}
		select {
		case err := <-served:
			t.Fatal(err)
		default:
		}
	}
}

// A judge whose lab was removed by hand ends by itself.
func TestServeEndsWithItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "chooser")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), nil, dir, os.Stderr) }()
	c := dial(t, dir, served)
	defer c.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
