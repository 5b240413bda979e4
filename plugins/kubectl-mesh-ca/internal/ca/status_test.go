package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// installs is a mesh by the names of its clusters, in order.
type installs []struct {
	name string
	in   catest.Install
}

// read makes the clusters, each connected to all others, and reads them as status does.
func (all installs) read(t *testing.T) ([]*clusters.Member, []*ca.State) {
	t.Helper()
	var members []*clusters.Member
	for _, c := range all {
		in, edit := c.in, c.in.Edit
		in.Edit = func(s map[string]*corev1.Secret) {
			for _, other := range all {
				if other.name != c.name {
					s["cilium-kvstoremesh"].Data[other.name] = peerConfig(other.name)
				}
			}
			if edit != nil {
				edit(s)
			}
		}
		m, _ := catest.Member(t, c.name, in)
		members = append(members, m)
	}
	states := ca.ReadAll(t.Context(), members, time.Minute).States
	ca.ReadKept(t.Context(), states, time.Minute)
	return members, states
}

// peerConfig is the configuration of a peer as the chart writes it.
func peerConfig(name string) []byte {
	const dir = "/var/lib/cilium/clustermesh/common-etcd-client"
	return []byte("endpoints:\n- https://" + name + ".mesh.cilium.io:2379\ntrusted-ca-file: " + dir + "-ca.crt\nkey-file: " + dir + ".key\ncert-file: " + dir + ".crt\n")
}

func (all installs) report(t *testing.T) v1alpha1.CAReport {
	t.Helper()
	members, states := all.read(t)
	r := ca.Report(members, states, pkitest.Now)
	documents.CheckValue(t, r)
	return r
}

func pair(us, eu catest.Install) installs { return installs{{"us", us}, {"eu", eu}} }

// stepText is everything that the steps say.
func stepText(steps []v1alpha1.NextStep) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s%s: %s %s | %s | %v\n", s.Cluster, strings.Join(s.Clusters, "+"), s.Reason, strings.Join(s.Objects, ","), s.Command, s.AfterAll)
	}
	return b.String()
}

// TestStatusNext: status prints what must be done, and nothing where nothing must be.
func TestStatusNext(t *testing.T) {
	t.Parallel()
	one, two, three := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	ended := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	wrong := pkitest.CA{Cert: one.Cert, CertPEM: one.CertPEM, KeyPEM: two.KeyPEM}
	expired := func(s map[string]*corev1.Secret) {
		for _, leaf := range []string{"clustermesh-apiserver-remote-cert", "hubble-server-certs"} {
			old := one.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)})
			s[leaf].Data = pkitest.LeafSecret(old, one.CertPEM)
		}
	}
	// Clusters with different CAs that trust each other, by a bundle.
	federated := func(own *pkitest.CA, edit func(map[string]*corev1.Secret)) catest.Install {
		return catest.Install{CA: own, UseBundle: true, Bundle: append(bytes.Clone(one.CertPEM), two.CertPEM...), Edit: edit}
	}
	leaf := func(signer pkitest.CA, spec pkitest.Spec) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			s["clustermesh-apiserver-remote-cert"].Data = pkitest.LeafSecret(signer.Issue(t, spec), signer.CertPEM)
		}
	}
	past := pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)}
	const apart = "do not trust each other's CA"
	rotation := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mesh-ca-rotation", Namespace: catest.Namespace}}
	const restart = "rollout restart deployment/clustermesh-apiserver"
	for name, tc := range map[string]struct {
		mesh      installs
		want, not []string
		none      bool
	}{
		"all is well": {mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &one}), none: true},
		"three CAs": {
			mesh: installs{{"us", catest.Install{CA: &one}}, {"eu", catest.Install{CA: &two}}, {"ap", catest.Install{CA: &three}}},
			want: []string{"us+eu+ap: these clusters do not trust each other's CA", "kubectl mesh-ca sync --from us --to eu,ap --contexts kind-us,kind-eu,kind-ap"}, not: []string{restart, "helm"},
		},
		"two of three have one CA": {
			mesh: installs{{"us", catest.Install{CA: &one}}, {"eu", catest.Install{CA: &two}}, {"ap", catest.Install{CA: &two}}},
			want: []string{"sync --from eu --to us --contexts kind-eu,kind-us"}, not: []string{"--to us,ap"},
		},
		"one CA cannot be replaced": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &two, CAOwner: "argocd"}),
			want: []string{"sync --from eu --to us"},
		},
		"the CA of eu expired": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &ended, LeafCA: &one}),
			want: []string{"the CA of eu is not usable. Replace it with that of us", "sync --from us --to eu"},
		},
		"the key of eu is another's": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &wrong, LeafCA: &one}),
			want: []string{"sync --from us --to eu"},
		},
		"copied, not renewed": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &one, LeafCA: &two}),
			want: []string{"eu: Helm keeps these leaf certificates", "helm --kube-context kind-eu", restart, "rollout restart daemonset/cilium | true"}, not: []string{"sync", "kind-us"},
		},
		"leaf certificates expired": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &one, Edit: expired}),
			want: []string{"delete secret hubble-server-certs", "helm --kube-context kind-eu"}, not: []string{restart, "sync", "daemonset/cilium"},
		},
		"federated": {mesh: pair(federated(&one, nil), federated(&two, nil)), none: true},
		"federated, a leaf certificate expired": {
			mesh: pair(federated(&one, nil), federated(&two, leaf(two, past))),
			want: []string{"eu: the upgrade signs the leaf certificates again", "secret/clustermesh-apiserver-remote-cert", "helm --kube-context kind-eu"}, not: []string{"sync", apart, "kind-us", restart},
		},
		"federated, a leaf certificate for servers only": {
			mesh: pair(federated(&one, nil), federated(&two, leaf(two, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))),
			want: []string{"helm --kube-context kind-eu"}, not: []string{"sync", apart, "kind-us"},
		},
		"federated, a leaf certificate is missing": {
			mesh: pair(federated(&one, nil), federated(&two, func(s map[string]*corev1.Secret) { delete(s, "clustermesh-apiserver-remote-cert") })),
			want: []string{"eu: certificate of eu", "it does not exist"}, not: []string{"sync", apart},
		},
		"federated, us connects to itself": {
			mesh: pair(federated(&one, func(s map[string]*corev1.Secret) {
				s["cilium-kvstoremesh"].Data["eu"] = bytes.ReplaceAll(peerConfig("eu"), []byte("eu.mesh.cilium.io"), []byte("clustermesh-apiserver.kube-system.svc"))
			}), federated(&two, nil)),
			want: []string{"us: the endpoint for eu", "is us itself"}, not: []string{"sync", apart},
		},
		"an expired leaf certificate of a CA that is not trusted": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &two, Edit: leaf(two, past)}),
			want: []string{apart, "sync --from us --to eu"},
		},
		// A PKI of one's own, which cilium-ca has nothing to do with.
		"certificates of another CA by hand, all accepted": {
			mesh: pair(catest.Install{CA: &one, LeafCA: &three, Method: "hand"}, catest.Install{CA: &two, LeafCA: &three, Method: "hand"}), none: true,
		},
		"the same, but a leaf certificate of eu expired": {
			mesh: pair(catest.Install{CA: &one, LeafCA: &three, Method: "hand"}, catest.Install{CA: &two, LeafCA: &three, Method: "hand", Edit: leaf(three, past)}),
			want: []string{"eu: managed by hand: issue new certificates at their source", "secret/clustermesh-apiserver-remote-cert"}, not: []string{"the new CA", "sync", apart, "secret/clustermesh-apiserver-admin-cert", "us:", restart},
		},
		"the same by cert-manager": {
			mesh: pair(catest.Install{CA: &one, LeafCA: &three, Method: "cert-manager", CAOwner: "helm"}, catest.Install{CA: &two, LeafCA: &three, Method: "cert-manager", CAOwner: "helm", Edit: leaf(three, past)}),
			want: []string{"eu: cert-manager issues these certificates again", "renew clustermesh-apiserver-remote-cert"}, not: []string{"give the CA to the issuer", "sync", apart, "us:", restart},
		},
		"the same, but eu's user is unknown": {
			mesh: pair(catest.Install{CA: &one, LeafCA: &three, Method: "hand"}, catest.Install{CA: &two, LeafCA: &three, Method: "hand", Edit: func(s map[string]*corev1.Secret) {
				s["clustermesh-apiserver-remote-cert"].Data = pkitest.LeafSecret(three.Issue(t, pkitest.Spec{Name: "mesh"}), three.CertPEM)
			}}),
			want: []string{`eu: secret/clustermesh-apiserver-remote-cert[tls.crt] of eu verifies, but etcd in us has no user "mesh"`, "with a common name that is a user of etcd in us"}, not: []string{"the new CA", restart},
		},
		"a rotation is under way": {
			mesh: pair(catest.Install{CA: &one}, catest.Install{CA: &one, LeafCA: &two, Objects: []runtime.Object{rotation}}),
			want: []string{"eu: a rotation of the CA is under way", "kubectl mesh-ca rotate status"}, not: []string{"helm", restart},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := stepText(tc.mesh.report(t).NextSteps)
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
			if tc.none != (got == "") {
				t.Errorf("steps:\n%s", got)
			}
		})
	}
}

// TestCopiesThatStayBroken: copies of a peer's certificates that expired, or that belong to the source of a sync, have a step.
func TestCopiesThatStayBroken(t *testing.T) {
	t.Parallel()
	a, b, old := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	copies := perPeer(t, "eu", b)
	expired := func(s map[string]*corev1.Secret) {
		copies(s)
		s["cilium-kvstoremesh"].Data["eu.etcd-client.crt"] = b.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)}).CertPEM
	}
	us, _ := catest.Member(t, "us", catest.Install{CA: &a, Edit: expired})
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &b, Edit: perPeer(t, "us", a)})
	members := []*clusters.Member{us, eu}
	r := ca.Report(members, ca.ReadAll(t.Context(), members, time.Minute).States, pkitest.Now)
	if got := stepText(r.NextSteps); !strings.Contains(got, "us: this cluster has copies of certificates of eu") || !strings.Contains(got, "secret/cilium-kvstoremesh[eu.etcd-client.crt]") || !strings.Contains(got, "nothing renews them") {
		t.Errorf("status:\n%s", got)
	}
	// The source of a sync renews its own leaf certificates too, if they are of another CA: copies of them follow.
	src, _ := catest.Member(t, "eu", catest.Install{CA: &b, LeafCA: &old})
	dst, _ := catest.Member(t, "us", catest.Install{CA: &a, Edit: perPeer(t, "eu", old)})
	states := ca.ReadAll(t.Context(), []*clusters.Member{src, dst}, time.Minute).States
	p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute}, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if got := stepText(p.Report([]*clusters.Member{src, dst}, "none").NextSteps); !strings.Contains(got, "us: this cluster has copies of certificates of eu") {
		t.Errorf("sync:\n%s", got)
	}
}

// TestTwoClustersOfOneName: before a mesh is set up, its clusters may have one name. They are told apart by their contexts; users have Cilium's name.
func TestTwoClustersOfOneName(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	var members []*clusters.Member
	for _, context := range []string{"kind-a", "kind-b"} {
		m, _ := catest.Member(t, "default", catest.Install{CA: &one})
		m.Name, m.Context = context, context
		members = append(members, m)
	}
	r := ca.Report(members, ca.ReadAll(t.Context(), members, time.Minute).States, pkitest.Now)
	if len(r.Findings) > 0 || len(r.NextSteps) > 0 || r.Clusters[1].Cluster != "kind-b" || r.Trust[0].Verdict != "ok" || r.Relay[0].Verdict != "ok" {
		t.Errorf("%+v\n%+v", r.Findings, r.NextSteps)
	}
}

// TestRenamedCA: the same key under another subject is not another key.
func TestRenamedCA(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	renamed := pkitest.NewCA(t, pkitest.Spec{Name: "Mesh CA", Key: one.Key})
	got := findingsOf(pair(catest.Install{CA: &one}, catest.Install{CA: &renamed, LeafCA: &one}).report(t), "CA022")
	if len(got) != 1 || len(got[0].Objects) != 6 || got[0].Object != "6 leaf certificates" || !strings.Contains(got[0].Message, `signed with the key of cilium-ca, but under the subject "CN=Cilium CA" instead of "CN=Mesh CA"`) {
		t.Errorf("%+v", got)
	}
}

// TestNoMeshAPIFinding: a cluster without clustermesh-apiserver is one warning and not an error for each direction.
func TestNoMeshAPIFinding(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	eu, client := catest.Member(t, "eu", catest.Install{CA: &two, Edit: func(s map[string]*corev1.Secret) {
		maps.DeleteFunc(s, func(name string, _ *corev1.Secret) bool { return strings.HasPrefix(name, "clustermesh-apiserver-") })
	}})
	if err := client.Tracker().Delete(appsv1.SchemeGroupVersion.WithResource("deployments"), catest.Namespace, "clustermesh-apiserver"); err != nil {
		t.Fatal(err)
	}
	us, _ := catest.Member(t, "us", catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) { s["cilium-kvstoremesh"].Data["eu"] = peerConfig("eu") }})
	members := []*clusters.Member{us, eu}
	r := ca.Report(members, ca.ReadAll(t.Context(), members, time.Minute).States, pkitest.Now)
	if got := append(findingsOf(r, "CA010"), findingsOf(r, "CA011")...); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	got := findingsOf(r, "CA016")
	if len(got) != 1 || got[0].Severity != "warning" || !slices.Equal(got[0].Clusters, []string{"eu"}) || !strings.Contains(got[0].Message, "although us is configured to") {
		t.Errorf("%+v", got)
	}
	if !r.Complete {
		t.Error("nothing is left to examine, but the report is not complete")
	}
	for _, p := range r.Trust {
		if p.WithoutClusterMesh != "eu" {
			t.Errorf("%+v", p)
		}
	}
}

// TestFluxSteps: what Flux keeps has a command, whatever mark tells, and Helm's Hubble Secrets are deleted before it runs Helm.
func TestFluxSteps(t *testing.T) {
	t.Parallel()
	old, now := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	marked := func(labels map[string]string) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			for name, secret := range s {
				if strings.HasSuffix(name, "-cert") || strings.HasPrefix(name, "hubble-") {
					secret.Labels, secret.Annotations = labels, nil
					for i := range secret.ManagedFields {
						secret.ManagedFields[i].Manager = "helm-controller"
					}
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		labels map[string]string
		want   []string
	}{
		"HelmRelease":   {map[string]string{"helm.toolkit.fluxcd.io/name": "mesh", "helm.toolkit.fluxcd.io/namespace": "flux-system"}, []string{"delete secret hubble-server-certs hubble-relay-client-certs", "flux --context kind-eu -n flux-system reconcile helmrelease mesh --force"}},
		"Kustomization": {map[string]string{"kustomize.toolkit.fluxcd.io/name": "secrets", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}, []string{"flux --context kind-eu -n flux-system reconcile kustomization secrets --with-source"}},
		"no labels":     {nil, []string{"delete secret hubble-server-certs", "flux --context kind-eu -n kube-system reconcile helmrelease cilium --force"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := catest.Member(t, "eu", catest.Install{CA: &now, LeafCA: &old, Edit: marked(tc.labels)})
			got := stepText(ca.Next(ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0], now.Cert, pkitest.Now))
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("lacks %q:\n%s", w, got)
				}
			}
		})
	}
}

// TestCopyOfAnImmutableCA: the printed command makes a Secret that restore accepts, with the same data.
func TestCopyOfAnImmutableCA(t *testing.T) {
	t.Parallel()
	src, old := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	us, _ := catest.Member(t, "us", catest.Install{CA: &src})
	immutable := true
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &old, Edit: func(s map[string]*corev1.Secret) { s["cilium-ca"].Immutable = &immutable }})
	states := ca.ReadAll(t.Context(), []*clusters.Member{us, eu}, time.Minute).States
	p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute}, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	message := p.Items[0].Message
	found := regexp.MustCompile(`run this again: kubectl --context kind-eu -n kube-system get secret cilium-ca -o 'go-template=(.*)' \| kubectl --context kind-eu -n kube-system create -f - && kubectl --context kind-eu -n kube-system delete secret cilium-ca$`).FindStringSubmatch(message)
	if found == nil {
		t.Fatalf("%s", message)
	}
	raw, err := json.Marshal(states[1].CA().Object)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := template.Must(template.New("").Parse(found[1])).Execute(&out, object); err != nil {
		t.Fatal(err)
	}
	var kept corev1.Secret
	if err := json.Unmarshal(out.Bytes(), &kept); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if !bytes.Equal(kept.Data["ca.key"], old.KeyPEM) || len(kept.Data) != 2 || kept.Immutable == nil || !*kept.Immutable {
		t.Errorf("the copy differs")
	}
	if _, err := ca.Restore(states[1], &kept, ca.Options{}, pkitest.Now); err != nil {
		t.Errorf("restore: %v", err)
	}
}
