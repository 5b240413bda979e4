package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// Prometheus writes the report in the text format of Prometheus, version 0.0.4, as the textfile collector of node_exporter reads it. All metrics are gauges. The
// labels of a certificate are cluster, kind (ca, leaf or copy) and name. A direction of trust that is not known is 0, as a broken one: unknown is never ok.
func Prometheus(w io.Writer, doc v1alpha1.CACheckReport) error {
	m := &metrics{}
	m.family("mesh_ca_certificate_not_after_timestamp_seconds", "When the certificate expires, in seconds since 1970.")
	for _, c := range doc.Certificates {
		m.sample(seconds(c.NotAfter), "cluster", c.Cluster, "kind", c.Kind, "name", c.Name)
	}
	m.family("mesh_ca_certificate_not_before_timestamp_seconds", "From when the certificate is valid, in seconds since 1970.")
	for _, c := range doc.Certificates {
		m.sample(seconds(c.NotBefore), "cluster", c.Cluster, "kind", c.Kind, "name", c.Name)
	}
	m.family("mesh_ca_due_timestamp_seconds", "From when the CA has less time left than leaf certificates that are issued then, in seconds since 1970.")
	for _, c := range doc.Certificates {
		if c.DueFrom != nil {
			m.sample(seconds(*c.DueFrom), "cluster", c.Cluster, "kind", c.Kind, "name", c.Name)
		}
	}
	m.family("mesh_ca_trust", "Whether processes of the client's cluster can log in to the server's, by the mounted files: 1 if they can, 0 if not or if it is not known.")
	for _, p := range doc.Trust {
		if p.NoClusterMesh == "" {
			m.sample(truth(p.Verdict == string(pki.OK)), "client", p.Client, "server", p.Server, "configured", strconv.FormatBool(p.Configured))
		}
	}
	m.family("mesh_ca_findings", "How many findings there are, by rule and severity.")
	count, order := map[[2]string]int{}, [][2]string(nil)
	for _, f := range doc.Findings {
		key := [2]string{f.ID, f.Severity}
		if count[key] == 0 {
			order = append(order, key)
		}
		count[key]++
	}
	for _, key := range order {
		m.sample(strconv.Itoa(count[key]), "id", key[0], "severity", key[1])
	}
	m.family("mesh_ca_findings_by_severity", "How many findings there are, by severity.")
	for _, severity := range []finding.Severity{finding.Error, finding.Warning, finding.Info} {
		n := 0
		for _, f := range doc.Findings {
			if f.Severity == string(severity) {
				n++
			}
		}
		m.sample(strconv.Itoa(n), "severity", string(severity))
	}
	m.family("mesh_ca_cluster_read", "Whether the cluster could be read: 1 if it could, else 0.")
	for _, member := range doc.Members {
		m.sample(truth(member.Error == nil), "cluster", member.Name)
	}
	m.family("mesh_ca_complete", "Whether everything was examined: 1 if it was, else 0.")
	m.sample(truth(doc.Complete))
	m.family("mesh_ca_as_of_timestamp_seconds", "As of when the certificates were judged, in seconds since 1970.")
	m.sample(seconds(doc.AsOf))
	_, err := w.Write(m.out.Bytes())
	return err
}

// metrics writes the text format: all samples of a family together, after its HELP and TYPE. A family without samples is left out.
type metrics struct {
	out           bytes.Buffer
	name, pending string
}

func (m *metrics) family(name, help string) {
	m.name = name
	m.pending = fmt.Sprintf("# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// sample writes a value with labels, which are pairs of name and value.
func (m *metrics) sample(value string, labels ...string) {
	m.out.WriteString(m.pending)
	m.pending = ""
	m.out.WriteString(m.name)
	if len(labels) > 0 {
		var pairs []string
		for pair := range slices.Chunk(labels, 2) {
			pairs = append(pairs, pair[0]+`="`+labelValue(pair[1])+`"`)
		}
		m.out.WriteString("{" + strings.Join(pairs, ",") + "}")
	}
	m.out.WriteString(" " + value + "\n")
}

// labelValue escapes what the format requires: backslash, quote and line feed. Names come from clusters, so what is not UTF-8 is replaced.
func labelValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func truth(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
