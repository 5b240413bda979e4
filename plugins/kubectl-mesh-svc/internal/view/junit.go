package view

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
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *junitDetail `xml:"failure"`
		Error   *junitDetail `xml:"error"`
		Skipped *junitDetail `xml:"skipped"`
		Out     string       `xml:"system-out,omitempty"`
	}
	junitDetail struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes one test for each finding, and one for each rule without findings. A finding at or above the threshold is a
// failure. A finding below it is a test that passes with output. A rule that could not be examined is an error; an ignored rule is skipped.
func JUnit(w io.Writer, doc v1alpha1.FindingList, threshold finding.Severity, ignored []string) error {
	suite := junitSuite{Name: checkName}
	broken := map[string]bool{}
	for _, g := range gaps(doc) {
		detail := &junitDetail{Message: xmlText(g.text), Type: "not examined"}
		for _, id := range g.ids {
			broken[id] = true
			suite.Cases = append(suite.Cases, junitCase{Class: id, Name: xmlText("cluster " + g.cluster), Error: detail})
		}
		if len(g.ids) == 0 {
			suite.Cases = append(suite.Cases, junitCase{Class: "clusters", Name: xmlText("cluster " + g.cluster), Error: detail})
		}
	}
	found := map[string]bool{}
	for _, f := range doc.Findings {
		found[f.ID] = true
		suite.Cases = append(suite.Cases, findingCase(f, threshold))
	}
	for _, r := range finding.Service() {
		c := junitCase{Class: r.ID, Name: r.Title}
		switch {
		case slices.Contains(ignored, r.ID):
			c.Skipped = &junitDetail{Message: "left out by --ignore"}
		case found[r.ID] || broken[r.ID]:
			continue
		}
		suite.Cases = append(suite.Cases, c)
	}
	for _, c := range suite.Cases {
		suite.Tests++
		switch {
		case c.Failure != nil:
			suite.Failures++
		case c.Error != nil:
			suite.Errors++
		case c.Skipped != nil:
			suite.Skipped++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Skipped: suite.Skipped, Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func findingCase(f v1alpha1.Finding, threshold finding.Severity) junitCase {
	where := strings.Join(f.Clusters, ", ")
	if f.Object != "" {
		where = fmt.Sprintf("%s in %s", f.Object, where)
	}
	c := junitCase{Class: f.ID, Name: xmlText(where)}
	text := f.Severity + ": " + f.Message + "\nwhy: " + f.Reason
	if do := cmp.Or(f.Fix, f.Advice); do != "" {
		text += "\nsuggested fix: " + do
	}
	if finding.Severity(f.Severity).AtLeast(threshold) {
		c.Failure = &junitDetail{Message: xmlText(f.Message), Type: f.Severity, Text: xmlLines(text)}
		return c
	}
	c.Out = xmlLines(text)
	return c
}

// xmlText strips characters that XML 1.0 forbids, and terminal control characters.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0xd800 && r < 0xe000 || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, output.Clean(strings.ToValidUTF8(s, "")))
}

// xmlLines is xmlText line by line.
func xmlLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = xmlText(l)
	}
	return strings.Join(lines, "\n")
}
