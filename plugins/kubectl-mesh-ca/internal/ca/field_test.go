package ca_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
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

// examine makes two clusters and reports on them.
func examine(t *testing.T, us, eu catest.Install) v1alpha1.CAReport {
	t.Helper()
	a, _ := catest.Member(t, "us", us)
	b, _ := catest.Member(t, "eu", eu)
	members := []*clusters.Member{a, b}
	r := ca.Report(members, ca.ReadAll(t.Context(), members, time.Minute).States, pkitest.Now)
	documents.CheckValue(t, r)
	return r
}

func findingsOf(r v1alpha1.CAReport, id string) []v1alpha1.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f v1alpha1.Finding) bool { return f.ID != id })
}

// written changes when the data of a Secret was written, as managedFields tell.
func written(s *corev1.Secret, at time.Time) {
	for i := range s.ManagedFields {
		s.ManagedFields[i].Time = &metav1.Time{Time: at}
	}
}

// TestField10EtcdReadTheSameBytes: an upgrade after the start of etcd writes the leaf Secrets again, with the ca.crt that they had.
func TestField10EtcdReadTheSameBytes(t *testing.T) {
	t.Parallel()
	old := pkitest.Now.Add(-300 * pkitest.Day)
	one := pkitest.NewCA(t, pkitest.Spec{NotBefore: old})
	young := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-time.Hour)})
	started := pkitest.Now.Add(-10 * pkitest.Day)
	upgraded := func(s map[string]*corev1.Secret) {
		for name := range s {
			written(s[name], pkitest.Now.Add(-2*time.Hour))
		}
		written(s["cilium-ca"], old)
	}
	for name, tc := range map[string]struct {
		ca   pkitest.CA
		edit func(s map[string]*corev1.Secret)
		want bool
	}{
		"helm upgrade":            {ca: one, edit: upgraded},
		"CA replaced after start": {ca: one, edit: func(s map[string]*corev1.Secret) { upgraded(s); written(s["cilium-ca"], pkitest.Now.Add(-3*time.Hour)) }, want: true},
		"no cilium-ca":            {ca: one, edit: func(s map[string]*corev1.Secret) { upgraded(s); delete(s, "cilium-ca") }},
		"certificate is younger":  {ca: young, edit: func(s map[string]*corev1.Secret) { upgraded(s); delete(s, "cilium-ca") }, want: true},
		"ca.crt alone by hand": {ca: one, edit: func(s map[string]*corev1.Secret) {
			upgraded(s)
			server := s["clustermesh-apiserver-server-cert"]
			server.ManagedFields = append(server.ManagedFields, metav1.ManagedFieldsEntry{Manager: "kubectl-patch", Time: &metav1.Time{Time: pkitest.Now.Add(-time.Hour)}, FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:ca.crt":{}}}`)})
		}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, catest.Install{CA: &one}, catest.Install{CA: &tc.ca, EtcdStarted: started, Edit: tc.edit})
			if got := len(findingsOf(r, "CA014")) > 0; got != tc.want {
				t.Errorf("CA014 is %v: %+v", got, findingsOf(r, "CA014"))
			}
		})
	}
}

// TestField10CertgenWillRefuse: the date is that of the CA's end less the validity of the leaf certificates.
func TestField10CertgenWillRefuse(t *testing.T) {
	t.Parallel()
	short := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(100 * pkitest.Day)})
	job := func(args ...string) runtime.Object {
		j := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "clustermesh-apiserver-generate-certs", Namespace: catest.Namespace}}
		j.Spec.JobTemplate.Spec.Template.Spec.Containers = []corev1.Container{{Name: "certgen", Args: args, Env: []corev1.EnvVar{{Name: "CILIUM_CERTGEN_CONFIG", Value: "certs:\n- name: x\n  validity: 8760h\n"}}}}
		return j
	}
	const enforce = "--ca-enforce-validity-throughout-leaves-duration=true"
	for name, tc := range map[string]struct {
		in   catest.Install
		want string
	}{
		"chart 1.20":                       {catest.Install{CA: &short, Method: "certgen", Version: "1.20.2", Objects: []runtime.Object{job(enforce)}}, "certgen has refused it since 2026-03-"},
		"chart 1.19":                       {catest.Install{CA: &short, Method: "certgen", Version: "1.19.7", Objects: []runtime.Object{job()}}, ""},
		"no CronJob, 1.20":                 {catest.Install{CA: &short, Method: "certgen", Version: "1.20.2"}, "the configuration of certgen was not found"},
		"Helm makes the leaf certificates": {catest.Install{CA: &short, Version: "1.20.2"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := findingsOf(examine(t, catest.Install{CA: &short}, tc.in), "CA025")
			if (len(got) == 1) != (tc.want != "") || (len(got) == 1 && !strings.Contains(got[0].Message, tc.want)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestField10HiddenFilesAreReported(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	twice := []byte(base64.StdEncoding.EncodeToString(one.CertPEM))
	damaged := bytes.Clone(two.CertPEM)
	damaged[90] = '*'
	r := examine(t, catest.Install{CA: &one}, catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) {
		s["cilium-ca"].Data["ca.crt"] = twice
		s["clustermesh-apiserver-server-cert"].Data["ca.crt"] = append(bytes.Clone(one.CertPEM), damaged...)
	}})
	missing := findingsOf(r, "CA001")
	if len(missing) != 1 || !strings.Contains(missing[0].Message, "it is base64-encoded twice") || !strings.HasSuffix(missing[0].Fix, "| base64 -d | base64 -d") {
		t.Errorf("%+v", missing)
	}
	hidden := findingsOf(r, "CA026")
	if len(hidden) != 1 || hidden[0].Object != "secret/clustermesh-apiserver-server-cert[ca.crt]" || hidden[0].Message != "block 2 is damaged" {
		t.Errorf("%+v", hidden)
	}
}

// TestField06Findings: the user of etcd is a finding of its own, and each direction keeps its reason.
func TestField06Findings(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	named := func(leaf, name string) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			s[leaf].Data = pkitest.LeafSecret(one.Issue(t, pkitest.Spec{Name: name}), one.CertPEM)
		}
	}
	r := examine(t, catest.Install{CA: &one, Edit: named("clustermesh-apiserver-remote-cert", "")}, catest.Install{CA: &one, Edit: named("clustermesh-apiserver-remote-cert", "mesh")})
	trust := findingsOf(r, "CA010")
	if len(trust) != 2 || trust[0].Object != "eu to us" || !strings.Contains(trust[0].Message, `no user "mesh"`) || !strings.Contains(trust[1].Message, `no user ""`) || strings.Contains(trust[0].Fix, "sync") {
		t.Errorf("%+v", trust)
	}
	if users := findingsOf(r, "CA024"); len(users) != 1 || users[0].Clusters[0] != "us" {
		t.Errorf("%+v", users)
	}
	r = examine(t, catest.Install{CA: &one, Edit: named("clustermesh-apiserver-admin-cert", "")}, catest.Install{CA: &one})
	if inside := findingsOf(r, "CA012"); len(inside) != 2 || inside[0].Object != "clustermesh-apiserver to etcd" || !r.Complete {
		t.Errorf("%+v", inside)
	}
}

// TestField13TrustFix: a sync is suggested only where it would write something.
func TestField13TrustFix(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	ended := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	federated := func(own *pkitest.CA, edit func(map[string]*corev1.Secret)) catest.Install {
		return catest.Install{CA: own, UseBundle: true, Bundle: append(bytes.Clone(one.CertPEM), two.CertPEM...), Edit: edit}
	}
	for name, tc := range map[string]struct {
		us, eu catest.Install
		want   string
		not    string
	}{
		"two CAs":                 {us: catest.Install{CA: &one}, eu: catest.Install{CA: &two}, want: "kubectl mesh-ca sync --from us --to eu --contexts kind-us,kind-eu"},
		"only us's is good":       {us: catest.Install{CA: &one}, eu: catest.Install{CA: &ended}, want: "kubectl mesh-ca sync --from us --to eu --contexts kind-us,kind-eu"},
		"Argo CD keeps us's":      {us: catest.Install{CA: &one, CAOwner: "argocd"}, eu: catest.Install{CA: &two}, want: "sync --from us --to eu"},
		"copied, not yet renewed": {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one, LeafCA: &two}, want: "renew the leaf certificates: kubectl --context kind-eu -n kube-system delete secret hubble-server-certs", not: "sync"},
		"federated, a leaf certificate expired": {us: federated(&one, nil), eu: federated(&two, func(s map[string]*corev1.Secret) {
			s["clustermesh-apiserver-remote-cert"].Data = pkitest.LeafSecret(two.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)}), two.CertPEM)
		}), want: "renew the leaf certificates: helm --kube-context kind-eu", not: "sync"},
		"RKE2, copied, not renewed": {us: catest.Install{CA: &one}, eu: catest.Install{CA: &one, LeafCA: &two, Workloads: rke2}, want: "HelmChartConfig rke2-cilium", not: "helm upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := findingsOf(examine(t, tc.us, tc.eu), "CA010")
			for _, f := range got[min(1, len(got)):] {
				if strings.Contains(f.Fix, "sync --from") && f.Fix != got[0].Fix { // else they would replace each other's CA
					t.Errorf("%s: %q, and %s: %q", got[0].Object, got[0].Fix, f.Object, f.Fix)
				}
			}
			if len(got) == 0 || !strings.Contains(got[0].Fix, tc.want) || (tc.not != "" && strings.Contains(got[0].Fix, tc.not)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func rke2(d *appsv1.Deployment, ds *appsv1.DaemonSet) {
	for _, m := range []*metav1.ObjectMeta{&d.ObjectMeta, &ds.ObjectMeta} {
		m.Annotations = map[string]string{"meta.helm.sh/release-name": "rke2-cilium", "meta.helm.sh/release-namespace": catest.Namespace}
	}
}

// record is a release record of Helm.
func record(t *testing.T, body string) runtime.Object {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.cilium.v3", Namespace: catest.Namespace, Labels: map[string]string{"owner": "helm", "name": "cilium", "status": "deployed"}},
		Type:       "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString(zipped.Bytes()))},
	}
}

// TestField13Chart: the upgrade names the chart that is installed, and values that would write the former CA are in the steps.
func TestField13Chart(t *testing.T) {
	t.Parallel()
	old, now := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	encoded := func(c pkitest.CA) string {
		return fmt.Sprintf(`{"tls":{"ca":{"cert":%q,"key":"x"}}}`, base64.StdEncoding.EncodeToString(c.CertPEM))
	}
	release := func(name, home, config string) []runtime.Object {
		return []runtime.Object{record(t, fmt.Sprintf(`{"chart":{"metadata":{"name":%q,"version":"1.18.9","home":%q}},"config":%s}`, name, home, config))}
	}
	label := func(value string) func(*appsv1.Deployment, *appsv1.DaemonSet) {
		return func(d *appsv1.Deployment, _ *appsv1.DaemonSet) { d.Labels = map[string]string{"helm.sh/chart": value} }
	}
	// Helm 4 applies on the server side, and federate or rotate have written since.
	applied := func(written bool) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			for name, secret := range s {
				if !strings.HasSuffix(name, "-cert") && !strings.HasPrefix(name, "hubble-") {
					continue
				}
				secret.ManagedFields[0].Operation = metav1.ManagedFieldsOperationApply
				if written {
					secret.ManagedFields = append(secret.ManagedFields, metav1.ManagedFieldsEntry{Manager: "mesh-ca", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
						FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:tls.crt":{}}}`)})
				}
			}
		}
	}
	const undo = "remove tls.ca.cert and tls.ca.key from the values of release cilium"
	for name, tc := range map[string]struct {
		in        catest.Install
		want, not []string
	}{
		"nothing tells":     {catest.Install{}, []string{"upgrade cilium CHART --version 1.18.11 --reuse-values --set tls.ca.cert= --set tls.ca.key=", "no object in this cluster names the chart"}, []string{"cilium/cilium", undo}},
		"label":             {catest.Install{Workloads: label("cilium-1.20.2")}, []string{"upgrade cilium cilium --repo https://helm.cilium.io/ --version 1.20.2 --reuse-values"}, []string{"CHART"}},
		"label of another":  {catest.Install{Workloads: label("cilium-enterprise-1.17.3_ee.1")}, []string{"release cilium uses chart cilium-enterprise 1.17.3+ee.1, according to label helm.sh/chart", "upgrade cilium CHART --version 1.17.3+ee.1"}, nil},
		"Helm 4":            {catest.Install{Workloads: label("cilium-1.20.2"), Edit: applied(true)}, []string{"--version 1.20.2 --reuse-values --force-conflicts --set tls.ca.cert="}, nil},
		"Helm 4, untouched": {catest.Install{Workloads: label("cilium-1.20.2"), Edit: applied(false)}, []string{"--version 1.20.2 --reuse-values --set tls.ca.cert="}, []string{"force-conflicts"}},
		"record":            {catest.Install{Objects: release("cilium", "https://cilium.io/", "{}")}, []string{"upgrade cilium cilium --repo https://helm.cilium.io/ --version 1.18.9 --reuse-values\n"}, []string{"CHART", "tls.ca"}},
		"record of a fork":  {catest.Install{Objects: release("cilium", "https://example.org/", "null")}, []string{"upgrade cilium CHART --version 1.18.9"}, []string{"helm.cilium.io"}},
		"values of the old": {catest.Install{Objects: release("cilium", "https://cilium.io/", encoded(old))}, []string{undo, "--set tls.ca.cert= --set tls.ca.key="}, nil},
		"values of the new": {catest.Install{Objects: release("cilium", "https://cilium.io/", encoded(now))}, nil, []string{undo}},
		"a part of a chart": {catest.Install{Objects: release("platform", "https://example.org/", `{"cilium":`+encoded(old)+`,"other":[1]}`)},
			[]string{"remove cilium.tls.ca.cert and cilium.tls.ca.key from the values of release cilium", "upgrade cilium CHART --version 1.18.9 --reuse-values --set cilium.tls.ca.cert= --set cilium.tls.ca.key="}, []string{" tls.ca"}},
		"the chart's own":   {catest.Install{Objects: []runtime.Object{record(t, `{"chart":{"metadata":{"name":"platform","version":"2.0.0"},"values":{"cilium":`+encoded(old)+`}},"config":{}}`)}}, []string{"remove cilium.tls.ca.cert"}, nil},
		"emptied by values": {catest.Install{Objects: []runtime.Object{record(t, `{"chart":{"metadata":{"name":"platform","version":"2.0.0"},"values":{"cilium":`+encoded(old)+`}},"config":{"cilium":{"tls":{"ca":{"cert":"","key":""}}}}}`)}}, nil, []string{"tls.ca"}},
		"RKE2":              {catest.Install{Workloads: rke2}, []string{"HelmChartConfig rke2-cilium"}, []string{"helm upgrade", "upgrade rke2-cilium", "cilium/cilium"}},
		"not by Helm":       {catest.Install{Method: "hand", CAOwner: "hand", Workloads: func(d *appsv1.Deployment, ds *appsv1.DaemonSet) { d.Annotations, ds.Annotations = nil, nil }}, []string{"managed by hand"}, []string{"upgrade"}},
		"Flux":              {catest.Install{Edit: flux}, []string{"flux --context kind-eu -n flux-system reconcile helmrelease cilium --force"}, []string{"helm --kube"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.in.CA, tc.in.LeafCA = &old, &old
			us, _ := catest.Member(t, "us", catest.Install{CA: &now})
			eu, _ := catest.Member(t, "eu", tc.in)
			members := []*clusters.Member{us, eu}
			states := ca.ReadAll(t.Context(), members, time.Minute).States
			ca.ReadReleases(t.Context(), states, time.Minute)
			p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute, ForceConflicts: true}, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			if note := states[1].UpgradeNote(); (note != "") != strings.HasPrefix(name, "Helm 4") || note != "" && !strings.HasSuffix(note, "fails with conflicts, because mesh-ca writes them") {
				t.Errorf("note %q", note)
			}
			r := p.Report(members, "none")
			var text strings.Builder
			for _, s := range r.NextSteps {
				fmt.Fprintln(&text, s.Reason)
				fmt.Fprintln(&text, s.Command)
			}
			for _, want := range tc.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("lacks %q:\n%s", want, text.String())
				}
			}
			for _, not := range tc.not {
				if strings.Contains(text.String(), not) {
					t.Errorf("has %q:\n%s", not, text.String())
				}
			}
			// What the plan says about values is in the report of what was done, too.
			if err := p.Change().Apply(t.Context(), engine); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(tc.want, undo) {
				changes := p.Report(members, "none").Changes
				if got := changes[len(changes)-1]; got.Result != "changed" || !strings.Contains(got.Message, "the next upgrade writes that CA again") {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

func flux(s map[string]*corev1.Secret) {
	for name, secret := range s {
		if strings.HasSuffix(name, "-cert") || strings.HasPrefix(name, "hubble-") {
			secret.Labels = map[string]string{"helm.toolkit.fluxcd.io/name": "cilium", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
		}
	}
}

// perPeer gives a cluster the configuration of a peer with copies of the peer's certificates.
func perPeer(t *testing.T, peer string, of pkitest.CA) func(map[string]*corev1.Secret) {
	t.Helper()
	client := of.Issue(t, pkitest.Spec{Name: "remote"})
	return func(s map[string]*corev1.Secret) {
		dir := "/var/lib/cilium/clustermesh/" + peer + ".etcd-client"
		s["cilium-kvstoremesh"].Data = map[string][]byte{
			peer:                         []byte("endpoints:\n- https://" + peer + ".mesh.cilium.io:32379\ntrusted-ca-file: " + dir + "-ca.crt\nkey-file: " + dir + ".key\ncert-file: " + dir + ".crt\n"),
			peer + ".etcd-client-ca.crt": of.CertPEM, peer + ".etcd-client.crt": client.CertPEM, peer + ".etcd-client.key": client.KeyPEM,
		}
	}
}

// TestField13Copies: what other clusters keep of the one that changes is in the steps, also where they are neither source nor target.
func TestField13Copies(t *testing.T) {
	t.Parallel()
	a, b, c := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	both := append(bytes.Clone(c.CertPEM), b.CertPEM...)
	us, _ := catest.Member(t, "us", catest.Install{CA: &a, Edit: perPeer(t, "eu", b)})
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &b, Edit: perPeer(t, "us", a)})
	ap, _ := catest.Member(t, "ap", catest.Install{CA: &c, UseBundle: true, Bundle: both})
	members := []*clusters.Member{us, eu}
	states := ca.ReadAll(t.Context(), members, time.Minute).States
	before := ca.Report(members, states, pkitest.Now)
	if got := findingsOf(before, "CA010"); len(got) > 0 {
		t.Errorf("two CAs with copies work: %+v", got)
	}
	p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute}, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	p.Others = ca.ReadAll(t.Context(), []*clusters.Member{ap}, time.Minute).States
	found := map[string][]string{}
	for _, s := range p.Report(members, "none").NextSteps {
		if strings.Contains(s.Reason, "copies of certificates of eu") || strings.Contains(s.Reason, "previous CA of eu") {
			found[s.Cluster] = append(found[s.Cluster], s.Objects...)
		}
	}
	want := map[string][]string{"us": {"secret/cilium-kvstoremesh[eu.etcd-client.crt]", "secret/cilium-kvstoremesh[eu.etcd-client-ca.crt]"}, "ap": {"configmap/cilium-root-ca.crt"}}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", found, want)
	}
}

// TestField08ReleaseOfTheSource: what is known of the source's installation is not written into the target.
func TestField08ReleaseOfTheSource(t *testing.T) {
	t.Parallel()
	a, b := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	bare := func(d *appsv1.Deployment, ds *appsv1.DaemonSet) { d.Annotations, ds.Annotations = nil, nil }
	us, _ := catest.Member(t, "us", catest.Install{CA: &a})
	eu, client := catest.Member(t, "eu", catest.Install{LeafCA: &b, Method: "hand", Workloads: bare, Objects: []runtime.Object{&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "clustermesh-apiserver-ca-cert", Namespace: catest.Namespace}, Data: b.CASecret(),
	}}})
	members := []*clusters.Member{us, eu}
	states := ca.ReadAll(t.Context(), members, time.Minute).States
	missing := findingsOf(ca.Report(members, states, pkitest.Now), "CA001")
	if len(missing) != 1 || !strings.Contains(missing[0].Message, "secret clustermesh-apiserver-ca-cert, a name that old charts used, contains the CA") || !strings.Contains(missing[0].Message, "which signed clustermesh-apiserver-server-cert") {
		t.Errorf("%+v", missing)
	}
	p, err := ca.Sync(states[0], states[1:], ca.Options{Timeout: time.Minute}, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Change().Apply(t.Context(), engine); err != nil {
		t.Fatal(err)
	}
	made, err := client.CoreV1().Secrets(catest.Namespace).Get(t.Context(), "cilium-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Labels)+len(made.Annotations) > 0 || !strings.Contains(strings.Join(p.Items[0].Notes, ";"), "without Helm's ownership marks: no Helm release is known in eu") {
		t.Errorf("labels %v, annotations %v, notes %v", made.Labels, made.Annotations, p.Items[0].Notes)
	}
	for _, s := range p.Report(members, "none").NextSteps {
		if strings.Contains(s.Command, "helm") {
			t.Errorf("no release is known, but %s", s.Command)
		}
	}
}

// TestFieldDJobNames: the step can be repeated, with the same CA, without the name of the former Job.
func TestFieldDJobNames(t *testing.T) {
	t.Parallel()
	old, now := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	m, _ := catest.Member(t, "eu", catest.Install{CA: &now, LeafCA: &old, Method: "certgen", CronJobs: []string{"hubble-generate-certs", "clustermesh-apiserver-generate-certs"}})
	s := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0]
	seen := map[string]bool{}
	for _, at := range []time.Time{pkitest.Now, pkitest.Now.Add(time.Second)} {
		for _, step := range ca.Next(s, now.Cert, at) {
			if strings.Contains(step.Command, "create job") {
				name := step.Command[strings.LastIndex(step.Command, " ")+1:]
				if seen[name] || len(name) > 63 {
					t.Errorf("%s", step.Command)
				}
				seen[name] = true
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
}

// TestField16SkippedPeer (case 08): an entry that Cilium skips is a finding, and the certificates beside it are shown.
func TestField16SkippedPeer(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	ended := one.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)})
	r := examine(t, catest.Install{CA: &one}, catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) {
		s["cilium-kvstoremesh"].Data = map[string][]byte{"us": []byte(`{"endpoints":["https://us.mesh.cilium.io:2379"]}`), "us.crt": ended.CertPEM, "us.key": ended.KeyPEM}
	}})
	if got := findingsOf(r, "CA027"); len(got) != 1 || got[0].Object != "secret/cilium-kvstoremesh[us]" {
		t.Errorf("%+v", got)
	}
	if got := findingsOf(r, "CA020"); len(got) != 1 || got[0].Object != "secret/cilium-kvstoremesh[us.crt]" || !strings.Contains(got[0].Message, "it expired on") {
		t.Errorf("%+v", got)
	}
	for _, p := range r.Trust {
		if p.Configured {
			t.Errorf("%+v", p)
		}
	}
}
