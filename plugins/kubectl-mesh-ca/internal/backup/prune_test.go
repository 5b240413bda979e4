package backup_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// kept is a Secret as sync makes it.
func kept(t *testing.T, ca pkitest.CA, age time.Duration) *corev1.Secret {
	t.Helper()
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "cilium-ca-backup-" + pki.Short(pki.Fingerprint(ca.Cert)), Namespace: catest.Namespace, UID: types.UID("uid-" + pki.Short(pki.Fingerprint(ca.Cert))), ResourceVersion: "3",
		Labels:            map[string]string{"app.kubernetes.io/managed-by": "kubectl-mesh-ca", "mesh.kubectl.io/backup-of": "cilium-ca"},
		CreationTimestamp: metav1.Time{Time: pkitest.Now.Add(-age)},
	}, Data: ca.CASecret()}
}

// TestBackups: what is kept, and what uses it, in whichever cluster that is.
func TestBackups(t *testing.T) {
	t.Parallel()
	now, trusted, idle := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	// eu keeps trusted, which signed the leaf certificates of ap; us keeps idle, which nothing uses, and now, the CA of all.
	m := newMesh(t, map[string]catest.Install{
		"us": {CA: &now, Objects: []kruntime.Object{kept(t, idle, 40*pkitest.Day), kept(t, now, pkitest.Day)}},
		"eu": {CA: &now, Objects: []kruntime.Object{kept(t, trusted, 50*pkitest.Day)}},
		"ap": {CA: &now, LeafCA: &trusted},
	})
	m.take(idle, trusted)
	r := m.run(t, "", "backups", "-o", "json")
	doc := document[v1alpha1.CABackupList](t, r.Out)
	if r.Code != 0 || !doc.Complete || len(doc.Backups) != 3 {
		t.Fatalf("code %d, %+v\n%s", r.Code, doc, r.ErrOut)
	}
	got := map[string]string{}
	for _, b := range doc.Backups {
		got[b.Cluster+" "+b.Fingerprint[:8]] = b.State
	}
	short := func(ca pkitest.CA) string { return pki.Short(pki.Fingerprint(ca.Cert)) }
	if d := cmp.Diff(map[string]string{"us " + short(idle): "unused", "us " + short(now): "used", "eu " + short(trusted): "used"}, got); d != "" {
		t.Error(d)
	}
	for _, b := range doc.Backups {
		if b.Cluster == "eu" && !slices.ContainsFunc(b.Uses, func(u v1alpha1.CAUse) bool {
			return u.Cluster == "ap" && u.Object == "secret/clustermesh-apiserver-server-cert[tls.crt]" && u.How == "signed"
		}) {
			t.Errorf("uses of %s: %+v", b.Name, b.Uses)
		}
	}
	table := m.run(t, "", "backups").Out
	if !strings.Contains(table, "no") || !strings.Contains(table, "yes (") || strings.Contains(table, "secret/") {
		t.Errorf("table\n%s", table)
	}
	if r := m.run(t, "", "backups", "--in", "eu", "-o", "name"); r.Out != "secret/cilium-ca-backup-"+short(trusted)+"\n" {
		t.Errorf("names %q", r.Out)
	}
	if r := m.run(t, "", "backups", "--in", "ap"); r.Code != 0 || r.Out != "" || !strings.Contains(r.ErrOut, "No backups found") {
		t.Errorf("code %d %q %q", r.Code, r.Out, r.ErrOut)
	}
	m.members[2].Err = &failure.Error{Class: failure.Refused, Err: errors.New("connection refused")}
	r = m.run(t, "", "backups", "-o", "json")
	doc = document[v1alpha1.CABackupList](t, r.Out)
	if r.Code != 2 || doc.Complete || doc.Backups[0].State != "unknown" {
		t.Errorf("with a dead cluster: code %d, %+v", r.Code, doc.Backups)
	}
}

// TestPrune: only what nothing uses is deleted, and nothing at all when that is not certain.
func TestPrune(t *testing.T) {
	t.Parallel()
	now, trusted, idle, young := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	name := func(ca pkitest.CA) string { return "cilium-ca-backup-" + pki.Short(pki.Fingerprint(ca.Cert)) }
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	for what, c := range map[string]struct {
		edit func(t *testing.T, m *mesh)
		args []string
		code int
		want string   // on stderr, or in the table
		gone []string // deleted
	}{
		"unconfirmed":     {nil, nil, 1, "use --yes", nil},
		"dry run, client": {nil, []string{"--dry-run=client"}, 0, "planned", nil},
		"dry run, server": {nil, []string{"--dry-run=server"}, 0, "kept, because it was made 2d ago, less than 30d (--older-than)", nil},
		"default age":     {nil, []string{"--yes"}, 0, "kept, because it is in use: secret/", []string{"us delete " + name(idle)}},
		"any age":         {nil, []string{"--yes", "--older-than", "0"}, 0, "deleted", []string{"us delete " + name(idle), "us delete " + name(young)}},
		"another cluster": {nil, []string{"--yes", "--in", "eu"}, 0, "kept, because it is in use", nil},
		"no duration":     {nil, []string{"--older-than", "soon"}, 1, `"soon" is not a duration`, nil},
		"a dead cluster": {func(_ *testing.T, m *mesh) {
			m.members[2].Err = &failure.Error{Class: failure.Refused, Err: errors.New("connection refused")}
		}, []string{"--yes"}, 1, "ap could not be read; nothing was deleted", nil},
		"a Secret that may not be read": {func(_ *testing.T, m *mesh) {
			m.clients["ap"].PrependReactor("get", "secrets", func(a ktesting.Action) (bool, kruntime.Object, error) {
				if catest.As[ktesting.GetAction](a).GetName() != "hubble-server-certs" {
					return false, nil, nil
				}
				return true, nil, forbidden()
			})
		}, []string{"--yes"}, 1, "nothing was deleted: backups are deleted only if everything", nil},
		"a bundle that does not parse": {func(t *testing.T, m *mesh) {
			t.Helper()
			s := m.secret(t, "ap", "clustermesh-apiserver-remote-cert").DeepCopy()
			s.Data["ca.crt"] = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
			if err := m.clients["ap"].Tracker().Update(secrets, s, catest.Namespace); err != nil {
				t.Fatal(err)
			}
		}, []string{"--yes"}, 1, "cannot determine whether it is in use", nil},
		"a peer that was not read": {func(t *testing.T, m *mesh) {
			t.Helper()
			s := m.secret(t, "us", "cilium-kvstoremesh").DeepCopy()
			s.Data = map[string][]byte{"za": []byte("endpoints:\n- https://za.mesh.cilium.io:2379\n")}
			if err := m.clients["us"].Tracker().Update(secrets, s, catest.Namespace); err != nil {
				t.Fatal(err)
			}
		}, []string{"--yes"}, 1, `its peer "za" was not read`, nil},
		"a rotation": {func(t *testing.T, m *mesh) {
			t.Helper()
			if err := m.clients["ap"].Tracker().Add(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mesh-ca-rotation", Namespace: catest.Namespace, CreationTimestamp: metav1.Time{Time: pkitest.Now}}}); err != nil {
				t.Fatal(err)
			}
		}, []string{"--yes"}, 1, "a rotation of the CA is under way; finish or abort it first", nil},
		"a rotation that has just begun": {func(t *testing.T, m *mesh) {
			t.Helper()
			if err := m.clients["ap"].Tracker().Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cilium-ca-rotation", Namespace: catest.Namespace, CreationTimestamp: metav1.Time{Time: pkitest.Now}}}); err != nil {
				t.Fatal(err)
			}
		}, []string{"--yes"}, 1, "a rotation of the CA is under way; finish or abort it first", nil},
		"its Secret is missing": {func(t *testing.T, m *mesh) {
			t.Helper()
			s := kept(t, idle, 40*pkitest.Day)
			s.Name, s.UID, s.Labels["mesh.kubectl.io/backup-of"] = "hubble-server-certs-backup", "hubble", "hubble-server-certs"
			s.Data = idle.LeafSecrets(t, "us")["hubble-server-certs"]
			if err := errors.Join(m.clients["us"].Tracker().Add(s), m.clients["us"].Tracker().Delete(secrets, catest.Namespace, "hubble-server-certs")); err != nil {
				t.Fatal(err)
			}
		}, []string{"--yes"}, 0, "kept, because secret hubble-server-certs does not exist, although processes mount it", []string{"us delete " + name(idle)}},
		"no permission to read the lock": {func(_ *testing.T, m *mesh) {
			m.clients["ap"].PrependReactor("get", "configmaps", func(ktesting.Action) (bool, kruntime.Object, error) { return true, nil, forbidden() })
		}, []string{"--yes"}, 1, "nothing was deleted", nil},
		"no permission to list": {func(_ *testing.T, m *mesh) {
			m.clients["us"].PrependReactor("list", "secrets", func(ktesting.Action) (bool, kruntime.Object, error) { return true, nil, forbidden() })
		}, []string{"--yes"}, 1, "us could not be read", nil},
		"no permission to delete": {func(_ *testing.T, m *mesh) { catest.Deny(m.clients["us"], "delete", "") }, []string{"--yes"}, 1, "preflight failed", nil},
		"restored meanwhile": {func(t *testing.T, m *mesh) {
			t.Helper()
			m.clients["us"].PrependReactor("delete", "secrets", func(a ktesting.Action) (bool, kruntime.Object, error) {
				if catest.DryRun(a) { // in the preflight: another command puts the CA back
					s := m.secret(t, "ap", "cilium-ca").DeepCopy()
					s.Data = idle.CASecret()
					if err := m.clients["ap"].Tracker().Update(secrets, s, catest.Namespace); err != nil {
						t.Error(err)
					}
				}
				return false, nil, nil
			})
		}, []string{"--yes"}, 1, "changed since planning", nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := newMesh(t, map[string]catest.Install{
				"us": {CA: &now, Objects: []kruntime.Object{kept(t, idle, 40*pkitest.Day), kept(t, young, 2*pkitest.Day)}},
				"eu": {CA: &now, Objects: []kruntime.Object{kept(t, trusted, 50*pkitest.Day)}},
				"ap": {CA: &now, LeafCA: &trusted},
			})
			m.take(idle, trusted, young)
			if c.edit != nil {
				c.edit(t, m)
			}
			r := m.run(t, "", append([]string{"backups", "prune"}, c.args...)...)
			if r.Code != c.code || !strings.Contains(r.Out+r.ErrOut, c.want) {
				t.Errorf("code %d, want %d and %q\n%s%s", r.Code, c.code, c.want, r.Out, r.ErrOut)
			}
			if d := cmp.Diff(c.gone, m.writes()); d != "" {
				t.Errorf("writes (-want +got)\n%s", d)
			}
		})
	}
}
