package ca_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// federated gives a cluster leaf certificates with X of each peer, as federation by cross certificates does.
func federated(t *testing.T, name string, own pkitest.CA, peers ...pkitest.CA) func(map[string]*corev1.Secret) {
	t.Helper()
	var more []byte
	for _, p := range peers {
		more = append(more, p.Cross(t, own).CertPEM...)
	}
	return func(s map[string]*corev1.Secret) {
		for leaf := range own.LeafSecrets(t, name) {
			s[leaf].Data["tls.crt"] = append(s[leaf].Data["tls.crt"], more...)
		}
	}
}

// TestFederation: clusters with different CAs that trust each other are a federation and not an error.
func TestFederation(t *testing.T) {
	t.Parallel()
	a, b, c := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{RSA: true})
	bundled := func(own pkitest.CA, peers ...pkitest.CA) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			all := own.With(peers...).CertPEM
			for _, secret := range s {
				if len(secret.Data["ca.crt"]) > 0 {
					secret.Data["ca.crt"] = all
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		mesh  installs
		want  string
		chain string // severity of CA006
	}{
		"cross certificates": {
			mesh: installs{{"us", catest.Install{CA: &a, Edit: federated(t, "us", a, b, c)}}, {"eu", catest.Install{CA: &b, Edit: federated(t, "eu", b, a, c)}}, {"ap", catest.Install{CA: &c, Edit: federated(t, "ap", c, a, b)}}},
			want: "us,eu,ap by cross certificates",
		},
		"Helm, several CA certificates": {
			mesh: pair(catest.Install{CA: &a, Edit: bundled(a, b)}, catest.Install{CA: &b, Edit: bundled(b, a)}), want: "us,eu by several CA certificates", chain: "info",
		},
		"caBundle": {
			mesh: pair(catest.Install{CA: &a, UseBundle: true, Bundle: a.With(b).CertPEM}, catest.Install{CA: &b, UseBundle: true, Bundle: b.With(a).CertPEM}), want: "us,eu by several CA certificates",
		},
		"one CA": {mesh: pair(catest.Install{CA: &a}, catest.Install{CA: &a}), want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := tc.mesh.report(t)
			got := ""
			for _, f := range r.Federations {
				got += strings.Join(f.Clusters, ",") + " by " + strings.Join(f.Means, ",")
			}
			if got != tc.want {
				t.Errorf("federations: %q", got)
			}
			for _, f := range r.Findings {
				if f.Severity != "info" {
					t.Errorf("%+v", f)
				}
				if f.ID == "CA006" && f.Severity != tc.chain {
					t.Errorf("%+v", f)
				}
			}
			if len(r.NextSteps) > 0 || !r.Complete {
				t.Errorf("complete %v, next: %s", r.Complete, stepText(r.NextSteps))
			}
		})
	}
}

// TestRelayFinding: Relay of one cluster against the agents of another, once for each cluster, and only where they are connected.
func TestRelayFinding(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	kept := func(s map[string]*corev1.Secret) {
		for _, leaf := range []string{"hubble-server-certs", "hubble-relay-client-certs"} {
			s[leaf].Data = two.LeafSecrets(t, "eu")[leaf]
		}
	}
	r := pair(catest.Install{CA: &one}, catest.Install{CA: &one, Edit: kept}).report(t)
	got := findingsOf(r, "CA015")
	if len(got) != 2 || !strings.Contains(got[0].Message, "Hubble Relay of eu cannot connect to the agents of us: ") || len(r.Relay) != 2 || r.Relay[0].Verdict != "broken" {
		t.Errorf("%+v", got)
	}
	if got := findingsOf(r, "CA010"); len(got) > 0 {
		t.Errorf("Hubble is not Cluster Mesh: %+v", got)
	}
	if got := findingsOf(examine(t, catest.Install{CA: &one}, catest.Install{CA: &two}), "CA015"); len(got) > 0 {
		t.Errorf("not connected: %+v", got)
	}
}

// TestBundleInValues: where Helm's values hold the bundle, an upgrade must not write it without the new CA.
func TestBundleInValues(t *testing.T) {
	t.Parallel()
	old, now := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	content, err := json.Marshal(string(old.CertPEM))
	if err != nil {
		t.Fatal(err)
	}
	values := fmt.Sprintf(`{"version":1,"chart":{"metadata":{"name":"cilium","version":"1.18.9","home":"https://cilium.io/"},"values":{"tls":{"caBundle":{"enabled":false,"name":"cilium-root-ca.crt","content":""}}}},"config":{"tls":{"caBundle":{"enabled":true,"content":%s}}}}`, content)
	const write = "(kubectl --context kind-eu -n kube-system get configmap/cilium-root-ca.crt -o 'go-template={{index .data \"ca.crt\"}}'; echo; kubectl --context kind-eu -n kube-system get secret cilium-ca -o 'go-template={{index .data \"ca.crt\" | base64decode}}') > ca-bundle-eu.crt"
	for name, tc := range map[string]struct {
		method string
		edit   func(map[string]*corev1.Secret)
		jobs   []string
		want   []string // in this order
	}{
		"helm":    {want: []string{write, "delete secret hubble-server-certs", "--reuse-values --set-file tls.caBundle.content=ca-bundle-eu.crt"}},
		"certgen": {method: "certgen", jobs: []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}, want: []string{write, "--set-file tls.caBundle.content=ca-bundle-eu.crt", "create job", "wait --for=condition=complete"}},
		"flux":    {edit: flux, want: []string{write, "put the content of ca-bundle-eu.crt into the values of HelmRelease flux-system/cilium (tls.caBundle.content)", "reconcile helmrelease"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := catest.Member(t, "eu", catest.Install{CA: &now, LeafCA: &old, Method: tc.method, Edit: tc.edit, CronJobs: tc.jobs, UseBundle: true, Bundle: old.CertPEM, Objects: []runtime.Object{record(t, values)}})
			states := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States
			ca.ReadReleases(t.Context(), states, time.Minute)
			got := stepText(ca.Next(states[0], now.Cert, pkitest.Now))
			rest := got
			for _, w := range tc.want {
				i := strings.Index(rest, w)
				if i < 0 {
					t.Fatalf("lacks %q after the others:\n%s", w, got)
				}
				rest = rest[i+len(w):]
			}
			if strings.Count(got, "--set-file")+strings.Count(got, "put the content") != 1 {
				t.Errorf("the bundle is taken once:\n%s", got)
			}
		})
	}
}

// TestMissingInFederation: one CA for all does not help where a file is missing in a federation. A leaf Secret also holds the CA file of its cluster.
func TestMissingInFederation(t *testing.T) {
	t.Parallel()
	all := map[string]pkitest.CA{}
	names, root := []string{"us", "eu", "ap"}, pkitest.NewCA(t, pkitest.Spec{Name: "Root"})
	for _, name := range names {
		all[name] = pkitest.NewCA(t, pkitest.Spec{})
	}
	type secrets = map[string]*corev1.Secret
	remove := func(name, key string) func(secrets) { return func(s secrets) { delete(s[name].Data, key) } }
	kinds := map[string]func(name string, peers ...pkitest.CA) catest.Install{
		"certgen": func(name string, peers ...pkitest.CA) catest.Install {
			own := all[name]
			return catest.Install{CA: &own, Method: "certgen", Edit: func(s secrets) {
				federated(t, name, own, peers...)(s)
				chain := []byte{}
				for _, p := range peers {
					chain = append(chain, p.Cross(t, own).CertPEM...)
				}
				s[pki.SecretCA].Data[pki.KeyCACert] = append(chain, own.CertPEM...)
			}}
		},
		"helm": func(name string, peers ...pkitest.CA) catest.Install {
			own := all[name].With(peers...)
			return catest.Install{CA: &own}
		},
		"another PKI": func(name string, _ ...pkitest.CA) catest.Install {
			own := all[name]
			return catest.Install{CA: &own, LeafCA: &root, Method: "hand"}
		},
		"files only": func(name string, peers ...pkitest.CA) catest.Install {
			own := all[name]
			return catest.Install{CA: &own, Method: "hand", Edit: federated(t, name, own, peers...)}
		},
	}
	means := map[string]string{"certgen": "cross certificates", "helm": "several CA certificates", "files only": "cross certificates"}
	for what, edit := range map[string]func(secrets){
		"nothing":              func(secrets) {},
		"the server's Secret":  func(s secrets) { delete(s, pki.SecretServer) },
		"the clients' Secret":  func(s secrets) { delete(s, pki.SecretRemote) },
		"the server's CA file": remove(pki.SecretServer, pki.KeyCACert),
		"the clients' CA file": remove(pki.SecretRemote, pki.KeyCACert),
		"a certificate":        func(s secrets) { s[pki.SecretRemote].Data[pki.KeyTLSCert] = []byte("x") },
	} {
		for kind, install := range kinds {
			t.Run(kind+": "+what, func(t *testing.T) {
				t.Parallel()
				var mesh installs
				for n, name := range names {
					in := install(name, all[names[(n+1)%3]], all[names[(n+2)%3]])
					if first := in.Edit; name == "eu" {
						in.Edit = func(s secrets) {
							if first != nil {
								first(s)
							}
							edit(s)
						}
					}
					mesh = append(mesh, struct {
						name string
						in   catest.Install
					}{name, in})
				}
				r := mesh.report(t)
				found := findingsOf(r, "CA010")
				if means[kind] != "" && what == "nothing" && (len(r.Federations) != 1 || strings.Join(r.Federations[0].Means, ", ") != means[kind]) {
					t.Errorf("%+v", r.Federations)
				}
				if (what == "nothing") != (len(found) == 0) {
					t.Errorf("%d findings", len(found))
				}
				for _, f := range found {
					if strings.Contains(f.Fix, "sync") {
						t.Errorf("%s: %s", f.Object, f.Fix)
					}
				}
				if steps := stepText(r.NextSteps); strings.Contains(steps, "sync") {
					t.Errorf("next:\n%s", steps)
				}
			})
		}
	}
}
