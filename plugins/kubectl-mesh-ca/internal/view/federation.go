package view

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Federation shows how clusters with different CAs trust each other, what is going to be done or was done, and what is not ready yet.
func Federation(doc v1alpha1.FederationReport) []output.Section {
	sections := []output.Section{}
	if doc.Reason != "" {
		sections = append(sections, output.Section{Text: []string{fmt.Sprintf("Recipe: %s: %s.", doc.Recipe, doc.Reason)}})
	}
	if len(doc.Clusters) > 0 {
		sections = append(sections, output.Section{Title: "Clusters", Table: federationClusters(doc)})
	}
	if len(doc.Phases) > 0 {
		sections = append(sections, output.Section{Title: "Phases", Table: federationPhases(doc)})
	}
	if len(doc.Changes) > 0 {
		sections = append(sections, output.Section{Title: "Changes", Table: objectChanges(doc.Changes)})
	}
	for _, list := range []struct {
		title string
		lines []string
	}{{"Not ready yet", doc.Waiting}, {"Warnings", doc.Warnings}} {
		if len(list.lines) > 0 {
			sections = append(sections, output.Section{Title: list.title, Text: indent(list.lines)})
		}
	}
	return sections
}

func federationClusters(doc v1alpha1.FederationReport) *metav1.Table {
	t := output.NewTable("CLUSTER", "CA", "EXPIRES", "ISSUER", "ACCEPTED-BY-ALL", "TRUST-ALL", "TO-CHANGE")
	for _, c := range doc.Clusters {
		id, until := "-", "-"
		if c.CA != nil {
			id, until = pki.Short(c.CA.Fingerprint), c.CA.NotAfter.UTC().Format(time.DateOnly)
		}
		of := func(n int) string { return fmt.Sprintf("%d of %d", n, c.LeafCertificates) }
		output.AddRow(t, c.Cluster, id, until, c.Issuer, of(c.Crossed), of(c.Trusting), fmt.Sprint(len(c.ToChange)))
	}
	return t
}

func federationPhases(doc v1alpha1.FederationReport) *metav1.Table {
	planned := doc.Phases[0].TookMs == nil
	columns := []string{"PHASE", "CLUSTERS", "WAITED", "TOOK"}
	if planned {
		columns = []string{"PHASE", "CLUSTERS", "WHAT"}
	}
	t := output.NewTable(columns...)
	for _, p := range doc.Phases {
		if planned {
			output.AddRow(t, p.Name, strings.Join(p.Clusters, ","), p.Description)
			continue
		}
		output.AddRow(t, p.Name, strings.Join(p.Clusters, ","), tenths(p.WaitedMs), tenths(p.TookMs))
	}
	return t
}

// FederationNext lists the commands that go on from here, and those that restore the previous state.
func FederationNext(doc v1alpha1.FederationReport) []string {
	var out []string
	for _, list := range []struct {
		title string
		steps []v1alpha1.NextStep
	}{{"Next:", doc.NextSteps}, {"To undo it, run:", doc.UndoSteps}} {
		if len(list.steps) == 0 {
			continue
		}
		out = append(out, "", list.title)
		for _, s := range list.steps {
			out = append(out, "  "+s.Command, "      "+s.Reason)
		}
	}
	return out
}
