package view_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// The grammar of the text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// labels parses the inside of the braces, and refuses what a strict parser refuses.
func labels(s string) (map[string]string, error) {
	out := map[string]string{}
	for s != "" {
		name, rest, ok := strings.Cut(s, `="`)
		if !ok || !labelName.MatchString(name) || strings.HasPrefix(name, "__") {
			return nil, fmt.Errorf("label name %q", name)
		}
		var value strings.Builder
		i, closed := 0, false
		for i < len(rest) && !closed {
			switch c := rest[i]; c {
			case '\\':
				if i+1 >= len(rest) || !strings.ContainsRune(`\"n`, rune(rest[i+1])) {
					return nil, fmt.Errorf("escape in %q", rest)
				}
				value.WriteByte(map[byte]byte{'\\': '\\', '"': '"', 'n': '\n'}[rest[i+1]])
				i++
			case '"':
				closed = true
			default:
				value.WriteByte(c)
			}
			i++
		}
		if _, twice := out[name]; twice || !closed || !utf8.ValidString(value.String()) {
			return nil, fmt.Errorf("label %q: twice %v, closed %v", name, twice, closed)
		}
		out[name] = value.String()
		if s = rest[i:]; s != "" {
			if !strings.HasPrefix(s, ",") || len(s) == 1 {
				return nil, fmt.Errorf("after label %q: %q", name, s)
			}
			s = s[1:]
		}
	}
	return out, nil
}

// exposition parses the text format strictly: HELP and TYPE once and before the samples, the samples of a family together, no sample twice.
func exposition(text string) (map[string]float64, error) {
	samples, seen := map[string]float64{}, map[string]bool{}
	help, kind, family := "", "", ""
	if text != "" && !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("the last line has no line feed")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			help = m[1]
			if seen[help] {
				return nil, fmt.Errorf("family %s twice", help)
			}
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			kind, family = m[2], m[1]
			if family != help || seen[family] || kind != "gauge" {
				return nil, fmt.Errorf("TYPE %s %s after HELP %s", family, kind, help)
			}
			seen[family] = true
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family {
			return nil, fmt.Errorf("line %q in family %q", line, family)
		}
		set, err := labels(m[2])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		key := fmt.Sprint(m[1], set)
		if _, twice := samples[key]; twice {
			return nil, fmt.Errorf("%q twice", line)
		}
		samples[key] = value
	}
	return samples, nil
}

// odd is a name that needs every escape.
const odd = "a\\b\"c\nd\xff"

func checked() v1alpha1.CACheckReport {
	end := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	return v1alpha1.CACheckReport{
		Document: v1alpha1.Document{
			Complete: true, Members: []v1alpha1.Member{{Name: "us"}, {Name: odd, Error: &v1alpha1.MemberError{Class: "dns"}}},
			Findings: []v1alpha1.Finding{{ID: "CA023", Severity: "error"}, {ID: "CA023", Severity: "error"}, {ID: "CA023", Severity: "warning"}},
		},
		AsOf: now,
		Certificates: []v1alpha1.CheckedCertificate{
			{Cluster: "us", Kind: "ca", Name: "cilium-ca", NotBefore: now, NotAfter: end, DueFrom: ptr.To(end.AddDate(0, 0, -30))},
			{Cluster: odd, Kind: "leaf", Name: odd, NotBefore: now, NotAfter: end},
		},
		Trust: []v1alpha1.TrustPair{
			{Client: "us", Server: odd, Verdict: "unknown"}, {Client: odd, Server: "us", Verdict: "ok", Configured: true}, {Client: "us", Server: "x", WithoutClusterMesh: "x"},
		},
	}
}

func TestPrometheusFormat(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := view.Prometheus(&out, checked()); err != nil {
		t.Fatal(err)
	}
	got, err := exposition(out.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	clean := strings.ToValidUTF8(odd, "\uFFFD")
	for key, want := range map[string]float64{
		fmt.Sprint("mesh_ca_certificate_not_after_timestamp_seconds", map[string]string{"cluster": "us", "kind": "ca", "name": "cilium-ca"}): 1803859200,
		fmt.Sprint("mesh_ca_due_timestamp_seconds", map[string]string{"cluster": "us", "kind": "ca", "name": "cilium-ca"}):                   1801267200,
		fmt.Sprint("mesh_ca_trust", map[string]string{"client": "us", "server": clean, "configured": "false"}):                               0,
		fmt.Sprint("mesh_ca_trust", map[string]string{"client": clean, "server": "us", "configured": "true"}):                                1,
		fmt.Sprint("mesh_ca_findings", map[string]string{"id": "CA023", "severity": "error"}):                                                2,
		fmt.Sprint("mesh_ca_findings_by_severity", map[string]string{"severity": "info"}):                                                    0,
		fmt.Sprint("mesh_ca_cluster_read", map[string]string{"cluster": clean}):                                                              0,
		fmt.Sprint("mesh_ca_complete", map[string]string{}):                                                                                  1,
	} {
		if have, ok := got[key]; !ok || have != want {
			t.Errorf("%s is %v (%v), want %v", key, have, ok, want)
		}
	}
	if len(got) != 4+1+2+2+3+2+2 {
		t.Errorf("%d samples:\n%s", len(got), out.String())
	}
}

// TestExpositionIsStrict: the parser of this test refuses what Prometheus refuses.
func TestExpositionIsStrict(t *testing.T) {
	t.Parallel()
	const head = "# HELP a b\n# TYPE a gauge\n"
	for name, text := range map[string]string{
		"no TYPE":        "# HELP a b\na 1\n",
		"another family": head + "b 1\n",
		"twice":          head + "a{x=\"1\"} 1\na{x=\"1\"} 2\n",
		"split family":   head + "a 1\n# HELP c d\n# TYPE c gauge\nc 1\n" + head + "a{x=\"1\"} 1\n",
		"no line feed":   head + "a 1",
		"bad escape":     head + "a{x=\"\\t\"} 1\n",
		"open quote":     head + "a{x=\"1} 1\n",
		"label twice":    head + "a{x=\"1\",x=\"2\"} 1\n",
		"no value":       head + "a\n",
		"trailing comma": head + "a{x=\"1\",} 1\n",
	} {
		if _, err := exposition(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
