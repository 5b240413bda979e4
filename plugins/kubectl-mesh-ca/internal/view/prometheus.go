package view

import (
	"io"
	"strconv"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/prometheus"
)

// Prometheus writes the report in the text format of Prometheus, version 0.0.4, as the textfile collector of node_exporter reads it. All metrics are gauges. The
// labels of a certificate are cluster, kind (ca, leaf or copy) and name. Those of a CA file are cluster and
// file. A direction of trust that is not known is 0, as a broken one: unknown is never ok.
func Prometheus(w io.Writer, doc v1alpha1.CACheckReport) error {
	m := &prometheus.Metrics{}
	m.Family("mesh_ca_certificate_not_after_timestamp_seconds", prometheus.Gauge, "When the certificate expires, in seconds since 1970.")
	for _, c := range doc.Certificates {
		m.Sample(prometheus.Seconds(c.NotAfter), "cluster", c.Cluster, "kind", c.Kind, "name", c.Name)
	}
	m.Family("mesh_ca_certificate_not_before_timestamp_seconds", prometheus.Gauge, "From when the certificate is valid, in seconds since 1970.")
	for _, c := range doc.Certificates {
		m.Sample(prometheus.Seconds(c.NotBefore), "cluster", c.Cluster, "kind", c.Kind, "name", c.Name)
	}
	if len(doc.TrustFiles) > 0 {
		m.Family("mesh_ca_trust_file_not_after_timestamp_seconds", prometheus.Gauge, "When a CA file no longer accepts leaf certificates that are still valid, in seconds since 1970.")
		for _, f := range doc.TrustFiles {
			m.Sample(prometheus.Seconds(f.NotAfter), "cluster", f.Cluster, "file", f.File)
		}
	}
	m.Family("mesh_ca_due_timestamp_seconds", prometheus.Gauge, "When a new certificate is needed, in seconds since 1970: of a CA, from when it has less time left than leaf certificates that are issued then; of what cert-manager keeps, when cert-manager issues it again.")
	for _, c := range doc.Certificates {
		if c.DueFrom != nil {
			m.Sample(prometheus.Seconds(*c.DueFrom), "cluster", c.Cluster, "kind", c.Kind, "name", c.Name)
		}
	}
	m.Family("mesh_ca_trust", prometheus.Gauge, "Whether processes of the client's cluster can log in to the server's, by the mounted files: 1 if they can, 0 if not or if it is not known.")
	for _, p := range doc.Trust {
		if p.WithoutClusterMesh == "" {
			m.Sample(prometheus.Truth(p.Verdict == string(pki.OK)), "client", p.Client, "server", p.Server, "configured", strconv.FormatBool(p.Configured))
		}
	}
	m.Family("mesh_ca_findings", prometheus.Gauge, "How many findings there are, by rule and severity.")
	count, order := map[[2]string]int{}, [][2]string(nil)
	for _, f := range doc.Findings {
		key := [2]string{f.ID, f.Severity}
		if count[key] == 0 {
			order = append(order, key)
		}
		count[key]++
	}
	for _, key := range order {
		m.Sample(strconv.Itoa(count[key]), "id", key[0], "severity", key[1])
	}
	m.Family("mesh_ca_findings_by_severity", prometheus.Gauge, "How many findings there are, by severity.")
	for _, severity := range []finding.Severity{finding.Error, finding.Warning, finding.Info} {
		n := 0
		for _, f := range doc.Findings {
			if f.Severity == string(severity) {
				n++
			}
		}
		m.Sample(strconv.Itoa(n), "severity", string(severity))
	}
	m.Family("mesh_ca_cluster_read", prometheus.Gauge, "Whether the cluster could be read: 1 if it could, else 0.")
	for _, member := range doc.Members {
		m.Sample(prometheus.Truth(member.Error == nil), "cluster", member.Name)
	}
	m.Family("mesh_ca_complete", prometheus.Gauge, "Whether everything was examined: 1 if it was, else 0.")
	m.Sample(prometheus.Truth(doc.Complete))
	m.Family("mesh_ca_as_of_timestamp_seconds", prometheus.Gauge, "As of when the certificates were judged, in seconds since 1970.")
	m.Sample(prometheus.Seconds(doc.AsOf))
	_, err := w.Write(m.Bytes())
	return err
}
