package view_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// show prints sections as a table, blanks at the ends of lines cut.
func show(t *testing.T, sections []output.Section) string {
	t.Helper()
	var b bytes.Buffer
	if err := output.NewFlags().Print(&b, nil, sections); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.Join(lines, "\n")
}

func certificate(subject string, end time.Time) v1alpha1.Certificate {
	return v1alpha1.Certificate{Fingerprint: strings.Repeat("ab", 32), PublicKeyHash: strings.Repeat("cd", 32), Subject: subject, Issuer: "CN=x", NotAfter: end}
}

func TestStatusOfOddities(t *testing.T) {
	t.Parallel()
	leaf := func(subject string) *v1alpha1.Certificate {
		c := certificate(subject, now.Add(36*time.Hour))
		return &c
	}
	doc := v1alpha1.CAReport{
		Document: v1alpha1.Document{
			Members:  []v1alpha1.Member{{Name: "us", Context: "a"}, {Name: "eu", Context: "b"}, {Name: "ap", Context: "c", Error: &v1alpha1.MemberError{Class: "tls"}}},
			Findings: []v1alpha1.Finding{{ID: "CA011", Object: "us to eu", Message: "secret/ca.crt of eu is strange"}},
		},
		Clusters: []v1alpha1.CACluster{
			{Cluster: "us", CA: &v1alpha1.Authority{Certificate: certificate("CN=\x1b[31mred", now.Add(-time.Hour)), Key: "mismatch", Owner: v1alpha1.Owner{Kind: "certgen"}}, LeafCertificates: []v1alpha1.LeafCertificate{
				{Secret: "a", Message: "no permission to read it"},
				{Secret: "b", Certificate: leaf("CN=remote"), Key: "ok", Owner: &v1alpha1.Owner{Kind: "helm", Name: "cilium"}, Problems: []v1alpha1.LeafProblem{{Message: "it is odd"}, {Message: "twice"}}},
				{Secret: "c", Certificate: leaf("CN=remote"), Key: "ok", SignedByCA: ptr.To(false)},
			}},
			{Cluster: "eu", CAMessage: "it does not exist"},
		},
		Trust: []v1alpha1.TrustPair{{Client: "us", Server: "eu", Verdict: "unknown"}, {Client: "eu", Server: "us", Verdict: "ok", Configured: true}},
	}
	want := `CLUSTER   CA         SUBJECT             KEY        DAYS      OWNER     CERTIFICATES
us        abababab   CN=[31mred          mismatch   expired   certgen   3 of 3: 1 unreadable, 1
                                                                        wrong CA, 1 ends soon
eu        -          it does not exist   -          -         -         none
ap        ? (tls)    ?                   ?          ?         ?         ?

Leaf certificates that need attention
CLUSTER   SECRET   EXPIRES           SIGNED-BY    OWNER         STATUS
us        a        -                 -            -             no permission to read it
us        b        2026-11-25 (2d)   ?            helm/cilium   it is odd (+1)
us        c        2026-11-25 (2d)   another CA   -             wrong CA

Who trusts whom, according to the mounted files (the row logs in to the column)
CLIENT   US    EU          AP
us       -     (unknown)   ?
eu       ok    -           ?
ap       ?     ?           -
(In parentheses: the client is not configured to connect to the server.)

Why not
ID      CLIENT   SERVER   TRUST       REASON
CA011   us       eu       (unknown)   ca.crt of eu is strange`
	if diff := cmp.Diff(want, show(t, view.Status(doc, now, false))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if wide := show(t, view.Status(doc, now, true)); !strings.Contains(wide, "Leaf certificates\n") {
		t.Errorf("%s", wide)
	}
}

func TestStatusOfManyClusters(t *testing.T) {
	t.Parallel()
	var doc v1alpha1.CAReport
	for i := range 20 {
		name := fmt.Sprintf("c%d", i)
		doc.Members = append(doc.Members, v1alpha1.Member{Name: name})
		doc.Clusters = append(doc.Clusters, v1alpha1.CACluster{Cluster: name, CAMessage: "none"})
	}
	doc.Trust = []v1alpha1.TrustPair{{Client: "c0", Server: "c1", Verdict: "ok"}, {Client: "c1", Server: "c0", Verdict: "broken", Configured: true}}
	doc.Findings = []v1alpha1.Finding{{ID: "CA010", Object: "c1 to c0", Message: "secret/x of c1 is not accepted by c0: it is signed by y"}}
	got := show(t, view.Status(doc, now, false))
	want := "Who trusts whom: 1 of 2 pairs ok, 1 of them configured\n\nWhy not\nID      CLIENT   SERVER   TRUST    REASON\nCA010   c1       c0       broken   x of c1 is signed by y"
	if !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at the end\n%s", got, want)
	}
}

func TestChangesOfABrokenKey(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.CAChangeReport{ChangeReport: v1alpha1.ChangeReport{Changes: []v1alpha1.Change{{
		Cluster: "eu", Namespace: "kube-system", Object: "secret/cilium-ca", Result: "planned",
		Before: map[string]*string{"fingerprint": ptr.To("0123456789abcdef"), "key": ptr.To("missing")}, After: map[string]*string{"fingerprint": ptr.To("fedcba9876543210"), "key": ptr.To("ok")},
	}}}}
	want := `CLUSTER   SECRET                  OLD                       NEW        RESULT    CONTEXT
eu        kube-system/cilium-ca   01234567 (key: missing)   fedcba98   planned   <none>`
	if diff := cmp.Diff(want, show(t, view.Changes(doc))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNextLines(t *testing.T) {
	t.Parallel()
	if got := view.Next(nil, "x"); got != nil {
		t.Errorf("nothing to do, but %q", got)
	}
	got := strings.Join(view.Next([]v1alpha1.NextStep{
		{Cluster: "eu", Reason: "first", Command: "do it", Objects: []string{"secret/a", "secret/b"}}, {Cluster: "eu", Reason: "second"}, {Cluster: "ap", Reason: "third", Command: "go"},
		{Cluster: "eu", Reason: "fourth", Command: "restart", AfterAll: true}, {Cluster: "ap", Reason: "fifth", AfterAll: true},
	}, "kubectl mesh-ca status --contexts a"), "\n")
	want := "\neu:\n  1. first\n     (a, b)\n     do it\n  2. second\n\nap:\n  1. third\n     go\n\nWhen these steps are done in every cluster:\n\neu:\n  1. fourth\n     restart\n\nap:\n  1. fifth\n\nThen check who trusts whom: kubectl mesh-ca status --contexts a"
	if !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}

// TestFieldDStatusFits: status has at most 100 columns, whatever the names, except for commands and in the matrix of clusters with long names.
func TestFieldDStatusFits(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"us", "eu", "ap"}, {"production-eu-central-1", "production-us-east-1", "production-ap-south-1", "staging-eu-central-1"}} {
		doc := v1alpha1.CAReport{}
		for _, name := range names {
			doc.Members = append(doc.Members, v1alpha1.Member{Name: name, Context: "kind-" + name})
			c := v1alpha1.CACluster{Cluster: name, CA: &v1alpha1.Authority{Certificate: certificate("CN=Cilium CA", now.AddDate(3, 0, 0)), Key: "ok", Owner: v1alpha1.Owner{Kind: "helm", Name: "cilium"}}}
			leaf := certificate("CN=clustermesh-apiserver.cilium.io", now.AddDate(3, 0, 0))
			for _, secret := range []string{"clustermesh-apiserver-server-cert", "clustermesh-apiserver-remote-cert", "hubble-relay-client-certs"} {
				c.LeafCertificates = append(c.LeafCertificates, v1alpha1.LeafCertificate{Secret: secret, Certificate: &leaf, Key: "ok", SignedByCA: ptr.To(false), Owner: &v1alpha1.Owner{Kind: "helm", Name: "cilium"}})
			}
			doc.Clusters = append(doc.Clusters, c)
			for _, other := range names {
				if other != name {
					doc.Trust = append(doc.Trust, v1alpha1.TrustPair{Client: name, Server: other, Verdict: "broken"})
				}
			}
		}
		doc.Findings = []v1alpha1.Finding{{ID: "CA010", Severity: "error", Clusters: names[:2], Object: names[0] + " to " + names[1], Message: strings.Repeat("it is signed by another CA ", 12)}}
		doc.NextSteps = []v1alpha1.NextStep{{Clusters: names, Reason: strings.Repeat("a long reason ", 30), Objects: []string{"secret/" + strings.Repeat("x", 40), "secret/" + strings.Repeat("y", 60)}}}
		doc.Federations = []v1alpha1.Federation{{Clusters: names, Means: []string{"cross certificates", "several CA certificates"}}}
		got := show(t, view.Status(doc, now, false))
		for line := range strings.Lines(got) {
			if n := len(strings.TrimSuffix(line, "\n")); n > 100 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if !strings.Contains(got, "broken") {
			t.Errorf("the trust matrix is lost:\n%s", got)
		}
	}
}
