package pki_test

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func spec(t *testing.T, name string) pki.LeafSpec {
	t.Helper()
	for _, s := range pki.LeafSpecs() {
		if s.Secret == name {
			return s
		}
	}
	t.Fatalf("no leaf %s", name)
	return pki.LeafSpec{}
}

func TestLeafProblems(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for name, tc := range map[string]struct {
		secret string
		leaf   pkitest.Spec
		want   []string
	}{
		"remote, legacy":             {pki.SecretRemote, pkitest.Spec{Name: "remote", Usages: client}, nil},
		"remote, by cluster":         {pki.SecretRemote, pkitest.Spec{Name: "remote-a.b", Usages: client}, nil},
		"remote of another cluster":  {pki.SecretRemote, pkitest.Spec{Name: "remote-eu", Usages: client}, []string{`its common name is "remote-eu", not "remote" or "remote-a.b"`}},
		"no usages named":            {pki.SecretRemote, pkitest.Spec{Name: "remote"}, nil},
		"a server's for a client":    {pki.SecretRemote, pkitest.Spec{Name: "remote", Usages: server}, []string{"its extended key usage does not allow client authentication"}},
		"server":                     {pki.SecretServer, pkitest.Spec{Name: "clustermesh-apiserver.cilium.io", DNS: []string{"*.mesh.cilium.io"}, Usages: server}, nil},
		"server as in the 2026 docs": {pki.SecretServer, pkitest.Spec{Name: "clustermesh-apiserver.kube-system.svc", DNS: []string{"*.Mesh.cilium.io"}, Usages: server}, nil},
		"server without its name":    {pki.SecretServer, pkitest.Spec{Name: "clustermesh-apiserver.cilium.io", Usages: server}, []string{`its names do not include "*.mesh.cilium.io"`}},
		"hubble, dots to dashes":     {pki.SecretHubbleServer, pkitest.Spec{Name: "*.a-b.hubble-grpc.cilium.io", DNS: []string{"*.a-b.hubble-grpc.cilium.io"}, Usages: server}, nil},
		"expired and misnamed": {
			pki.SecretAdmin,
			pkitest.Spec{Name: "admin\x1b[31m", NotBefore: pkitest.Now.Add(-3 * pkitest.Day), NotAfter: pkitest.Now.Add(-2 * pkitest.Day)},
			[]string{"it expired on 2026-11-21T12:00:00Z", `its common name is "admin[31m", not "admin-a.b": etcd takes the user from it and has no such user`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaf, err := pki.ParseLeaf(pkitest.LeafSecret(ca.Issue(t, tc.leaf), ca.CertPEM))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range leaf.Problems(spec(t, tc.secret), "a.b", pkitest.Now) {
				got = append(got, p.Message)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestSignedBy(t *testing.T) {
	t.Parallel()
	root, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	reissued := pkitest.NewCA(t, pkitest.Spec{Key: root.Key})
	renamed := pkitest.NewCA(t, pkitest.Spec{Name: "Other CA", Key: root.Key})
	mid := root.Intermediate(t, pkitest.Spec{Name: "mid"})
	direct := root.Issue(t, pkitest.Spec{Name: "remote"})
	expired := root.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)})
	below := mid.Issue(t, pkitest.Spec{Name: "remote"})
	below.CertPEM = append(bytes.Clone(below.CertPEM), mid.CertPEM...)
	for name, tc := range map[string]struct {
		leaf, ca pkitest.CA
		want     bool
	}{
		"its CA":                     {direct, root, true},
		"another CA of that name":    {direct, other, false},
		"CA reissued under its key":  {direct, reissued, true},
		"that key, another subject":  {direct, renamed, false},
		"expired leaf":               {expired, root, true},
		"through an intermediate":    {below, root, true},
		"the intermediate itself":    {below, mid, true},
		"an intermediate of another": {below, other, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaf, err := pki.ParseLeaf(pkitest.LeafSecret(tc.leaf, nil))
			if err != nil {
				t.Fatal(err)
			}
			if got := leaf.SignedBy(tc.ca.Cert); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
