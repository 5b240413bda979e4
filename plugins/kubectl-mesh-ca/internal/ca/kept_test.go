package ca_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// keptSecret keeps data that a Secret had before.
func keptSecret(of string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: of + "-backup", Namespace: catest.Namespace, UID: "uid-kept", ResourceVersion: "2",
		Labels: map[string]string{"mesh.kubectl.io/backup-of": of}, CreationTimestamp: metav1.Time{Time: pkitest.Now.Add(-100 * pkitest.Day)}}, Data: data}
}

// judge returns the one backup in us, what is read of both clusters, and the gaps.
func judge(t *testing.T, us, eu catest.Install) (*ca.KeptSecret, []*ca.State, []string) {
	t.Helper()
	a, _ := catest.Member(t, "us", us)
	b, _ := catest.Member(t, "eu", eu)
	read := ca.ReadAll(t.Context(), []*clusters.Member{a, b}, time.Minute)
	ca.ReadReleases(t.Context(), read.States, time.Minute)
	kept, failed := ca.ReadBackups(t.Context(), read.States, time.Minute)
	if len(kept) != 1 || len(failed) > 0 || len(read.States) != 2 {
		t.Fatalf("%d backups, failed %v", len(kept), failed)
	}
	return kept[0], read.States, ca.Gaps(read.States)
}

// TestUses: trust is a matter of keys, in whichever file of whichever cluster a certificate is.
func TestUses(t *testing.T) {
	t.Parallel()
	now, old, third := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	again := pkitest.NewCA(t, pkitest.Spec{Name: "another name", Key: old.Key})
	cross := old.Intermediate(t, pkitest.Spec{Key: now.Key}) // the key of now, signed by old
	join := func(certs ...pkitest.CA) []byte {
		var out []byte
		for _, c := range certs {
			out = append(out, c.CertPEM...)
		}
		return out
	}
	set := func(secret, key string, data []byte) func(map[string]*corev1.Secret) {
		return func(s map[string]*corev1.Secret) {
			s[secret].Data[key] = data
		}
	}
	stale := pkitest.Now.Add(-2 * pkitest.Day)
	for name, c := range map[string]struct {
		kept   *corev1.Secret // that of old by default
		us, eu catest.Install
		want   []string // "cluster object how"
	}{
		"nothing": {},
		"the CA of another cluster": {eu: catest.Install{CA: &old, LeafCA: &now},
			want: []string{"eu secret/cilium-ca[ca.crt] holds", "eu secret/cilium-ca[ca.key] key"}},
		"issued again under its key, with another name": {eu: catest.Install{Edit: set("clustermesh-apiserver-remote-cert", "ca.crt", join(now, again))},
			want: []string{"eu secret/clustermesh-apiserver-remote-cert[ca.crt] holds"}},
		"a cross certificate that it signed": {eu: catest.Install{Edit: set("clustermesh-apiserver-server-cert", "tls.crt", join(now.Issue(t, pkitest.Spec{}), cross))},
			want: []string{"eu secret/clustermesh-apiserver-server-cert[tls.crt] signed"}},
		"only its key, beside another certificate": {eu: catest.Install{Edit: set("cilium-ca", "ca.key", old.KeyPEM)},
			want: []string{"eu secret/cilium-ca[ca.key] key"}},
		"a bundle": {eu: catest.Install{UseBundle: true, Bundle: join(now, old)},
			want: []string{"eu configmap/cilium-root-ca.crt[ca.crt] holds"}},
		"a copy for one peer": {us: catest.Install{Edit: set("cilium-kvstoremesh", "eu.etcd-client-ca.crt", join(old))},
			want: []string{"us secret/cilium-kvstoremesh[eu.etcd-client-ca.crt] holds"}},
		"an etcd that has not read its file again": {us: catest.Install{EtcdStarted: stale},
			want: []string{"us deployment/clustermesh-apiserver loaded"}},
		"an etcd of another cluster":         {eu: catest.Install{EtcdStarted: stale}},
		"a bundle, kept, whose key is old's": {kept: keptSecret("cilium-ca", map[string][]byte{"ca.crt": join(old, now), "ca.key": old.KeyPEM})},
		"a bundle, kept, whose key is now's": {kept: keptSecret("cilium-ca", map[string][]byte{"ca.crt": join(old, third), "ca.key": third.KeyPEM}),
			eu: catest.Install{Edit: set("clustermesh-apiserver-remote-cert", "ca.crt", join(now, third))}, want: []string{"eu secret/clustermesh-apiserver-remote-cert[ca.crt] holds"}},
		"a CA, kept without its key": {kept: keptSecret("cilium-ca", map[string][]byte{"ca.crt": old.CertPEM}),
			eu: catest.Install{Edit: set("clustermesh-apiserver-remote-cert", "ca.crt", join(now, old))}, want: []string{"eu secret/clustermesh-apiserver-remote-cert[ca.crt] holds"}},
		"a leaf certificate, kept, that was replaced": {kept: keptSecret("hubble-server-certs", old.LeafSecrets(t, "us")["hubble-server-certs"])},
		"nothing that parses":                         {kept: keptSecret("cilium-ca", map[string][]byte{"ca.crt": []byte("x")})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.kept == nil {
				c.kept = keptSecret("cilium-ca", old.CASecret())
			}
			for _, in := range []*catest.Install{&c.us, &c.eu} {
				if in.CA == nil {
					in.CA = &now
				}
			}
			c.us.Objects = append(c.us.Objects, c.kept)
			k, states, gaps := judge(t, c.us, c.eu)
			var got []string
			for _, u := range k.Uses(states) {
				got = append(got, u.Cluster+" "+u.Object+" "+u.How)
			}
			if !slices.Equal(got, c.want) || len(gaps) > 0 {
				t.Errorf("%q, want %q; gaps %q", got, c.want, gaps)
			}
			wanted := v1alpha1.BackupUnused
			switch {
			case len(c.want) > 0:
				wanted = v1alpha1.BackupUsed
			case strings.Contains(name, "parses"):
				wanted = v1alpha1.BackupUnknown
			}
			if doc := k.Document(k.Uses(states), gaps); doc.State != wanted {
				t.Errorf("state %s, want %s", doc.State, wanted)
			}
			if doc := k.Document(nil, []string{"a gap"}); doc.State != v1alpha1.BackupUnknown {
				t.Errorf("with a gap: state %s", doc.State)
			}
		})
	}
}

// TestUseInHelmValues: the next upgrade would write that CA.
func TestUseInHelmValues(t *testing.T) {
	t.Parallel()
	now, old := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	values := record(t, fmt.Sprintf(`{"chart":{"metadata":{"name":"cilium"}},"config":{"tls":{"ca":{"cert":%q,"key":"x"}}}}`, base64.StdEncoding.EncodeToString(old.CertPEM)))
	k, states, _ := judge(t, catest.Install{CA: &now, Objects: []runtime.Object{keptSecret("cilium-ca", old.CASecret()), values}}, catest.Install{CA: &now})
	uses := k.Uses(states)
	if len(uses) != 1 || uses[0].Object != "helm/cilium[tls.ca.cert]" || uses[0].How != v1alpha1.UseHolds {
		t.Errorf("%+v", uses)
	}
}

// TestPrunePlan: each reason to keep a backup, and the order in which they count.
func TestPrunePlan(t *testing.T) {
	t.Parallel()
	now, old := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	unused, states, _ := judge(t, catest.Install{CA: &now, Objects: []runtime.Object{keptSecret("cilium-ca", old.CASecret())}}, catest.Install{CA: &now})
	used, usedStates, _ := judge(t, catest.Install{CA: &now, Objects: []runtime.Object{keptSecret("cilium-ca", old.CASecret())}}, catest.Install{CA: &now, LeafCA: &old})
	broken, brokenStates, _ := judge(t, catest.Install{CA: &now, Objects: []runtime.Object{keptSecret("cilium-ca", map[string][]byte{"ca.crt": []byte("x")})}}, catest.Install{CA: &now})
	rotation := map[string]time.Time{"eu": pkitest.Now}
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		kept   *ca.KeptSecret
		ev     ca.Evidence
		older  time.Duration
		result string
		why    string
	}{
		"unused":                {unused, ca.Evidence{States: states}, 30 * day, v1alpha1.ResultPlanned, ""},
		"unused, at the age":    {unused, ca.Evidence{States: states}, 100 * day, v1alpha1.ResultPlanned, ""},
		"unused, younger":       {unused, ca.Evidence{States: states}, 101 * day, v1alpha1.ResultSkipped, "made 100d ago, less than 101d"},
		"a gap":                 {unused, ca.Evidence{States: states, Gaps: []string{"no permission"}}, 0, v1alpha1.ResultRefused, "no permission"},
		"a rotation":            {unused, ca.Evidence{States: states, Rotations: rotation}, 0, v1alpha1.ResultRefused, "a rotation is under way"},
		"in use":                {used, ca.Evidence{States: usedStates}, 0, v1alpha1.ResultSkipped, "in use"},
		"in use, and a gap":     {used, ca.Evidence{States: usedStates, Gaps: []string{"no permission"}}, 0, v1alpha1.ResultSkipped, "in use"},
		"does not parse":        {broken, ca.Evidence{States: brokenStates}, 0, v1alpha1.ResultSkipped, "delete it by hand"},
		"in use, in a rotation": {used, ca.Evidence{States: usedStates, Rotations: rotation}, 0, v1alpha1.ResultRefused, "a rotation is under way"},
	} {
		i := ca.Prune([]*ca.KeptSecret{c.kept}, c.ev, c.older, pkitest.Now).Items[0]
		if i.Result != c.result || !strings.Contains(i.Message, c.why) {
			t.Errorf("%s: %s %q, want %s %q", name, i.Result, i.Message, c.result, c.why)
		}
	}
}

// TestUnpack: a backup file says which Secret it holds; a file that is not about cilium-ca is not restored.
func TestUnpack(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	m, _ := catest.Member(t, "us", catest.Install{CA: &one})
	e, notes, err := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0].Entry()
	if err != nil || len(notes) > 0 || e.Fingerprint != pki.Fingerprint(one.Cert) || e.Owner != "helm/cilium" || e.Annotations["meta.helm.sh/release-name"] != "cilium" {
		t.Fatalf("%+v, %v, %v", e.Annotations, notes, err)
	}
	s, err := ca.Unpack(e)
	if err != nil || !bytes.Equal(s.Data["ca.key"], one.KeyPEM) || s.Labels["mesh.kubectl.io/backup-of"] != "cilium-ca" {
		t.Errorf("%v", err)
	}
	for _, change := range []func(map[string][]byte){
		func(d map[string][]byte) { delete(d, "ca.key") },
		func(d map[string][]byte) { d["ca.key"] = pkitest.NewCA(t, pkitest.Spec{}).KeyPEM },
		func(d map[string][]byte) { d["ca.crt"] = []byte("x") },
	} {
		m, _ := catest.Member(t, "us", catest.Install{CA: &one, Edit: func(s map[string]*corev1.Secret) { change(s["cilium-ca"].Data) }})
		if _, notes, err := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0].Entry(); err != nil || len(notes) != 1 {
			t.Errorf("notes %q, %v", notes, err)
		}
	}
}
