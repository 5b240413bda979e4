package view

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, r v1alpha1.ProbeReport) {
	t.Helper()
	var buf bytes.Buffer
	if err := output.NewFlags().Print(&buf, nil, Sections(r, false)); err != nil {
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

func client(cluster string) v1alpha1.ProbeClient {
	return v1alpha1.ProbeClient{
		Name: cluster, Cluster: cluster, Context: "kind-" + cluster, Namespace: "default", Pod: "client-1", Tool: "curl 8.5.0", Complete: true, Requests: 1000,
		RequestsPerSecond: ptr.To(198.4), IdentifiedBy: map[string]int{"pod name": 990, "cluster name": 10},
		Answers: []v1alpha1.ProbeAnswer{
			{Name: "us", Member: true, Requests: 667, Share: 0.667, ConfidenceInterval: v1alpha1.ProbeInterval{Low: 0.637, High: 0.695}, ExpectedShare: ptr.To(2. / 3),
				LatencyMs: &v1alpha1.ProbeLatency{Count: 667, Min: 1, Mean: 2, P50: ptr.To(1.25), P95: ptr.To(12.0), Max: 20}},
			{Name: "eu", Member: true, Requests: 333, Share: 0.333, ConfidenceInterval: v1alpha1.ProbeInterval{Low: 0.305, High: 0.363}, ExpectedShare: ptr.To(1. / 3), Errors: 2},
		},
	}
}

func report(clients ...v1alpha1.ProbeClient) v1alpha1.ProbeReport {
	return v1alpha1.ProbeReport{Target: v1alpha1.ProbeTarget{URL: "http://nginx/", Method: "GET", Service: "default/nginx", Port: 80}, Clients: clients}
}

// Connections have no HTTP method, and what is known of those that could not be attributed is the address of their socket.
func TestConnections(t *testing.T) {
	t.Parallel()
	c := client("us")
	c.Tool, c.IdentifiedBy = "bash 5.2", map[string]int{"socket": 1000}
	c.Requests, c.Answered, c.Unknown = 1013, 1013, 13
	c.UnknownSamples = []v1alpha1.ProbeUnknown{{Count: 12, Body: "10.96.0.1:5432"}, {Count: 1}}
	r := report(c)
	r.Target = v1alpha1.ProbeTarget{URL: "tcp://db:5432", Service: "default/db", Port: 5432}
	golden(t, "tcp", r)
}

func TestOneClient(t *testing.T) {
	t.Parallel()
	r := report(client("us"))
	r.Checks = []v1alpha1.ProbeCheck{
		{Client: "us", Expectation: "prediction", Result: "PASS", Observed: "us 66.7% (predicted 66.7%)"},
		{Client: "us", Expectation: "errors<1%", Result: "INCONCLUSIVE", Observed: "0.2%", Reason: "too few requests to tell"},
	}
	golden(t, "one", r)
}

// Two clients, of which one was cut short; a value that does not name a member and contains control characters; errors.
func TestSeveralClients(t *testing.T) {
	t.Parallel()
	bad := client("eu")
	bad.Complete, bad.Reason, bad.Unknown, bad.UnknownSample, bad.NoAnswer = false, "interrupted", 7, "who\x1b[2J knows\n", 3
	bad.UnknownErrors = 2
	bad.UnknownSamples = []v1alpha1.ProbeUnknown{{Count: 4, Body: bad.UnknownSample}, {Count: 2, Body: "no"}}
	bad.PredictionMessage = "the Service is headless"
	bad.Answers = append(bad.Answers, v1alpha1.ProbeAnswer{Name: "Cluster-1\x1b[31m", Requests: 10, Share: 0.01})
	bad.Errors = []v1alpha1.ProbeError{{Class: "refused", Count: 3, Message: "Connection refused\x07"}, {Class: "http-5xx", Count: 2}}
	none := v1alpha1.ProbeClient{Name: "ap", Cluster: "ap", Reason: "the container has no shell", Answers: []v1alpha1.ProbeAnswer{{Name: "us", Member: true}}}
	golden(t, "several", report(client("us"), bad, none))
}

// A 503 with an unknown sender is in the row of unknown replies. Percentiles that are not shown are explained.
func TestFieldDRowsAndPercentiles(t *testing.T) {
	t.Parallel()
	c := client("us")
	c.Tool, c.Requests, c.Answered, c.Unknown, c.UnknownErrors, c.NoAnswer = "busybox wget 1.36.1", 400, 300, 100, 100, 100
	c.UnknownSamples = []v1alpha1.ProbeUnknown{{Count: 90, Body: ""}}
	c.Answers = []v1alpha1.ProbeAnswer{{Name: "us", Member: true, Requests: 200, Share: 0.5}}
	c.Errors = []v1alpha1.ProbeError{{Class: "http-5xx", Count: 100}, {Class: "refused", Count: 100}}
	golden(t, "rows", report(c))

	silent := client("us")
	silent.Answers, silent.Answered, silent.Unknown, silent.IdentifiedBy = silent.Answers[:0], 1000, 1000, nil
	golden(t, "silent", report(silent))
}

// Several client pods in a cluster are named wherever one of them appears; a helper is named where the numbers come from.
func TestSeveralPodsAndHelpers(t *testing.T) {
	t.Parallel()
	pod := func(name string) v1alpha1.ProbeClient {
		c := client("us")
		c.Name, c.Pod = "us/"+name, name
		return c
	}
	a, b, eu := pod("client-5d8c7b9f6d-2xk4q"), pod("client-5d8c7b9f6d-9zl7w"), client("eu")
	a.Errors = []v1alpha1.ProbeError{{Class: "http-5xx", Count: 2}}
	b.Pod, b.Helper = "mesh-probe-helper-0a1b2c3d", &v1alpha1.ProbeHelper{Kind: "pod", ClientPod: "client-5d8c7b9f6d-9zl7w"}
	eu.Container, eu.Helper = "mesh-probe-helper-4e5f6071", &v1alpha1.ProbeHelper{Kind: "ephemeral", ClientPod: "client-1", LeftBehind: true}
	r := report(a, b, eu)
	for _, c := range r.Clients {
		r.Checks = append(r.Checks, v1alpha1.ProbeCheck{Client: c.Name, Expectation: "prediction", Result: "PASS", Observed: "us 66.7% (predicted 66.7%)"})
	}
	golden(t, "pods", r)
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.ProbeCleanupReport{
		ChangeReport: v1alpha1.ChangeReport{Changes: []v1alpha1.Change{
			{Cluster: "us", Namespace: "shop", Object: "pod/mesh-probe-helper-0a1b2c3d", Result: v1alpha1.ResultPlanned},
			{Cluster: "eu", Namespace: "shop", Object: "pod/mesh-probe-helper-4e5f6071", Result: v1alpha1.ResultFailed, Message: "no permission"},
		}},
		HelperPods:          []v1alpha1.ProbeLeftover{{Pod: "mesh-probe-helper-0a1b2c3d", State: "running", Image: "curl"}, {Pod: "mesh-probe-helper-4e5f6071", State: "ended", Image: "curl"}},
		EphemeralContainers: []v1alpha1.ProbeLeftover{{Cluster: "us", Namespace: "shop", Pod: "client-1", Container: "mesh-probe-helper-99999999", State: "ended", Image: "curl"}},
	}
	var buf bytes.Buffer
	if err := output.NewFlags().Print(&buf, nil, Cleanup(doc)); err != nil {
		t.Fatal(err)
	}
	want := `CLUSTER   NAMESPACE   HELPER-POD                   STATE     RESULT
us        shop        mesh-probe-helper-0a1b2c3d   running   planned
eu        shop        mesh-probe-helper-4e5f6071   ended     failed
eu: shop/mesh-probe-helper-4e5f6071: no permission

CLUSTER   NAMESPACE   POD        EPHEMERAL-CONTAINER          STATE
us        shop        client-1   mesh-probe-helper-99999999   ended

Kubernetes cannot remove ephemeral containers. Their processes have ended or end soon, and the entries go away with the pods.
`
	if d := cmp.Diff(want, buf.String()); d != "" {
		t.Error(d)
	}
}
