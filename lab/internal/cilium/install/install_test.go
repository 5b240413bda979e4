package install

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

func testTime() time.Time { return time.Date(2026, 11, 23, 3, 40, 24, 0, time.UTC) }

func testLab(version string, method Method, connected bool) *state.Lab {
	lab := &state.Lab{Connected: connected}
	for i, name := range []string{"us", "eu", "ap"} {
		lab.Clusters = append(lab.Clusters, state.Cluster{
			Name: name, ID: i + 1, CiliumVersion: version, Install: string(method), DNSIP: fmt.Sprintf("172.20.%d.10", i+1),
			Nodes: []state.Node{{Name: name + "-worker", PodCIDR: fmt.Sprintf("10.%d.1.0/24", i+1), Address: fmt.Sprintf("127.%d.0.2", i+1)}},
		})
	}
	return lab
}

// signedObjects are those of a new installation; RSA keys make them slow.
func signedObjects(t *testing.T, version string, method Method) []Object {
	t.Helper()
	lab := testLab(version, method, true)
	objects, err := Objects(lab, lab.Clusters[0], testTime())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// testObjects are for tests that do not look into certificates: those are certgen's
// in every case, which are made quickly.
func testObjects(t *testing.T, version string, method Method, connected bool) []Object {
	t.Helper()
	lab := testLab(version, Certgen, connected)
	s, err := newSite(lab, lab.Clusters[0], testTime())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := newCertificates(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Install = string(method)
	return s.objects(certs)
}

func find(objects []Object, kind, name string) (Object, bool) {
	i := slices.IndexFunc(objects, func(o Object) bool { return o.GetKind() == kind && o.GetName() == name })
	if i < 0 {
		return Object{}, false
	}
	return objects[i], true
}

func mustFind(t *testing.T, objects []Object, kind, name string) Object {
	t.Helper()
	o, ok := find(objects, kind, name)
	if !ok {
		t.Fatalf("no %s %s", kind, name)
	}
	return o
}

func secretData(t *testing.T, o Object) map[string][]byte {
	t.Helper()
	encoded, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{}
	for key, value := range encoded {
		if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func certificateOf(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("no PEM in %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestLeafsVerifyAgainstTheirOwnAuthorityOnly(t *testing.T) {
	t.Parallel()
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for _, method := range []Method{Helm, Certgen, CertManager} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			objects, stranger := signedObjects(t, "1.18.11", method), signedObjects(t, "1.18.11", method)
			ca, other := x509.NewCertPool(), x509.NewCertPool()
			for pool, from := range map[*x509.CertPool][]Object{ca: objects, other: stranger} {
				pool.AppendCertsFromPEM(secretData(t, mustFind(t, from, "Secret", secretCA))["ca.crt"])
			}
			for secret, want := range map[string]struct {
				name, host string
				usages     []x509.ExtKeyUsage
			}{
				secretServer: {"clustermesh-apiserver.cilium.io", "eu.mesh.cilium.io", []x509.ExtKeyUsage{server}},
				secretAdmin:  {"admin-us", "", []x509.ExtKeyUsage{client}},
				secretRemote: {"remote", "", []x509.ExtKeyUsage{client}},
				secretLocal:  {"local-us", "", []x509.ExtKeyUsage{client}},
				secretHubble: {"*.us.hubble-grpc.cilium.io", "us-worker.us.hubble-grpc.cilium.io", []x509.ExtKeyUsage{server, client}},
			} {
				o := mustFind(t, objects, "Secret", secret)
				data := secretData(t, o)
				if _, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"]); err != nil {
					t.Errorf("%s: %v", secret, err)
				}
				cert := certificateOf(t, data["tls.crt"])
				if cert.Subject.CommonName != want.name {
					t.Errorf("%s: common name %q, want %q", secret, cert.Subject.CommonName, want.name)
				}
				for _, usage := range want.usages {
					options := x509.VerifyOptions{Roots: ca, DNSName: want.host, CurrentTime: testTime().Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{usage}}
					if _, err := cert.Verify(options); err != nil {
						t.Errorf("%s: %v", secret, err)
					}
					options.Roots = other
					if _, err := cert.Verify(options); err == nil {
						t.Errorf("%s: the authority of another cluster accepts it", secret)
					}
				}
				if typ, _, _ := unstructured.NestedString(o.Object, "type"); typ != "kubernetes.io/tls" {
					t.Errorf("%s: type %q", secret, typ)
				}
			}
		})
	}
}

func TestWhoMadeTheAuthority(t *testing.T) {
	t.Parallel()
	helmMarks := map[string]string{"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": "kube-system"}
	for name, tc := range map[string]struct {
		version     string
		method      Method
		manager     string
		apply       bool
		labels      map[string]string
		annotations map[string]string
		keys        []string
		kind        string
	}{
		"helm": {
			version: "1.18.11", method: Helm, manager: "helm", keys: []string{"ca.crt", "ca.key"}, kind: "RSA PRIVATE KEY",
			labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}, annotations: helmMarks,
		},
		"helm from 1.19 on": {
			version: "1.19.5", method: Helm, manager: "helm", keys: []string{"ca.crt", "ca.key"}, kind: "RSA PRIVATE KEY",
			labels:      map[string]string{"app.kubernetes.io/managed-by": "Helm", "cilium.io/helm-template-non-idempotent": "true"},
			annotations: helmMarks,
		},
		"certgen": {version: "1.18.11", method: Certgen, manager: "cilium-certgen", keys: []string{"ca.crt", "ca.key"}, kind: "EC PRIVATE KEY"},
		"cert-manager": {
			version: "1.18.11", method: CertManager, manager: "cert-manager-certificates-issuing", apply: true,
			keys: []string{"ca.crt", "tls.crt", "tls.key"}, kind: "RSA PRIVATE KEY",
			labels: map[string]string{"controller.cert-manager.io/fao": "true"},
			annotations: map[string]string{
				"cert-manager.io/alt-names": "", "cert-manager.io/ip-sans": "", "cert-manager.io/uri-sans": "",
				"cert-manager.io/certificate-name": "cilium-ca", "cert-manager.io/common-name": "Cilium CA",
				"cert-manager.io/issuer-group": "cert-manager.io", "cert-manager.io/issuer-kind": "Issuer", "cert-manager.io/issuer-name": "cilium-selfsigned",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := mustFind(t, signedObjects(t, tc.version, tc.method), "Secret", secretCA)
			if o.Manager != tc.manager || o.Apply != tc.apply {
				t.Errorf("written by %s, apply %v", o.Manager, o.Apply)
			}
			if diff := cmp.Diff(tc.labels, o.GetLabels()); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.annotations, o.GetAnnotations()); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			data := secretData(t, o)
			var keys []string
			for key, value := range data {
				keys = append(keys, key)
				if strings.HasSuffix(key, ".key") {
					if block, _ := pem.Decode(value); block.Type != tc.kind {
						t.Errorf("%s is a %s, want %s", key, block.Type, tc.kind)
					}
				}
			}
			slices.Sort(keys)
			if diff := cmp.Diff(tc.keys, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if got := certificateOf(t, data["ca.crt"]); got.Subject.CommonName != "Cilium CA" || !got.IsCA {
				t.Errorf("authority %v, CA %v", got.Subject, got.IsCA)
			}
		})
	}
}

// The sizes are those of a real installation by Helm: names, usages, serial numbers
// and encodings agree with it.
func TestHelmCertificatesHaveTheSizeOfRealOnes(t *testing.T) {
	t.Parallel()
	objects := signedObjects(t, "1.18.11", Helm)
	for secret, want := range map[string]int{secretServer: 1326, secretAdmin: 1123, secretRemote: 1123, secretLocal: 1127, secretHubble: 1204} {
		data := secretData(t, mustFind(t, objects, "Secret", secret))
		// Serial numbers and signatures vary by a few bytes.
		const slack = 8
		if got := len(data["tls.crt"]); got < want-slack || got > want+slack {
			t.Errorf("%s: certificate of %d bytes, want about %d", secret, got, want)
		}
		if got := len(data["ca.crt"]); got < 1127-slack || got > 1127+slack {
			t.Errorf("%s: authority of %d bytes, want about 1127", secret, got)
		}
	}
}

func TestConfigByVersion(t *testing.T) {
	t.Parallel()
	const policy, namespace, ttl = "policy-default-local-cluster", "clustermesh-default-global-namespace", "clustermesh-cache-ttl"
	for version, want := range map[string]map[string]string{
		"1.16.19": {},
		"1.17.17": {},
		"1.18.11": {policy: "false"},
		"1.19.5":  {policy: "true", ttl: "0s"},
		"1.20.2":  {policy: "true", ttl: "0s", namespace: "true"},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			objects := testObjects(t, version, Helm, true)
			data, _, err := unstructured.NestedStringMap(mustFind(t, objects, "ConfigMap", "cilium-config").Object, "data")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, key := range []string{policy, namespace, ttl} {
				if value, ok := data[key]; ok {
					got[key] = value
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("keys of some versions (-want +got):\n%s", diff)
			}
			identity := []string{data["cluster-name"], data["cluster-id"], data["max-connected-clusters"], data["kube-proxy-replacement"], data["identity-allocation-mode"]}
			if diff := cmp.Diff([]string{"us", "1", "255", "false", "crd"}, identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			_, ok := find(objects, "ConfigMap", remoteUsers)
			if want := version >= "1.19"; ok != want {
				t.Errorf("ConfigMap %s: %v, want %v", remoteUsers, ok, want)
			}
			containers, _, err := unstructured.NestedSlice(mustFind(t, objects, "DaemonSet", "cilium").Object, "spec", "template", "spec", "containers")
			if err != nil {
				t.Fatal(err)
			}
			agent, ok := containers[0].(map[string]any)
			if image := agent["image"]; !ok || image != "quay.io/cilium/cilium:v"+version {
				t.Errorf("image of the agents is %v", image)
			}
		})
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	t.Run("connected", func(t *testing.T) {
		t.Parallel()
		objects := testObjects(t, "1.19.5", Helm, true)
		for secret, endpoint := range map[string]string{
			"cilium-clustermesh": "- https://clustermesh-apiserver.kube-system.svc:2379\n",
			"cilium-kvstoremesh": "- https://eu.mesh.cilium.io:32379\n",
		} {
			o := mustFind(t, objects, "Secret", secret)
			data := secretData(t, o)
			if len(data) != 2 || data["us"] != nil || !bytes.Contains(data["eu"], []byte("endpoints:\n"+endpoint)) {
				t.Errorf("%s: %q", secret, data)
			}
			if o.Manager != "cilium" {
				t.Errorf("%s is written by %s, want cilium-cli", secret, o.Manager)
			}
		}
		users, _, err := unstructured.NestedString(mustFind(t, objects, "ConfigMap", remoteUsers).Object, "data", "users.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("users:\n- name: remote-eu\n  role: remote\n- name: remote-ap\n  role: remote\n", users); diff != "" {
			t.Errorf("users.yaml (-want +got):\n%s", diff)
		}
	})
	t.Run("not connected", func(t *testing.T) {
		t.Parallel()
		objects := testObjects(t, "1.18.11", Helm, false)
		for _, secret := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			if _, ok := find(objects, "Secret", secret); ok {
				t.Errorf("Secret %s is there before the clusters are connected", secret)
			}
		}
	})
}

func TestMachineryByMethod(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		version string
		method  Method
		want    []string
	}{
		"helm": {"1.18.11", Helm, nil},
		"certgen with hooks": {"1.18.11", Certgen, []string{
			"CronJob clustermesh-apiserver-generate-certs", "CronJob hubble-generate-certs",
			"Job clustermesh-apiserver-generate-certs", "Job hubble-generate-certs",
		}},
		"cert-manager": {"1.18.11", CertManager, []string{
			"Certificate cilium-ca", "Certificate clustermesh-apiserver-admin-cert", "Certificate clustermesh-apiserver-local-cert",
			"Certificate clustermesh-apiserver-remote-cert", "Certificate clustermesh-apiserver-server-cert", "Certificate hubble-server-certs",
			"Issuer cilium", "Issuer cilium-selfsigned",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, o := range testObjects(t, tc.version, tc.method, true) {
				if slices.Contains([]string{"CronJob", "Job", "Certificate", "Issuer"}, o.GetKind()) {
					got = append(got, o.GetKind()+" "+o.GetName())
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryObjectHasAResource(t *testing.T) {
	t.Parallel()
	for _, method := range []Method{Helm, Certgen, CertManager} {
		for _, o := range testObjects(t, "1.20.2", method, true) {
			if _, err := resourceOf(o.GroupVersionKind()); err != nil {
				t.Error(err)
			}
			if o.Manager == "" {
				t.Errorf("%s %s has no author", o.GetKind(), o.GetName())
			}
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		version string
		method  Method
		want    string
	}{
		"good":             {"1.16.0", Helm, ""},
		"pre-release":      {"1.20.0-pre.3", CertManager, ""},
		"too old":          {"1.15.19", Helm, "want one from 1.16"},
		"too new":          {"1.21.0", Helm, "want one from 1.16"},
		"with a v":         {"v1.18.11", Helm, "want one from 1.16"},
		"minor alone":      {"1.18", Helm, "want one from 1.16"},
		"unknown method":   {"1.18.11", "cronJob", "want helm, certgen or cert-manager"},
		"no method at all": {"1.18.11", "", "want helm, certgen or cert-manager"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Check(state.Cluster{Name: "us", CiliumVersion: tc.version, Install: string(tc.method)})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// The CA of --one-ca is there before the installation. Helm adopts only what is marked as its own; certgen signs with whatever is there.
func TestCABeforeHelm(t *testing.T) {
	t.Parallel()
	ca, err := NewCA(time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[Method]string{Helm: "cilium", Certgen: ""} {
		c := state.Cluster{Name: "us", Install: string(method), DNSIP: "172.20.1.10", Nodes: []state.Node{{Name: "us-worker", Address: "10.200.1.1"}}}
		objects, err := BeforeHelm(c, nil, ca)
		if err != nil {
			t.Fatal(err)
		}
		secret := objects[len(objects)-1]
		if secret.GetName() != secretCA || secret.GetAnnotations()["meta.helm.sh/release-name"] != want {
			t.Errorf("%s: %s has annotations %v", method, secret.GetName(), secret.GetAnnotations())
		}
		if without, err := BeforeHelm(c, nil, nil); err != nil || len(without) != len(objects)-1 {
			t.Errorf("%s: without a CA %d objects instead of %d; error %v", method, len(without), len(objects)-1, err)
		}
	}
}
