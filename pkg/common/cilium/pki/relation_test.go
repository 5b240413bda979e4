package pki_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func parsed(t *testing.T, leaf pkitest.CA) pki.Leaf {
	t.Helper()
	l, err := pki.ParseLeaf(pkitest.LeafSecret(leaf, nil))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRelation: a leaf certificate that is cross-signed is not one of a wrong CA, and the same key under another name is not another key.
func TestRelation(t *testing.T) {
	t.Parallel()
	one, two, three := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{RSA: true})
	renamed := pkitest.NewCA(t, pkitest.Spec{Name: "Another name", Key: one.Key})
	again := pkitest.NewCA(t, pkitest.Spec{Key: one.Key, NotAfter: pkitest.Now.Add(7 * pkitest.Day)})
	leaf := one.Issue(t, pkitest.Spec{Name: "remote"})
	x2, x3 := two.Cross(t, one), three.Cross(t, one)
	between := two.Intermediate(t, pkitest.Spec{Name: "between"})
	far := between.Cross(t, one)
	for name, tc := range map[string]struct {
		leaf pkitest.CA
		ca   pkitest.CA
		want pki.Relation
	}{
		"its CA":                               {leaf, one, pki.Direct},
		"its CA, reissued":                     {leaf, again, pki.Direct},
		"its CA under another name":            {leaf, renamed, pki.Renamed},
		"another CA":                           {leaf, two, pki.Foreign},
		"with X of the CA":                     {leaf.With(x2), two, pki.Cross},
		"with X of another":                    {leaf.With(x3), two, pki.Foreign},
		"with several X, the second counts":    {leaf.With(x3, x2), two, pki.Cross},
		"with several X, the first counts":     {leaf.With(x3, x2), three, pki.Cross},
		"with X and its own root":              {leaf.With(one, x2), two, pki.Cross},
		"X over two steps, in the wrong order": {leaf.With(between, far), two, pki.Cross},
		"X that signed nothing of it":          {two.Issue(t, pkitest.Spec{Name: "remote"}).With(x3), three, pki.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parsed(t, tc.leaf)
			if got := l.Relation(tc.ca.Cert); got != tc.want || l.SignedBy(tc.ca.Cert) != (tc.want == pki.Direct || tc.want == pki.Cross) {
				t.Errorf("%s, signed %v; want %s", got, l.SignedBy(tc.ca.Cert), tc.want)
			}
			// The relation must agree with the verifier that etcd and Cilium use.
			roots, inter := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(tc.ca.Cert)
			for _, c := range l.Chain[1:] {
				inter.AddCert(c)
			}
			_, err := l.Cert().Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: pkitest.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			if (err == nil) != l.SignedBy(tc.ca.Cert) {
				t.Errorf("Go's verifier says %v", err)
			}
		})
	}
}

// TestAbove: what leads from a signer to other CAs is found in any order, and nothing else is.
func TestAbove(t *testing.T) {
	t.Parallel()
	own, peer, root := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "Root"})
	x := peer.Cross(t, own)
	upper := root.Intermediate(t, pkitest.Spec{Name: "upper"})
	lower := upper.Intermediate(t, pkitest.Spec{Name: "lower"})
	for name, tc := range map[string]struct {
		signer     pkitest.CA
		sent, want []pkitest.CA
	}{
		"nothing":                   {own, nil, nil},
		"a cross certificate":       {own, []pkitest.CA{x}, []pkitest.CA{x}},
		"that of another CA":        {peer, []pkitest.CA{x}, nil},
		"another CA":                {own, []pkitest.CA{peer}, nil},
		"the CA that signed X":      {own, []pkitest.CA{x, peer}, []pkitest.CA{x, peer}},
		"itself":                    {own, []pkitest.CA{own}, []pkitest.CA{own}},
		"its issuers, in any order": {lower, []pkitest.CA{root, own, upper}, []pkitest.CA{upper, root}},
		"what it signed itself":     {root, []pkitest.CA{upper}, nil},
	} {
		certs := func(of []pkitest.CA) []*x509.Certificate {
			var out []*x509.Certificate
			for _, c := range of {
				out = append(out, c.Cert)
			}
			return out
		}
		if got := pki.Above(tc.signer.Cert, certs(tc.sent)); !slices.EqualFunc(got, certs(tc.want), (*x509.Certificate).Equal) {
			t.Errorf("%s: %d certificates, want %d", name, len(got), len(tc.want))
		}
	}
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	renamed := pkitest.NewCA(t, pkitest.Spec{Name: "Another name", Key: one.Key})
	below := one.Intermediate(t, pkitest.Spec{Name: "below"})
	for name, tc := range map[string]struct {
		roots  []*x509.Certificate
		signer pkitest.CA
		want   bool
	}{
		"itself":              {[]*x509.Certificate{two.Cert, one.Cert}, one, true},
		"another":             {[]*x509.Certificate{two.Cert}, one, false},
		"its issuer":          {[]*x509.Certificate{one.Cert}, below, true},
		"its key, renamed":    {[]*x509.Certificate{renamed.Cert}, one, false},
		"nothing":             {nil, one, false},
		"X instead of itself": {[]*x509.Certificate{two.Cross(t, one).Cert}, one, true},
	} {
		if got := pki.Trusts(tc.roots, tc.signer.Cert); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestParts: what the certificates of cilium-ca are, in the files of a federation and of a rotation.
func TestParts(t *testing.T) {
	t.Parallel()
	own, peer := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	x := peer.Cross(t, own)
	for name, tc := range map[string]struct {
		file []pkitest.CA
		want string
		own  pkitest.CA
	}{
		"alone":                        {[]pkitest.CA{own}, "signer", own},
		"federation, Helm":             {[]pkitest.CA{own, peer}, "signer other", own},
		"federation, certgen":          {[]pkitest.CA{x, own}, "signer root", own},
		"rotation by certgen, first":   {[]pkitest.CA{x, peer}, "signer issuer", x},
		"federation, own before cross": {[]pkitest.CA{own, x}, "signer cross", own},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := own.CASecret()
			data["ca.crt"] = tc.file[0].With(tc.file[1:]...).CertPEM
			ca, err := pki.ParseCA(data)
			if err != nil {
				t.Fatal(err)
			}
			var roles []string
			for _, p := range ca.Parts() {
				roles = append(roles, string(p.Role))
			}
			if got := strings.Join(roles, " "); got != tc.want || !ca.Identity().Equal(tc.own.Cert) || ca.Key != pki.KeyMatches {
				t.Errorf("%s; own is %s, key %s", got, ca.Identity().Subject, ca.Key)
			}
		})
	}
}

// TestReasonNamesTheCulprit: what is wrong with a CA is not blamed on the leaf certificate.
func TestReasonNamesTheCulprit(t *testing.T) {
	t.Parallel()
	ca := func(spec pkitest.Spec) pkitest.CA { return pkitest.NewCA(t, spec) }
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	good := ca(pkitest.Spec{})
	serverOnly := ca(pkitest.Spec{Name: "servers only", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	ended := ca(pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	noPath := ca(pkitest.Spec{Name: "no path", NoPath: true})
	below := noPath.Intermediate(t, pkitest.Spec{Name: "below"})
	rsa := ca(pkitest.Spec{RSA: true})
	renamed := ca(pkitest.Spec{Name: "Another name", Key: good.Key})
	notCA := ca(pkitest.Spec{NotCA: true, Key: good.Key})
	for name, tc := range map[string]struct {
		leaf  pkitest.CA
		trust pkitest.CA
		want  string
		not   string
	}{
		"EKU of the CA":            {serverOnly.Issue(t, pkitest.Spec{Name: "remote", Usages: client}), serverOnly, `the extended key usage of the CA that signed it, "CN=servers only"`, "its extended key usage"},
		"EKU of the leaf":          {good.Issue(t, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), good, "its extended key usage does not allow client authentication", "of the CA"},
		"EKU of an intermediate":   {serverOnly.Issue(t, pkitest.Spec{Name: "remote", Usages: client}).With(good.Cross(t, serverOnly)), serverOnly, `the extended key usage of the CA that signed it, "CN=servers only"`, "its extended key usage"},
		"the CA expired":           {ended.Issue(t, pkitest.Spec{Name: "remote"}), ended, "is not valid: it expired on", "trusted:"},
		"path length":              {below.Issue(t, pkitest.Spec{Name: "remote"}).With(below), noPath, `the CA "CN=no path"`, "x509:"},
		"SHA-1":                    {rsa.Issue(t, pkitest.Spec{Name: "remote", SHA1: true}), rsa, "uses SHA1-RSA, which Go programs do not accept", "trusted:"},
		"the key, another subject": {good.Issue(t, pkitest.Spec{Name: "remote"}), renamed, "with the key of the trusted CA, but under another subject", ""},
		"not a CA":                 {good.Issue(t, pkitest.Spec{Name: "remote"}), notCA, "which is not a CA", ""},
		"another CA":               {good.Issue(t, pkitest.Spec{Name: "remote"}), rsa, `it is signed by "CN=Cilium CA"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu := pkitest.Side(t, "us", tc.trust), pkitest.Side(t, "eu", tc.trust)
			for _, s := range []pki.Side{us, eu} { // leaf certificates of NotCA and the like are broken too
				renew(t, s, tc.trust)
			}
			eu.Objects[secret(pki.SecretRemote)] = pki.Object{Data: pkitest.LeafSecret(tc.leaf, tc.trust.CertPEM)}
			login := pki.Matrix([]pki.Side{us, eu}, pkitest.Now)[1].Login
			if login.Verdict != pki.Broken || !strings.Contains(login.Reason, tc.want) || (tc.not != "" && strings.Contains(login.Reason, tc.not)) {
				t.Errorf("%+v", login)
			}
		})
	}
}

// TestNoClusterMesh: a cluster in which Cluster Mesh is not enabled has no certificates and no etcd, which is not a broken trust.
func TestNoClusterMesh(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	us, eu := pkitest.Side(t, "us", one), pkitest.Side(t, "eu", one)
	eu.MeshAPI = nil
	for _, spec := range pki.LeafSpecs() {
		if spec.Family == pki.FamilyMesh {
			eu.Objects[secret(spec.Secret)] = pki.Object{Absent: true}
		}
	}
	for _, p := range pki.Matrix([]pki.Side{us, eu}, pkitest.Now) {
		if p.NoMesh != "eu" || p.Verdict != pki.Unknown || !strings.Contains(p.Login.Reason, "no deployment/clustermesh-apiserver in eu") {
			t.Errorf("%+v", p)
		}
	}
	eu.MeshAPINote = "no permission to read it" // not known: it may have one
	for _, p := range pki.Matrix([]pki.Side{us, eu}, pkitest.Now) {
		if p.NoMesh != "" {
			t.Errorf("%+v", p)
		}
	}
}

// TestRelayMatrix: Relay of one cluster against the agents of another, by what Relay's Deployment mounts.
func TestRelayMatrix(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	bundle := pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: "mesh-bundle"}, Key: "ca-bundle.pem"}
	for name, tc := range map[string]struct {
		edit   func(us, eu *pki.Side)
		want   []pki.Verdict // us to eu, eu to us
		reason string
	}{
		"one CA":  {func(_, eu *pki.Side) { renew(t, *eu, one) }, []pki.Verdict{pki.OK, pki.OK}, ""},
		"two CAs": {func(_, _ *pki.Side) {}, []pki.Verdict{pki.Broken, pki.Broken}, "secret/hubble-relay-client-certs[tls.crt] of us is not accepted by eu"},
		"Relay trusts both, agents do not": {func(us, _ *pki.Side) {
			us.Relay = pkitest.Relay(&bundle)
			us.Objects[bundle.Ref] = pki.Object{Data: map[string][]byte{bundle.Key: append(bytes.Clone(one.CertPEM), two.CertPEM...)}}
		}, []pki.Verdict{pki.Broken, pki.Broken}, "of us is not accepted by eu"},
		"certificate of another cluster": {func(_, eu *pki.Side) {
			renew(t, *eu, one)
			eu.Objects[secret(pki.SecretHubbleServer)] = pki.Object{Data: one.LeafSecrets(t, "other")[pki.SecretHubbleServer]}
		}, []pki.Verdict{pki.Broken, pki.OK}, "do not cover node.eu.hubble-grpc.cilium.io"},
		"no Relay":        {func(us, _ *pki.Side) { us.Relay = nil }, []pki.Verdict{"", pki.Broken}, ""},
		"no Hubble in eu": {func(_, eu *pki.Side) { eu.Objects[secret(pki.SecretHubbleServer)] = pki.Object{Absent: true} }, []pki.Verdict{"", pki.Broken}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu := pkitest.Side(t, "us", one), pkitest.Side(t, "eu", two)
			tc.edit(&us, &eu)
			got := map[string]pki.Pair{}
			for _, p := range pki.RelayMatrix([]pki.Side{us, eu}, pkitest.Now) {
				got[p.Client] = p
			}
			if got["us"].Verdict != tc.want[0] || got["eu"].Verdict != tc.want[1] {
				t.Errorf("us %q, eu %q", got["us"].Verdict, got["eu"].Verdict)
			}
			if all := got["us"].Login.Reason + got["us"].Identity.Reason; !strings.Contains(all, tc.reason) {
				t.Errorf("%s", all)
			}
		})
	}
}

// TestLostNames: what chart 1.20 leaves out of the server certificate, and who uses it.
func TestLostNames(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	for endpoint, want := range map[string][]string{
		"https://eu.mesh.cilium.io:32379":                 nil,
		"https://clustermesh-apiserver.cilium.io:2379":    {"clustermesh-apiserver.cilium.io"},
		"https://clustermesh-apiserver.kube-system.svc:1": nil,
		"https://127.0.0.1:2379":                          nil,
		"https://192.0.2.7:2379":                          nil, // broken today already
	} {
		us, eu := pkitest.Side(t, "us", one), pkitest.Side(t, "eu", one)
		us.Peers["eu"] = pki.PeerConfig{Endpoints: []string{endpoint}}
		if got := pki.LostNames(us, eu); !slices.Equal(got, want) {
			t.Errorf("%s: %v", endpoint, got)
		}
	}
}

func TestAuthMode(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	for name, tc := range map[string]struct {
		edit func(s *pki.Side)
		want pki.AuthMode
	}{
		"legacy":          {func(*pki.Side) {}, pki.AuthLegacy},
		"migration":       {func(s *pki.Side) { manage(s, "users: []") }, pki.AuthMigration},
		"cluster":         {func(s *pki.Side) { manage(s, "users: []"); issue(t, *s, one, pki.SecretRemote, "remote-us") }, pki.AuthCluster},
		"no Cluster Mesh": {func(s *pki.Side) { s.MeshAPI = nil }, ""},
	} {
		s := pkitest.Side(t, "us", one)
		tc.edit(&s)
		if got := s.AuthMode(); got != tc.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
