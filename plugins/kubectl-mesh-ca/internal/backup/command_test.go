package backup_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

// mesh is a set of fake clusters.
type mesh struct {
	members []*clusters.Member
	clients map[string]*fake.Clientset
	keys    [][]byte // what must be seen nowhere
}

func newMesh(t *testing.T, installs map[string]catest.Install) *mesh {
	t.Helper()
	m := &mesh{clients: map[string]*fake.Clientset{}}
	for _, name := range []string{"us", "eu", "ap"} {
		in, ok := installs[name]
		if !ok {
			continue
		}
		member, client := catest.Member(t, name, in)
		m.members, m.clients[name] = append(m.members, member), client
		if in.CA != nil {
			m.keys = append(m.keys, in.CA.KeyPEM)
		}
	}
	return m
}

// run runs the command line, and checks that no key shows.
func (m *mesh) run(t *testing.T, stdin string, args ...string) testkit.Result {
	t.Helper()
	r := testkit.Command{New: cmd.New, Members: m.members, Now: pkitest.Now, Stdin: stdin}.Run(t.Context(), t, args...)
	for _, key := range m.keys {
		for _, shown := range []string{r.Out, r.ErrOut} {
			if holdsKey(shown, key) {
				t.Errorf("%v shows a private key:\n%s", args, shown)
			}
		}
	}
	return r
}

// holdsKey looks for any line of a PEM key, plain or in base64.
func holdsKey(s string, key []byte) bool {
	lines := strings.Split(string(key), "\n")
	for _, line := range lines[1 : len(lines)-2] {
		if strings.Contains(s, line) {
			return true
		}
	}
	return strings.Contains(s, "PRIVATE KEY") || strings.Contains(s, base64.StdEncoding.EncodeToString(key)[:60])
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
		if err != nil || holdsKey(string(raw), us.KeyPEM) || bytes.Contains(raw, []byte("cilium-ca")) {
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

// TestBadFiles: each is one clear line, and nothing is written.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	us := pkitest.NewCA(t, pkitest.Spec{})
	leaf := us.Issue(t, pkitest.Spec{Name: "a leaf"})
	m := newMesh(t, map[string]catest.Install{"us": {CA: &us}, "eu": {CA: &us}})
	key, recipient := identity(t)
	other, _ := identity(t)
	dir := t.TempDir()
	good := filepath.Join(dir, "good.age")
	if r := m.run(t, "", "backup", "--in", "us", "-f", good, "--recipient", recipient); r.Code != 0 {
		t.Fatal(r.ErrOut)
	}
	raw, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := archive.ForRecipients([]string{recipient})
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(e archive.Entry) []byte {
		data, err := archive.Seal(archive.File{Created: pkitest.Now, Clusters: []archive.Entry{e}}, lock)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	put := func(name string, data []byte, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(file, data, mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	changed := bytes.Clone(raw)
	changed[len(changed)-30] ^= 1
	words := put("words", []byte("correct horse battery"), 0o600)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no such file":        {[]string{"--file", filepath.Join(dir, "none")}, "no such file"},
		"a directory":         {[]string{"--file", dir}, "is a directory"},
		"open to the group":   {[]string{"--file", put("group.age", raw, 0o640), "--identity", key}, "run: chmod 600 " + filepath.Join(dir, "group.age")},
		"open to the world":   {[]string{"--file", put("world.age", raw, 0o644), "--identity", key}, "(mode 0644), so that it may be known or changed; run: chmod 600"},
		"changed":             {[]string{"--file", put("changed.age", changed, 0o600), "--identity", key}, "cannot be authenticated"},
		"cut off":             {[]string{"--file", put("cut.age", raw[:len(raw)-9], 0o600), "--identity", key}, "changed or cut off"},
		"cut off early":       {[]string{"--file", put("stump.age", raw[:50], 0o600), "--identity", key}, "it is cut off"},
		"empty":               {[]string{"--file", put("empty.age", nil, 0o600), "--identity", key}, "the file is empty"},
		"something else":      {[]string{"--file", put("else.age", us.CertPEM, 0o600), "--identity", key}, "it is not a backup file of mesh-ca"},
		"another's key":       {[]string{"--file", good, "--identity", other}, "no identity opens it"},
		"no key":              {[]string{"--file", good}, "name the file with its secret key with --identity"},
		"a passphrase for it": {[]string{"--file", good, "--passphrase-file", words}, "name the file with its secret key with --identity"},
		"both":                {[]string{"--file", good, "--identity", key, "--passphrase-file", words}, "--identity and --passphrase-file cannot be used together"},
		"no identity":         {[]string{"--file", good, "--identity", words}, "it is not an identity file of age"},
		"of another cluster":  {[]string{"--file", good, "--identity", key}, `contains no CA of "eu"; it contains those of: us. To restore one of these, name it with --from`},
		"of no cluster":       {[]string{"--file", good, "--identity", key, "--from", "uk"}, `contains no CA of "uk"`},
		"from without file":   {[]string{"--backup", "x", "--from", "us"}, "need --file"},
		"file and backup":     {[]string{"--file", good, "--backup", "x"}, "--backup and --file cannot be used together"},
		"not a CA at all":     {[]string{"--file", put("nothing.age", sealed(archive.Entry{Cluster: "eu", Secret: "cilium-ca", Data: map[string][]byte{"ca.crt": []byte("x")}}), 0o600), "--identity", key}, "contains no CA certificate that parses"},
		"another Secret":      {[]string{"--file", put("other.age", sealed(archive.Entry{Cluster: "eu", Secret: "hubble-server-certs", Data: us.CASecret()}), 0o600), "--identity", key}, `it contains secret "hubble-server-certs"`},
		"unconfirmed":         {[]string{"--file", put("leaf.age", sealed(archive.Entry{Cluster: "eu", Secret: "cilium-ca", Data: leaf.CASecret()}), 0o600), "--identity", key}, "use --yes"},
	} {
		args := append([]string{"restore", "--in", "eu"}, c.args...)
		if name != "unconfirmed" {
			args = append(args, "--yes")
		}
		r := m.run(t, "", args...)
		last := r.ErrOut[strings.LastIndex(strings.TrimSuffix(r.ErrOut, "\n"), "\n")+1:]
		if r.Code != 1 || !strings.HasPrefix(last, "error: ") || !strings.Contains(last, c.want) {
			t.Errorf("%s: code %d, %q lacks %q", name, r.Code, last, c.want)
		}
		if w := m.writes(); w != nil {
			t.Fatalf("%s: wrote %q", name, w)
		}
	}
	// A certificate that may not sign is restored exactly, but the plan says what it is.
	r := m.run(t, "", "restore", "--in", "eu", "--file", filepath.Join(dir, "leaf.age"), "--identity", key, "--dry-run=server")
	if r.Code != 0 || !strings.Contains(r.Out, "the restored CA is not usable") {
		t.Errorf("a leaf certificate: code %d\n%s%s", r.Code, r.Out, r.ErrOut)
	}
}

// TestBackupWritesNoFile: a backup of all clusters or none.
func TestBackupWritesNoFile(t *testing.T) {
	t.Parallel()
	us := pkitest.NewCA(t, pkitest.Spec{})
	_, recipient := identity(t)
	for name, c := range map[string]struct {
		edit func(m *mesh)
		args []string
		want string
	}{
		"no cluster named":   {nil, []string{"backup", "-f", "FILE", "--recipient", recipient}, "--in is missing"},
		"both":               {nil, []string{"backup", "--all", "--in", "us", "-f", "FILE", "--recipient", recipient}, "--in and --all cannot be used together"},
		"no file":            {nil, []string{"backup", "--all", "--recipient", recipient}, "--file is missing"},
		"nothing to open it": {nil, []string{"backup", "--all", "-f", "FILE"}, "stdin is not a terminal; use --passphrase-file FILE or --recipient"},
		"short passphrase":   {nil, []string{"backup", "--all", "-f", "FILE", "--passphrase-file", "-"}, "it must have at least 12"},
		"bad recipient":      {nil, []string{"backup", "--all", "-f", "FILE", "--recipient", "bob"}, `--recipient "bob" is not a public key`},
		"no directory":       {nil, []string{"backup", "--all", "-f", "FILE/x", "--recipient", recipient}, "cannot be made"},
		"unknown cluster":    {nil, []string{"backup", "--in", "uk", "-f", "FILE", "--recipient", recipient}, `no cluster "uk"`},
		"a dead cluster":     {func(m *mesh) { m.members[1].Err = &failure.Error{Class: failure.Timeout, Err: errors.New("no answer")} }, []string{"backup", "--all", "-f", "FILE", "--recipient", recipient}, "eu could not be read; no file was written"},
		"a cluster without CA": {func(m *mesh) {
			_ = m.clients["eu"].Tracker().Delete(corev1.SchemeGroupVersion.WithResource("secrets"), catest.Namespace, "cilium-ca")
		}, []string{"backup", "--all", "-f", "FILE", "--recipient", recipient}, `cluster "eu": secret kube-system/cilium-ca does not exist; no file was written`},
	} {
		m := newMesh(t, map[string]catest.Install{"us": {CA: &us}, "eu": {CA: &us}})
		if c.edit != nil {
			c.edit(m)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "cas.age")
		for n := range c.args {
			c.args[n] = strings.Replace(c.args[n], "FILE", file, 1)
		}
		r := m.run(t, "short\n", c.args...)
		if r.Code != 1 || !strings.Contains(strings.ReplaceAll(r.ErrOut, file, "FILE"), c.want) || r.Out != "" {
			t.Errorf("%s: code %d, %q\n%s", name, r.Code, r.Out, r.ErrOut)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
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
	m.keys = append(m.keys, idle.KeyPEM, trusted.KeyPEM)
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
			m.keys = append(m.keys, idle.KeyPEM, trusted.KeyPEM, young.KeyPEM)
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
