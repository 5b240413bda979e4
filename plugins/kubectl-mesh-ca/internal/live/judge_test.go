package live_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// model answers for the processes of a mesh.
type model struct {
	served   []live.Served
	files    []live.File
	clients  []live.Client
	rejected []live.Rejection
	err      error
}

func (m model) Served(context.Context, *clusters.Member) ([]live.Served, error) {
	return m.served, m.err
}
func (m model) Files(context.Context, *clusters.Member) ([]live.File, error) { return m.files, nil }
func (m model) Clients(context.Context, *clusters.Member) ([]live.Client, error) {
	return m.clients, nil
}
func (m model) Rejected(context.Context, *clusters.Member, time.Time) ([]live.Rejection, error) {
	return m.rejected, nil
}

const (
	localCA = "/var/lib/cilium/clustermesh/local-etcd-client-ca.crt"
	peer    = "endpoints:\n- https://%s:2379\ntrusted-ca-file: %s\ncert-file: /var/lib/cilium/clustermesh/%s.crt\nkey-file: /var/lib/cilium/clustermesh/%[3]s.key\n"
)

// ago is a time before the present of the tests. All Secrets were written a day ago.
func ago(d time.Duration) time.Time { return pkitest.Now.Add(-d) }

// healthy is a cluster us with a CA and one process of each kind that has read its files since.
func healthy(t *testing.T, signer pkitest.CA) model {
	t.Helper()
	leaf := signer.Issue(t, pkitest.Spec{Name: "clustermesh-apiserver.cilium.io", DNS: []string{"*.mesh.cilium.io"}})
	start := ago(10 * time.Hour)
	return model{
		served: []live.Served{{Pod: "mesh-0", Created: start, Started: start, Chain: []*x509.Certificate{leaf.Cert}, Announced: [][]byte{signer.Cert.RawSubject}}},
		files:  []live.File{{Node: "node-1", Pod: "agent-1", Path: localCA, Certs: []*x509.Certificate{signer.Cert}, Written: ago(11 * time.Hour)}},
		clients: []live.Client{
			{Kind: live.KindAgent, Node: "node-1", Pod: "agent-1", Peer: "eu", Connected: true, Rebuilt: start, Latest: start, Created: start, Started: start},
			{Kind: live.KindKVStoreMesh, Node: "node-1", Pod: "mesh-0", Peer: "eu", Connected: true, Rebuilt: start, Latest: start, Created: start, Started: start},
			{Kind: live.KindOperator, Node: "node-1", Pod: "operator-0", Peer: "eu", Connected: true, Rebuilt: start, Latest: start, Created: start, Started: start},
		},
	}
}

// states reads us and eu, which have one CA.
func states(t *testing.T, signer pkitest.CA, edit func(map[string]*corev1.Secret)) []*ca.State {
	t.Helper()
	connect := func(secrets map[string]*corev1.Secret) {
		secrets["cilium-kvstoremesh"].Data["eu"] = fmt.Appendf(nil, peer, "eu.mesh.cilium.io", "/var/lib/cilium/clustermesh/common-etcd-client-ca.crt", "common-etcd-client")
		secrets["cilium-clustermesh"].Data["eu"] = fmt.Appendf(nil, peer, "clustermesh-apiserver.kube-system.svc", localCA, "local-etcd-client")
		if edit != nil {
			edit(secrets)
		}
	}
	us, _ := catest.Member(t, "us", catest.Install{CA: &signer, Edit: connect})
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &signer})
	return ca.ReadAll(t.Context(), []*clusters.Member{us, eu}, time.Minute).States
}

// report observes us and shows what was found in it: one line for each process, and one for each finding.
func report(t *testing.T, m model, states []*ca.State) (string, v1alpha1.CAReport) {
	t.Helper()
	doc := ca.Report([]*clusters.Member{}, nil, pkitest.Now)
	live.Report(t.Context(), onlyUS{m}, states, pkitest.Now, &doc)
	documents.CheckValue(t, doc)
	var lines []string
	for _, c := range doc.Live.Clusters[0].EtcdReplicas {
		lines = append(lines, "etcd "+c.Trust)
	}
	for _, c := range doc.Live.Clusters[0].Clients {
		lines = append(lines, c.Kind+" "+c.Trust)
	}
	for _, f := range doc.Findings {
		lines = append(lines, f.ID)
	}
	lines = append(lines, fmt.Sprint(doc.Complete))
	return strings.Join(lines, ", "), doc
}

// onlyUS has no processes in the other clusters.
type onlyUS struct{ model }

func (o onlyUS) of(m *clusters.Member) model {
	if m.Name == "us" {
		return o.model
	}
	return model{}
}
func (o onlyUS) Served(ctx context.Context, m *clusters.Member) ([]live.Served, error) {
	return o.of(m).Served(ctx, m)
}
func (o onlyUS) Files(ctx context.Context, m *clusters.Member) ([]live.File, error) {
	return o.of(m).Files(ctx, m)
}
func (o onlyUS) Clients(ctx context.Context, m *clusters.Member) ([]live.Client, error) {
	return o.of(m).Clients(ctx, m)
}
func (o onlyUS) Rejected(ctx context.Context, m *clusters.Member, since time.Time) ([]live.Rejection, error) {
	return o.of(m).Rejected(ctx, m, since)
}

func TestReport(t *testing.T) {
	t.Parallel()
	// The CA is older than everything else; what was written a day ago may have been a renewal of the leaf certificates only.
	signer := pkitest.NewCA(t, pkitest.Spec{NotBefore: ago(1000 * time.Hour)})
	other := pkitest.NewCA(t, pkitest.Spec{Name: "Other CA"})
	oldCA := func(secrets map[string]*corev1.Secret) {
		secrets["cilium-ca"].ManagedFields[0].Time = &metav1.Time{Time: ago(900 * time.Hour)}
	}
	const fresh = "etcd fresh, agent fresh, kvstoremesh fresh, operator fresh"
	for name, tc := range map[string]struct {
		change func(*model)
		edit   func(map[string]*corev1.Secret)
		want   string
		text   string // in the document
	}{
		"all fresh": {func(*model) {}, nil, fresh + ", true", ""},
		"a peer was added: the volume was written, the CA was not": {func(m *model) { m.files[0].Written = ago(time.Minute) }, nil, fresh + ", true", ""},
		"the CA was replaced after everything began": {func(m *model) {
			m.served[0].Started, m.served[0].Created = ago(30*time.Hour), ago(30*time.Hour)
			for i := range m.clients {
				c := &m.clients[i]
				c.Rebuilt, c.Latest, c.Created = ago(30*time.Hour), ago(30*time.Hour), ago(30*time.Hour)
			}
		}, nil, "etcd stale, agent stale, kvstoremesh stale, operator stale, CA040, CA040, CA040, CA040, true", "got its present CA at 2026-11-22T12:00:00Z or later"},
		"only the leaf certificates were renewed, as far as can be told": {func(m *model) {
			m.served[0].Started, m.served[0].Created = ago(30*time.Hour), ago(30*time.Hour)
			m.clients[0].Rebuilt, m.clients[0].Latest = ago(30*time.Hour), ago(30*time.Hour)
		}, oldCA, "etcd unknown, agent unknown, kvstoremesh fresh, operator fresh, CA041, CA041, false", "cannot determine whether the CA in "},
		"a container that was restarted before the kubelet wrote the file": {func(m *model) {
			m.served[0].Created, m.served[0].Started = ago(30*time.Hour), ago(24*time.Hour-time.Minute)
		}, nil, "etcd unknown, agent fresh, kvstoremesh fresh, operator fresh, CA041, false", ""},
		"a container that was restarted afterwards": {func(m *model) {
			m.served[0].Created, m.served[0].Started = ago(30*time.Hour), ago(24*time.Hour-3*time.Minute)
		}, nil, fresh + ", true", ""},
		"the node still has the former file": {func(m *model) { m.files[0].Certs = []*x509.Certificate{other.Cert} }, nil,
			"etcd fresh, agent stale, kvstoremesh fresh, operator fresh, CA040, true", "node-1 has CA "},
		"the node's file cannot be read": {func(m *model) { m.files = []live.File{{Node: "node-1", Pod: "agent-1", Unknown: "timeout"}} }, nil,
			"etcd fresh, agent unknown, kvstoremesh fresh, operator fresh, CA041, false", "timeout"},
		"not connected": {func(m *model) { m.clients[1].Connected = false }, nil, "etcd fresh, agent fresh, kvstoremesh unknown, operator fresh, CA041, false", "not connected to eu"},
		"stale and alone": {func(m *model) {
			c := &m.clients[1]
			c.Connected, c.Created, c.Rebuilt, c.Latest = false, ago(30*time.Hour), ago(30*time.Hour), ago(30*time.Hour)
		}, nil, "etcd fresh, agent fresh, kvstoremesh stale, operator fresh, CA040, true", ""},
		"without a configuration": {func(m *model) { m.clients[0].Peer = "ap" }, nil,
			"etcd fresh, agent unknown, kvstoremesh fresh, operator fresh, CA041, false", "does not have a configuration for ap"},
		"nothing is known of an agent": {func(m *model) { m.clients[0] = live.Client{Kind: live.KindAgent, Pod: "agent-1", Unknown: "timeout"} }, nil,
			"etcd fresh, agent unknown, kvstoremesh fresh, operator fresh, CA041, false", ""},
		"the operator's log was rotated": {func(m *model) {
			m.clients[2] = live.Client{Kind: live.KindOperator, Pod: "operator-0", Started: ago(time.Hour), LogCut: true, Unknown: "its log begins later"}
		}, nil, "etcd fresh, agent fresh, kvstoremesh fresh, operator unknown, CA041, false",
			"operator, connection to eu: its log begins later. The log does not show any more when it connected; restart it: kubectl --context kind-us -n kube-system delete pod operator-0"},
		"the operator's log was rotated, and shows the only peer": {func(m *model) {
			m.clients = append(m.clients, live.Client{Kind: live.KindOperator, Pod: "operator-0", Started: ago(time.Hour), LogCut: true, Unknown: "its log begins later"})
		}, nil, fresh + ", true", ""},
		"the log of KVStoreMesh was rotated": {func(m *model) {
			c := &m.clients[1]
			c.Created, c.Started, c.Rebuilt, c.Latest, c.LogCut = ago(30*time.Hour), ago(30*time.Hour), ago(30*time.Hour), time.Time{}, true
		}, nil, "etcd fresh, agent fresh, kvstoremesh unknown, operator fresh, CA041, false", "A changed comment in secret/cilium-kvstoremesh makes it connect again"},
		"the log of an agent was rotated": {func(m *model) {
			c := &m.clients[0]
			c.Rebuilt, c.Latest, c.LogCut = ago(25*time.Hour), time.Time{}, true
		}, nil, "etcd fresh, agent unknown, kvstoremesh fresh, operator fresh, CA041, false", "A changed comment in secret/cilium-clustermesh makes it connect again"},
		"etcd announces another CA": {func(m *model) { m.served[0].Announced = [][]byte{other.Cert.RawSubject} }, nil,
			"etcd stale, agent fresh, kvstoremesh fresh, operator fresh, CA040, true", "announces 1 CA certificates"},
		"etcd serves a certificate that eu does not trust": {func(m *model) {
			m.served[0].Chain = []*x509.Certificate{other.Issue(t, pkitest.Spec{DNS: []string{"*.mesh.cilium.io"}}).Cert}
		}, nil, fresh + ", CA042, true", "clients in eu do not accept"},
		"no handshake": {func(m *model) { m.served[0].Chain, m.served[0].Unknown = nil, "TLS handshake: EOF" }, nil, fresh + ", CA041, false", "TLS handshake: EOF"},
		"no handshake, and stale": {func(m *model) {
			s := &m.served[0]
			s.Chain, s.Unknown, s.Started, s.Created = nil, "timeout", ago(30*time.Hour), ago(30*time.Hour)
		}, nil, "etcd stale, agent fresh, kvstoremesh fresh, operator fresh, CA040, CA041, false", "timeout"},
		"no permission": {func(m *model) {
			m.served, m.err = nil, &permissions.MissingError{Permissions: permissions.Access{Resource: "pods/portforward", Verbs: []string{"create"}}.In("kube-system", ""), Err: errors.New("x")}
		}, nil, "agent fresh, kvstoremesh fresh, operator fresh, CA041, false", "a Role in namespace kube-system needs {apiGroups: [\"\"], resources: [pods/portforward]"},
		"rejected": {func(m *model) {
			for _, r := range []pki.RejectReason{pki.ClientRefused, pki.ClientRefused, pki.NotTrust} {
				m.rejected = append(m.rejected, live.Rejection{Pod: "mesh-0", Rejection: pki.Rejection{At: ago(time.Second), Remote: "10.0.0.1", Reason: r, Text: "tls: " + string(r)}})
			}
		}, nil, fresh + ", CA043, true", "a client rejected the certificate of etcd at 10.0.0.1 (handshakes: 2, last at "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t, signer)
			tc.change(&m)
			got, doc := report(t, m, states(t, signer, tc.edit))
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("%s\n%+v", d, doc.Live.Clusters[0])
			}
			if all := fmt.Sprintf("%+v", doc.Findings); !strings.Contains(all, tc.text) {
				t.Errorf("%q is not in %s", tc.text, all)
			}
		})
	}
}

// Many agents with one verdict are one finding.
func TestFindingsAreGrouped(t *testing.T) {
	t.Parallel()
	signer := pkitest.NewCA(t, pkitest.Spec{})
	m := healthy(t, signer)
	for i := range 40 {
		c := m.clients[0]
		c.Pod, c.Rebuilt, c.Latest = fmt.Sprintf("agent-%02d", i), ago(30*time.Hour), ago(30*time.Hour)
		m.clients = append(m.clients, c)
		m.files = append(m.files, live.File{Node: "n", Pod: c.Pod, Path: localCA, Certs: []*x509.Certificate{signer.Cert}, Written: ago(11 * time.Hour)})
	}
	_, doc := report(t, m, states(t, signer, nil))
	if len(doc.Findings) != 1 || !strings.HasPrefix(doc.Findings[0].Message, "agent, connection to eu, and 39 more of 41 connections: ") {
		t.Errorf("%+v", doc.Findings)
	}
}

// The id of the etcd that a process reports tells to which replica it is connected.
func TestEtcdBehindAConnection(t *testing.T) {
	t.Parallel()
	signer := pkitest.NewCA(t, pkitest.Spec{})
	m := healthy(t, signer)
	m.served[0].UID = "6b094f7c-7641-497b-a557-827c1289d82e"
	m.clients[0].EtcdID = pki.EtcdClusterID(m.served[0].UID)
	m.clients[1].EtcdID = "12ab"
	_, doc := report(t, m, states(t, signer, nil))
	if c := doc.Live.Clusters[0].Clients; c[0].Etcd != "us/mesh-0" || c[1].Etcd != "" {
		t.Errorf("%+v", c)
	}
}
