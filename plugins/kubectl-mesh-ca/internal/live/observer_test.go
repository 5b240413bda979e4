package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/podstream"
)

// epoch is when all containers started.
var epoch = pkitest.Now

func at(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }

// fakeStreams answers by the pod, the container and the command.
type fakeStreams struct {
	mu     sync.Mutex
	asked  []string
	output map[string]string // POD/CONTAINER COMMAND..., or POD/CONTAINER for a log
	fails  map[string]error
	server func(net.Conn)
}

func (f *fakeStreams) answer(key string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, key)
	if err := f.fails[key]; err != nil {
		return "", err
	}
	out, ok := f.output[key]
	if !ok {
		return "", fmt.Errorf("%s: nothing", key)
	}
	return out, nil
}

func (f *fakeStreams) exec(_ context.Context, _ *clusters.Member, to podstream.Container, command []string) ([]byte, error) {
	out, err := f.answer(to.Pod + "/" + to.Name + " " + command[0])
	return []byte(out), err
}

func (f *fakeStreams) dial(_ context.Context, _ *clusters.Member, _, pod string, _ int) (net.Conn, error) {
	if _, err := f.answer(pod); err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	go f.server(there)
	return here, nil
}

// logs honours sinceTime as an API server does: by whole seconds.
func (f *fakeStreams) logs(_ context.Context, _ *clusters.Member, _, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	out, err := f.answer(pod + "/" + o.Container)
	if err != nil {
		return nil, err
	}
	var kept strings.Builder
	for line := range strings.Lines(out) {
		stamp, _, _ := strings.Cut(line, " ")
		at, _ := time.Parse(time.RFC3339Nano, stamp)
		if o.SinceTime == nil || !at.Before(o.SinceTime.Truncate(time.Second)) {
			kept.WriteString(line)
		}
	}
	return io.NopCloser(strings.NewReader(kept.String())), nil
}

// pod makes a pod that runs since epoch and was created ten seconds before.
func pod(name, label string, containers ...string) *corev1.Pod {
	key, value, _ := strings.Cut(label, "=")
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "kube-system", UID: types.UID("uid-" + name), Labels: map[string]string{key: value}, CreationTimestamp: metav1.Time{Time: epoch.Add(-10 * time.Second)},
	}, Spec: corev1.PodSpec{NodeName: "node-of-" + name}}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c, VolumeMounts: []corev1.VolumeMount{{MountPath: "/var/lib/cilium/clustermesh"}}})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: c, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: epoch}}}})
	}
	return p
}

func observer(f *fakeStreams, now time.Time, pods ...*corev1.Pod) (*Cluster, *clusters.Member) {
	objects := make([]runtime.Object, 0, len(pods))
	for _, p := range pods {
		objects = append(objects, p)
	}
	return &Cluster{timeout: 5 * time.Second, streams: f, now: func() time.Time { return now }}, &clusters.Member{Name: "us", Client: fake.NewClientset(objects...)}
}

// etcdServer serves a certificate as etcd does, and keeps the errors of its handshakes.
func etcdServer(t *testing.T, chain []pkitest.CA, trust ...pkitest.CA) (serve func(net.Conn), errs chan error) {
	t.Helper()
	cert := tls.Certificate{PrivateKey: chain[0].Key}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Cert.Raw)
	}
	pool := x509.NewCertPool()
	for _, ca := range trust {
		pool.AddCert(ca.Cert)
	}
	errs = make(chan error, 10)
	return func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12})
		errs <- server.Handshake()
		_ = conn.Close()
	}, errs
}

func TestServed(t *testing.T) {
	t.Parallel()
	old, fresh := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "New CA"})
	leaf, cross := fresh.Issue(t, pkitest.Spec{}), old.Intermediate(t, pkitest.Spec{Name: "New CA", Key: fresh.Key})
	serve, errs := etcdServer(t, []pkitest.CA{leaf, cross}, old, fresh)
	f := &fakeStreams{server: serve, output: map[string]string{"a": "", "b": ""}, fails: map[string]error{"b": errors.New("connection refused")}}
	waiting := pod("c", selectMeshAPI, "etcd")
	waiting.Status.ContainerStatuses = nil
	ending := pod("d", selectMeshAPI, "etcd")
	ending.DeletionTimestamp, ending.Finalizers = &metav1.Time{Time: epoch}, []string{"x"}
	o, m := observer(f, at(1), pod("b", selectMeshAPI, "etcd"), pod("a", selectMeshAPI, "etcd"), waiting, ending, pod("agent", SelectAgents, "cilium-agent"))
	got, err := o.Served(t.Context(), m)
	if err != nil || len(got) != 3 {
		t.Fatal(err, got)
	}
	a := got[0]
	if a.Pod != "a" || a.UID != "uid-a" || !a.Started.Equal(epoch) || len(a.Chain) != 2 || !a.Chain[0].Equal(leaf.Cert) || !a.Chain[1].Equal(cross.Cert) || a.Unknown != "" {
		t.Errorf("%+v", a)
	}
	if d := cmp.Diff([][]byte{old.Cert.RawSubject, fresh.Cert.RawSubject}, a.Announced); d != "" {
		t.Error(d)
	}
	// The log of etcd must not show what it shows of a client that does not trust it.
	if err := <-errs; err == nil || !strings.Contains(err.Error(), "didn't provide a certificate") {
		t.Errorf("the server saw %v", err)
	}
	if got[1].Unknown != "connection refused" || got[2].Unknown != notRunning || got[1].Chain != nil {
		t.Errorf("%+v", got[1:])
	}
	f.fails["b"] = &permissions.MissingError{Permissions: permissions.Access{Resource: "pods/portforward", Verbs: []string{"create"}}.In("kube-system", "")}
	if got, err := o.Served(t.Context(), m); err == nil || !strings.Contains(err.Error(), "pods/portforward") {
		t.Errorf("without permission: %v %+v", err, got)
	}
}

func TestServedWithTLS12(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	leaf := ca.Issue(t, pkitest.Spec{})
	here, there := net.Pipe()
	go func() {
		_ = tls.Server(there, &tls.Config{
			Certificates: []tls.Certificate{{PrivateKey: leaf.Key, Certificate: [][]byte{leaf.Cert.Raw}}}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS12,
		}).Handshake()
		_ = there.Close()
	}()
	got, err := handshake(t.Context(), here)
	if err != nil || len(got.chain) != 1 {
		t.Errorf("%v %+v", err, got)
	}
	closed, other := net.Pipe()
	_ = other.Close()
	if _, err := handshake(t.Context(), closed); err == nil {
		t.Error("no server, no error")
	}
}

const statusOf = `{"cluster-mesh":{"clusters":[{"name":"eu","connected":%t,"status":"etcd: 1/1 connected, ID: ab"}]},"controllers":[{"name":"remote-etcd-eu","status":{"last-success-timestamp":"%s"}}]}`

func line(t time.Time, msg, rest string) string {
	return t.Format(time.RFC3339Nano) + ` time=x level=info msg="` + msg + `" ` + rest + "\n"
}

func connecting(t time.Time, peer string) string {
	return line(t, "Connecting to etcd server...", "clusterName="+peer+" config=/var/lib/cilium/clustermesh/"+peer)
}

func established(t time.Time, peer string) string {
	return line(t, "Connection to remote cluster established", "clusterName="+peer+" etcdClusterID=cd")
}

func TestAgents(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		connected bool
		succeeded time.Time
		log       string
		rebuilt   time.Time
		latest    time.Time
		evidence  string
	}{
		"the log tells when it began":         {true, at(60), connecting(at(58), "eu") + connecting(at(59), "ap") + established(at(59), "eu"), at(58), at(58), "succeeded at 2026-11-23T13:00:00.000Z; log line"},
		"the log does not go back":            {true, at(60), "", at(45), at(60), "controller remote-etcd-eu succeeded at 2026-11-23T13:00:00.000Z"},
		"younger than the timeout":            {true, at(5), "", at(0), at(5), "controller remote-etcd-eu succeeded"},
		"not connected, begun again":          {false, at(5), connecting(at(96), "eu") + connecting(at(98), "eu"), at(98), at(98), "log line"},
		"connected again, not yet successful": {true, at(5), connecting(at(4), "eu") + established(at(5), "eu") + connecting(at(96), "eu") + established(at(97), "eu"), at(96), at(96), "established"},
		"connected, never successful":         {true, time.Time{}, connecting(at(96), "eu") + established(at(97), "eu"), at(96), at(96), "established"},
		"not connected":                       {false, at(60), "", at(45), time.Time{}, "succeeded"},
		"never connected":                     {false, time.Time{}, "", at(0), time.Time{}, "process started at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeStreams{output: map[string]string{"a/cilium-agent cilium-dbg": fmt.Sprintf(statusOf, tc.connected, tc.succeeded.Format("2006-01-02T15:04:05.000Z")), "a/cilium-agent": tc.log}}
			o, m := observer(f, at(100), pod("a", SelectAgents, "cilium-agent"))
			got, err := o.Clients(t.Context(), m)
			if err != nil || len(got) != 1 {
				t.Fatal(err, got)
			}
			c := got[0]
			if c.Kind != KindAgent || c.Peer != "eu" || c.Node != "node-of-a" || c.Connected != tc.connected || !c.Rebuilt.Equal(tc.rebuilt) || !c.Latest.Equal(tc.latest) || !strings.Contains(c.Evidence, tc.evidence) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestKVStoreMesh(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status, log string
		connected   bool
		rebuilt     time.Time
		latest      time.Time
		evidence    string
	}{
		"established": {`[{"name":"eu","connected":true}]`, connecting(at(1), "eu") + established(at(2), "eu"), true, at(1), at(1), "begun at 2026-11-23T12:01:00"},
		"again":       {`[{"name":"eu","connected":true}]`, connecting(at(1), "eu") + established(at(2), "eu") + connecting(at(30), "eu") + established(at(31), "eu"), true, at(30), at(30), "established"},
		"reconnecting, with the files of the beginning": {`[{"name":"eu","connected":false}]`, connecting(at(1), "eu") + established(at(2), "eu") + connecting(at(30), "eu"), false, at(30), at(30), "Connecting"},
		"the log is cut":            {`[{"name":"eu","connected":true}]`, established(at(40), "eu"), true, at(25), at(40), "established"},
		"the log has nothing":       {`[{"name":"eu","connected":true}]`, established(at(1), "ap"), true, at(0), time.Time{}, "process started"},
		"lines of a former process": {`[{"name":"eu","connected":true}]`, connecting(at(-5), "eu") + established(at(-4), "eu"), true, at(0), time.Time{}, "process started"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeStreams{output: map[string]string{"k/kvstoremesh clustermesh-apiserver": tc.status, "k/kvstoremesh": tc.log}}
			o, m := observer(f, at(100), pod("k", selectMeshAPI, "etcd", "kvstoremesh"))
			got, err := o.Clients(t.Context(), m)
			if err != nil || len(got) != 1 {
				t.Fatal(err, got)
			}
			c := got[0]
			if c.Kind != KindKVStoreMesh || c.Peer != "eu" || c.Connected != tc.connected || !c.Rebuilt.Equal(tc.rebuilt) || !c.Latest.Equal(tc.latest) || !strings.Contains(c.Evidence, tc.evidence) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// A process that could not be asked is listed with the reason; a missing permission is the answer for all.
func TestClientsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	idle := pod("op2", selectOperator, "cilium-operator") // without MCS-API it does not connect
	idle.Spec.Containers[0].VolumeMounts = nil
	down := pod("z", SelectAgents, "cilium-agent")
	down.Status.ContainerStatuses = nil
	f := &fakeStreams{
		output: map[string]string{"b/cilium-agent cilium-dbg": "text", "op/cilium-operator": line(epoch, "starting", "") + connecting(at(1), "eu") + established(at(1), "eu")},
		fails:  map[string]error{"a/cilium-agent cilium-dbg": errors.New("timeout")},
	}
	o, m := observer(f, at(9), pod("a", SelectAgents, "cilium-agent"), pod("b", SelectAgents, "cilium-agent"), down, pod("op", selectOperator, "cilium-operator"), idle)
	got, err := o.Clients(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got {
		lines = append(lines, c.Kind+" "+c.Pod+" "+c.Peer+" "+c.Unknown)
	}
	want := []string{"agent a  timeout", "agent b  the agent's status does not parse: invalid character 'e' in literal true (expecting 'r')", "agent z  " + notRunning, "operator op eu "}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	f.fails["a/cilium-agent cilium-dbg"] = &permissions.MissingError{Permissions: permissions.Access{Resource: "pods/exec", Verbs: []string{"create"}}.In("kube-system", "")}
	if _, err := o.Clients(t.Context(), m); err == nil || !strings.Contains(err.Error(), "pods/exec") {
		t.Errorf("without permission: %v", err)
	}
}

// TestOperators: a log from which the beginning was removed does not tell all peers. The whole log of a replica that is not the leader tells that it has none.
func TestOperators(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		log  string
		want []string
	}{
		"the leader":                   {line(epoch, "starting", "") + connecting(at(1), "eu") + established(at(1), "eu"), []string{"eu true false "}},
		"not the leader":               {line(epoch.Add(time.Second), "starting", ""), nil},
		"the log was rotated":          {line(at(50), "something", ""), []string{" false true its log begins at 2026-11-23T12:50:00.000Z, after the process started at 2026-11-23T12:00:00.000Z"}},
		"one connection was logged":    {connecting(at(60), "eu") + established(at(60), "eu"), []string{"eu true false ", " false true its log begins at 2026-11-23T13:00:00.000Z, after the process started at 2026-11-23T12:00:00.000Z"}},
		"it was rotated a moment ago":  {"", []string{" false true its log is empty"}},
		"only the success is left":     {established(at(60), "eu"), []string{"eu true true ", " false true its log begins at 2026-11-23T13:00:00.000Z, after the process started at 2026-11-23T12:00:00.000Z"}},
		"of a former process in front": {line(at(-60), "former", "") + connecting(at(1), "eu"), []string{"eu false false "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeStreams{output: map[string]string{"op/cilium-operator": tc.log}}
			o, m := observer(f, at(100), pod("op", selectOperator, "cilium-operator"))
			clients, err := o.Clients(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range clients {
				got = append(got, fmt.Sprintf("%s %t %t %s", c.Peer, c.Connected, c.LogCut, c.Unknown))
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLogOfTheConnection: whether the log still shows when a connection was begun.
func TestLogOfTheConnection(t *testing.T) {
	t.Parallel()
	const mesh = `[{"name":"eu","connected":true}]`
	for name, tc := range map[string]struct {
		agent bool
		log   string
		cut   bool
	}{
		"agent":                    {true, connecting(at(58), "eu") + established(at(60), "eu"), false},
		"agent, rotated":           {true, line(at(61), "something", ""), true},
		"KVStoreMesh":              {false, connecting(at(58), "eu") + established(at(60), "eu"), false},
		"KVStoreMesh, rotated":     {false, line(at(61), "something", ""), true},
		"KVStoreMesh, half of it":  {false, established(at(60), "eu"), true},
		"KVStoreMesh, then again":  {false, established(at(60), "eu") + connecting(at(70), "eu") + established(at(71), "eu"), false},
		"agent, begun again since": {true, connecting(at(96), "eu"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeStreams{output: map[string]string{
				"a/cilium-agent cilium-dbg": fmt.Sprintf(statusOf, true, at(60).Format("2006-01-02T15:04:05.000Z")), "a/cilium-agent": tc.log,
				"k/kvstoremesh clustermesh-apiserver": mesh, "k/kvstoremesh": tc.log,
			}}
			p := pod("k", selectMeshAPI, "etcd", "kvstoremesh")
			if tc.agent {
				p = pod("a", SelectAgents, "cilium-agent")
			}
			o, m := observer(f, at(100), p)
			got, err := o.Clients(t.Context(), m)
			if err != nil || len(got) != 1 || got[0].LogCut != tc.cut {
				t.Errorf("%v %+v", err, got)
			}
		})
	}
}

// TestLogByTheClockOfTheCluster: which part of a log is read does not depend on this machine's clock.
func TestLogByTheClockOfTheCluster(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, 3 * time.Hour, -3 * time.Hour} {
		f := &fakeStreams{output: map[string]string{
			"a/cilium-agent cilium-dbg": fmt.Sprintf(statusOf, false, at(5).Format("2006-01-02T15:04:05.000Z")), "a/cilium-agent": connecting(at(4), "eu") + connecting(at(98), "eu"),
		}}
		o, m := observer(f, at(100).Add(ahead), pod("a", SelectAgents, "cilium-agent"))
		got, err := o.Clients(t.Context(), m.WithSkew(clusters.Skew{Low: -ahead - time.Second, High: -ahead}))
		if err != nil || len(got) != 1 || !got[0].Rebuilt.Equal(at(98)) {
			t.Errorf("%s: %v %+v", ahead, err, got)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	out := "FILE common-etcd-client-ca.crt\nWRITTEN 2026-11-23 12:00:01.500000000 +0000\nWRITTEN 2026-11-23 12:00:02.250000000 +0000\n" + string(ca.CertPEM) + "\n" +
		"FILE empty.crt\nWRITTEN 2026-11-23 13:00:01.000000000 +0100\n\nEND\n"
	f := &fakeStreams{output: map[string]string{"a/cilium-agent sh": out, "b/cilium-agent sh": "FILE x.crt\n"}}
	o, m := observer(f, at(9), pod("a", SelectAgents, "cilium-agent"), pod("b", SelectAgents, "cilium-agent"))
	got, err := o.Files(t.Context(), m)
	if err != nil || len(got) != 3 {
		t.Fatal(err, got)
	}
	first, empty, cut := got[0], got[1], got[2]
	if first.Path != "/var/lib/cilium/clustermesh/common-etcd-client-ca.crt" || len(first.Certs) != 1 || !first.Certs[0].Equal(ca.Cert) || !first.Written.Equal(epoch.Add(2250*time.Millisecond)) {
		t.Errorf("%+v", first)
	}
	// Whole seconds are rounded up: the file may have been written at any time in that second.
	if empty.Unknown == "" || !empty.Written.Equal(epoch.Add(2*time.Second)) {
		t.Errorf("%+v", empty)
	}
	if cut.Path != "" || !strings.Contains(cut.Unknown, "is cut") || cut.Node != "node-of-b" {
		t.Errorf("%+v", cut)
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	rejected := func(t time.Time, text string) string {
		return t.Format(time.RFC3339Nano) + ` {"msg":"rejected connection on client endpoint","remote-addr":"10.0.0.1:5","error":"` + text + `"}` + "\n"
	}
	f := &fakeStreams{output: map[string]string{"a/etcd": rejected(at(1), "remote error: tls: bad certificate") + rejected(at(2).Add(time.Millisecond), "EOF") + rejected(at(2).Add(2*time.Millisecond), "remote error: tls: bad certificate")}}
	o, m := observer(f, at(9), pod("a", selectMeshAPI, "etcd"))
	got, err := o.Rejected(t.Context(), m, at(2).Add(2*time.Millisecond))
	if err != nil || len(got) != 1 || got[0].Pod != "a" || got[0].Text != "remote error: tls: bad certificate" {
		t.Errorf("%v %+v", err, got)
	}
	if all, err := o.Rejected(t.Context(), m, time.Time{}); err != nil || len(all) != 3 {
		t.Errorf("as far as the log goes back: %v %+v", err, all)
	}
}

func FuzzParseListing(f *testing.F) {
	f.Add("FILE a.crt\nWRITTEN 2026-11-23 12:00:01.5 +0000\nx\nEND\n")
	f.Add("WRITTEN x\nFILE \nEND")
	f.Fuzz(func(t *testing.T, out string) {
		files, err := parseListing(File{Node: "n"}, out)
		if err != nil && files != nil {
			t.Errorf("%q: %v with files", out, err)
		}
		if slices.ContainsFunc(files, func(f File) bool { return (len(f.Certs) == 0) == (f.Unknown == "") }) {
			t.Errorf("%q: neither certificates nor a reason", out)
		}
	})
}
