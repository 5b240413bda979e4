//go:build unix

package killtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// mesh is one mesh: a namespace in each cluster of the lab. Many meshes share the API servers, and know nothing of each other.
type mesh struct {
	t          testing.TB
	namespace  string
	names      []string
	sites      map[string]*site
	gate       *gate
	kubeconfig string
	dir        string
	keys       *keyring

	mu       sync.Mutex // of what follows
	world    *modeltest.World
	rejected map[string][]logLine
	dialed   map[string]time.Time
	away     map[string]time.Time // since when a client is not connected
	failure  string
	first    map[string]pki.CertKey // the CA of each cluster at the beginning
}

// newMesh installs a mesh, starts its processes, and lets time pass for them until the test ends.
func newMesh(t testing.TB, sites []*site, keys *keyring, namespace string, seed uint64, install func(m *mesh, s *site, id int)) *mesh {
	t.Helper()
	m := &mesh{
		t: t, namespace: namespace, sites: map[string]*site{}, gate: &gate{}, dir: t.TempDir(), keys: keys,
		rejected: map[string][]logLine{}, dialed: map[string]time.Time{}, away: map[string]time.Time{}, first: map[string]pki.CertKey{},
	}
	for _, s := range sites {
		m.sites[s.Name] = s
		m.names = append(m.names, s.Name)
	}
	m.world = modeltest.Empty(t, rand.New(rand.NewPCG(seed, 7)), time.Now()) //nolint:gosec // a test that can be repeated
	m.world.Fail = func(format string, args ...any) {
		if m.failure == "" {
			m.failure = fmt.Sprintf(format, args...)
		}
	}
	for n, s := range sites {
		install(m, s, n+1)
		m.firstCA(s)
	}
	m.gate.wrote = m.wrote
	m.open()
	for _, s := range sites {
		m.boot(s)
	}
	m.keep()
	ctx := t.Context()
	go m.live(ctx)
	m.waitRunning(ctx)
	return m
}

// firstCA notes the CA of a cluster at the beginning: it must not be lost.
func (m *mesh) firstCA(s *site) {
	m.t.Helper()
	var secret *corev1.Secret
	must(m.t, patiently(func() (err error) {
		secret, err = s.client.CoreV1().Secrets(m.namespace).Get(m.t.Context(), pki.SecretCA, metav1.GetOptions{})
		return err
	}))
	var err error
	m.first[s.Name], err = pki.ParseSigner(secret.Data)
	must(m.t, err)
	m.keys.note(s.client, m.namespace)
}

// boot starts the processes of a cluster. Its pods are started by the node.
func (m *mesh) boot(s *site) {
	from := source{s, m.namespace}
	for end := time.Now().Add(patience); from.Secret(pki.SecretRemote) == nil || from.Secret("cilium-kvstoremesh") == nil; time.Sleep(nodeTick) {
		if time.Now().After(end) {
			m.t.Fatalf("cluster %q: the Secrets are not seen", s.Name)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.world.At = time.Now()
	m.world.Boot(&modeltest.Process{Name: s.Name, Source: from}, m.names...)
	s.join(m)
}

// open starts the way to the API servers, and writes the kubeconfig file of the commands.
func (m *mesh) open() {
	m.t.Helper()
	mux := http.NewServeMux()
	config := clientcmdapi.NewConfig()
	for name, s := range m.sites {
		handler, err := m.gate.proxy(name, s.config)
		must(m.t, err)
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, handler))
	}
	server := httptest.NewServer(mux)
	m.t.Cleanup(server.Close)
	for name := range m.sites {
		config.Clusters[name] = &clientcmdapi.Cluster{Server: server.URL + "/" + name}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name}
	}
	config.CurrentContext = m.names[0]
	m.kubeconfig = filepath.Join(m.dir, "kubeconfig")
	must(m.t, clientcmd.WriteToFile(*config, m.kubeconfig))
}

// live lets time pass.
func (m *mesh) live(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.mu.Lock()
			m.world.At = now
			for _, p := range m.world.Mesh {
				m.world.Sync(p)
			}
			m.heartbeats(now)
			m.rejections(now)
			m.world.Check("time passed")
			m.mu.Unlock()
		}
	}
}

// heartbeat is after how long without a connection a client reads its CA file again, and connectTimeout how long it keeps what it read if that does not help
// (docs/rotation.md: 105 to 130 seconds, measured; initialConnectionTimeout).
const (
	heartbeat      = 2 * time.Minute
	connectTimeout = 15 * time.Minute
)

// heartbeats lets clients that have lost their etcd begin again.
func (m *mesh) heartbeats(now time.Time) {
	for _, client := range m.world.Mesh {
		for _, server := range m.world.Mesh {
			key := client.Name + " " + server.Name
			since, lost := m.away[key]
			switch {
			case m.world.Handshake(client, server) == "":
				delete(m.away, key)
			case !lost:
				m.away[key] = now
			case now.Sub(since) >= heartbeat:
				m.world.Connect(client, server.Name)
				m.away[key] = now.Add(connectTimeout - heartbeat)
			}
		}
	}
}

// podStarted is what the processes of a new pod do.
func (m *mesh) podStarted(cluster string, p *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.world.At = time.Now()
	switch p.Labels["k8s-app"] {
	case "clustermesh-apiserver":
		m.world.Started(m.process(cluster))
	case "cilium":
		m.world.AgentStarted(m.process(cluster))
	}
	m.world.Check("the start of pod " + p.Name + " in " + cluster)
}

// wrote checks the mesh after a write, and notes new keys, which nobody may print.
func (m *mesh) wrote(cluster, method, path string) {
	if strings.Contains(path, "/secrets") {
		m.keys.note(m.sites[cluster].client, m.namespace)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.world.At = time.Now()
	m.world.Check(fmt.Sprintf("%s %s in %s", method, path, cluster))
}

func (m *mesh) process(cluster string) *modeltest.Process {
	for _, p := range m.world.Mesh {
		if p.Name == cluster {
			return p
		}
	}
	panic("the model has no cluster " + cluster) // a mistake of this package
}

// failed returns what went wrong in the model.
func (m *mesh) failed() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

// forget drops what was expected of the trust so far. sync and restore replace CAs at once: until agents restart, not even those of one cluster accept their own etcd.
func (m *mesh) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.world.Kept, m.failure = map[string]bool{}, ""
}

// keep makes it an error if a pair that trusts each other now stops trusting each other.
func (m *mesh) keep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.world.Keep()
}

// connected says which clusters do not accept each other.
func (m *mesh) connected() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.world.Mesh {
		for _, b := range m.world.Mesh {
			if why := m.world.Handshake(a, b); why != "" {
				return why
			}
		}
	}
	return ""
}

// waitRunning waits for the pods of all clusters.
func (m *mesh) waitRunning(ctx context.Context) {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(nodeTick) {
		missing := ""
		for name, s := range m.sites {
			if s.newest(m.namespace) == nil {
				missing = name
			}
		}
		if missing == "" || ctx.Err() != nil {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("cluster %q: clustermesh-apiserver does not run", missing)
		}
	}
}

// patiently sends a request to an API server, and sends it again if the API server gave up because the machine is slow. The first request may have created the object anyway.
func patiently(ask func() error) error {
	for end, first := time.Now().Add(patience), true; ; first = false {
		err := ask()
		switch {
		case !first && apierrors.IsAlreadyExists(err):
			return nil
		case !tooSlow(err) || time.Now().After(end):
			return err
		}
		time.Sleep(time.Second)
	}
}

func tooSlow(err error) bool {
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) || errors.Is(err, context.DeadlineExceeded)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
