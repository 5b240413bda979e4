package backup_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

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
		"open to the world":   {[]string{"--file", put("world.age", raw, 0o644), "--identity", key}, "(mode 0644), so its content may be known or changed; run: chmod 600"},
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
