package view

import (
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Cleanup shows which helper pods are deleted, or what became of them, and which ephemeral containers Kubernetes cannot remove.
func Cleanup(doc v1alpha1.ProbeCleanupReport) []output.Section {
	var out []output.Section
	if len(doc.Changes) > 0 {
		t := output.NewTable("CLUSTER", "NAMESPACE", "HELPER-POD", "STATE", "RESULT", "+IMAGE")
		var lines []string
		for i, c := range doc.Changes {
			p := doc.HelperPods[i]
			output.AddRow(t, c.Cluster, c.Namespace, p.Pod, p.State, c.Result, p.Image)
			if c.Message != "" {
				lines = append(lines, fmt.Sprintf("%s: %s/%s: %s", c.Cluster, c.Namespace, p.Pod, c.Message))
			}
		}
		out = append(out, output.Section{Table: t, Text: lines})
	}
	if len(doc.EphemeralContainers) > 0 {
		t := output.NewTable("CLUSTER", "NAMESPACE", "POD", "EPHEMERAL-CONTAINER", "STATE", "+IMAGE")
		for _, e := range doc.EphemeralContainers {
			output.AddRow(t, e.Cluster, e.Namespace, e.Pod, e.Container, e.State, e.Image)
		}
		out = append(out, output.Section{Table: t}, output.Section{Text: []string{
			"Kubernetes cannot remove ephemeral containers. Their processes have ended or end soon, and the entries go away with the pods.",
		}})
	}
	return out
}
