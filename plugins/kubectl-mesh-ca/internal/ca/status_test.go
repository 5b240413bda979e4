package ca_test

import (
	"bytes"
	"encoding/base64"
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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ktesting "k8s.io/client-go/testing"

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
		// A PKI of one's own, which cilium-ca has nothing to do with.
		"certificates of another CA by hand, all accepted": {
			mesh: pair(catest.Install{CA: &one, LeafCA: &three, Method: "hand"}, catest.Install{CA: &two, LeafCA: &three, Method: "hand"}), none: true,
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

func backup(of pkitest.CA, name string) runtime.Object {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: catest.Namespace, Labels: map[string]string{"mesh.kubectl.io/backup-of": "cilium-ca"}}, Data: of.CASecret()}
}

// TestFormerCAs: CAs that nobody signs with any more, but that are trusted or whose key still exists.
func TestFormerCAs(t *testing.T) {
	t.Parallel()
	now, old, foreign := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	values := fmt.Sprintf(`{"version":3,"chart":{"metadata":{"name":"cilium","version":"1.18.9"}},"config":{"tls":{"ca":{"cert":%q,"key":"c2VjcmV0"}}}}`, base64.StdEncoding.EncodeToString(old.CertPEM))
	both := now.With(old).CertPEM
	for name, tc := range map[string]struct {
		eu   catest.Install
		want []string
	}{
		"nothing":               {eu: catest.Install{}},
		"the present CA's copy": {eu: catest.Install{Objects: []runtime.Object{backup(now, "cilium-ca-backup-1")}}},
		"a backup":              {eu: catest.Install{Objects: []runtime.Object{backup(old, "cilium-ca-backup-1")}}, want: []string{"CA008 info secret/cilium-ca-backup-1"}},
		"Helm's history":        {eu: catest.Install{Objects: []runtime.Object{record(t, values)}}, want: []string{"CA008 info revision 3 of release cilium"}},
		"trusted and kept":      {eu: catest.Install{UseBundle: true, Bundle: both, Objects: []runtime.Object{backup(old, "cilium-ca-backup-1")}}, want: []string{"CA007 warning configmap/cilium-root-ca.crt[ca.crt], and its key is in secret/cilium-ca-backup-1"}},
		"trusted, no key":       {eu: catest.Install{UseBundle: true, Bundle: both}, want: []string{"CA007 warning configmap/cilium-root-ca.crt[ca.crt]"}},
		"trusted, perhaps a cluster's that was not read": {eu: catest.Install{UseBundle: true, Bundle: now.With(foreign).CertPEM, Edit: func(s map[string]*corev1.Secret) {
			s["cilium-kvstoremesh"].Data["elsewhere"] = peerConfig("elsewhere")
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.eu.CA = &now
			r := pair(catest.Install{CA: &now}, tc.eu).report(t)
			got := append(findingsOf(r, "CA007"), findingsOf(r, "CA008")...)
			if len(got) != len(tc.want) {
				t.Fatalf("%+v", got)
			}
			for i, want := range tc.want {
				id, rest, _ := strings.Cut(want, " ")
				severity, where, _ := strings.Cut(rest, " ")
				if got[i].ID != id || got[i].Severity != severity || !strings.Contains(got[i].Message, where) || !slices.Equal(got[i].Clusters, []string{"eu"}) {
					t.Errorf("%+v", got[i])
				}
			}
		})
	}
}

// TestNotListed: without permission to list Secrets the report is complete, and says what was not searched.
func TestNotListed(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	m, client := catest.Member(t, "us", catest.Install{CA: &one})
	client.PrependReactor("list", "secrets", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
	})
	states := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States
	ca.ReadKept(t.Context(), states, time.Minute)
	r := ca.Report([]*clusters.Member{m}, states, pkitest.Now)
	if !r.Complete || r.Clusters[0].FormerCAsMessage != "no permission to list secrets in namespace kube-system" || states[0].Values.Known {
		t.Errorf("complete %v, %q", r.Complete, r.Clusters[0].FormerCAsMessage)
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

// TestDue: a CA is due when it has less time left than what its owner will ask for.
func TestDue(t *testing.T) {
	t.Parallel()
	long := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-900 * pkitest.Day), NotAfter: pkitest.Now.Add(195 * pkitest.Day)})
	oneYear := func(s map[string]*corev1.Secret) {
		for name, secret := range s {
			if strings.HasSuffix(name, "-cert") || strings.HasPrefix(name, "hubble-") {
				leaf := long.Issue(t, pkitest.Spec{Name: "x", NotBefore: pkitest.Now.Add(-200 * pkitest.Day), NotAfter: pkitest.Now.Add(165 * pkitest.Day)})
				secret.Data = pkitest.LeafSecret(leaf, long.CertPEM)
			}
		}
	}
	days := func(n int) runtime.Object {
		return record(t, fmt.Sprintf(`{"chart":{"metadata":{"name":"cilium"}},"config":{"clustermesh":{"apiserver":{"tls":{"auto":{"certValidityDuration":%d}}}},"hubble":{"tls":{"auto":{"certValidityDuration":%d}}}}}`, n, n))
	}
	for name, tc := range map[string]struct {
		in   catest.Install
		want time.Duration // from now; 0 for no date
		id   string
	}{
		"one year by Helm":          {catest.Install{Edit: oneYear}, (195 - 365) * pkitest.Day, "CA009"},
		"thirty days by the values": {catest.Install{Edit: oneYear, Objects: []runtime.Object{days(30)}}, (195 - 30) * pkitest.Day, ""},
		"equal to the CA":           {catest.Install{}, 0, ""},
		"by hand":                   {catest.Install{Edit: oneYear, Method: "hand"}, 0, ""},
		"certgen of 1.20":           {catest.Install{Edit: oneYear, Method: "certgen", Version: "1.20.2"}, (195 - 365) * pkitest.Day, "CA025"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := tc.in
			in.CA = &long
			if name == "equal to the CA" {
				in.CA = nil
				fresh := pkitest.NewCA(t, pkitest.Spec{})
				in.CA = &fresh
			}
			r := installs{{"us", in}}.report(t)
			due := r.Clusters[0].CA.DueFrom
			if (due == nil) != (tc.want == 0) || (due != nil && !due.Equal(pkitest.Now.Add(tc.want))) {
				t.Errorf("due from %v", due)
			}
			for _, id := range []string{"CA009", "CA025"} {
				if got := len(findingsOf(r, id)); got != map[bool]int{true: 1, false: 0}[id == tc.id] {
					t.Errorf("%s: %d", id, got)
				}
			}
		})
	}
}

// TestChart120: what breaks with chart 1.20, and what cannot be told.
func TestChart120(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	short := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(300 * pkitest.Day)})
	values := func(config string) []runtime.Object {
		return []runtime.Object{record(t, `{"chart":{"metadata":{"name":"cilium"},"values":{"clustermesh":{"apiserver":{"tls":{"auto":{"enabled":true,"certValidityDuration":1095}}}}}},"config":`+config+`}`)}
	}
	provided := `{"clustermesh":{"apiserver":{"tls":{"auto":{"enabled":false},"server":{"cert":"eA=="},"remote":{"cert":"eA=="}}}}}`
	bare := func(d *appsv1.Deployment, ds *appsv1.DaemonSet) { d.Annotations, ds.Annotations = nil, nil }
	for name, tc := range map[string]struct {
		eu   catest.Install
		want []string
		gaps int
	}{
		"Helm":                         {eu: catest.Install{CA: &one, Objects: values(`{}`)}, want: []string{"CA030 warning"}},
		"Helm, its own validity":       {eu: catest.Install{CA: &one, Objects: values(`{"clustermesh":{"apiserver":{"tls":{"auto":{"certValidityDuration":1000}}}}}`)}},
		"Helm, values unknown":         {eu: catest.Install{CA: &one}, gaps: 1},
		"certgen, the CA is too short": {eu: catest.Install{CA: &short, Method: "certgen", Workloads: bare}, want: []string{"CA025 error"}},
		"certgen, the CA is enough":    {eu: catest.Install{CA: &one, Method: "certgen", Workloads: bare}},
		"certificates in values":       {eu: catest.Install{CA: &one, Method: "hand", Objects: values(provided)}, want: []string{"CA032 error"}},
		"1.20 already":                 {eu: catest.Install{CA: &short, Version: "1.20.2"}},
		"by hand":                      {eu: catest.Install{CA: &short, Method: "hand", Workloads: bare}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, states := pair(catest.Install{CA: &one, Version: "1.20.2"}, tc.eu).read(t)
			found, gaps := ca.Chart120(states, ca.Judgement{Now: pkitest.Now, Warn: 60 * pkitest.Day})
			var got []string
			for _, f := range found {
				got = append(got, f.ID+" "+f.Severity)
			}
			if !slices.Equal(got, tc.want) || len(gaps) != tc.gaps {
				t.Errorf("%v, %d gaps: %+v", got, len(gaps), found)
			}
		})
	}
	// A client that connects by the name that the new certificate does not have.
	_, states := pair(catest.Install{CA: &one, Version: "1.20.2", Edit: func(s map[string]*corev1.Secret) {
		s["cilium-kvstoremesh"].Data["eu"] = bytes.ReplaceAll(peerConfig("eu"), []byte("eu.mesh.cilium.io"), []byte("clustermesh-apiserver.cilium.io"))
	}}, catest.Install{CA: &one, Objects: values(`{"clustermesh":{"apiserver":{"tls":{"auto":{"certValidityDuration":1000}}}}}`)}).read(t)
	found, _ := ca.Chart120(states, ca.Judgement{Now: pkitest.Now})
	if len(found) != 1 || found[0].ID != "CA031" || !strings.Contains(found[0].Message, "us connects to eu by clustermesh-apiserver.cilium.io") {
		t.Errorf("%+v", found)
	}
}
