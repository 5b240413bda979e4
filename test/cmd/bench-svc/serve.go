//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

const protobufType = "application/vnd.kubernetes.protobuf"

// mesh is many clusters with one API server behind them: each tells a name, an id, a UID and peers of its own, and has all else in common.
// What the API server has answered once is served from memory, so that it takes no part in what is measured.
type mesh struct {
	upstream *rest.Config
	client   *http.Client
	mu       sync.Mutex
	answers  map[string]*answer
}

// answer is what the API server said.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// withLeaves is the argument of serve that makes leaf certificates. Their keys take minutes, and only mesh-ca reads them.
const withLeaves = "leaves"

// serve runs clusters in front of the API server of a context until in ends, and writes a kubeconfig with a context for each.
func serve(ctx context.Context, in io.Reader, out io.Writer, args []string) error {
	leaves := len(args) == 6 && args[5] == withLeaves
	if len(args) != 5 && !leaves {
		return errors.New("serve takes KUBECONFIG CONTEXT CLUSTERS ROUND-TRIP NEW-KUBECONFIG [" + withLeaves + "]")
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	rtt, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	identities, m, err := newMesh(ctx, args[0], args[1], count, leaves)
	if err != nil {
		return err
	}
	cert, ca, err := certificate()
	if err != nil {
		return err
	}
	kc := clientcmdapi.NewConfig()
	for n, identity := range identities {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		name := clusterName(n)
		kc.Clusters[name] = &clientcmdapi.Cluster{Server: "https://" + l.Addr().String(), CertificateAuthorityData: ca}
		kc.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: name}
		kc.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
		server := &http.Server{Handler: m.handler(identity), ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}}
		go func() { _ = server.ServeTLS(farListener{l, rtt / 2}, "", "") }()
	}
	kc.CurrentContext = clusterName(0)
	if err := clientcmd.WriteToFile(*kc, args[4]); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

func clusterName(n int) string { return fmt.Sprintf("mesh-%03d", n+1) }

// newMesh reads what makes a cluster of the mesh out of one, and returns for each cluster the answers by path that are its own.
func newMesh(ctx context.Context, kubeconfig, contextName string, count int, leaves bool) ([]map[string][]byte, *mesh, error) {
	client, cfg, err := connect(kubeconfig, contextName)
	if err != nil {
		return nil, nil, err
	}
	ns, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	config, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, cilium.ConfigMapName, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	secret, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, cilium.SecretClusterMesh, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	var peer []byte // how one cluster is configured to reach another
	for _, v := range secret.Data {
		peer = v
	}
	if count > usualMesh {
		config.Data["max-connected-clusters"] = strconv.Itoa(largestMesh)
	}
	sign, err := newSigner(ctx, client, leaves)
	if err != nil {
		return nil, nil, err
	}
	var out []map[string][]byte
	for n := range count {
		ns.UID = types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1))
		config.Data["cluster-name"], config.Data["cluster-id"] = clusterName(n), strconv.Itoa(n+1)
		secret.Data = map[string][]byte{}
		for p := range count {
			if p != n {
				secret.Data[clusterName(p)] = peer
			}
		}
		own := map[string][]byte{}
		for path, obj := range map[string]runtime.Object{
			"/api/v1/namespaces/" + ns.Name:                                          ns,
			"/api/v1/namespaces/" + ns.Name + "/configmaps/" + cilium.ConfigMapName:  config,
			"/api/v1/namespaces/" + ns.Name + "/secrets/" + cilium.SecretClusterMesh: secret,
		} {
			if own[path], err = encode(obj); err != nil {
				return nil, nil, err
			}
		}
		if err := sign.secrets(own, clusterName(n), secret); err != nil {
			return nil, nil, err
		}
		out = append(out, own)
	}
	transport, err := rest.TransportFor(cfg)
	return out, &mesh{upstream: cfg, client: &http.Client{Transport: transport}, answers: map[string]*answer{}}, err
}

func encode(obj runtime.Object) ([]byte, error) {
	var b bytes.Buffer
	codec := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), schema.GroupVersion{Version: corev1.SchemeGroupVersion.Version})
	err := codec.Encode(obj, &b)
	return b.Bytes(), err
}

func (m *mesh) handler(own map[string][]byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{http.StatusOK, protobufType, own[r.URL.Path]}
		if a.body == nil {
			var err error
			if a, err = m.ask(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		w.Header().Set("Content-Type", a.contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body) //nolint:gosec // the API server's answer, to a kubectl
	})
}

// ask forwards a request, or finds what was answered to an equal one.
func (m *mesh) ask(r *http.Request) (*answer, error) {
	if r.Method != http.MethodGet {
		return nil, fmt.Errorf("%s is not answered here", r.Method)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := r.Header.Get("Accept") + " " + r.URL.RequestURI()
	if a := m.answers[key]; a != nil {
		return a, nil
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, strings.TrimSuffix(m.upstream.Host, "/")+r.URL.RequestURI(), nil) //nolint:gosec // the host is the lab's
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", r.Header.Get("Accept"))
	resp, err := m.client.Do(req) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := &answer{status: resp.StatusCode, contentType: resp.Header.Get("Content-Type")}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	m.answers[key] = a
	return a, nil
}

// certificate makes an authority and a certificate of it for all the servers.
func certificate() (tls.Certificate, []byte, error) {
	sign := func(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, error) {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		return x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench-svc CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := sign(ca, ca, caKey, caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "bench-svc"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER, err := sign(leaf, ca, key, caKey)
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), err
}
