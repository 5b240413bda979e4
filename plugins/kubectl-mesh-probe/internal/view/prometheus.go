package view

import (
	"io"
	"slices"
	"strconv"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/prometheus"
)

// Prometheus writes the report as metrics. All describe one run, so all are gauges or histograms. Every sample has the labels service (or the
// URL where the Service is unknown), client_cluster and client_pod, and url if the run has several URLs. A check that is inconclusive is not 1.
func Prometheus(w io.Writer, r v1alpha1.ProbeReport) error {
	m := &prometheus.Metrics{}
	of := func(url string) []string {
		t := targetOf(r, url)
		if t.Service == "" {
			t.Service = t.URL
		}
		if url == "" {
			return []string{"service", t.Service}
		}
		return []string{"service", t.Service, "url", url}
	}
	labels := func(c v1alpha1.ProbeClient, more ...string) []string {
		return slices.Concat(of(c.URL), []string{"client_cluster", c.Cluster, "client_pod", c.Pod}, more)
	}
	count := func(name, help string, value func(v1alpha1.ProbeAnswer) int, others func(v1alpha1.ProbeClient) int) {
		m.Family(name, prometheus.Gauge, help)
		for _, c := range r.Clients {
			for _, a := range c.Answers {
				m.Sample(strconv.Itoa(value(a)), labels(c, "server_cluster", a.Name)...)
			}
			m.Sample(strconv.Itoa(others(c)), labels(c, "server_cluster", "")...)
		}
	}
	count("mesh_probe_requests", "Requests by who answered; an empty server_cluster counts those that nobody answered or whose sender is unknown.",
		func(a v1alpha1.ProbeAnswer) int { return a.Requests }, func(c v1alpha1.ProbeClient) int { return c.Unknown + c.NoAnswer })
	m.Family("mesh_probe_errors", prometheus.Gauge, "Requests that failed, by class and by the cluster that failed; an empty server_cluster means that it is unknown.")
	for _, c := range r.Clients {
		for _, e := range c.Errors {
			m.Sample(strconv.Itoa(e.Count), labels(c, "class", e.Class, "server_cluster", e.Cluster, "predicted", strconv.FormatBool(e.Predicted))...)
		}
	}
	shares(m, r, labels)
	latencies(m, r, labels)
	m.Family("mesh_probe_gap_seconds", prometheus.Gauge, "Longest time without a successful answer after a mark.")
	for _, c := range r.Clients {
		for _, o := range c.Outages {
			m.Sample(prometheus.Number(o.GapMs/1000), labels(c, "mark", o.Mark, "number", strconv.Itoa(markNumber(r, o)))...)
		}
	}
	m.Family("mesh_probe_check_passed", prometheus.Gauge, "Whether the check passed: 1 if it did, 0 if it failed or is inconclusive.")
	for _, k := range r.Checks {
		m.Sample(prometheus.Truth(k.Result == "PASS"), append(of(k.URL), "client", k.Client, "check", k.Expectation, "result", k.Result)...)
	}
	m.Family("mesh_probe_complete", prometheus.Gauge, "Whether every request is accounted for and every cluster was read: 1 if so, else 0.")
	each := urls(r)
	if len(each) == 0 {
		each = []string{""}
	}
	for _, url := range each {
		m.Sample(prometheus.Truth(r.Complete), of(url)...)
	}
	if r.EndTime != nil {
		m.Family("mesh_probe_end_timestamp_seconds", prometheus.Gauge, "When the run ended, in seconds since 1970.")
		for _, url := range each {
			m.Sample(prometheus.Seconds(*r.EndTime), of(url)...)
		}
	}
	_, err := w.Write(m.Bytes())
	return err
}

func shares(m *prometheus.Metrics, r v1alpha1.ProbeReport, labels func(v1alpha1.ProbeClient, ...string) []string) {
	m.Family("mesh_probe_share_ratio", prometheus.Gauge, "Share of all requests that the cluster answered, from 0 to 1.")
	for _, c := range r.Clients {
		for _, a := range c.Answers {
			if c.Requests > 0 {
				m.Sample(prometheus.Number(a.Share), labels(c, "server_cluster", a.Name)...)
			}
		}
	}
	m.Family("mesh_probe_expected_share_ratio", prometheus.Gauge, "Predicted share, from 0 to 1.")
	for _, c := range r.Clients {
		for _, a := range c.Answers {
			if a.ExpectedShare != nil {
				m.Sample(prometheus.Number(*a.ExpectedShare), labels(c, "server_cluster", a.Name)...)
			}
		}
	}
}

// latencies writes histograms. Prometheus counts each bucket with all buckets below it.
func latencies(m *prometheus.Metrics, r v1alpha1.ProbeReport, labels func(v1alpha1.ProbeClient, ...string) []string) {
	for _, x := range []struct {
		name, help string
		of         func(v1alpha1.ProbeAnswer) *v1alpha1.ProbeLatency
	}{
		{"mesh_probe_request_duration_seconds", "Latency of the answers, by who answered.", func(a v1alpha1.ProbeAnswer) *v1alpha1.ProbeLatency { return a.LatencyMs }},
		{"mesh_probe_connect_duration_seconds", "Time to connect, with the DNS look-up, by who answered.", func(a v1alpha1.ProbeAnswer) *v1alpha1.ProbeLatency { return a.ConnectMs }},
	} {
		m.Family(x.name, prometheus.Histogram, x.help)
		for _, c := range r.Clients {
			for _, a := range c.Answers {
				l := x.of(a)
				if l == nil {
					continue
				}
				sum := 0
				for _, b := range l.Histogram {
					sum += b.Count
					m.Series("_bucket", strconv.Itoa(sum), labels(c, "server_cluster", a.Name, "le", prometheus.Number(b.UpperBoundMs/1000))...)
				}
				m.Series("_bucket", strconv.Itoa(l.Count), labels(c, "server_cluster", a.Name, "le", "+Inf")...)
				m.Series("_sum", prometheus.Number(l.Mean*float64(l.Count)/1000), labels(c, "server_cluster", a.Name)...)
				m.Series("_count", strconv.Itoa(l.Count), labels(c, "server_cluster", a.Name)...)
			}
		}
	}
}
