package ca_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

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
