// Package prometheus writes metrics in the text format of Prometheus, version 0.0.4, as the textfile collector of node_exporter reads them. It is
// pure.
package prometheus

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// The types of metrics.
const (
	Gauge     = "gauge"
	Histogram = "histogram"
)

// Metrics is a text that grows. All samples of a family are together, after its HELP and TYPE. A family without samples is left out.
type Metrics struct {
	out           bytes.Buffer
	name, pending string
}

// Family begins a family of metrics.
func (m *Metrics) Family(name, kind, help string) {
	m.name = name
	m.pending = fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// Sample adds a value with labels, which are pairs of name and value.
func (m *Metrics) Sample(value string, labels ...string) { m.Series("", value, labels...) }

// Series is Sample for one of the series of a histogram, such as _bucket.
func (m *Metrics) Series(suffix, value string, labels ...string) {
	m.out.WriteString(m.pending)
	m.pending = ""
	m.out.WriteString(m.name + suffix)
	if len(labels) > 0 {
		var pairs []string
		for pair := range slices.Chunk(labels, 2) {
			pairs = append(pairs, pair[0]+`="`+labelValue(pair[1])+`"`)
		}
		m.out.WriteString("{" + strings.Join(pairs, ",") + "}")
	}
	m.out.WriteString(" " + value + "\n")
}

// Bytes returns the text.
func (m *Metrics) Bytes() []byte { return m.out.Bytes() }

// labelValue escapes what the format requires: backslash, quote and line feed. Names come from clusters, so what is not UTF-8 is replaced, and
// control characters are left out.
func labelValue(s string) string {
	return output.Clean(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD")))
}

// Seconds is a moment as seconds since 1970.
func Seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// Truth is 1 for true and 0 for false.
func Truth(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Number is a number, as short as possible.
func Number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
