package clusters

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"k8s.io/client-go/tools/clientcmd"
)

// fakeAPI is an API server of one cluster with Cilium, as far as identify asks it.
type fakeAPI struct {
	*httptest.Server
	name  string
	id    int
	uid   string // "uid-" and the name unless it is set
	peers []string
	// denied lists the resources that a bearer token may not read.
	denied map[string][]string
	// tokens are the only ones that are accepted; nil accepts all.
	tokens []string
	// before is called with each request; it may wait.
	before func(r *http.Request)

	mu    sync.Mutex
	asked int
}

func newFakeAPI(t *testing.T, name string, id int, peers ...string) *fakeAPI {
	t.Helper()
	f := &fakeAPI{name: name, id: id, uid: "uid-" + name, peers: peers}
	f.Server = httptest.NewUnstartedServer(f)
	f.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

// requests returns how many requests came.
func (f *fakeAPI) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked++
	f.mu.Unlock()
	if f.before != nil {
		f.before(r)
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if f.tokens != nil && !slices.Contains(f.tokens, token) {
		answer(w, http.StatusUnauthorized, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401, "message": "Unauthorized"})
		return
	}
	meta := func(name string) map[string]any {
		return map[string]any{"name": name, "namespace": "kube-system", "uid": f.uid}
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	resource, name := parts[len(parts)-2], parts[len(parts)-1]
	if slices.Contains(f.denied[token], resource) {
		answer(w, http.StatusForbidden, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
			"message": fmt.Sprintf("%s %q is forbidden: User %q cannot get resource %q in API group \"\" in the namespace \"kube-system\"", resource, name, token, resource),
			"details": map[string]any{"name": name, "kind": resource}})
		return
	}
	switch resource + "/" + name {
	case "configmaps/cilium-config":
		answer(w, http.StatusOK, map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta(name), "data": map[string]string{"cluster-name": f.name, "cluster-id": fmt.Sprint(f.id)}})
	case "namespaces/kube-system":
		answer(w, http.StatusOK, map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": name, "uid": f.uid}})
	case "secrets/cilium-clustermesh":
		data := map[string][]byte{}
		for _, p := range f.peers {
			data[p] = []byte("endpoints:\n- https://" + p + ".mesh.cilium.io:2379\n")
		}
		answer(w, http.StatusOK, map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": meta(name), "data": data})
	default:
		answer(w, http.StatusNotFound, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"})
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

// ca returns the certificate that the server presents.
func (f *fakeAPI) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
}

// kubeconfigOf builds a kubeconfig; entries are added with add.
type kubeconfigOf struct{ *clientcmdapi.Config }

func newKubeconfig(current string) kubeconfigOf {
	c := clientcmdapi.NewConfig()
	c.CurrentContext = current
	return kubeconfigOf{c}
}

// add makes a context with a cluster and a user entry of the same name.
func (k kubeconfigOf) add(name, server string, ca []byte, user *clientcmdapi.AuthInfo) {
	k.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	k.AuthInfos[name] = user
	k.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
}

// api is add for a fake API server and a token.
func (k kubeconfigOf) api(name string, f *fakeAPI, token string) {
	k.add(name, f.URL, f.ca(), &clientcmdapi.AuthInfo{Token: token})
}

// write writes the kubeconfig and returns its path.
func (k kubeconfigOf) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*k.Config, path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// flags returns flags that read the kubeconfig.
func (k kubeconfigOf) flags(t *testing.T, contexts ...string) *Flags {
	t.Helper()
	f := NewFlags()
	path := k.write(t)
	f.Config.KubeConfig = &path
	f.Contexts = contexts
	return f
}

// nobody is an address at which nobody listens.
const nobody = "https://127.0.0.1:1"
