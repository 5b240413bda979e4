package view

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

var update = flag.Bool("update", false, "update the golden files")

func golden(t *testing.T, name, format string, sections []output.Section) {
	t.Helper()
	var buf bytes.Buffer
	f := output.NewFlags()
	f.Format = format
	if err := f.Print(&buf, nil, sections); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), buf.String()); d != "" {
		t.Errorf("%s: %s", file, d)
	}
}

func val(v string) *v1alpha1.Value { return &v1alpha1.Value{Value: v, Source: "key", Raw: v} }

func document() v1alpha1.Document {
	return v1alpha1.Document{Members: []v1alpha1.Member{
		{Name: "us", Context: "kind-us", Server: "https://127.0.0.1:1"}, {Name: "eu", Context: "kind-eu", Server: "https://127.0.0.1:2"},
		{Name: "ap", Context: "kind-ap", Server: "https://127.0.0.1:3", Error: &v1alpha1.MemberError{Class: "refused", Message: "no"}},
	}}
}

func services() []v1alpha1.ServiceCluster {
	p := []v1alpha1.Port{{Name: "http", Protocol: "TCP", Port: 80}}
	return []v1alpha1.ServiceCluster{
		{Cluster: "us", Present: true, Type: "ClusterIP", Global: val("true"), Shared: &v1alpha1.Value{Value: "true", Source: "default"}, Affinity: val("local"), Ports: p, ReadyEndpoints: ptr.To(2), Endpoints: ptr.To(3)},
		{Cluster: "eu", Present: true, Type: "ClusterIP", Global: &v1alpha1.Value{Value: "true", Source: "alias", Raw: "TRUE"}, Shared: &v1alpha1.Value{Value: "false", Source: "key", Raw: "yes\x1b[31m"}, Affinity: &v1alpha1.Value{Value: "none", Source: "default"}, Ports: p, ReadyEndpoints: ptr.To(1), Endpoints: ptr.To(1)},
	}
}

func TestClusters(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.ClusterList{Document: document(), Clusters: []v1alpha1.Cluster{
		{Name: "us", Context: "kind-us", ID: 1, Version: "1.18.11", CiliumNamespace: "kube-system", MaxConnectedClusters: 255, PeersKnown: true,
			Peers: []v1alpha1.Peer{{Name: "ap"}, {Name: "eu", Mutual: ptr.To(false)}}},
		{Name: "eu", Context: "kind-eu", ID: 2, CiliumNamespace: "kube-system", MaxConnectedClusters: 255},
	}}
	golden(t, "clusters", output.Wide, Clusters(doc))
}

func TestList(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.ServiceList{Document: document(), Services: []v1alpha1.ServiceSummary{
		{Namespace: "default", Name: "nginx", Clusters: services()}, {Namespace: "shop", Name: "cart", Clusters: append(services()[:1], v1alpha1.ServiceCluster{Cluster: "eu"})}}}
	golden(t, "list", "", List(doc, true))
	doc.Services[0].Clusters[0].Drained, doc.Services[0].Clusters[0].Shared = true, val("false")
	golden(t, "list-drained", "", List(doc, true))
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	share := func(c string, s float64, n int, code, reason string) v1alpha1.Share {
		return v1alpha1.Share{Cluster: c, Share: ptr.To(s), Backends: ptr.To(n), Used: ptr.To(n > 0), Code: code, Reason: reason}
	}
	port := v1alpha1.Port{Name: "http", Protocol: "TCP", Port: 80}
	unread := v1alpha1.Share{Cluster: "ap", Low: ptr.To(0.0), High: ptr.To(1.0), Code: "not-read", Reason: "unknown, it could not be read: refused"}
	most := func(s v1alpha1.Share) v1alpha1.Share {
		s.Low, s.High = ptr.To(0.0), s.Share
		return s
	}
	predictions := []v1alpha1.Prediction{
		{Client: "us", Kind: "balanced", Port: port, IPFamily: "IPv4", Outcomes: []v1alpha1.Outcome{
			{Versions: []string{"1.20"}, Shares: []v1alpha1.Share{most(share("us", 2.0/3, 2, "local", "used")), most(share("eu", 1.0/3, 1, "used", "used")), unread}},
			{Versions: []string{"1.18.0 to 1.19.5"}, Shares: []v1alpha1.Share{most(share("us", 1, 2, "local", "used")), most(share("eu", 0, 0, "affinity-drops", "not used, it drops")), unread}},
		}},
		{Client: "eu", Kind: "balanced", Complete: true, Port: port, IPFamily: "IPv4", Caveats: []string{"sessionAffinity is ClientIP"}, Outcomes: []v1alpha1.Outcome{
			{Shares: []v1alpha1.Share{share("us", 0, 0, "not-shared", "not used, its Service is not shared"), share("eu", 0, 0, "no-ready-endpoints", "not used, it has no endpoints"), share("ap", 0, 0, "missing", "not used, it has no such Service")}}}},
		{Client: "ap", Kind: "unread"},
	}
	doc := v1alpha1.ServiceReport{Document: document(), Namespace: "default", Name: "nginx", Clusters: services(), Predictions: predictions,
		Failures: []v1alpha1.Failure{{LostCluster: "us", Predictions: predictions[1:]}}}
	golden(t, "describe", "", Describe(doc))
	doc.Clusters[0].Drained, doc.Clusters[0].Shared = true, val("false")
	doc.Predictions, doc.Failures = nil, nil
	doc.Findings = []v1alpha1.Finding{finding.Drained.New("service/default/nginx", []string{"us"}, "us: drained", "kubectl mesh-svc undrain us")}
	golden(t, "describe-drained", "", Describe(doc))
}

// TestIgnored: the reason holds for each label and annotation by which Cilium does not serve a Service.
func TestIgnored(t *testing.T) {
	t.Parallel()
	got := strings.Join(reasons(v1alpha1.Prediction{Client: "us", Kind: "ignored"}), "\n")
	for _, label := range []string{cilium.LabelServiceProxyName, cilium.LabelHeadless, cilium.AnnotationType} {
		if !strings.Contains(got, label) {
			t.Errorf("%s is not a reason: %s", label, got)
		}
	}
}

// TestNobodyAnswers: describe tells that nobody answers only for a prediction that leaves nothing else open.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	outcome := func(used bool) v1alpha1.Outcome {
		return v1alpha1.Outcome{Shares: []v1alpha1.Share{{Cluster: "us", Share: ptr.To(0.0), Used: ptr.To(used), Reason: "because"}}}
	}
	none, some := outcome(false), outcome(true)
	for name, c := range map[string]struct {
		prediction v1alpha1.Prediction
		want       string
	}{
		"nobody":                   {v1alpha1.Prediction{Kind: "balanced", Complete: true, Outcomes: []v1alpha1.Outcome{none, none}}, "  us: nobody answers; connections are refused"},
		"a cluster is not read":    {v1alpha1.Prediction{Kind: "balanced", Outcomes: []v1alpha1.Outcome{none}}, ""},
		"in some versions":         {v1alpha1.Prediction{Kind: "balanced", Complete: true, Outcomes: []v1alpha1.Outcome{none, some}}, ""},
		"DNS has nobody to return": {v1alpha1.Prediction{Kind: "headless", Complete: true, Outcomes: []v1alpha1.Outcome{none}}, "  us: DNS returns no pods"},
	} {
		c.prediction.Client = "us"
		got := strings.Join(reasons(c.prediction), "\n")
		if !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "nobody") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestWithoutPorts: a headless Service may have no ports.
func TestWithoutPorts(t *testing.T) {
	t.Parallel()
	g := groups([]v1alpha1.Prediction{{Client: "us", IPFamily: "IPv6"}, {Client: "us", IPFamily: "IPv4", Port: v1alpha1.Port{Port: 80, Protocol: "TCP"}}})
	got := []string{g[0].title(), g[1].title(), portName(g[0].port), portName(g[1].port)}
	if d := cmp.Diff([]string{", IPv6", " on port 80/TCP, IPv4", "<none>", "80/TCP"}, got); d != "" {
		t.Error(d)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.ChangeReport{Document: document(), Action: "globalize", DryRun: "server", Changes: []v1alpha1.Change{
		{Cluster: "us", Context: "kind-us", Namespace: "default", Object: "service/nginx", Result: "planned", Before: map[string]*string{"g": nil, "alias": ptr.To("true")}, After: map[string]*string{"g": ptr.To("true"), "alias": nil}},
		{Cluster: "eu", Context: "kind-eu", Namespace: "default", Object: "service/nginx", Result: "unchanged"},
		{Cluster: "eu", Context: "kind-eu", Namespace: "default", Object: "service/web", Result: "failed", Message: "no permission"},
	}}
	golden(t, "changes", "", Changes(doc, false))
	golden(t, "plan", "", Plan(doc))
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{0: "0%", 1: "100%", 0.5: "50%", 2.0 / 3: "66.7%", 1.0 / 1000: "0.1%"} {
		if got := Percent(f); got != want {
			t.Errorf("%v: %s", f, got)
		}
	}
}

// TestFieldDViewsFit: with clusters, contexts and Services as clouds name them no table is wider than 120 columns, and what does not fit is in -o wide.
func TestFieldDViewsFit(t *testing.T) {
	t.Parallel()
	var members []v1alpha1.Member
	clusters := v1alpha1.ClusterList{}
	report := v1alpha1.ServiceReport{Namespace: "payments-production", Name: "payments-api-gateway"}
	services := v1alpha1.ServiceList{}
	changes := v1alpha1.ChangeReport{Action: "globalize", DryRun: "none"}
	for n := range 12 {
		name := fmt.Sprintf("production-eu-central-%02d", n)
		m := v1alpha1.Member{Name: name, Context: "arn:aws:eks:eu-central-1:123456789012:cluster/" + name, Server: "https://0123456789ABCDEF0123456789ABCDEF.gr7.eu-central-1.eks.amazonaws.com"}
		members = append(members, m)
		c := v1alpha1.Cluster{Name: name, Context: m.Context, ID: uint32(n + 1), Version: "1.18.11", PeersKnown: true}
		p := v1alpha1.Prediction{Client: name, IPFamily: "IPv4", Port: v1alpha1.Port{Port: 8080, Protocol: "TCP", Name: "http"}, Outcomes: []v1alpha1.Outcome{{}}}
		for o := range 12 {
			other := fmt.Sprintf("production-eu-central-%02d", o)
			c.Peers = append(c.Peers, v1alpha1.Peer{Name: other, Mutual: ptr.To(true)})
			p.Outcomes[0].Shares = append(p.Outcomes[0].Shares, v1alpha1.Share{Cluster: other, Share: ptr.To(1.0 / 12), Used: ptr.To(true)})
		}
		clusters.Clusters = append(clusters.Clusters, c)
		report.Predictions = append(report.Predictions, p)
		report.Clusters = append(report.Clusters, v1alpha1.ServiceCluster{Cluster: name, Present: true, Type: "ClusterIP", Global: val("true"), Shared: val("true"), Affinity: val("local"), ReadyEndpoints: ptr.To(10), Endpoints: ptr.To(12)})
		changes.Changes = append(changes.Changes, v1alpha1.Change{Cluster: name, Context: m.Context, Namespace: "payments-production", Object: "service/payments-api-gateway", Result: "planned",
			Before: map[string]*string{"service.cilium.io/affinity": nil}, After: map[string]*string{"service.cilium.io/affinity": ptr.To("local")}})
	}
	report.Failures = []v1alpha1.Failure{{LostCluster: "production-eu-central-00", Predictions: report.Predictions}}
	services.Services = []v1alpha1.ServiceSummary{{Namespace: "payments-production", Name: "payments-api-gateway", Clusters: report.Clusters}}
	findings := []v1alpha1.Finding{{ID: "SVC001", Severity: "error", Object: "service/payments-production/payments-api-gateway", Message: strings.Repeat("clients never reach it ", 20), Fix: "kubectl x"}}
	clusters.Members, report.Members, services.Members, changes.Members = members, members, members, members
	clusters.Findings, report.Findings = findings, findings
	for name, sections := range map[string][]output.Section{
		"clusters": Clusters(clusters), "describe": Describe(report), "list": List(services, true), "plan": Plan(changes), "changes": Changes(changes, false), "findings": Findings(findings, true),
	} {
		for _, s := range sections {
			if s.Table == nil {
				continue
			}
			var buf bytes.Buffer
			if err := output.NewFlags().Print(&buf, nil, []output.Section{{Table: s.Table}}); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(buf.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 {
					t.Errorf("%s: %d columns: %s", name, n, line)
				}
			}
		}
	}
	if got := text(t, Describe(report)); !strings.Contains(got, "ANSWERED-BY") || !strings.Contains(got, "production-eu-central-00 8.3%, production-eu-central-01 8.3%") {
		t.Errorf("the matrix is lost:\n%s", got)
	}
}

// TestPlanFits80 has the plan of the README's first change in a terminal of 80 columns.
func TestPlanFits80(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	doc := v1alpha1.ChangeReport{Action: "globalize", DryRun: "none"}
	for i, name := range []string{"us", "eu", "ap"} {
		doc.Members = append(doc.Members, v1alpha1.Member{Name: name, Context: "kind-" + name, Server: fmt.Sprintf("https://127.0.0.1:4%d443", i)})
		doc.Changes = append(doc.Changes, v1alpha1.Change{Cluster: name, Context: "kind-" + name, Namespace: "default", Object: "service/nginx", Result: "planned",
			Before: map[string]*string{cilium.AnnotationGlobal: nil}, After: map[string]*string{cilium.AnnotationGlobal: ptr.To("true")}})
	}
	for line := range strings.Lines(printed(t, Plan(doc))) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
