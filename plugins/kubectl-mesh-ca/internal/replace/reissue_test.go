package replace_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

// byHand is a mesh of two CAs whose leaf certificates nobody issues.
func byHand(t *testing.T, edit func(secrets map[string]*corev1.Secret)) *mesh {
	t.Helper()
	us, eu := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	m := &mesh{}
	m.add(t, "us", catest.Install{CA: &us, Method: "hand", Edit: edit})
	m.add(t, "eu", catest.Install{CA: &eu, Method: "hand"})
	return m
}

// TestSyncAndReissue: one command, one question, and the clusters trust each other.
func TestSyncAndReissue(t *testing.T) {
	t.Parallel()
	m := byHand(t, nil)
	r := m.run(t, "sync", "--from", "us", "--to", "eu", "--reissue", "--yes")
	if r.Code != 0 {
		t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
	}
	golden(t, "sync-reissue.txt", r.Out)
	golden(t, "sync-reissue.err.txt", r.ErrOut)
	if got := m.writes("us"); got != nil {
		t.Errorf("the leaf certificates of us are from its CA, and were written: %v", got)
	}
	if r := m.run(t, "status", "--fail-on", "never", "-o", "jsonpath={.trust[*].verdict}"); r.Out != "ok ok" {
		t.Errorf("trust: %q", r.Out)
	}
	kept := m.secret(t, "eu", "clustermesh-apiserver-remote-cert-backup-"+former(t, m, "clustermesh-apiserver-remote-cert"))
	if !*kept.Immutable || kept.Labels["mesh.kubectl.io/backup-of"] != "clustermesh-apiserver-remote-cert" {
		t.Errorf("%+v", kept.ObjectMeta)
	}
	// Once more: nothing is left, and nobody is asked.
	if r := m.run(t, "sync", "--from", "us", "--to", "eu", "--reissue"); r.Code != 0 || strings.Contains(r.ErrOut, "?") {
		t.Errorf("again: code %d\n%s", r.Code, r.ErrOut)
	}
	// A kept leaf certificate is restored as it was.
	r = m.run(t, "restore", "--in", "eu", "--backup", kept.Name, "--yes", "-o", "name")
	if now := m.secret(t, "eu", "clustermesh-apiserver-remote-cert"); r.Code != 0 || !bytes.Equal(now.Data["tls.key"], kept.Data["tls.key"]) || strings.TrimSpace(r.Out) != "secret/"+kept.Name+"\nsecret/clustermesh-apiserver-remote-cert" && !strings.HasSuffix(strings.TrimSpace(r.Out), "secret/clustermesh-apiserver-remote-cert") {
		t.Errorf("code %d %q %s", r.Code, r.Out, r.ErrOut)
	}
}

// former is the short fingerprint in the name of the Secret that keeps a leaf certificate.
func former(t *testing.T, m *mesh, secret string) string {
	t.Helper()
	list, err := m.clients["eu"].CoreV1().Secrets(catest.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "mesh.kubectl.io/backup-of=" + secret})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(err, len(list.Items))
	}
	return strings.TrimPrefix(list.Items[0].Name, secret+"-backup-")
}

// TestSourceIsReencoded: what Helm cannot read is written in another form, and said.
func TestSourceIsReencoded(t *testing.T) {
	t.Parallel()
	m := byHand(t, func(s map[string]*corev1.Secret) {
		s["cilium-ca"].Data["ca.key"] = append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), s["cilium-ca"].Data["ca.key"]...)
	})
	r := m.run(t, "sync", "--from", "us", "--to", "eu", "--yes")
	if r.Code != 0 || !strings.Contains(r.Out, "ca.key (a block with EC PARAMETERS) of the source is written as plain PEM") {
		t.Fatalf("code %d\n%s%s", r.Code, r.Out, r.ErrOut)
	}
	key := m.secret(t, "eu", "cilium-ca").Data["ca.key"]
	if bytes.Contains(key, []byte("PARAMETERS")) || !bytes.Contains(m.secret(t, "us", "cilium-ca").Data["ca.key"], bytes.TrimSpace(key)) {
		t.Error("the key of eu is not that of us in plain form")
	}
}

// TestReissueChangesNothing has the cases in which sync --reissue must not begin.
func TestReissueChangesNothing(t *testing.T) {
	t.Parallel()
	sync := []string{"sync", "--from", "us", "--to", "eu", "--reissue", "--yes"}
	for name, tc := range map[string]struct {
		edit func(t *testing.T, m *mesh)
		args []string
		want string
	}{
		"restart alone":       {args: []string{"sync", "--from", "us", "--to", "eu", "--restart"}, want: "--helm and --restart need --reissue"},
		"partial":             {args: append(sync, "--allow-partial"), want: "--reissue and --allow-partial cannot be used together"},
		"no time":             {args: append(sync, "--wait", "0s"), want: "--wait must be greater than 0"},
		"nobody agrees":       {args: sync[:len(sync)-1], want: "use --yes"},
		"a rotation in one":   {edit: rotating, args: sync, want: "a rotation of the CA is under way in eu; nothing was changed"},
		"a rotation, plainly": {edit: rotating, args: []string{"sync", "--from", "us", "--to", "eu", "--yes"}, want: "kubectl mesh-ca rotate status --contexts kind-us,kind-eu"},
		"no permission for a leaf Secret": {edit: func(_ *testing.T, m *mesh) { catest.Deny(m.clients["eu"], "patch", pki.SecretServer) }, args: sync,
			want: "preflight failed; nothing was written in any cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := byHand(t, nil)
			if tc.edit != nil {
				tc.edit(t, m)
			}
			r := m.run(t, tc.args...)
			if r.Code != 1 || !strings.Contains(r.ErrOut, tc.want) || m.writes("eu") != nil {
				t.Errorf("code %d, %v\n%s", r.Code, m.writes("eu"), r.ErrOut)
			}
		})
	}
}

// TestRestoreDuringARotation: a former CA would end the trust between the clusters, and the rotation could neither go on nor be aborted. A cluster that was rebuilt
// while the others rotate their CA must get one again.
func TestRestoreDuringARotation(t *testing.T) {
	t.Parallel()
	for _, cluster := range []string{"eu", "us"} {
		m := byHand(t, nil)
		if r := m.run(t, "sync", "--from", "us", "--to", "eu", "--yes"); r.Code != 0 {
			t.Fatal(r.ErrOut)
		}
		rotatingIn(t, m, cluster)
		kept, err := m.clients["eu"].CoreV1().Secrets(catest.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "mesh.kubectl.io/backup-of=cilium-ca"})
		if err != nil || len(kept.Items) != 1 {
			t.Fatal(err, len(kept.Items))
		}
		before := m.secret(t, "eu", "cilium-ca")
		r := m.run(t, "restore", "--in", "eu", "--backup", kept.Items[0].Name, "--yes")
		same := cmp.Equal(before.Data, m.secret(t, "eu", "cilium-ca").Data)
		if refused := r.Code == 1 && same && strings.Contains(r.ErrOut, "a rotation of the CA is under way in eu; nothing was changed"); refused != (cluster == "eu") {
			t.Errorf("rotation in %s: code %d, the same CA: %t\n%s", cluster, r.Code, same, r.ErrOut)
		}
	}
}

func rotating(t *testing.T, m *mesh) { rotatingIn(t, m, "eu") }

func rotatingIn(t *testing.T, m *mesh, cluster string) {
	t.Helper()
	_, err := m.clients[cluster].CoreV1().ConfigMaps(catest.Namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mesh-ca-rotation", Namespace: catest.Namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReissueDocument: the document has the phases, and shows leaf certificates as fingerprints.
func TestReissueDocument(t *testing.T) {
	t.Parallel()
	m := byHand(t, nil)
	r := m.run(t, "sync", "--from", "us", "--to", "eu", "--reissue", "--yes", "-o", "json")
	var doc v1alpha1.CAChangeReport
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 || !doc.Complete || len(doc.Phases) != 2 || doc.Phases[0].Name != "sync" || doc.Phases[1].Name != "re-issue" || doc.Phases[1].TookMs == nil || doc.RetryCommand != "" {
		t.Errorf("%d, complete %v, %+v", r.Code, doc.Complete, doc.Phases)
	}
	for _, c := range doc.Changes {
		if c.Object == "secret/"+pki.SecretServer && (c.Result != "changed" || len(*c.Before["fingerprint"]) != 64 || *c.Before["fingerprint"] == *c.After["fingerprint"]) {
			t.Errorf("%+v", c)
		}
	}
}

// TestFaultsOfReissue: the promises of every write hold for what follows a sync too.
func TestFaultsOfReissue(t *testing.T) {
	t.Parallel()
	us, eu := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	few := func(s map[string]*corev1.Secret) {
		for _, spec := range pki.LeafSpecs() {
			if spec.Secret != pki.SecretRemote && spec.Secret != pki.SecretServer {
				delete(s, spec.Secret)
			}
		}
	}
	installs := map[string]catest.Install{"us": {CA: &us, Method: "hand", Edit: few}, "eu": {CA: &eu, Method: "hand", Edit: few}}
	signed := installs["eu"]
	signed.LeafCA = &eu
	installs["eu"] = signed
	c := testkit.Change{
		Mesh: func(t *testing.T) *testkit.Mesh {
			t.Helper()
			m := &testkit.Mesh{}
			for _, name := range []string{"us", "eu"} {
				member, client := catest.Member(t, name, installs[name])
				m.Add(member, client)
			}
			return m
		},
		Command: func(m *testkit.Mesh) testkit.Command {
			return testkit.Command{New: cmd.New, Members: m.Members, Now: pkitest.Now}
		},
		Args: []string{"sync", "--from", "us", "--to-all", "--reissue", "--yes"},
		// Each mesh has leaf certificates of its own: what is kept of one is compared by what it is kept of, and a leaf certificate by its CA file.
		Content: func(t *testing.T, m *testkit.Mesh, c v1alpha1.Change) string {
			t.Helper()
			of, _, isBackup := strings.Cut(strings.TrimPrefix(c.Object, "secret/"), "-backup-")
			if !isBackup || of == pki.SecretCA {
				return data(t, m, c)
			}
			list, err := m.API[c.Cluster].CoreV1().Secrets(c.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "mesh.kubectl.io/backup-of=" + of})
			if err != nil || len(list.Items) == 0 {
				return ""
			}
			return of
		},
	}
	testkit.CheckFaults(t, c)
	c.Args = c.Args[:len(c.Args)-1]
	testkit.CheckUnconfirmed(t, c)
}
