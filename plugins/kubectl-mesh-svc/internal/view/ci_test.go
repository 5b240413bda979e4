package view

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
)

func findings() v1alpha1.FindingList {
	doc := v1alpha1.FindingList{Document: document(), Services: 2}
	doc.Findings = []v1alpha1.Finding{
		finding.GlobalJunk.New("service/default/nginx", []string{"eu"}, "eu: it is \"y\x1b[31m\u202e<&>\", which is not true", "kubectl mesh-svc globalize nginx -n default --in eu"),
		finding.NotShared.New("service/default/nginx", []string{"us", "eu"}, "us, eu: other clusters do not use the endpoints there", "kubectl mesh-svc share nginx -n default --in us,eu"),
		finding.NotShared.New("service/default/web", []string{"us", "eu"}, "us, eu: other clusters do not use the endpoints there", "kubectl mesh-svc share web -n default --in us,eu"),
		finding.PodPool.New("", []string{"us", "eu"}, "the pools overlap", ""),
	}
	doc.NotExamined = []v1alpha1.NotExamined{{Cluster: "eu", Verb: "list", Resource: "ciliumnodes.cilium.io", Findings: []string{"SVC036", "SVC038"}, Class: "forbidden", Message: "no"}}
	return doc
}

// TestSARIF checks the log against the specification (sarif-schema-2.1.0).
func TestSARIF(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	doc := findings()
	doc.Findings = append(doc.Findings, finding.NotShared.New("service/default/web", []string{"us", "eu"}, "the same rule again", ""))
	if err := SARIF(&buf, doc, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                                      string
						ShortDescription, FullDescription, Help struct{ Text string }
						DefaultConfiguration                    struct{ Level string }
					}
				}
			}
			Invocations []struct {
				ExecutionSuccessful        *bool
				ToolExecutionNotifications []struct{ Message struct{ Text string } }
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
					LogicalLocations []struct{ Name, FullyQualifiedName, Kind string }
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal(buf.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "/sarif-schema-2.1.0.json") || len(log.Runs) != 1 {
		t.Fatalf("version %q, schema %q, %d runs", log.Version, log.Schema, len(log.Runs))
	}
	run := log.Runs[0]
	levels := map[string]bool{"error": true, "warning": true, "note": true}
	ids := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		if ids[r.ID] || r.ShortDescription.Text == "" || r.FullDescription.Text == "" || r.Help.Text == "" || !levels[r.DefaultConfiguration.Level] {
			t.Errorf("rule %+v", r)
		}
		ids[r.ID] = true
	}
	if run.Tool.Driver.Name == "" || len(ids) != len(finding.Service()) || *run.Invocations[0].ExecutionSuccessful {
		t.Errorf("driver %q, %d rules, successful %v", run.Tool.Driver.Name, len(ids), *run.Invocations[0].ExecutionSuccessful)
	}
	if n := run.Invocations[0].ToolExecutionNotifications; len(n) != 2 || !strings.Contains(n[0].Message.Text, "ap") {
		t.Errorf("notifications %+v", n)
	}
	var got []string
	fingerprints := map[string]bool{}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || !levels[r.Level] || r.Message.Text == "" || len(r.PartialFingerprints["finding/v1"]) != 64 {
			t.Errorf("result %+v", r)
		}
		line := r.RuleID + " " + r.Level
		if id := r.PartialFingerprints["finding/v1"]; fingerprints[id] {
			t.Errorf("two results have the fingerprint of %+v", r)
		} else {
			fingerprints[id] = true
		}
		for _, l := range r.Locations {
			// Code scanning rejects a result without a file and a line.
			if l.PhysicalLocation.ArtifactLocation.URI != l.LogicalLocations[0].FullyQualifiedName || l.PhysicalLocation.Region.StartLine != 1 {
				t.Errorf("location %+v", l)
			}
			line += " " + l.LogicalLocations[0].FullyQualifiedName
		}
		got = append(got, line)
	}
	want := []string{"SVC003 error eu/service/default/nginx", "SVC004 note us/service/default/nginx eu/service/default/nginx",
		"SVC004 note us/service/default/web eu/service/default/web", "SVC037 note us eu", "SVC004 note us/service/default/web eu/service/default/web"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if strings.ContainsAny(buf.String(), "\x1b\u202e") {
		t.Error("control characters reach the log")
	}
	var empty bytes.Buffer
	if err := SARIF(&empty, v1alpha1.FindingList{Document: v1alpha1.Document{Complete: true}}, ""); err != nil || !strings.Contains(empty.String(), `"results": []`) || !strings.Contains(empty.String(), `"executionSuccessful": true`) {
		t.Errorf("%v: %s", err, empty.String())
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	for threshold, failures := range map[finding.Severity]int{finding.Error: 1, finding.Info: 4, finding.Never: 0} {
		var buf bytes.Buffer
		if err := JUnit(&buf, findings(), threshold, []string{"SVC001"}); err != nil {
			t.Fatal(err)
		}
		var got junit.Suites
		if err := xml.Unmarshal(buf.Bytes(), &got); err != nil {
			t.Fatalf("%v in %s", err, buf.String())
		}
		// 4 findings, 3 things that were not examined, and each rule that is neither.
		tests := 4 + 3 + len(finding.Service()) - 3 - 2
		if got.Tests != tests || got.Failures != failures || got.Errors != 3 || got.Skipped != 1 || len(got.Suites[0].Cases) != tests {
			t.Errorf("%s: %d tests of %d, %d failures, %d errors, %d skipped", threshold, got.Tests, tests, got.Failures, got.Errors, got.Skipped)
		}
		if strings.ContainsAny(buf.String(), "\x1b\u202e") {
			t.Error("control characters reach the report")
		}
	}
}

// FuzzXMLText: an XML parser accepts the report, whatever text comes from a cluster.
func FuzzXMLText(f *testing.F) {
	f.Add("a\x00b\ufffe\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var buf bytes.Buffer
		doc := v1alpha1.FindingList{Document: v1alpha1.Document{Findings: []v1alpha1.Finding{{ID: s, Severity: "error", Clusters: []string{s}, Object: s, Message: s, Reason: s, Fix: s}}}}
		if err := JUnit(&buf, doc, finding.Error, nil); err != nil {
			t.Fatal(err)
		}
		var got junit.Suites
		if err := xml.Unmarshal(buf.Bytes(), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func TestFindings(t *testing.T) {
	t.Parallel()
	golden(t, "findings", "", Findings(findings().Findings, true))
}

// TestOneCommandForMany: a command that fixes many Services is printed once, whether or not it names them.
func TestOneCommandForMany(t *testing.T) {
	t.Parallel()
	var fs []v1alpha1.Finding
	for _, name := range []string{"cart", "nginx", "web"} {
		fs = append(fs, finding.Drained.New("service/shop/"+name, []string{"us"}, "us: drained", "kubectl mesh-svc undrain us"),
			finding.SharedJunk.New("service/shop/"+name, []string{"eu"}, "eu: junk", "kubectl mesh-svc share "+name+" -n shop --in eu"))
	}
	fs = append(fs, finding.Drained.New("service/shop/db", []string{"eu"}, "eu: drained", "kubectl mesh-svc undrain eu"))
	want := []string{"  SVC045 shop/cart and 2 more: kubectl mesh-svc undrain us",
		"  SVC005 shop/cart and 2 more: kubectl mesh-svc share cart nginx web -n shop --in eu", "  SVC045 shop/db: kubectl mesh-svc undrain eu"}
	if d := cmp.Diff(want, fixes(fs)); d != "" {
		t.Error(d)
	}
}

func TestNotExamined(t *testing.T) {
	t.Parallel()
	got := NotExamined([]v1alpha1.NotExamined{{Cluster: "us", Message: "a"}, {Cluster: "us", Message: "b"}, {Cluster: "eu", Message: "a"}})
	if d := cmp.Diff([]string{"clusters us, eu: a", "cluster us: b"}, got); d != "" {
		t.Error(d)
	}
}
