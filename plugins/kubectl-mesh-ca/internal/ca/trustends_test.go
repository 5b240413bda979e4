package ca_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// TestTrustEnds: a CA was issued again under its key, and its former certificate, which ends soon, is still the one that verifies.
func TestTrustEnds(t *testing.T) {
	t.Parallel()
	former := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(5 * pkitest.Day)})
	now := pkitest.NewCA(t, pkitest.Spec{Key: former.Key})
	peer := pkitest.NewCA(t, pkitest.Spec{})
	// An intermediate CA signs; its root was issued again.
	formerRoot := pkitest.NewCA(t, pkitest.Spec{Name: "Root", NotAfter: pkitest.Now.Add(5 * pkitest.Day)})
	root := pkitest.NewCA(t, pkitest.Spec{Name: "Root", Key: formerRoot.Key})
	intermediate := root.Intermediate(t, pkitest.Spec{Name: "Intermediate"})
	chain, short := intermediate.With(root), intermediate.With(formerRoot)
	chained := func(trust pkitest.CA) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			for name, secret := range s {
				if strings.HasSuffix(name, "-cert") || strings.HasPrefix(name, "hubble-") {
					secret.Data["tls.crt"], secret.Data["ca.crt"] = append(secret.Data["tls.crt"], intermediate.CertPEM...), trust.CertPEM
				}
			}
		}
	}
	jobs := []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}
	const restart, bundle = "rollout restart deployment/clustermesh-apiserver", "configmap/cilium-root-ca.crt[ca.crt]"
	for name, tc := range map[string]struct {
		us, eu catest.Install
		object string // of the finding in eu; empty for none
		want   []string
		not    []string
	}{
		"present files": {us: catest.Install{CA: &now}, eu: catest.Install{CA: &now}},
		"leaf Secrets by Helm": {
			us: catest.Install{CA: &now}, eu: catest.Install{CA: &now, LeafCA: &former}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			want: []string{"eu: the upgrade signs the leaf certificates again", restart}, not: []string{"us:", "sync"},
		},
		"leaf Secrets by cert-manager": {
			us: catest.Install{CA: &now}, eu: catest.Install{CA: &now, LeafCA: &former, Method: "cert-manager"}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			want: []string{"eu: cert-manager issues these certificates again", restart}, not: []string{"give the CA to the issuer"},
		},
		"leaf Secrets by hand": {
			us: catest.Install{CA: &now}, eu: catest.Install{CA: &now, LeafCA: &former, Method: "hand"}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			want: []string{"eu: managed by hand: issue new certificates at their source", restart},
		},
		"a bundle": {
			us: catest.Install{CA: &now}, eu: catest.Install{CA: &now, UseBundle: true, Bundle: former.CertPEM}, object: bundle,
			want: []string{"add the new CA to it in every cluster first", restart}, not: []string{"helm"},
		},
		"a leaf Secret's ca.crt that nothing mounts": {us: catest.Install{CA: &now}, eu: catest.Install{CA: &now, LeafCA: &former, UseBundle: true, Bundle: now.CertPEM}},
		"both in a bundle":                           {us: catest.Install{CA: &now}, eu: catest.Install{CA: &now, UseBundle: true, Bundle: former.With(now).CertPEM}},
		"the peer's former certificate in a bundle": {
			us: catest.Install{CA: &now, UseBundle: true, Bundle: now.With(peer).CertPEM}, eu: catest.Install{CA: &peer, UseBundle: true, Bundle: peer.With(former).CertPEM}, object: bundle,
			want: []string{"contains the previous CA of us, but not the new one"},
		},
		"the root of an intermediate CA": {
			us: catest.Install{CA: &chain, LeafCA: &intermediate, Method: "certgen", CronJobs: jobs, Edit: chained(root)},
			eu: catest.Install{CA: &chain, LeafCA: &intermediate, Method: "certgen", CronJobs: jobs, Edit: chained(formerRoot)}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			want: []string{"eu: certgen signs the leaf certificates again", restart},
		},
		// Issuing again would not help: the root itself ends. Its end is reported, and no step goes round in circles.
		"a root that ends before its intermediate CA": {
			us: catest.Install{CA: &short, LeafCA: &intermediate, Method: "certgen", CronJobs: jobs, Edit: chained(formerRoot)},
			eu: catest.Install{CA: &short, LeafCA: &intermediate, Method: "certgen", CronJobs: jobs, Edit: chained(formerRoot)}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			not: []string{"certgen", restart},
		},
		"the same, and the leaf Secrets by hand": {
			us: catest.Install{CA: &short, LeafCA: &intermediate, Method: "hand", CAOwner: "certgen", Edit: chained(formerRoot)},
			eu: catest.Install{CA: &short, LeafCA: &intermediate, Method: "hand", CAOwner: "certgen", Edit: chained(formerRoot)}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			not: []string{"hand", restart},
		},
		"the same, and the leaf Secrets by cert-manager": {
			us: catest.Install{CA: &short, LeafCA: &intermediate, Method: "cert-manager", CAOwner: "helm", Edit: chained(formerRoot)},
			eu: catest.Install{CA: &short, LeafCA: &intermediate, Method: "cert-manager", CAOwner: "helm", Edit: chained(formerRoot)}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			not: []string{"cert-manager", restart},
		},
		"the same in a bundle": {
			us: catest.Install{CA: &short, LeafCA: &intermediate, CAOwner: "certgen", UseBundle: true, Bundle: formerRoot.CertPEM, Edit: chained(short)},
			eu: catest.Install{CA: &short, LeafCA: &intermediate, CAOwner: "certgen", UseBundle: true, Bundle: formerRoot.CertPEM, Edit: chained(short)}, object: bundle,
			not: []string{"add the new CA", "previous CA", restart},
		},
		"the same in a copy": {
			us: catest.Install{CA: &short, LeafCA: &intermediate, Method: "hand", CAOwner: "certgen", Edit: func(s map[string]*corev1.Secret) {
				chained(formerRoot)(s)
				perPeer(t, "eu", intermediate)(s)
				kept := s["cilium-kvstoremesh"].Data
				kept["eu.etcd-client.crt"], kept["eu.etcd-client-ca.crt"] = append(kept["eu.etcd-client.crt"], intermediate.CertPEM...), formerRoot.CertPEM
			}},
			eu: catest.Install{CA: &short, LeafCA: &intermediate, Method: "hand", CAOwner: "certgen", Edit: chained(formerRoot)}, object: "secret/clustermesh-apiserver-server-cert[ca.crt]",
			not: []string{"hand", "copies", restart},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := pair(tc.us, tc.eu).report(t)
			found := findingsOf(r, "CA028")
			if (len(found) > 0) != (tc.object != "") {
				t.Fatalf("%+v", found)
			}
			for _, f := range found {
				if f.Severity != "warning" || !strings.Contains(f.Message, "expires on 2026-11-28. From then on, ") || !strings.HasSuffix(f.Message, " not accept leaf certificates that are still valid") {
					t.Errorf("%+v", f)
				}
			}
			if last := len(found) - 1; last >= 0 && (!slices.Equal(found[last].Clusters, []string{"eu"}) || !slices.Contains(found[last].Objects, tc.object)) {
				t.Errorf("%+v", found)
			}
			got := stepText(r.NextSteps)
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("lacks %q:\n%s", w, got)
				}
			}
			for _, n := range tc.not {
				if strings.Contains(got, n) {
					t.Errorf("has %q:\n%s", n, got)
				}
			}
			if len(tc.want)+len(tc.not) == 0 && got != "" {
				t.Errorf("steps:\n%s", got)
			}
		})
	}
}

// TestTrustEnded: when the former certificate has ended, the steps are the same, and nothing suggests another CA.
func TestTrustEnded(t *testing.T) {
	t.Parallel()
	ended := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	now := pkitest.NewCA(t, pkitest.Spec{Key: ended.Key})
	peer := pkitest.NewCA(t, pkitest.Spec{})
	federated := func(own *pkitest.CA, bundle ...pkitest.CA) catest.Install {
		var text []byte
		for _, c := range bundle {
			text = append(bytes.Clone(text), c.CertPEM...)
		}
		return catest.Install{CA: own, UseBundle: true, Bundle: text}
	}
	for name, tc := range map[string]struct {
		mesh installs
		want string
	}{
		"leaf Secrets": {pair(catest.Install{CA: &now}, catest.Install{CA: &now, LeafCA: &ended, Method: "cert-manager"}), "eu: cert-manager issues these certificates again"},
		"a bundle":     {pair(federated(&now, now), federated(&now, ended)), "eu: processes trust configmap/cilium-root-ca.crt[ca.crt]"},
		"federated":    {pair(federated(&now, now, peer), federated(&peer, peer, ended)), "eu: configmap/cilium-root-ca.crt[ca.crt] contains the previous CA of us, but not the new one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := tc.mesh.report(t)
			if got := stepText(r.NextSteps); !strings.Contains(got, tc.want) || strings.Contains(got, "sync") || len(findingsOf(r, "CA010")) == 0 {
				t.Errorf("%s\n%+v", got, findingsOf(r, "CA010"))
			}
		})
	}
}

// TestTrustEndOfPeer: the CA of another cluster was issued again for longer. federate writes its present certificate into the CA files, before the former one has
// ended and afterwards.
func TestTrustEndOfPeer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]time.Duration{"CA028": 5 * pkitest.Day, "CA010": -pkitest.Day} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own, third := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
			former := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(end)})
			now := pkitest.NewCA(t, pkitest.Spec{Key: former.Key})
			us, eu, ap := own.With(former, third), now.With(own, third), third.With(own, now)
			r := installs{{"us", catest.Install{CA: &us}}, {"eu", catest.Install{CA: &eu}}, {"ap", catest.Install{CA: &ap}}}.report(t)
			const fix = "kubectl mesh-ca federate --in us,eu --contexts kind-us,kind-eu,kind-ap"
			found := findingsOf(r, name)
			if len(found) == 0 {
				t.Fatalf("%+v", r.Findings)
			}
			for _, f := range found {
				if f.Fix != fix {
					t.Errorf("%s: %q", f.Object, f.Fix)
				}
			}
			if got := stepText(r.NextSteps); name == "CA010" && strings.Count(got, fix) != 1 || strings.Contains(got, "sync") {
				t.Errorf("next:\n%s", got)
			}
		})
	}
}
