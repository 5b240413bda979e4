package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// witnesses shows the three layers side by side for each client's node.
func witnesses(r v1alpha1.ProbeReport) output.Section {
	t := output.NewTable(withURL(r, 1, "URL", "NODE", "PREDICTED", "AGENT", "TRAFFIC", "DIFFERS")...)
	for _, w := range r.Witnesses {
		agent := none
		if w.Agent != "" {
			agent = witnessBackends(w)
		}
		differs := w.DifferingLayer
		switch differs {
		case "":
			differs = unknown + ": " + w.Message
		case "none":
			differs = none
		}
		output.AddRow(t, withURL(r, 1, w.URL, w.Cluster+"/"+w.Node, witnessShares(w.PredictedShares), agent, witnessShares(w.TrafficShares), differs)...)
	}
	return output.Section{Table: t}
}

// witnessBackends shows how many backends of each cluster an agent has.
func witnessBackends(w v1alpha1.ProbeWitness) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(w.Backends)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, w.Backends[name]))
	}
	if w.UnknownBackends > 0 {
		parts = append(parts, fmt.Sprintf("%s %d", unknown, w.UnknownBackends))
	}
	if len(parts) == 0 {
		return "no backend"
	}
	return strings.Join(parts, ", ")
}

// witnessShares shows the shares above 0.
func witnessShares(shares map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		if shares[name] > 0 {
			parts = append(parts, output.Clean(name)+" "+stats.Percent(shares[name]))
		}
	}
	return dash(strings.Join(parts, ", "))
}
