package backup_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/keytest"
)

// mesh is a set of fake clusters.
type mesh struct {
	members []*clusters.Member
	clients map[string]*fake.Clientset
	keys    *keytest.Keyring // what must be seen nowhere
}

func newMesh(t *testing.T, installs map[string]catest.Install) *mesh {
	t.Helper()
	m := &mesh{clients: map[string]*fake.Clientset{}, keys: keytest.New()}
	for _, name := range []string{"us", "eu", "ap"} {
		in, ok := installs[name]
		if !ok {
			continue
		}
		member, client := catest.Member(t, name, in)
		m.members, m.clients[name] = append(m.members, member), client
		if in.CA != nil {
			m.keys.Take(in.CA.KeyPEM)
		}
	}
	return m
}

// take adds the keys of CAs to those that must be seen nowhere.
func (m *mesh) take(authorities ...pkitest.CA) {
	for _, ca := range authorities {
		m.keys.Take(ca.KeyPEM)
	}
}

// run runs the command line, and checks that no key shows.
func (m *mesh) run(t *testing.T, stdin string, args ...string) testkit.Result {
	t.Helper()
	r := testkit.Command{New: cmd.New, Members: m.members, Now: pkitest.Now, Stdin: stdin}.Run(t.Context(), t, args...)
	m.keys.Search(t, fmt.Sprint(args), r.Out+r.ErrOut)
	return r
}

// writes are what was written to all clusters, without dry runs.
func (m *mesh) writes() []string {
	var out []string
	for _, name := range []string{"us", "eu", "ap"} {
		if m.clients[name] == nil {
			continue
		}
		for _, w := range catest.Writes(m.clients[name]) {
			if !strings.HasPrefix(w, "dry-run") {
				out = append(out, name+" "+w)
			}
		}
	}
	return out
}

func (m *mesh) secret(t *testing.T, cluster, name string) *corev1.Secret {
	t.Helper()
	obj, err := m.clients[cluster].Tracker().Get(corev1.SchemeGroupVersion.WithResource("secrets"), catest.Namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return catest.As[*corev1.Secret](obj)
}

// identity writes an age identity to a file, and returns it with its recipient.
func identity(t *testing.T) (file, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, id.Recipient().String()
}

func document[T any](t *testing.T, out string) T {
	t.Helper()
	var doc T
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return doc
}

// TestBackupAndRestore: the way to a file and back, with a recipient and with a passphrase.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	us, eu := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
	m := newMesh(t, map[string]catest.Install{"us": {CA: &us}, "eu": {CA: &eu}})
	key, recipient := identity(t)
	dir := t.TempDir()
	words := filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ seal, open []string }{
		"recipient":  {[]string{"--recipient", recipient}, []string{"--identity", key}},
		"passphrase": {[]string{"--passphrase-file", words}, []string{"--passphrase-file", "-"}},
	} {
		file := filepath.Join(dir, name+".age")
		r := m.run(t, "", append([]string{"backup", "--all", "-f", file, "-o", "json"}, c.seal...)...)
		doc := document[v1alpha1.CABackupReport](t, r.Out)
		if r.Code != 0 || !doc.Complete || len(doc.Clusters) != 2 || doc.Clusters[1].Fingerprint != pki.Fingerprint(eu.Cert) || doc.File != file || len(doc.RestoreCommands) != 2 {
			t.Fatalf("%s: code %d, %+v\n%s", name, r.Code, doc, r.ErrOut)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		raw, err := os.ReadFile(file)
		if form, _ := m.keys.Find(string(raw)); err != nil || form != "" || bytes.Contains(raw, []byte("cilium-ca")) {
			t.Errorf("%s: the file shows what is in it (%v)", name, err)
		}
		// The same file again: it is not replaced.
		if r := m.run(t, "", append([]string{"backup", "--all", "-f", file}, c.seal...)...); r.Code != 1 || !strings.Contains(r.ErrOut, "exists already") {
			t.Errorf("%s again: code %d, %s", name, r.Code, r.ErrOut)
		}
		if again, err := os.ReadFile(file); err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
			t.Errorf("%s: %q is left (%v)", name, left, err)
		}

		restore := append([]string{"restore", "--in", "eu", "--file", file, "--yes"}, c.open...)
		if r := m.run(t, "correct horse battery\n", restore...); r.Code != 0 || !strings.Contains(r.Out, "unchanged") {
			t.Errorf("%s: restore of what is there: code %d\n%s%s", name, r.Code, r.Out, r.ErrOut)
		}
		// The CA of us, in eu, and back again.
		r = m.run(t, "correct horse battery\n", append(restore, "--from", "us")...)
		if now := m.secret(t, "eu", "cilium-ca"); r.Code != 0 || !bytes.Equal(now.Data["ca.key"], us.KeyPEM) || now.Annotations["meta.helm.sh/release-name"] != "cilium" {
			t.Errorf("%s: code %d\n%s%s", name, r.Code, r.Out, r.ErrOut)
		}
		kept := m.secret(t, "eu", "cilium-ca-backup-"+pki.Short(pki.Fingerprint(eu.Cert)))
		if !bytes.Equal(kept.Data["ca.key"], eu.KeyPEM) || !strings.Contains(r.ErrOut, "--backup "+kept.Name) {
			t.Errorf("%s: the former CA was not kept\n%s", name, r.ErrOut)
		}
		if r := m.run(t, "correct horse battery\n", restore...); r.Code != 0 || !bytes.Equal(m.secret(t, "eu", "cilium-ca").Data["ca.key"], eu.KeyPEM) {
			t.Errorf("%s: back: code %d\n%s", name, r.Code, r.ErrOut)
		}
	}
}

// TestRestoreAfterRebuild: a cluster that was rebuilt gets its CA back before Cilium is installed, with the marks by which Helm adopts it.
func TestRestoreAfterRebuild(t *testing.T) {
	t.Parallel()
	us := pkitest.NewCA(t, pkitest.Spec{})
	m := newMesh(t, map[string]catest.Install{"us": {CA: &us}})
	key, recipient := identity(t)
	file := filepath.Join(t.TempDir(), "us.age")
	if r := m.run(t, "", "backup", "--in", "us", "-f", file, "--recipient", recipient); r.Code != 0 || !strings.Contains(r.ErrOut, "restore --in us --file "+file) {
		t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
	}
	client := fake.NewClientset()
	catest.Tame(client)
	m.members[0] = &clusters.Member{Name: "us", Context: "kind-us", Client: client, Err: &failure.Error{Class: failure.NoCilium, Err: errors.New("no ConfigMap cilium-config")}}
	m.clients["us"] = client
	if r := m.run(t, "", "restore", "--in", "us", "--file", file, "--identity", key, "--yes"); r.Code != 1 || !strings.Contains(r.ErrOut, "say where with --cilium-namespace") {
		t.Errorf("code %d\n%s", r.Code, r.ErrOut)
	}
	r := m.run(t, "", "restore", "--in", "us", "--file", file, "--identity", key, "--yes", "--cilium-namespace", catest.Namespace)
	if r.Code != 0 {
		t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
	}
	made := m.secret(t, "us", "cilium-ca")
	if !bytes.Equal(made.Data["ca.key"], us.KeyPEM) || made.Labels["app.kubernetes.io/managed-by"] != "Helm" || made.Annotations["meta.helm.sh/release-name"] != "cilium" {
		t.Errorf("%+v", made.ObjectMeta)
	}
}

// TestSyncBackupFile: the former CAs are in the file before the first of them is replaced.
func TestSyncBackupFile(t *testing.T) {
	t.Parallel()
	us, eu := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	key, recipient := identity(t)
	file := filepath.Join(t.TempDir(), "former.age")
	m := newMesh(t, map[string]catest.Install{"us": {CA: &us}, "eu": {CA: &eu}, "ap": {CA: &us}})
	there := false
	m.clients["eu"].PrependReactor("create", "secrets", func(a ktesting.Action) (bool, kruntime.Object, error) {
		if !catest.DryRun(a) {
			_, err := os.Stat(file)
			there = err == nil
		}
		return false, nil, nil
	})
	for _, args := range [][]string{{"--dry-run=server"}, {"--dry-run=client"}, {}} {
		r := m.run(t, "", append([]string{"sync", "--from", "us", "--to-all", "--backup-file", file, "--recipient", recipient}, args...)...)
		if _, err := os.Stat(file); err == nil || m.writes() != nil {
			t.Fatalf("%v wrote the file or a cluster\n%s", args, r.ErrOut)
		}
	}
	r := m.run(t, "", "sync", "--from", "us", "--to-all", "--yes", "--backup-file", file, "--recipient", recipient)
	if r.Code != 0 || !there || !strings.Contains(r.ErrOut, "The previous CAs (1) are also in "+file) {
		t.Fatalf("code %d, file there first: %v\n%s", r.Code, there, r.ErrOut)
	}
	if r := m.run(t, "", "restore", "--in", "eu", "--file", file, "--identity", key, "--yes"); r.Code != 0 || !bytes.Equal(m.secret(t, "eu", "cilium-ca").Data["ca.key"], eu.KeyPEM) {
		t.Errorf("code %d\n%s", r.Code, r.ErrOut)
	}
	if r := m.run(t, "", "sync", "--from", "us", "--to-all", "--yes", "--backup-file", file, "--recipient", recipient); r.Code != 1 || !strings.Contains(r.ErrOut, "exists already") {
		t.Errorf("code %d\n%s", r.Code, r.ErrOut)
	}
	if r := m.run(t, "", "sync", "--from", "us", "--to-all", "--yes", "--recipient", recipient); r.Code != 1 || !strings.Contains(r.ErrOut, "need --backup-file") {
		t.Errorf("code %d\n%s", r.Code, r.ErrOut)
	}
	if r := m.run(t, "", "sync", "--from", "us", "--to", "ap", "--yes", "--backup-file", file+"2", "--recipient", recipient); r.Code != 0 {
		t.Errorf("nothing to do: code %d\n%s", r.Code, r.ErrOut)
	}
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("a file without a CA was written")
	}
}
