package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Rotation shows where a rotation is, what it did or is going to do, and what its next phase waits for.
func Rotation(doc v1alpha1.RotationReport) []output.Section {
	sections := []output.Section{{Text: rotationHead(doc)}}
	if len(doc.Clusters) > 0 {
		sections = append(sections, output.Section{Title: "Clusters", Table: rotationClusters(doc)})
	}
	if len(doc.Phases) > 0 {
		sections = append(sections, output.Section{Title: "Phases", Table: rotationPhases(doc)})
	}
	if len(doc.Changes) > 0 {
		sections = append(sections, output.Section{Title: "Changes", Table: objectChanges(doc.Changes)})
	}
	for _, list := range []struct {
		title string
		lines []string
	}{{fmt.Sprintf("Phase %q waits for", doc.Phase), doc.Waiting}, {"Ignored", doc.Ignored}, {"Warnings", doc.Warnings}} {
		if len(list.lines) > 0 {
			sections = append(sections, output.Section{Title: list.title, Text: indent(list.lines)})
		}
	}
	return sections
}

func rotationHead(doc v1alpha1.RotationReport) []string {
	idle := doc.Method == "" || !doc.UnderWay && doc.Action != "plan" && doc.Action != "start"
	switch {
	case doc.OldCA == nil && idle:
		return []string{"No rotation is under way.", "No CA is common to all clusters; mesh-ca status, with the same flags, shows which CA each cluster has."}
	case doc.OldCA == nil:
		return []string{"No CA with its key was found."}
	case idle:
		return []string{"No rotation is under way.", "CA: " + authorityText(doc.OldCA)}
	}
	out := []string{"Previous CA: " + authorityText(doc.OldCA)}
	if doc.NewCA != nil {
		out = append(out, "New CA:      "+authorityText(doc.NewCA))
	}
	method := "Method:      " + doc.Method
	if doc.MethodReason != "" {
		method += ": " + doc.MethodReason
	}
	out = append(out, method)
	if doc.Since != nil {
		out = append(out, fmt.Sprintf("Begun:       %s by %s", doc.Since.UTC().Format(time.RFC3339), cmp.Or(doc.By, "unknown")))
	}
	if doc.UnderWay {
		out = append(out, "Next phase:  "+doc.Phase)
	}
	return out
}

func authorityText(c *v1alpha1.Certificate) string {
	return fmt.Sprintf("%s (SHA-256 %s), valid until %s", c.Subject, pki.Short(c.Fingerprint), c.NotAfter.UTC().Format(time.DateOnly))
}

func rotationClusters(doc v1alpha1.RotationReport) *metav1.Table {
	t := output.NewTable("CLUSTER", "OWNER", "LEAF-CERTIFICATES", "CA-FILES", "BEHIND", "NOT-CONNECTED")
	for _, c := range doc.Clusters {
		output.AddRow(t, c.Cluster, c.Owner, c.LeafCertificateState, c.Trust, fmt.Sprint(len(c.Behind)), fmt.Sprint(len(c.Disconnected)))
	}
	return t
}

func rotationPhases(doc v1alpha1.RotationReport) *metav1.Table {
	planned := doc.Phases[0].TookMs == nil
	columns := []string{"PHASE", "CLUSTERS", "WAITED", "TOOK"}
	if planned {
		columns = []string{"COMMAND", "PHASE", "WHAT"}
	}
	t := output.NewTable(columns...)
	for _, p := range doc.Phases {
		if planned {
			output.AddRow(t, p.Command, p.Name, p.Description)
			continue
		}
		output.AddRow(t, p.Name, strings.Join(p.Clusters, ","), tenths(p.WaitedMs), tenths(p.TookMs))
	}
	return t
}

func tenths(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).Round(time.Second / 10).String() //nolint:mnd // tenths of a second
}

// objectChanges lists what did not simply succeed, and counts the rest: a rotation of a large mesh writes thousands of objects.
func objectChanges(changes []v1alpha1.Change) *metav1.Table {
	t := output.NewTable("CLUSTER", "OBJECT", "RESULT", "WHAT")
	type key struct{ cluster, what string }
	var order []key
	count := map[key]int{}
	for _, c := range changes {
		if c.Result != v1alpha1.ResultChanged && c.Result != v1alpha1.ResultUnchanged {
			output.AddRow(t, c.Cluster, c.Object, c.Result, c.Message)
			continue
		}
		k := key{c.Cluster, c.Message}
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
		count[k]++
	}
	for _, k := range order {
		output.AddRow(t, k.cluster, fmt.Sprintf("%d objects", count[k]), v1alpha1.ResultChanged, k.what)
	}
	return t
}

func indent(lines []string) []string {
	const most = 20
	out := make([]string, 0, len(lines))
	for n, l := range lines {
		if n == most {
			return append(out, fmt.Sprintf("  ... and %d more (-o json shows all)", len(lines)-most))
		}
		out = append(out, "  "+l)
	}
	return out
}

// RotationNext lists the commands that go on from here, or back.
func RotationNext(doc v1alpha1.RotationReport) []string {
	if len(doc.NextSteps) == 0 {
		return nil
	}
	out := []string{"", "Next:"}
	for _, s := range doc.NextSteps {
		out = append(out, "  "+s.Command, "      "+s.Reason)
	}
	return out
}
