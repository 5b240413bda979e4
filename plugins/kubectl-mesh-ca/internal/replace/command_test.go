package replace_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

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

// mesh is a set of fake clusters and what a command made of them.
type mesh struct {
	members []*clusters.Member
	clients map[string]*fake.Clientset
	keys    *keytest.Keyring // what must be seen nowhere
}

func (m *mesh) add(t *testing.T, name string, in catest.Install) {
	t.Helper()
	member, client := catest.Member(t, name, in)
	m.join(name, member, client)
	for _, ca := range []*pkitest.CA{in.CA, in.LeafCA} {
		if ca != nil {
			m.keys.Take(ca.KeyPEM)
		}
	}
}

func (m *mesh) join(name string, member *clusters.Member, client *fake.Clientset) {
	if m.clients == nil {
		m.clients, m.keys = map[string]*fake.Clientset{}, keytest.New()
	}
	m.members, m.clients[name] = append(m.members, member), client
}

// dead adds a cluster that does not answer.
func (m *mesh) dead(name string, class failure.Class) {
	m.join(name, &clusters.Member{Name: name, Context: "kind-" + name, Server: "https://" + name, Err: &failure.Error{Class: class, Err: errors.New("connection refused")}}, nil)
}

// run runs the command line in a terminal-less process and checks that no key shows.
func (m *mesh) run(t *testing.T, args ...string) testkit.Result {
	t.Helper()
	return m.runIn(t.Context(), t, args...)
}

func (m *mesh) runIn(ctx context.Context, t *testing.T, args ...string) testkit.Result {
	t.Helper()
	r := testkit.Command{New: cmd.New, Members: m.members, Now: pkitest.Now}.Run(ctx, t, args...)
	m.keys.Search(t, fmt.Sprint(args), r.Out+r.ErrOut)
	return r
}

func (m *mesh) writes(name string) []string {
	var out []string
	for _, w := range catest.Writes(m.clients[name]) {
		if !strings.HasPrefix(w, "dry-run") {
			out = append(out, w)
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

// edit changes a Secret in an API server before the command runs.
func (m *mesh) edit(t *testing.T, cluster, name string, change func(*corev1.Secret)) {
	t.Helper()
	obj := m.secret(t, cluster, name).DeepCopy()
	change(obj)
	if err := m.clients[cluster].Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), obj, catest.Namespace); err != nil {
		t.Fatal(err)
	}
}

// three is the situation of the walk-throughs: three clusters with three CAs.
func three(t *testing.T) (*mesh, pkitest.CA, pkitest.CA, pkitest.CA) {
	t.Helper()
	us, eu, ap := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	m := &mesh{}
	m.add(t, "us", catest.Install{CA: &us})
	m.add(t, "eu", catest.Install{CA: &eu})
	m.add(t, "ap", catest.Install{CA: &ap})
	return m, us, eu, ap
}

// golden compares with a file after fingerprints and key ids, which are random, were given names.
func golden(t *testing.T, name, got string) {
	t.Helper()
	seen := map[string]string{}
	got = regexp.MustCompile(`\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b|\b[0-9a-f]{8}\b`).ReplaceAllStringFunc(got, func(s string) string {
		if seen[s] == "" {
			seen[s] = strings.Repeat(string(rune('A'+len(seen))), min(len(s), 8))
		}
		return seen[s]
	})
	testkit.Golden(t, name, got)
}

func TestStatusOfThreeCAs(t *testing.T) {
	t.Parallel()
	m, us, _, _ := three(t)
	r := m.run(t, "status")
	if r.Code != 1 || r.ErrOut != "" {
		t.Errorf("code %d, stderr %q", r.Code, r.ErrOut)
	}
	golden(t, "status.txt", r.Out)

	r = m.run(t, "status", "-o", "json")
	var doc v1alpha1.CAReport
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Kind != "CAReport" || !doc.Complete || len(doc.Clusters) != 3 || len(doc.Trust) != 6 {
		t.Errorf("%s complete=%v, %d clusters, %d pairs", doc.Kind, doc.Complete, len(doc.Clusters), len(doc.Trust))
	}
	if got := doc.Clusters[0].CA.Fingerprint; got != pki.Fingerprint(us.Cert) {
		t.Errorf("fingerprint %s", got)
	}
	for _, p := range doc.Trust {
		if p.Verdict != "broken" {
			t.Errorf("%s to %s is %s", p.Client, p.Server, p.Verdict)
		}
	}
	for _, w := range m.clients {
		if got := catest.Writes(w); got != nil {
			t.Errorf("status wrote %v", got)
		}
		for _, a := range w.Actions() {
			if list, ok := a.(ktesting.ListActionImpl); ok && a.GetResource().Resource == "secrets" && !list.ListRestrictions.Labels.Empty() {
				continue // backups, and the records of the Helm release
			}
			if a.GetVerb() != "get" && (a.GetVerb() != "list" || a.GetResource().Resource != "pods") {
				t.Errorf("status did %s %s", a.GetVerb(), a.GetResource().Resource)
			}
		}
	}
}

func TestStatusWithADeadCluster(t *testing.T) {
	t.Parallel()
	m, _, _, _ := three(t)
	m.dead("za", failure.Refused)
	r := m.run(t, "status")
	if r.Code != 2 || !strings.Contains(r.Out, "? (refused)") || !strings.Contains(r.ErrOut, "error: cluster za (context kind-za): refused") {
		t.Errorf("code %d\n%s\n%s", r.Code, r.Out, r.ErrOut)
	}
	var doc v1alpha1.CAReport
	if err := json.Unmarshal([]byte(m.run(t, "status", "-o", "json").Out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Complete || len(doc.Members) != 4 || len(doc.Clusters) != 3 || doc.Members[3].Error.Class != "refused" {
		t.Errorf("%+v", doc.Document)
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	m, us, eu, ap := three(t)
	r := m.run(t, "sync", "--from", "us", "--to-all", "--yes")
	if r.Code != 0 {
		t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
	}
	golden(t, "sync.txt", r.Out)
	golden(t, "sync.err.txt", r.ErrOut)
	for name, old := range map[string]pkitest.CA{"eu": eu, "ap": ap} {
		backup := "cilium-ca-backup-" + pki.Short(pki.Fingerprint(old.Cert))
		if diff := cmp.Diff([]string{"create " + backup, "patch cilium-ca", "patch cilium-ca"}, m.writes(name)); diff != "" {
			t.Errorf("%s: the backup must come first, then the mark (-want +got)\n%s", name, diff)
		}
		kept := m.secret(t, name, backup)
		if !*kept.Immutable || !bytes.Equal(kept.Data["ca.key"], old.KeyPEM) || kept.Labels["app.kubernetes.io/managed-by"] != "kubectl-mesh-ca" || kept.Annotations["meta.helm.sh/release-name"] != "" {
			t.Errorf("%s: backup %+v", name, kept.ObjectMeta)
		}
		want := map[string]any{
			"metadata": map[string]any{"uid": "uid-cilium-ca", "resourceVersion": "7", "annotations": map[string]any{"mesh.kubectl.io/ca-change": nil}},
			"data":     map[string]any{"ca.crt": base64.StdEncoding.EncodeToString(us.CertPEM), "ca.key": base64.StdEncoding.EncodeToString(us.KeyPEM)},
		}
		if diff := cmp.Diff(want, catest.Patch(t, m.clients[name])); diff != "" {
			t.Errorf("%s: patch (-want +got)\n%s", name, diff)
		}
		now := m.secret(t, name, "cilium-ca")
		if now.Labels["app.kubernetes.io/managed-by"] != "Helm" || now.Annotations["meta.helm.sh/release-name"] != "cilium" {
			t.Errorf("%s: Helm's marks are gone: %+v", name, now.ObjectMeta)
		}
	}
	if got := m.writes("us"); got != nil {
		t.Errorf("the source was written: %v", got)
	}

	// Once more: nothing is written, and what must follow is still said.
	for _, c := range m.clients {
		c.ClearActions()
	}
	r = m.run(t, "sync", "--from", "us", "--to", "eu,ap", "-o", "json")
	var doc v1alpha1.CAChangeReport
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 || len(doc.Changes) != 2 || doc.Changes[0].Result != "unchanged" || doc.Changes[1].Result != "unchanged" || len(doc.NextSteps) == 0 || doc.UndoCommands != nil {
		t.Errorf("code %d, %+v", r.Code, doc)
	}
	for name := range m.clients {
		if got := catest.Writes(m.clients[name]); got != nil {
			t.Errorf("%s: second run did %v", name, got)
		}
	}
	// Trust stays broken until the leaf certificates are renewed.
	if r := m.run(t, "status", "-o", "jsonpath={.trust[*].verdict}"); r.Out != "broken broken broken broken broken broken" {
		t.Errorf("trust after sync alone: %q", r.Out)
	}
}

// TestInterrupted: Ctrl-C during the first replacement; the report says what was done and what was not, and the exit code is 130.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	m, us, _, _ := three(t)
	ctx, interrupt := context.WithCancel(t.Context())
	m.clients["eu"].PrependReactor("patch", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
		if !catest.DryRun(a) && !catest.Locks(a) {
			interrupt()
		}
		return false, nil, nil
	})
	r := m.runIn(ctx, t, "sync", "--from", "us", "--to", "eu,ap", "--yes", "-o", "json")
	var doc v1alpha1.CAChangeReport
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range doc.Changes {
		if c.Object == "secret/cilium-ca" {
			got[c.Cluster] = c.Result
		}
	}
	if diff := cmp.Diff(map[string]string{"eu": "changed", "ap": "planned"}, got); diff != "" || r.Code != 130 {
		t.Errorf("code %d (-want +got)\n%s", r.Code, diff)
	}
	if !bytes.Equal(m.secret(t, "eu", "cilium-ca").Data["ca.crt"], us.CertPEM) || len(doc.UndoCommands) != 1 || !strings.HasSuffix(doc.UndoCommands[0], " --contexts kind-eu") || !strings.Contains(r.ErrOut, "error: interrupted") {
		t.Errorf("undo %q\n%s", doc.UndoCommands, r.ErrOut)
	}
	// ap was marked, and the mark was removed again.
	if diff := cmp.Diff([]string{"create", "patch", "patch"}, verbs(m.writes("ap"))); diff != "" {
		t.Errorf("ap (-want +got)\n%s", diff)
	}
}

func verbs(writes []string) []string {
	var out []string
	for _, w := range writes {
		verb, _, _ := strings.Cut(w, " ")
		out = append(out, verb)
	}
	return out
}

// TestBeforeCilium: a cluster in which Cilium is not installed yet gets a CA where the user says that Cilium will be.
func TestBeforeCilium(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"namespace said": {[]string{"--to", "new", "--cilium-namespace", "kube-system"}, 0, "kubectl --context kind-new -n kube-system delete secret cilium-ca"},
		"no namespace":   {[]string{"--to", "new"}, 1, "say where with --cilium-namespace"},
		"not named":      {[]string{"--to-all", "--cilium-namespace", "kube-system"}, 1, "nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := pkitest.NewCA(t, pkitest.Spec{})
			m := &mesh{}
			m.add(t, "us", catest.Install{CA: &us})
			client := fake.NewClientset()
			catest.Tame(client)
			m.join("new", &clusters.Member{Name: "new", Context: "kind-new", Client: client, Err: &failure.Error{Class: failure.NoCilium, Err: errors.New("no ConfigMap cilium-config")}}, client)
			r := m.run(t, append([]string{"sync", "--from", "us", "--yes"}, tc.args...)...)
			if r.Code != tc.code || !strings.Contains(r.ErrOut, tc.want) {
				t.Fatalf("code %d\n%s", r.Code, r.ErrOut)
			}
			if tc.code != 0 {
				if got := m.writes("new"); got != nil {
					t.Errorf("wrote %v", got)
				}
				return
			}
			made := m.secret(t, "new", "cilium-ca")
			if !bytes.Equal(made.Data["ca.key"], us.KeyPEM) || made.Annotations["meta.helm.sh/release-name"] != "" || made.Labels["app.kubernetes.io/managed-by"] != "" || !strings.Contains(r.Out, "without Helm's ownership marks") {
				t.Errorf("%+v", made.ObjectMeta)
			}
		})
	}
}

// TestChangesNothing has the cases in which no cluster may be written.
func TestChangesNothing(t *testing.T) {
	t.Parallel()
	sync := []string{"sync", "--from", "us", "--to-all", "--yes"}
	for name, tc := range map[string]struct {
		edit func(t *testing.T, m *mesh)
		args []string
		code int
		want string // on stderr
	}{
		"without --yes and a terminal": {args: []string{"sync", "--from", "us", "--to-all"}, code: 1, want: "stdin is not a terminal; use --yes"},
		"no source":                    {args: []string{"sync", "--to-all", "--yes"}, code: 1, want: "--from is missing"},
		"no target":                    {args: []string{"sync", "--from", "us", "--yes"}, code: 1, want: "--to is missing"},
		"both kinds of target":         {args: append(sync, "--to", "eu"), code: 1, want: "--to and --to-all cannot be used together"},
		"unknown source":               {args: []string{"sync", "--from", "uk", "--to-all", "--yes"}, code: 1, want: `--from: no cluster "uk" among those that are read: us (context kind-us), eu`},
		"unknown target":               {args: []string{"sync", "--from", "us", "--to", "uk", "--yes"}, code: 1, want: `--to: no cluster "uk"`},
		"source is target":             {args: []string{"sync", "--from", "us", "--to", "eu,kind-us", "--yes"}, code: 1, want: "--to names us (context kind-us), which is --from"},
		"unknown output":               {args: append(sync, "-o", "xml"), code: 1, want: `--output "xml" is not known`},
		"unknown dry-run":              {args: append(sync, "--dry-run=maybe"), code: 1, want: `must be "none", "server", or "client"`},
		"dry-run on the client":        {args: append(sync, "--dry-run=client"), code: 0},
		"dry-run on the server":        {args: append(sync, "--dry-run=server"), code: 0},
		"a dead target": {
			edit: func(_ *testing.T, m *mesh) { m.dead("za", failure.Timeout) },
			args: sync, code: 1, want: "za could not be read; nothing was changed in any cluster. Use --allow-partial",
		},
		"a dead source": {
			edit: func(_ *testing.T, m *mesh) { m.members[0].Err = &failure.Error{Class: failure.TLS, Err: io.EOF} },
			args: sync, code: 1, want: "us, whose CA is to be copied, could not be read; nothing was changed",
		},
		"no permission in one target": {
			edit: func(_ *testing.T, m *mesh) { catest.Deny(m.clients["ap"], "patch", "cilium-ca") },
			args: sync, code: 1, want: "preflight failed; nothing was written in any cluster",
		},
		"no permission to keep the former CA": {
			edit: func(_ *testing.T, m *mesh) { catest.Deny(m.clients["ap"], "create", "") },
			args: sync, code: 1, want: "preflight failed",
		},
		"key does not match": {
			edit: func(t *testing.T, m *mesh) {
				m.edit(t, "us", "cilium-ca", func(s *corev1.Secret) { s.Data["ca.key"] = pkitest.NewCA(t, pkitest.Spec{}).KeyPEM })
			},
			args: sync, code: 1, want: "cannot be copied: the private key belongs to another certificate; nothing was changed",
		},
		"a CA that may sign nothing": {
			edit: func(t *testing.T, m *mesh) {
				m.edit(t, "us", "cilium-ca", func(s *corev1.Secret) { s.Data = pkitest.NewCA(t, pkitest.Spec{NotCA: true}).CASecret() })
			},
			args: sync, code: 1, want: "is not a CA",
		},
		"an expired CA": {
			edit: func(t *testing.T, m *mesh) {
				m.edit(t, "us", "cilium-ca", func(s *corev1.Secret) {
					s.Data = pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)}).CASecret()
				})
			},
			args: sync, code: 1, want: "it expired on 2026-11-22",
		},
		"a CA about to expire": {
			edit: func(t *testing.T, m *mesh) {
				m.edit(t, "us", "cilium-ca", func(s *corev1.Secret) {
					s.Data = pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(pkitest.Day)}).CASecret()
				})
			},
			args: sync, code: 1, want: "in less than 14 days",
		},
		"an immutable target": {
			edit: func(t *testing.T, m *mesh) {
				m.edit(t, "ap", "cilium-ca", func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
			},
			args: sync, code: 1, want: "the plan cannot be carried out in every cluster",
		},
		"a target of Argo CD": {
			edit: func(t *testing.T, m *mesh) {
				m.edit(t, "ap", "cilium-ca", func(s *corev1.Secret) {
					s.Annotations["argocd.argoproj.io/tracking-id"] = "cilium:/Secret:kube-system/cilium-ca"
				})
			},
			args: sync, code: 1, want: "the plan cannot be carried out in every cluster",
		},
		"restore of nothing": {args: []string{"restore", "--in", "eu", "--backup", "no-such", "--yes"}, code: 1, want: "--backup: secret kube-system/no-such does not exist"},
		"restore of another's secret": {
			args: []string{"restore", "--in", "eu", "--backup", "hubble-server-certs", "--yes"}, code: 1, want: "is not a backup that kubectl mesh-ca made",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _, _, _ := three(t)
			if tc.edit != nil {
				tc.edit(t, m)
			}
			r := m.run(t, tc.args...)
			if r.Code != tc.code || !strings.Contains(r.ErrOut, tc.want) {
				t.Errorf("code %d, want %d, stderr lacks %q:\n%s\n%s", r.Code, tc.code, tc.want, r.ErrOut, r.Out)
			}
			for name := range m.clients {
				if m.clients[name] == nil {
					continue
				}
				if got := m.writes(name); got != nil {
					t.Errorf("%s: %v", name, got)
				}
			}
		})
	}
}
