package check_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

// mesh makes us and eu with one CA that ends in 300 days; one leaf certificate of eu ends in the given number of days.
func mesh(t *testing.T, days int) []*clusters.Member {
	t.Helper()
	one := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-700 * pkitest.Day), NotAfter: pkitest.Now.Add(300 * pkitest.Day)})
	us, _ := catest.Member(t, "us", catest.Install{CA: &one, Method: "hand"})
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &one, Method: "hand", Edit: func(s map[string]*corev1.Secret) {
		leaf := one.Issue(t, pkitest.Spec{Name: "remote", NotAfter: pkitest.Now.Add(time.Duration(days) * pkitest.Day)})
		s["clustermesh-apiserver-remote-cert"].Data = pkitest.LeafSecret(leaf, one.CertPEM)
	}})
	return []*clusters.Member{us, eu}
}

func run(t *testing.T, members []*clusters.Member, args ...string) testkit.Result {
	t.Helper()
	return testkit.Command{New: cmd.New, Members: members, Now: pkitest.Now}.Run(t.Context(), t, append([]string{"check"}, args...)...)
}

func document(t *testing.T, r testkit.Result) v1alpha1.CACheckReport {
	t.Helper()
	var doc v1alpha1.CACheckReport
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
		t.Fatalf("%v: %s%s", err, r.Out, r.ErrOut)
	}
	return doc
}

// TestThresholds: nothing, a warning, an error; the moment of judgement and the thresholds decide.
func TestThresholds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		days int
		args []string
		code int
		want []string // id and severity of the findings
	}{
		"far":                          {days: 100},
		"soon":                         {days: 30, want: []string{"CA023 warning"}},
		"soon, warnings fail":          {days: 30, args: []string{"--fail-on", "warning"}, code: 1, want: []string{"CA023 warning"}},
		"very soon":                    {days: 10, code: 1, want: []string{"CA023 error"}},
		"very soon, never":             {days: 10, args: []string{"--fail-on", "never"}, want: []string{"CA023 error"}},
		"very soon, ignored":           {days: 10, args: []string{"--ignore", "CA023"}},
		"its own thresholds":           {days: 30, args: []string{"--warn-before", "5w", "--fail-before", "31d"}, code: 1, want: []string{"CA023 error"}},
		"its own, shorter":             {days: 30, args: []string{"--warn-before", "3w"}},
		"as of a day before its end":   {days: 100, args: []string{"--at", "2027-03-01"}, code: 1, want: []string{"CA023 error"}},
		"as of a moment after it":      {days: 100, args: []string{"--at", "2027-03-10T12:00:00Z"}, code: 1, want: []string{"CA010 error", "CA020 error"}},
		"as of the CA's last days":     {days: 299, args: []string{"--at", "2027-09-15", "--ignore", "CA023"}, code: 1, want: []string{"CA004 error", "CA004 error"}},
		"certificates of the CA's end": {days: 299, args: []string{"--at", "2027-08-01", "--ignore", "CA023"}, want: []string{"CA004 warning", "CA004 warning"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, mesh(t, tc.days), append([]string{"-o", "json"}, tc.args...)...)
			doc := document(t, r)
			var got []string
			for _, f := range doc.Findings {
				got = append(got, f.ID+" "+f.Severity)
			}
			if r.Code != tc.code || !slices.Equal(got, tc.want) || !doc.Complete || doc.Kind != "CACheckReport" {
				t.Errorf("code %d, want %d; complete %v; %v\n%s", r.Code, tc.code, doc.Complete, got, r.ErrOut)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	doc := document(t, run(t, mesh(t, 100), "-o", "json", "--at", "2026-12-01"))
	if !doc.AsOf.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) || len(doc.Certificates) != 14 || len(doc.Trust) != 2 {
		t.Errorf("as of %s, %d certificates, %d pairs", doc.AsOf, len(doc.Certificates), len(doc.Trust))
	}
	for _, c := range doc.Certificates {
		if c.RenewedBy != "nothing" || c.Fingerprint == "" || (c.Kind == "ca") != (c.Name == "cilium-ca") {
			t.Errorf("%+v", c)
		}
	}
	table := run(t, mesh(t, 100)).Out
	for _, want := range []string{"Calendar of the next 12 months", "2027-03-03   100    eu        clustermesh-apiserver-remote-cert", "2027-09-19   300    us        cilium-ca"} {
		if !strings.Contains(table, want) {
			t.Errorf("lacks %q:\n%s", want, table)
		}
	}
	for line := range strings.Lines(table) {
		if n := len(strings.TrimRight(line, "\n")); n > 100 && !strings.HasPrefix(line, "  CA") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestTrustEnds: a CA file whose certificate ends before the leaf certificates that it verifies is in the calendar, and an error within --fail-before.
func TestTrustEnds(t *testing.T) {
	t.Parallel()
	former := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(5 * pkitest.Day)})
	now := pkitest.NewCA(t, pkitest.Spec{Key: former.Key})
	us, _ := catest.Member(t, "us", catest.Install{CA: &now})
	eu, _ := catest.Member(t, "eu", catest.Install{CA: &now, LeafCA: &former})
	members := []*clusters.Member{us, eu}
	r := run(t, members, "-o", "json")
	doc := document(t, r)
	var files []string
	for _, f := range doc.TrustFiles {
		files = append(files, f.Cluster+" "+f.File+" "+f.RenewedBy)
	}
	if r.Code != 1 || len(doc.Findings) != 1 || doc.Findings[0].ID != "CA028" || doc.Findings[0].Severity != "error" || !slices.Contains(files, "eu secret/hubble-server-certs[ca.crt] the next Helm upgrade") {
		t.Errorf("code %d, %+v, %q", r.Code, doc.Findings, files)
	}
	if table := run(t, members).Out; !strings.Contains(table, "  secret/clustermesh-apiserver-admin-cert[ca.") {
		t.Errorf("%s", table)
	}
	if r := run(t, members, "-o", "prometheus", "--fail-on", "never"); !strings.Contains(r.Out, `mesh_ca_trust_file_not_after_timestamp_seconds{cluster="eu",file="secret/hubble-server-certs[ca.crt]"}`) {
		t.Errorf("%s", r.Out)
	}
}

// TestForChart120: what cannot be read makes the result incomplete, unless its findings are ignored.
func TestForChart120(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	m, _ := catest.Member(t, "us", catest.Install{CA: &one})
	members := []*clusters.Member{m}
	r := run(t, members, "--for", "1.20", "-o", "json")
	doc := document(t, r)
	if r.Code != 2 || doc.Complete || len(doc.NotExamined) != 1 || doc.ForChart != "1.20" || !strings.Contains(r.ErrOut, "the values of release cilium could not be read") {
		t.Errorf("code %d, complete %v, %+v\n%s", r.Code, doc.Complete, doc.NotExamined, r.ErrOut)
	}
	if r := run(t, members, "--for", "1.20.2", "--ignore", "CA030,CA032", "-o", "json"); r.Code != 0 || !document(t, r).Complete {
		t.Errorf("code %d: %s", r.Code, r.ErrOut)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	members := append(mesh(t, 10), &clusters.Member{Name: "za", Context: "kind-za", Err: &failure.Error{Class: failure.Refused, Err: refusedError{}}})
	r := run(t, members, "-o", "junit", "--ignore", "CA021")
	var got junit.Suites
	if err := xml.Unmarshal([]byte(r.Out), &got); err != nil {
		t.Fatalf("%v in %s", err, r.Out)
	}
	if r.Code != 2 || got.Failures != 1 || got.Errors != 1 || got.Skipped != 1 || got.Suites[0].Name != "kubectl mesh-ca check" {
		t.Errorf("code %d, %d failures, %d errors, %d skipped", r.Code, got.Failures, got.Errors, got.Skipped)
	}
}

type refusedError struct{}

func (refusedError) Error() string { return "connection refused" }

// TestPrometheus: the whole command prints the text format and nothing else.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	r := run(t, mesh(t, 10), "-o", "prometheus", "--fail-on", "never")
	if r.Code != 0 || r.ErrOut != "" {
		t.Errorf("code %d, %s", r.Code, r.ErrOut)
	}
	for _, want := range []string{
		`mesh_ca_certificate_not_after_timestamp_seconds{cluster="us",kind="ca",name="cilium-ca"} 1821355200`,
		`mesh_ca_trust{client="us",server="eu",configured="false"} 1`,
		`mesh_ca_findings{id="CA023",severity="error"} 1`,
		`mesh_ca_cluster_read{cluster="eu"} 1`,
		"mesh_ca_complete 1",
	} {
		if !bytes.Contains([]byte(r.Out), []byte(want+"\n")) {
			t.Errorf("lacks %s:\n%s", want, r.Out)
		}
	}
}
