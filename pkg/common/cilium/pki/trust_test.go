package pki_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// secret is a reference to a Secret.
func secret(name string) pki.Ref { return pki.Ref{Kind: pki.Secret, Name: name} }

// renew gives a cluster new leaf certificates of another CA, as a Helm upgrade or a certgen run does.
func renew(t *testing.T, s pki.Side, ca pkitest.CA) {
	t.Helper()
	for name, data := range ca.LeafSecrets(t, s.Name) {
		s.Objects[secret(name)] = pki.Object{Data: data}
	}
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	const server, remote = "clustermesh-apiserver-server-cert", "clustermesh-apiserver-remote-cert"
	bundle := pki.Source{Ref: pki.Ref{Kind: pki.ConfigMap, Name: "cilium-root-ca.crt"}, Key: "ca.crt"}
	common := pki.PeerConfig{
		Endpoints: []string{"https://eu.mesh.cilium.io:32379"},
		PeerFiles: pki.PeerFiles{
			TrustedCAFile: "/var/lib/cilium/clustermesh/common-etcd-client-ca.crt", CertFile: "/var/lib/cilium/clustermesh/common-etcd-client.crt", KeyFile: "/var/lib/cilium/clustermesh/common-etcd-client.key",
		},
	}
	type row struct{ Pair, Login, Identity string } // part of the reason, "" for ok
	for name, tc := range map[string]struct {
		edit func(t *testing.T, one, two pkitest.CA, us, eu *pki.Side)
		want [2]row // us to eu, eu to us
	}{
		"one CA": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) { renew(t, *eu, one) },
			want: [2]row{{"ok", "", ""}, {"ok", "", ""}},
		},
		"two CAs": {
			want: [2]row{{"broken", "is signed by", "is signed by"}, {"broken", "is signed by", "is signed by"}},
		},
		"one CA reissued under its key": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, pkitest.NewCA(t, pkitest.Spec{Key: one.Key, NotAfter: pkitest.Now.Add(5 * pkitest.Day)}))
			},
			want: [2]row{{"ok", "", ""}, {"ok", "", ""}},
		},
		"only the server's leaf renewed": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				eu.Objects[secret(server)] = pki.Object{Data: one.LeafSecrets(t, "eu")[server]}
			},
			want: [2]row{{"ok", "", ""}, {"broken", "is signed by", "is signed by"}},
		},
		"server trusts a bundle, client does not": {
			edit: func(_ *testing.T, one, two pkitest.CA, _, eu *pki.Side) {
				eu.MeshAPI, eu.Agent = pkitest.Workloads(&bundle)
				eu.Objects[bundle.Ref] = pki.Object{Data: map[string][]byte{"ca.crt": append(bytes.Clone(one.CertPEM), two.CertPEM...)}}
			},
			// KVStoreMesh in eu reads the bundle too (1.18.5 and later mount it), so eu verifies us; us verifies nothing of eu.
			want: [2]row{{"broken", "", "is signed by"}, {"broken", "is signed by", ""}},
		},
		"bundle missing": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.MeshAPI, eu.Agent = pkitest.Workloads(&bundle)
				eu.Objects[bundle.Ref] = pki.Object{Absent: true}
			},
			want: [2]row{{"broken", "configmap/cilium-root-ca.crt[ca.crt]: it does not exist", ""}, {"broken", "", "it does not exist"}},
		},
		"bundle may not be read": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.MeshAPI, eu.Agent = pkitest.Workloads(&bundle)
				eu.Objects[bundle.Ref] = pki.Object{Unreadable: "no permission"}
			},
			want: [2]row{{"unknown", "no permission", ""}, {"unknown", "", "no permission"}},
		},
		"leaf missing": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.Objects[secret(server)] = pki.Object{Absent: true}
			},
			want: [2]row{{"broken", "does not exist", "does not exist"}, {"ok", "", ""}},
		},
		"no clustermesh-apiserver": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.MeshAPI = nil
			},
			// Without the Deployment there is no etcd to log in to; eu's agents connect themselves.
			want: [2]row{{"unknown", "there is no deployment/clustermesh-apiserver", "there is no deployment"}, {"ok", "", ""}},
		},
		"deployment may not be read": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.MeshAPI, eu.MeshAPINote = nil, "no permission"
			},
			want: [2]row{{"unknown", "no permission", "no permission"}, {"unknown", "no permission", "no permission"}},
		},
		"server's key is another's": {
			edit: func(t *testing.T, one, two pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.Objects[secret(server)].Data["tls.key"] = two.KeyPEM
			},
			want: [2]row{{"broken", "", "cannot present"}, {"ok", "", ""}},
		},
		"leaf expired": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				old := one.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)})
				eu.Objects[secret(remote)] = pki.Object{Data: pkitest.LeafSecret(old, one.CertPEM)}
			},
			want: [2]row{{"ok", "", ""}, {"broken", "it expired on", ""}},
		},
		"wrong usage": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				l := one.Issue(t, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
				eu.Objects[secret(remote)] = pki.Object{Data: pkitest.LeafSecret(l, one.CertPEM)}
			},
			want: [2]row{{"ok", "", ""}, {"broken", "does not allow client authentication", ""}},
		},
		"etcd user unheard of": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				l := one.Issue(t, pkitest.Spec{Name: "remote-ap", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
				eu.Objects[secret(remote)] = pki.Object{Data: pkitest.LeafSecret(l, one.CertPEM)}
			},
			want: [2]row{{"ok", "", ""}, {"broken", `etcd in us has no user "remote-ap"`, ""}},
		},
		"connected by an address that the certificate does not cover": {
			edit: func(t *testing.T, one, _ pkitest.CA, us, eu *pki.Side) {
				renew(t, *eu, one)
				peer := common
				peer.Endpoints = []string{"https://192.0.2.7:32379"}
				us.Peers["eu"] = peer
			},
			want: [2]row{{"broken", "", "do not cover 192.0.2.7"}, {"ok", "", ""}},
		},
		"certificates of its own for one peer": {
			edit: func(t *testing.T, _, two pkitest.CA, us, _ *pki.Side) {
				peer := common
				peer.TrustedCAFile, peer.CertFile, peer.KeyFile = "/var/lib/cilium/clustermesh/eu.etcd-client-ca.crt", "/var/lib/cilium/clustermesh/eu.etcd-client.crt", "/var/lib/cilium/clustermesh/eu.etcd-client.key"
				us.Peers["eu"] = peer
				l := two.Issue(t, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
				us.Objects[secret("cilium-kvstoremesh")] = pki.Object{Data: map[string][]byte{"eu.etcd-client-ca.crt": two.CertPEM, "eu.etcd-client.crt": l.CertPEM, "eu.etcd-client.key": l.KeyPEM}}
			},
			want: [2]row{{"ok", "", ""}, {"broken", "is signed by", "is signed by"}},
		},
		"configured to connect to itself": {
			edit: func(t *testing.T, one, _ pkitest.CA, us, eu *pki.Side) {
				renew(t, *eu, one)
				peer := common
				peer.Endpoints = []string{"https://clustermesh-apiserver.kube-system.svc:2379"}
				us.Peers["eu"] = peer
			},
			want: [2]row{{"broken", "", "is us itself"}, {"ok", "", ""}},
		},
		"peers may not be read": {
			edit: func(t *testing.T, one, _ pkitest.CA, us, eu *pki.Side) {
				renew(t, *eu, one)
				us.Peers, us.PeersNote = nil, "no permission"
			},
			want: [2]row{{"unknown", "no permission", "no permission"}, {"ok", "", ""}},
		},
		"without TLS": {
			edit: func(t *testing.T, one, _ pkitest.CA, us, eu *pki.Side) {
				renew(t, *eu, one)
				peer := common
				peer.Endpoints = []string{"http://eu.mesh.cilium.io:2379"}
				us.Peers["eu"] = peer
			},
			want: [2]row{{"unknown", "", "does not use TLS"}, {"ok", "", ""}},
		},
		"files moved to a volume that is not followed": {
			edit: func(t *testing.T, one, _ pkitest.CA, _, eu *pki.Side) {
				renew(t, *eu, one)
				eu.MeshAPI.Volumes[0] = pki.Volume{Name: "etcd-server-secrets", Other: "csi"}
			},
			want: [2]row{{"unknown", "volume of type csi", "volume of type csi"}, {"ok", "", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
			us, eu := pkitest.Side(t, "us", one), pkitest.Side(t, "eu", two)
			if tc.edit != nil {
				tc.edit(t, one, two, &us, &eu)
			}
			pairs := pki.Matrix([]pki.Side{us, eu}, pkitest.Now)
			if len(pairs) != 2 || pairs[0].Client != "us" || pairs[0].Server != "eu" || pairs[1].Client != "eu" {
				t.Fatalf("pairs %+v", pairs)
			}
			for i, p := range pairs {
				want := tc.want[i]
				if string(p.Verdict) != want.Pair {
					t.Errorf("%s to %s is %s, want %s\n%+v", p.Client, p.Server, p.Verdict, want.Pair, p)
				}
				for what, half := range map[string]struct {
					check pki.Check
					want  string
				}{"login": {p.Login, want.Login}, "identity": {p.Identity, want.Identity}} {
					if (half.check.Verdict == pki.OK) != (half.want == "") || !strings.Contains(half.check.Reason, half.want) {
						t.Errorf("%s of %s at %s: %s %q, want %q", what, p.Client, p.Server, half.check.Verdict, half.check.Reason, half.want)
					}
				}
			}
		})
	}
}

// TestRenewable: whether another leaf certificate of the CA that signed the presented one would be accepted.
func TestRenewable(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	limited := pkitest.NewCA(t, pkitest.Spec{Permitted: []string{"example.com"}})
	noClients := pkitest.NewCA(t, pkitest.Spec{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	ended := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	past := pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)}
	plain := pkitest.Spec{Name: "remote", DNS: []string{"x.example"}, Usages: client}
	for name, tc := range map[string]struct {
		trusted pkitest.CA // by us
		leaf    map[string][]byte
		verdict pki.Verdict
		want    bool
	}{
		"accepted":                    {one, pkitest.LeafSecret(one.Issue(t, plain), one.CertPEM), pki.OK, true},
		"expired":                     {one, pkitest.LeafSecret(one.Issue(t, past), one.CertPEM), pki.Broken, true},
		"for servers only":            {one, pkitest.LeafSecret(one.Issue(t, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), one.CertPEM), pki.Broken, true},
		"a user that etcd has not":    {one, pkitest.LeafSecret(one.Issue(t, pkitest.Spec{Name: "mesh", Usages: client}), one.CertPEM), pki.Broken, true},
		"the key of another":          {one, map[string][]byte{"tls.crt": one.Issue(t, plain).CertPEM, "tls.key": two.KeyPEM, "ca.crt": one.CertPEM}, pki.Broken, true},
		"an expired CA":               {ended, pkitest.LeafSecret(ended.Issue(t, plain), ended.CertPEM), pki.Broken, true},
		"another CA":                  {one, pkitest.LeafSecret(two.Issue(t, plain), two.CertPEM), pki.Broken, false},
		"another CA, expired":         {one, pkitest.LeafSecret(two.Issue(t, past), two.CertPEM), pki.Broken, false},
		"name constraints of the CA":  {limited, pkitest.LeafSecret(limited.Issue(t, plain), limited.CertPEM), pki.Broken, false},
		"usages of the CA":            {noClients, pkitest.LeafSecret(noClients.Issue(t, plain), noClients.CertPEM), pki.Broken, false},
		"through a cross certificate": {one, pkitest.LeafSecret(two.Issue(t, past).With(one.Cross(t, two)), two.CertPEM), pki.Broken, true},
		"missing":                     {one, map[string][]byte{}, pki.Broken, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu := pkitest.Side(t, "us", tc.trusted), pkitest.Side(t, "eu", tc.trusted)
			eu.Objects[secret(pki.SecretRemote)] = pki.Object{Data: tc.leaf}
			if got := pki.Matrix([]pki.Side{us, eu}, pkitest.Now)[1].Login; got.Verdict != tc.verdict || got.Renewable != tc.want {
				t.Errorf("%s, renewable %v: %s", got.Verdict, got.Renewable, got.Reason)
			}
		})
	}
	// The endpoint is wrong, and nothing else.
	us, eu := pkitest.Side(t, "us", one), pkitest.Side(t, "eu", one)
	us.Peers["eu"] = pki.PeerConfig{Endpoints: []string{"https://clustermesh-apiserver.kube-system.svc:2379"}, PeerFiles: pki.PeerFiles{
		TrustedCAFile: "/var/lib/cilium/clustermesh/common-etcd-client-ca.crt", CertFile: "/var/lib/cilium/clustermesh/common-etcd-client.crt", KeyFile: "/var/lib/cilium/clustermesh/common-etcd-client.key",
	}}
	if got := pki.Matrix([]pki.Side{us, eu}, pkitest.Now)[0].Identity; got.Verdict != pki.Broken || !got.Renewable {
		t.Errorf("%+v", got)
	}
}

// TestLimit: the CA certificate at whose end a leaf certificate is no longer accepted.
func TestLimit(t *testing.T) {
	t.Parallel()
	old := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(5 * pkitest.Day)})
	now := pkitest.NewCA(t, pkitest.Spec{Key: old.Key})
	other := pkitest.NewCA(t, pkitest.Spec{})
	plain := pkitest.Spec{Name: "remote", NotAfter: pkitest.Now.Add(100 * pkitest.Day), Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	leaf, cross := now.Issue(t, plain), old.Cross(t, other)
	for name, tc := range map[string]struct {
		leaf  pkitest.CA
		trust pkitest.CA
		want  *x509.Certificate
	}{
		"the former certificate":   {leaf, old, old.Cert},
		"the present certificate":  {leaf, now, nil},
		"both":                     {leaf, old.With(now), nil},
		"the leaf ends first":      {now.Issue(t, pkitest.Spec{Name: "remote", NotAfter: pkitest.Now.Add(2 * pkitest.Day)}), old, nil},
		"a cross certificate":      {other.Issue(t, plain).With(cross), old, old.Cert},
		"not accepted, no limit":   {other.Issue(t, plain), old, nil},
		"crossed, and its own too": {other.Issue(t, plain).With(cross), old.With(other), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu := pkitest.Side(t, "us", other), pkitest.Side(t, "eu", other)
			us.Objects[secret(pki.SecretServer)].Data["ca.crt"] = tc.trust.CertPEM
			eu.Objects[secret(pki.SecretRemote)] = pki.Object{Data: pkitest.LeafSecret(tc.leaf, nil)}
			got := pki.Matrix([]pki.Side{us, eu}, pkitest.Now)[1].Login
			if (got.Limit == nil) != (tc.want == nil) || tc.want != nil && !got.Limit.NotAfter.Equal(tc.want.NotAfter) {
				t.Errorf("%s %s, limit %v", got.Verdict, got.Reason, got.Limit)
			}
		})
	}
}

// TestMatrixOfManyClusters: the largest mesh, one CA, but for one cluster.
func TestMatrixOfManyClusters(t *testing.T) {
	t.Parallel()
	const clusters = 255
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	sides := make([]pki.Side, clusters)
	shared := pkitest.Side(t, "x", one)
	for i := range sides {
		sides[i] = shared
		sides[i].Name = fmt.Sprintf("c%d", i)
	}
	sides[7] = pkitest.Side(t, "c7", two)
	count := map[pki.Verdict]int{}
	for _, p := range pki.Matrix(sides, pkitest.Now) {
		count[p.Verdict]++
		if broken := p.Client == "c7" || p.Server == "c7"; broken != (p.Verdict == pki.Broken) {
			t.Fatalf("%s to %s is %s", p.Client, p.Server, p.Verdict)
		}
	}
	if want := map[pki.Verdict]int{pki.OK: 254 * 253, pki.Broken: 2 * 254}; !cmp.Equal(want, count) {
		t.Errorf("%v, want %v", count, want)
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	good := map[string]pki.Verdict{
		"clustermesh-apiserver to etcd": pki.OK, "kvstoremesh to etcd": pki.OK, "agents to etcd": pki.OK, "hubble agents": pki.OK, "hubble relay to agents": pki.OK,
	}
	for name, tc := range map[string]struct {
		edit   func(s *pki.Side)
		change map[string]pki.Verdict
		gone   []string
	}{
		"all of one CA": {},
		// What chart 1.18 leaves after a Helm upgrade with a new CA: the old leaf beside the new ca.crt.
		"hubble leaf kept, ca.crt new": {
			edit: func(s *pki.Side) {
				for _, n := range []string{pki.SecretHubbleServer, pki.SecretHubbleRelay} {
					s.Objects[secret(n)].Data["ca.crt"] = two.CertPEM
				}
			},
			change: map[string]pki.Verdict{"hubble agents": pki.Broken, "hubble relay to agents": pki.Broken},
		},
		"local certificate of another CA": {
			edit: func(s *pki.Side) {
				s.Objects[secret(pki.SecretLocal)] = pki.Object{Data: two.LeafSecrets(t, "us")[pki.SecretLocal]}
			},
			change: map[string]pki.Verdict{"agents to etcd": pki.Broken},
		},
		"no Hubble, no Relay": {
			edit: func(s *pki.Side) {
				s.Objects[secret(pki.SecretHubbleServer)] = pki.Object{Absent: true}
				s.Objects[secret(pki.SecretHubbleRelay)] = pki.Object{Absent: true}
			},
			gone: []string{"hubble agents", "hubble relay to agents"},
		},
		"admin certificate may not be read": {
			edit: func(s *pki.Side) {
				s.Objects[secret(pki.SecretAdmin)] = pki.Object{Unreadable: "no permission"}
			},
			change: map[string]pki.Verdict{"clustermesh-apiserver to etcd": pki.Unknown, "kvstoremesh to etcd": pki.Unknown},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			side := pkitest.Side(t, "us", one)
			if tc.edit != nil {
				tc.edit(&side)
			}
			want := map[string]pki.Verdict{}
			for k, v := range good {
				want[k] = v
			}
			for k, v := range tc.change {
				want[k] = v
			}
			for _, k := range tc.gone {
				delete(want, k)
			}
			got := map[string]pki.Verdict{}
			for _, l := range pki.Inside(side, pkitest.Now) {
				got[l.Name] = l.Verdict
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
