// Package junit writes findings, or a suite of tests, as a report of tests, as CI systems read it. It is pure.
package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// The elements of a JUnit report, as CI systems read them.
type (
	// Suites is the whole report.
	Suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Suites   []Suite  `xml:"testsuite"`
	}
	// Suite is a group of tests: one command.
	Suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []Case `xml:"testcase"`
	}
	// Case is one test: a finding, or a rule without findings.
	Case struct {
		Class   string  `xml:"classname,attr"`
		Name    string  `xml:"name,attr"`
		Failure *Detail `xml:"failure"`
		Error   *Detail `xml:"error"`
		Skipped *Detail `xml:"skipped"`
		Out     string  `xml:"system-out,omitempty"`
	}
	// Detail says why a test did not pass.
	Detail struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// Report is what is written.
type Report struct {
	// Name is the command, such as "kubectl mesh-svc check".
	Name     string
	Findings []v1alpha1.Finding
	// Rules are all that were checked.
	Rules []finding.Rule
	// Threshold is the minimum severity of a failure, and Ignored are the ids of rules that were left out.
	Threshold finding.Severity
	Ignored   []string
	// Gaps are what could not be examined.
	Gaps []Gap
}

// Gap is something that could not be examined in a cluster.
type Gap struct {
	Cluster, Text string
	// IDs are the rules that need it; none means all.
	IDs []string
}

// Write writes one test for each finding, and one for each rule without findings. A finding at or above the threshold is a
// failure. A finding below it is a test that passes with output. A rule that could not be examined is an error; an ignored rule is skipped.
func (r Report) Write(w io.Writer) error {
	out := Suite{Name: r.Name}
	broken := map[string]bool{}
	for _, g := range r.Gaps {
		why := &Detail{Message: Text(g.Text), Type: "not examined"}
		for _, id := range g.IDs {
			broken[id] = true
			out.Cases = append(out.Cases, Case{Class: id, Name: Text("cluster " + g.Cluster), Error: why})
		}
		if len(g.IDs) == 0 {
			out.Cases = append(out.Cases, Case{Class: "clusters", Name: Text("cluster " + g.Cluster), Error: why})
		}
	}
	found := map[string]bool{}
	for _, f := range r.Findings {
		found[f.ID] = true
		out.Cases = append(out.Cases, findingCase(f, r.Threshold))
	}
	for _, rule := range r.Rules {
		c := Case{Class: rule.ID, Name: rule.Title}
		switch {
		case slices.Contains(r.Ignored, rule.ID):
			c.Skipped = &Detail{Message: "left out by --ignore"}
		case found[rule.ID] || broken[rule.ID]:
			continue
		}
		out.Cases = append(out.Cases, c)
	}
	return out.Write(w)
}

// Write counts the tests of the suite and writes it as a whole report.
func (s Suite) Write(w io.Writer) error {
	s.count()
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(Suites{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Skipped: s.Skipped, Suites: []Suite{s}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// count fills in how many tests there are of each kind.
func (s *Suite) count() {
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

func findingCase(f v1alpha1.Finding, threshold finding.Severity) Case {
	where := strings.Join(f.Clusters, ", ")
	if f.Object != "" {
		where = fmt.Sprintf("%s in %s", f.Object, where)
	}
	c := Case{Class: f.ID, Name: Text(where)}
	text := f.Severity + ": " + f.Message + "\nwhy: " + f.Reason
	if do := cmp.Or(f.Fix, f.Advice); do != "" {
		text += "\nsuggested fix: " + do
	}
	if finding.Severity(f.Severity).AtLeast(threshold) {
		c.Failure = &Detail{Message: Text(f.Message), Type: f.Severity, Text: Lines(text)}
		return c
	}
	c.Out = Lines(text)
	return c
}

// Text strips characters that XML 1.0 forbids, and terminal control characters.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0xd800 && r < 0xe000 || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, output.Clean(strings.ToValidUTF8(s, "")))
}

// Lines is Text line by line.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Text(l)
	}
	return strings.Join(lines, "\n")
}
