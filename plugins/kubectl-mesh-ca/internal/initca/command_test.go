package initca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

// bare is a cluster in which Cilium is not installed.
func bare(name string, objects ...runtime.Object) (*clusters.Member, *fake.Clientset) {
	client := fake.NewClientset(objects...)
	catest.Tame(client)
	return &clusters.Member{Name: "kind-" + name, Context: "kind-" + name, Client: client, Err: &failure.Error{Class: failure.NoCilium, Err: errors.New("no ConfigMap cilium-config in any namespace")}}, client
}

func secretOf(t *testing.T, client *fake.Clientset, namespace string) *corev1.Secret {
	t.Helper()
	s, err := client.CoreV1().Secrets(namespace).Get(t.Context(), "cilium-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, members []*clusters.Member, args ...string) testkit.Result {
	t.Helper()
	return testkit.Command{New: cmd.New, Members: members, Now: pkitest.Now}.Run(t.Context(), t, append([]string{"init"}, args...)...)
}

// TestInit: one CA in all clusters, with the marks by which a Helm release adopts it, and the command that removes it.
func TestInit(t *testing.T) {
	t.Parallel()
	us, usAPI := bare("us")
	eu, euAPI := bare("eu")
	members := []*clusters.Member{us, eu}
	args := []string{"--in", "kind-us,kind-eu"}
	for _, dry := range []string{"client", "server"} {
		if r := run(t, members, append(args, "--dry-run="+dry)...); r.Code != 0 || !strings.Contains(r.Out, "planned") {
			t.Fatalf("dry run: code %d\n%s%s", r.Code, r.Out, r.ErrOut)
		}
	}
	if r := run(t, members, args...); r.Code != 1 || !strings.Contains(r.ErrOut, "use --yes") {
		t.Errorf("unconfirmed: code %d\n%s", r.Code, r.ErrOut)
	}
	for _, api := range []*fake.Clientset{usAPI, euAPI} {
		if w := slices.DeleteFunc(catest.Writes(api), func(w string) bool { return strings.HasPrefix(w, "dry-run") }); len(w) > 0 {
			t.Fatalf("a dry run wrote %q", w)
		}
	}
	r := run(t, members, append(args, "--yes")...)
	if r.Code != 0 {
		t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
	}
	a, b := secretOf(t, usAPI, "kube-system"), secretOf(t, euAPI, "kube-system")
	if !bytes.Equal(a.Data["ca.key"], b.Data["ca.key"]) || !bytes.Equal(a.Data["ca.crt"], b.Data["ca.crt"]) {
		t.Error("the clusters have different CAs")
	}
	want := metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"},
		Annotations: map[string]string{"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": "kube-system"}}
	if d := cmp.Diff(want, metav1.ObjectMeta{Labels: a.Labels, Annotations: a.Annotations}); d != "" || a.Type != corev1.SecretTypeOpaque {
		t.Errorf("type %s, marks (-want +got)\n%s", a.Type, d)
	}
	for _, undo := range []string{"kubectl --context kind-us -n kube-system delete secret cilium-ca", "kubectl --context kind-eu -n kube-system delete secret cilium-ca"} {
		if !strings.Contains(r.ErrOut, undo) {
			t.Errorf("%q is missing\n%s", undo, r.ErrOut)
		}
	}
	if strings.Contains(r.Out+r.ErrOut, "PRIVATE KEY") || strings.Contains(r.Out+r.ErrOut, base64.StdEncoding.EncodeToString(a.Data["ca.key"])[:60]) {
		t.Error("the key shows")
	}
	// Once more: nothing is replaced.
	if r := run(t, members, append(args, "--yes")...); r.Code != 1 || !strings.Contains(r.ErrOut, "has a CA already: secret kube-system/cilium-ca. To give it the CA of another cluster, use sync") {
		t.Errorf("again: code %d\n%s", r.Code, r.ErrOut)
	}
	if !bytes.Equal(a.Data["ca.key"], secretOf(t, usAPI, "kube-system").Data["ca.key"]) {
		t.Error("the CA was replaced")
	}
}

// TestCertificate: what the signers of all owners need, and what a rotation needs later.
func TestCertificate(t *testing.T) {
	t.Parallel()
	for _, keyType := range []string{"ecdsa", "rsa"} {
		us, api := bare("us")
		r := run(t, []*clusters.Member{us}, "--in", "kind-us", "--yes", "--key-type", keyType, "--valid-for", "730d", "--common-name", "Mesh CA",
			"--cilium-namespace", "cilium", "--release", "cni", "--release-namespace", "infra")
		if r.Code != 0 {
			t.Fatalf("%s: code %d\n%s", keyType, r.Code, r.ErrOut)
		}
		s := secretOf(t, api, "cilium")
		if s.Annotations["meta.helm.sh/release-name"] != "cni" || s.Annotations["meta.helm.sh/release-namespace"] != "infra" {
			t.Errorf("%s: %v", keyType, s.Annotations)
		}
		ca, err := pki.ParseCA(s.Data)
		if err != nil || ca.Usable(pkitest.Now, 0) != nil || len(ca.Chain) != 1 {
			t.Fatalf("%s: %v, %v", keyType, err, ca.Usable(pkitest.Now, 0))
		}
		c, block := ca.Signer(), first(t, s.Data["ca.key"])
		switch key := c.PublicKey.(type) {
		case *ecdsa.PublicKey:
			if keyType != "ecdsa" || key.Params().Name != "P-256" || block.Type != "EC PRIVATE KEY" {
				t.Errorf("%s: %s in a block %q", keyType, key.Params().Name, block.Type)
			}
		case *rsa.PublicKey:
			if keyType != "rsa" || key.Size() != 384 || block.Type != "RSA PRIVATE KEY" {
				t.Errorf("%s: %d bytes in a block %q", keyType, key.Size(), block.Type)
			}
		}
		if c.Subject.CommonName != "Mesh CA" || !c.IsCA || c.MaxPathLen > 0 || c.MaxPathLenZero || len(c.SubjectKeyId) == 0 || c.SerialNumber.BitLen() < 64 || len(c.ExtKeyUsage) > 0 {
			t.Errorf("%s: %q, path length %d, serial %s", keyType, c.Subject, c.MaxPathLen, c.SerialNumber)
		}
		if need := x509.KeyUsageCertSign | x509.KeyUsageCRLSign; c.KeyUsage&need != need {
			t.Errorf("%s: key usage %b", keyType, c.KeyUsage)
		}
		if !c.NotBefore.Equal(pkitest.Now.Add(-time.Hour)) || !c.NotAfter.Equal(pkitest.Now.Add(730*pkitest.Day)) {
			t.Errorf("%s: valid from %s to %s", keyType, c.NotBefore, c.NotAfter)
		}
	}
}

func first(t *testing.T, data []byte) *pem.Block {
	t.Helper()
	block, rest := pem.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || bytes.HasPrefix(data, []byte("\n")) {
		t.Fatal("not exactly one PEM block")
	}
	return block
}

// TestRefusals: no cluster is written.
func TestRefusals(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	with, withAPI := catest.Member(t, "us", catest.Install{CA: &one})
	in := []string{"--in", "kind-us,kind-eu", "--yes"}
	missing := func(api *fake.Clientset) {
		api.PrependReactor("create", "secrets", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "kube-system")
		})
	}
	for name, c := range map[string]struct {
		objects []runtime.Object // in us
		first   *clusters.Member // in place of us
		edit    func(us, eu *fake.Clientset)
		args    []string
		want    string
	}{
		"no cluster":           {args: []string{"--yes"}, want: "--in is missing"},
		"cluster and values":   {args: append(in, "--print-values"), want: "--in and --print-values cannot be used together"},
		"show key":             {args: append(in, "--show-key"), want: "--show-key needs --print-values"},
		"values as JSON":       {args: []string{"--print-values", "-o", "json"}, want: "--output cannot be used with --print-values"},
		"unknown key type":     {args: append(in, "--key-type", "dsa"), want: `--key-type "dsa" is invalid; it must be one of: ecdsa, rsa`},
		"short validity":       {args: append(in, "--valid-for", "90d"), want: "leaf certificates of chart 1.20 live for 365 days"},
		"no validity":          {args: append(in, "--valid-for", "long"), want: `"long" is not a duration`},
		"no name":              {args: append(in, "--common-name", " "), want: "--common-name is empty"},
		"no release":           {args: append(in, "--release", ""), want: "--release is empty"},
		"unknown cluster":      {args: []string{"--in", "kind-ap", "--yes"}, want: `--in: no cluster "kind-ap"`},
		"Cilium is installed":  {first: with, args: in, want: "Cilium is installed in us (context kind-us), and init is for clusters without it; nothing was written in any cluster. To give it the CA of another cluster, use sync; to give it a new CA, use rotate"},
		"a CA is there":        {objects: []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cilium-ca", Namespace: "kube-system"}, Data: one.CASecret()}}, args: in, want: "has a CA already"},
		"no permission":        {edit: func(_, eu *fake.Clientset) { catest.Deny(eu, "create", "") }, args: in, want: "preflight failed; nothing was written in any cluster"},
		"namespace is missing": {edit: func(_, eu *fake.Clientset) { missing(eu) }, args: in, want: "preflight failed; nothing was written in any cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, usAPI := bare("us", c.objects...)
			eu, euAPI := bare("eu")
			if c.edit != nil {
				c.edit(usAPI, euAPI)
			}
			if c.first != nil {
				us = c.first
			}
			r := run(t, []*clusters.Member{us, eu}, c.args...)
			if r.Code != 1 || !strings.Contains(r.ErrOut, c.want) {
				t.Errorf("code %d, want %q\n%s%s", r.Code, c.want, r.Out, r.ErrOut)
			}
			if name == "namespace is missing" && !strings.Contains(r.Out, "namespace kube-system does not exist; create it") {
				t.Errorf("it does not say what to do\n%s", r.Out)
			}
			for _, api := range []*fake.Clientset{usAPI, euAPI, withAPI} {
				if w := slices.DeleteFunc(catest.Writes(api), func(w string) bool { return strings.HasPrefix(w, "dry-run") }); len(w) > 0 {
					t.Errorf("wrote %q", w)
				}
			}
		})
	}
}

// TestPrintValues: the only output with a key, as Cilium's chart takes it.
func TestPrintValues(t *testing.T) {
	t.Parallel()
	r := testkit.Command{New: cmd.New, Now: pkitest.Now}.Run(t.Context(), t, "init", "--print-values", "--key-type", "ecdsa")
	if r.Code != 0 || !strings.Contains(r.ErrOut, "encrypt them") || strings.Contains(r.ErrOut, "tls") {
		t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
	}
	var values struct {
		TLS struct {
			CA struct {
				Cert []byte `json:"cert"`
				Key  []byte `json:"key"`
			} `json:"ca"`
		} `json:"tls"`
	}
	if err := yaml.UnmarshalStrict([]byte(r.Out), &values); err != nil {
		t.Fatal(err)
	}
	ca, err := pki.ParseCA(map[string][]byte{"ca.crt": values.TLS.CA.Cert, "ca.key": values.TLS.CA.Key})
	if err != nil || ca.Usable(pkitest.Now, 9*365*pkitest.Day) != nil {
		t.Errorf("%v, %v", err, ca.Usable(pkitest.Now, 9*365*pkitest.Day))
	}
}

// TestFaults: what every write promises, and that a CA which not every cluster could get is removed again.
func TestFaults(t *testing.T) {
	t.Parallel()
	c := testkit.Change{
		Mesh: func(t *testing.T) *testkit.Mesh {
			t.Helper()
			m := &testkit.Mesh{}
			for _, name := range []string{"us", "eu", "ap"} {
				member, client := bare(name)
				m.Add(member, client)
			}
			return m
		},
		Command: func(m *testkit.Mesh) testkit.Command {
			return testkit.Command{New: cmd.New, Members: m.Members, Now: pkitest.Now}
		},
		Args: []string{"init", "--in", "kind-us,kind-eu,kind-ap", "--yes"},
		Content: func(t *testing.T, m *testkit.Mesh, c v1alpha1.Change) string {
			t.Helper()
			secret, err := m.API[c.Cluster].CoreV1().Secrets(c.Namespace).Get(t.Context(), "cilium-ca", metav1.GetOptions{})
			if err != nil {
				return ""
			}
			return secret.Labels["app.kubernetes.io/managed-by"] // the key is another one in every run
		},
	}
	testkit.CheckFaults(t, c)
	c.Args = c.Args[:len(c.Args)-1]
	testkit.CheckUnconfirmed(t, c)
}

// TestAllOrNone: the last cluster refuses, although its preflight passed.
func TestAllOrNone(t *testing.T) {
	t.Parallel()
	us, usAPI := bare("us")
	eu, euAPI := bare("eu")
	euAPI.PrependReactor("create", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
		return !catest.DryRun(a), nil, apierrors.NewBadRequest("quota")
	})
	r := run(t, []*clusters.Member{us, eu}, "--in", "kind-us,kind-eu", "--yes")
	if r.Code != 1 || !strings.Contains(r.Out, "created and removed again") || strings.Contains(r.ErrOut, "delete secret") {
		t.Errorf("code %d\n%s%s", r.Code, r.Out, r.ErrOut)
	}
	if got := catest.Writes(usAPI); !slices.Contains(got, "delete cilium-ca") {
		t.Errorf("writes %q", got)
	}
	if _, err := usAPI.CoreV1().Secrets("kube-system").Get(t.Context(), "cilium-ca", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}
