package pki_test

import (
	"strings"
	"testing"

	"crypto/x509"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// issue gives a cluster a client certificate with a common name of its own.
func issue(t *testing.T, s pki.Side, ca pkitest.CA, leaf, commonName string) {
	t.Helper()
	l := ca.Issue(t, pkitest.Spec{Name: commonName, DNS: []string{"x.example"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	s.Objects[secret(leaf)] = pki.Object{Data: pkitest.LeafSecret(l, ca.CertPEM)}
}

// manage lets clustermesh-apiserver add the users of a ConfigMap, as authMode migration and cluster do.
func manage(s *pki.Side, users string) {
	for i := range s.MeshAPI.Containers {
		if s.MeshAPI.Containers[i].Name == "apiserver" {
			s.MeshAPI.Containers[i].Args = []string{"clustermesh", "--cluster-users-enabled", "--cluster-users-config-path=/var/lib/cilium/etcd-config/users.yaml"}
			s.MeshAPI.Containers[i].Mounts = append(s.MeshAPI.Containers[i].Mounts, pki.Mount{Volume: "etcd-users-config", Path: "/var/lib/cilium/etcd-config"})
		}
	}
	ref := pki.Ref{Kind: pki.ConfigMap, Name: "clustermesh-remote-users"}
	s.MeshAPI.Volumes = append(s.MeshAPI.Volumes, pki.Volume{Name: "etcd-users-config", Sources: []pki.Projection{{Ref: ref}}})
	s.Objects[ref] = pki.Object{Data: map[string][]byte{"users.yaml": []byte(users)}}
}

const allPeers = "users:\n- name: remote-us\n  role: remote\n- name: remote-eu\n  role: remote\n"

func TestField06EtcdUserOfAnotherCluster(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	for name, tc := range map[string]struct {
		commonName string // of eu's remote certificate, which logs in to us
		us         func(us *pki.Side)
		want       pki.Verdict
		reason     string
	}{
		"remote, legacy":           {commonName: "remote", want: pki.OK},
		"remote, users managed":    {commonName: "remote", us: func(us *pki.Side) { manage(us, allPeers) }, want: pki.OK},
		"remote-eu, listed":        {commonName: "remote-eu", us: func(us *pki.Side) { manage(us, allPeers) }, want: pki.OK},
		"remote-eu, not listed":    {commonName: "remote-eu", us: func(us *pki.Side) { manage(us, "users:\n- {name: remote-ap, role: remote}\n") }, want: pki.Broken, reason: `no user "remote-eu"; it has "remote", "remote-ap"`},
		"remote-eu, nobody listed": {commonName: "remote-eu", us: func(us *pki.Side) { manage(us, "users:\n") }, want: pki.Broken, reason: `configmap/clustermesh-remote-users`},
		"remote-eu, legacy":        {commonName: "remote-eu", want: pki.Broken, reason: "authMode is legacy"},
		"remote-eu, flag false": {commonName: "remote-eu", us: func(us *pki.Side) {
			manage(us, allPeers)
			us.MeshAPI.Containers[1].Args = []string{"--cluster-users-enabled=false"}
		}, want: pki.Broken, reason: "authMode is legacy"},
		"no common name":                {commonName: "", want: pki.Broken, reason: `no user ""`},
		"a name of the person's choice": {commonName: "clustermesh-apiserver", want: pki.Broken, reason: `no user "clustermesh-apiserver"; it has "remote"`},
		"the peer's own agents' user":   {commonName: "local-us", want: pki.Broken, reason: `user "local-us" of etcd in us may not read the state`},
		"another cluster's agents":      {commonName: "local-eu", want: pki.Broken, reason: `no user "local-eu"`},
		"the peer's administrator":      {commonName: "admin-us", want: pki.OK},
		"upper case":                    {commonName: "Remote", want: pki.Broken, reason: `no user "Remote"`},
		"users may not be read": {commonName: "remote-eu", us: func(us *pki.Side) {
			manage(us, "")
			us.Objects[pki.Ref{Kind: pki.ConfigMap, Name: "clustermesh-remote-users"}] = pki.Object{Unreadable: "no permission to read it"}
		}, want: pki.Unknown, reason: "configmap/clustermesh-remote-users may contain it, but was not read"},
		"remote, users may not be read": {commonName: "remote", us: func(us *pki.Side) {
			manage(us, "")
			us.Objects[pki.Ref{Kind: pki.ConfigMap, Name: "clustermesh-remote-users"}] = pki.Object{Unreadable: "no permission to read it"}
		}, want: pki.OK},
		"users do not parse":     {commonName: "remote-eu", us: func(us *pki.Side) { manage(us, "users: [") }, want: pki.Unknown, reason: "does not parse"},
		"a role of another kind": {commonName: "reader", us: func(us *pki.Side) { manage(us, "users: [{name: reader, role: mine}]") }, want: pki.Unknown, reason: "not Cilium's"},
		"etcd made for another cluster name": {commonName: "admin-west", us: func(us *pki.Side) {
			us.MeshAPI.Init = []pki.Container{{Name: "etcd-init", Args: []string{"etcdinit"}, Env: map[string]string{"CILIUM_CLUSTER_NAME": "west"}}}
		}, want: pki.OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, eu := pkitest.Side(t, "us", one), pkitest.Side(t, "eu", one)
			issue(t, eu, one, pki.SecretRemote, tc.commonName)
			if tc.us != nil {
				tc.us(&us)
			}
			pairs := pki.Matrix([]pki.Side{us, eu}, pkitest.Now)
			if got := pairs[1]; got.Verdict != tc.want || got.Login.Verdict != tc.want || !strings.Contains(got.Login.Reason, tc.reason) || got.Identity.Verdict != pki.OK {
				t.Errorf("%+v", got)
			}
			if pairs[0].Verdict != pki.OK {
				t.Errorf("the other direction: %+v", pairs[0])
			}
		})
	}
}

func TestField06EtcdUserInTheCluster(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	const api, mesh, agents = "clustermesh-apiserver to etcd", "kvstoremesh to etcd", "agents to etcd"
	for name, tc := range map[string]struct {
		leaf, commonName string
		broken           []string
		reason           string
	}{
		"admin without a common name": {pki.SecretAdmin, "", []string{api, mesh}, `no user ""`},
		"admin of another cluster":    {pki.SecretAdmin, "admin-eu", []string{api, mesh}, `no user "admin-eu"; it has "admin-us"`},
		"admin that may only read":    {pki.SecretAdmin, "remote", []string{api, mesh}, `user "remote" of etcd in us may not write`},
		"local of another cluster":    {pki.SecretLocal, "local-eu", []string{agents}, `no user "local-eu"; it has "local-us"`},
		"right":                       {pki.SecretLocal, "local-us", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := pkitest.Side(t, "us", one)
			issue(t, us, one, tc.leaf, tc.commonName)
			var broken []string
			for _, l := range pki.Inside(us, pkitest.Now) {
				if l.Verdict == pki.OK {
					continue
				}
				broken = append(broken, l.Name)
				if l.Login.Verdict != pki.Broken || !strings.Contains(l.Login.Reason, tc.reason) {
					t.Errorf("%+v", l)
				}
			}
			if strings.Join(broken, ",") != strings.Join(tc.broken, ",") {
				t.Errorf("broken are %q, want %q", broken, tc.broken)
			}
		})
	}
}

// TestTwoClustersOfOneName: clusters that are not connected yet may have one name. Users and Hubble's servers have Cilium's name.
func TestTwoClustersOfOneName(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	sides := []pki.Side{pkitest.Side(t, "default", one), pkitest.Side(t, "default", one)}
	for i, name := range []string{"kind-a", "kind-b"} {
		sides[i].Name, sides[i].Cluster = name, "default"
	}
	for _, p := range append(pki.Matrix(sides, pkitest.Now), pki.RelayMatrix(sides, pkitest.Now)...) {
		if p.Verdict != pki.OK || p.Client == p.Server {
			t.Errorf("%+v", p)
		}
	}
	for _, l := range pki.Inside(sides[0], pkitest.Now) {
		if l.Verdict != pki.OK {
			t.Errorf("%+v", l)
		}
	}
	issue(t, sides[0], one, pki.SecretRemote, "remote-default")
	if got := sides[0].AuthMode(); got != pki.AuthCluster {
		t.Errorf("authMode %s", got)
	}
}

// TestField10RelayMountsTheBundle: Relay's Secret holds an old ca.crt that Relay does not mount.
func TestField10RelayMountsTheBundle(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	bundle := pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: "mesh-bundle"}, Key: "ca-bundle.pem"}
	for name, tc := range map[string]struct {
		edit func(s *pki.Side)
		want pki.Verdict // empty: no such link
	}{
		"bundle": {func(s *pki.Side) { s.Relay = pkitest.Relay(&bundle) }, pki.OK},
		"bundle, old certificate": {func(s *pki.Side) {
			s.Relay = pkitest.Relay(&bundle)
			s.Objects[bundle.Ref] = pki.Object{Data: map[string][]byte{bundle.Key: two.CertPEM}}
		}, pki.Broken},
		"no bundle":                {func(*pki.Side) {}, pki.Broken},
		"another Secret":           {func(s *pki.Side) { s.Relay.Volumes[0].Sources[1].Ref = secret(pki.SecretHubbleServer) }, pki.OK},
		"Relay is not installed":   {func(s *pki.Side) { s.Relay = nil }, ""},
		"Relay cannot be read":     {func(s *pki.Side) { s.Relay, s.RelayNote = nil, "no permission to read it" }, pki.Unknown},
		"Relay without TLS mounts": {func(s *pki.Side) { s.Relay.Containers[0].Mounts = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := pkitest.Side(t, "us", one)
			us.Objects[bundle.Ref] = pki.Object{Data: map[string][]byte{bundle.Key: append(append([]byte{}, two.CertPEM...), one.CertPEM...)}}
			us.Objects[secret(pki.SecretHubbleRelay)].Data["ca.crt"] = two.CertPEM
			tc.edit(&us)
			var got pki.Verdict
			for _, l := range pki.Inside(us, pkitest.Now) {
				if l.Name == "hubble relay to agents" {
					got = l.Verdict
				}
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
