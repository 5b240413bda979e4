package view

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// The parts of a SARIF 2.1.0 log that are used (OASIS sarif-v2.1.0).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string      `json:"id"`
		ShortDescription sarifText   `json:"shortDescription"`
		FullDescription  sarifText   `json:"fullDescription"`
		Help             sarifText   `json:"help"`
		Configuration    sarifConfig `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Properties   map[string]any    `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"name"`
		Full string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

const (
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sarifVersion = "2.1.0"
	checkName    = "kubectl mesh-svc check"
)

// SARIF writes the findings as a log for code scanning. Findings have no files: clusters and objects are logical locations. But code
// scanning rejects a result without a file, so the object's name is used as the file name: CLUSTER/service/NAMESPACE/NAME.
func SARIF(w io.Writer, doc v1alpha1.FindingList, version string) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: checkName, Version: version}
	index, seen := map[string]int{}, map[string]int{}
	for i, r := range finding.Service() {
		index[r.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{r.ID, sarifText{r.Title}, sarifText{r.Why}, sarifText{r.Advice}, sarifConfig{level(string(r.Severity))}})
	}
	for _, f := range doc.Findings {
		res := sarifResult{RuleID: f.ID, RuleIndex: index[f.ID], Level: level(f.Severity), Message: sarifText{output.Clean(f.Message)}, Locations: []sarifLocation{}}
		for _, c := range f.Clusters {
			res.Locations = append(res.Locations, location(c, f.Object))
		}
		// The fingerprint does not contain the message, which can change while the finding stays the same. The number distinguishes
		// several findings of one rule in one object, such as two ports.
		about := strings.Join(append([]string{f.ID, f.Object}, f.Clusters...), "\x00")
		seen[about]++
		if n := seen[about]; n > 1 {
			about += "\x00" + strconv.Itoa(n)
		}
		sum := sha256.Sum256([]byte(about))
		res.Fingerprints = map[string]string{"finding/v1": hex.EncodeToString(sum[:])}
		if f.Fix != "" {
			res.Properties = map[string]any{"fix": output.Clean(f.Fix)}
		}
		run.Results = append(run.Results, res)
	}
	run.Invocations = []sarifInvocation{{Successful: doc.Complete}}
	for _, problem := range gaps(doc) {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{"error", sarifText{problem.text}})
	}
	enc := json.NewEncoder(output.JSONWriter(w))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(sarifLog{sarifSchema, sarifVersion, []sarifRun{run}})
}

// level converts a severity to a SARIF level.
func level(severity string) string {
	if severity == string(finding.Info) {
		return "note"
	}
	return severity
}

// location is an object in a cluster, or the cluster itself.
func location(cluster, object string) sarifLocation {
	full := output.Clean(strings.TrimSuffix(cluster+"/"+object, "/"))
	return sarifLocation{
		sarifPhysical{sarifArtifact{(&url.URL{Path: full}).EscapedPath()}, sarifRegion{1}},
		[]sarifLogical{{Name: full[strings.LastIndex(full, "/")+1:], Full: full, Kind: "resource"}},
	}
}

// gap is a check that was not done, and its cluster.
type gap struct {
	cluster, text string
	ids           []string
}

func gaps(doc v1alpha1.FindingList) []gap {
	var out []gap
	for _, m := range doc.Members {
		if m.Error != nil {
			name := output.Clean(cmp.Or(m.Name, m.Context))
			out = append(out, gap{cluster: name, text: output.Clean(fmt.Sprintf("cluster %s could not be read: %s: %s", name, m.Error.Class, m.Error.Message))})
		}
	}
	for _, n := range doc.NotExamined {
		out = append(out, gap{output.Clean(n.Cluster), output.Clean("cluster " + n.Cluster + ": " + n.Message), n.Findings})
	}
	return out
}
