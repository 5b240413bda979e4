package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Describe shows one Service: its values in each cluster, which clusters answer which clients and why,
// and which would answer if one cluster lost its endpoints.
func Describe(doc v1alpha1.ServiceReport) []output.Section {
	sections := []output.Section{{Title: "Service " + doc.Namespace + "/" + doc.Name, Table: values(doc)}}
	names := memberNames(doc.Members)
	for _, g := range groups(doc.Predictions) {
		s := output.Section{Title: "Who answers" + g.title(), Table: matrixTable("CLIENTS-IN", names)}
		for _, p := range g.predictions {
			addPrediction(s, p, names)
			s.Text = append(s.Text, reasons(p)...)
		}
		fold(s.Table, 1)
		sections = append(sections, s)
	}
	sections = append(sections, failures(doc, names)...)
	return append(sections, Findings(doc.Findings, false)...)
}

func memberNames(members []v1alpha1.Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	return names
}

// values shows the effective value of each setting, and its source if that is not the current key.
func values(doc v1alpha1.ServiceReport) *metav1.Table {
	t := output.NewTable("CLUSTER", "GLOBAL", "SHARED", "AFFINITY", "READY", "PORTS", "+TYPE")
	byName := map[string]v1alpha1.ServiceCluster{}
	for _, c := range doc.Clusters {
		byName[c.Cluster] = c
	}
	for _, m := range doc.Members {
		c, read := byName[m.Name]
		switch {
		case m.Error != nil:
			output.AddRow(t, m.Name, "? ("+m.Error.Class+")", "?", "?", "?", "?", "?")
		case !read || !c.Present:
			output.AddRow(t, m.Name, "-", "-", "-", "-", "no such Service", "-")
		default:
			output.AddRow(t, m.Name, value(c.Global), shared(c), value(c.Affinity), readyOf(c), ports(c.Ports), c.Type)
		}
	}
	return t
}

// readyOf counts the ready endpoints. The placeholder of the L7 proxy is not an endpoint.
func readyOf(c v1alpha1.ServiceCluster) string {
	if c.Proxied {
		return "L7 proxy"
	}
	return fmt.Sprintf("%d/%d", *c.ReadyEndpoints, *c.Endpoints)
}

// shared shows the shared setting, and whether a drain wrote it.
func shared(c v1alpha1.ServiceCluster) string {
	if c.Drained {
		return value(c.Shared) + " (drained)"
	}
	return value(c.Shared)
}

func value(v *v1alpha1.Value) string {
	junk := ""
	if v.Raw != "" && !strings.EqualFold(v.Raw, v.Value) {
		junk = " " + strconv.Quote(v.Raw)
	}
	switch v.Source {
	case "alias":
		return fmt.Sprintf("%s (alias%s)", v.Value, junk)
	case "default":
		return v.Value + " (default)"
	case "ignored":
		return fmt.Sprintf("%s (ignored:%s)", v.Value, " "+strconv.Quote(v.Raw))
	}
	if junk != "" {
		return fmt.Sprintf("%s (%s)", v.Value, junk[1:])
	}
	return v.Value
}

func ports(ps []v1alpha1.Port) string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = portName(p)
	}
	return strings.Join(out, ",")
}

func portName(p v1alpha1.Port) string {
	if p.Port == 0 { // a headless Service without ports
		return "<none>"
	}
	s := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	if p.Name != "" {
		s += "(" + p.Name + ")"
	}
	return s
}

// group holds the predictions for one port number and protocol, over all client clusters.
type group struct {
	port        v1alpha1.Port
	family      string
	predictions []v1alpha1.Prediction
}

func (g group) title() string {
	switch {
	case g.family == "":
		return ""
	case g.port.Port == 0: // a headless Service without ports
		return ", " + g.family
	}
	return fmt.Sprintf(" on port %d/%s, %s", g.port.Port, g.port.Protocol, g.family)
}

// groups groups predictions by port. Predictions without a port (no Service, not read) are in every group.
func groups(ps []v1alpha1.Prediction) []group {
	var out []group
	for _, p := range ps {
		if p.IPFamily == "" {
			continue
		}
		found := false
		for i := range out {
			found = found || out[i].matches(p)
		}
		if !found {
			out = append(out, group{port: p.Port, family: p.IPFamily})
		}
	}
	if len(out) == 0 {
		out = []group{{}}
	}
	for i := range out {
		for _, p := range ps {
			if p.IPFamily == "" || out[i].matches(p) {
				out[i].predictions = append(out[i].predictions, p)
			}
		}
	}
	return out
}

func (g group) matches(p v1alpha1.Prediction) bool {
	return g.port.Port == p.Port.Port && g.port.Protocol == p.Port.Protocol && g.family == p.IPFamily
}

// addPrediction adds a row for each outcome.
func addPrediction(s output.Section, p v1alpha1.Prediction, names []string) {
	if len(p.Outcomes) == 0 {
		row := []string{p.Client}
		for _, n := range names {
			cell := "-"
			if p.Kind == "proxy" && n == p.Client {
				cell = "proxy"
			}
			row = append(row, cell)
		}
		output.AddRow(s.Table, row...)
		return
	}
	for _, o := range p.Outcomes {
		row := []string{p.Client}
		if len(o.Versions) > 0 {
			row[0] += " if Cilium " + strings.Join(o.Versions, ", ")
		}
		shares := map[string]v1alpha1.Share{}
		for _, sh := range o.Shares {
			shares[sh.Cluster] = sh
		}
		for _, n := range names {
			row = append(row, share(shares[n]))
		}
		output.AddRow(s.Table, row...)
	}
}

// share shows the share of one cluster. If another cluster could not be read, it is an upper bound.
func share(s v1alpha1.Share) string {
	switch {
	case s.Share == nil:
		return "?"
	case s.High != nil && *s.High > 0:
		return "<= " + Percent(*s.High)
	}
	return Percent(*s.Share)
}

// Percent formats a share from 0 to 1, with one decimal place unless the percentage is an integer.
func Percent(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f*100, 'f', 1, 64), ".0") + "%"
}

var kinds = map[string]string{
	"missing":       "the Service does not exist in this cluster: clients there cannot resolve its name",
	"external-name": "the Service is an ExternalName; DNS answers with another name",
	"ignored": "Cilium does not serve it: with label service.kubernetes.io/service-proxy-name (and option k8s-service-proxy-name) another proxy does, with label service.kubernetes.io/headless none does; " +
		"with annotation service.cilium.io/type NodePort or LoadBalancer it does not serve the cluster IP",
	"proxy":    "the L7 proxy of this cluster answers (the only endpoint is Cilium's placeholder); its routes decide which Services get the requests, and the global annotation has no effect on this one",
	"unread":   "this cluster could not be read",
	"headless": "the Service is headless: DNS returns the pods and Cilium does not load-balance; the shares are those of the DNS records",
}

// reasons explains why a cluster is not used.
func reasons(p v1alpha1.Prediction) []string {
	var out []string
	if k := kinds[p.Kind]; k != "" {
		out = append(out, fmt.Sprintf("  %s: %s", p.Client, k))
	}
	for _, o := range p.Outcomes {
		for _, s := range o.Shares {
			if line := fmt.Sprintf("  %s -> %s: %s", p.Client, s.Cluster, s.Reason); !ptr.Deref(s.Used, false) && !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	if p.Complete && len(p.Outcomes) > 0 && !slices.ContainsFunc(p.Outcomes, answered) {
		out = append(out, "  "+p.Client+": "+nobodyAnswers(p.Kind))
	}
	for _, c := range p.Caveats {
		out = append(out, fmt.Sprintf("  %s: %s", p.Client, c))
	}
	return out
}

// answered reports whether a cluster answers, or may answer.
func answered(o v1alpha1.Outcome) bool {
	return slices.ContainsFunc(o.Shares, func(s v1alpha1.Share) bool { return s.Used == nil || *s.Used })
}

func nobodyAnswers(kind string) string {
	if kind == "headless" {
		return "DNS returns no pods"
	}
	return "nobody answers; connections are refused"
}

// failures shows the shares after one cluster has lost its endpoints.
func failures(doc v1alpha1.ServiceReport, names []string) []output.Section {
	if len(doc.Failures) == 0 {
		return nil
	}
	s := output.Section{Title: "When all endpoints of one cluster are lost", Table: matrixTable("LOST", append([]string{"CLIENTS-IN", "PORT"}, names...))}
	said := map[string]bool{} // with the first predictions
	for _, p := range doc.Predictions {
		for _, c := range p.Caveats {
			said[p.Client+c] = true
		}
	}
	for _, f := range doc.Failures {
		for _, p := range f.Predictions {
			if len(p.Outcomes) == 0 {
				continue
			}
			for _, c := range p.Caveats {
				if line := fmt.Sprintf("  %s, if %s loses its endpoints: %s", p.Client, f.LostCluster, c); !p.Complete && !said[p.Client+c] && !slices.Contains(s.Text, line) {
					s.Text = append(s.Text, line)
				}
			}
			tmp := output.Section{Table: matrixTable("CLIENTS-IN", names)}
			addPrediction(tmp, p, names)
			for _, r := range tmp.Table.Rows {
				row := []string{f.LostCluster, fmt.Sprint(r.Cells[0]), portName(p.Port)}
				for _, c := range r.Cells[1:] {
					row = append(row, fmt.Sprint(c))
				}
				output.AddRow(s.Table, row...)
			}
		}
	}
	fold(s.Table, 3)
	return []output.Section{s}
}

// fold replaces a matrix that is too wide for a terminal with one column that lists who answers. -o wide shows the matrix.
func fold(t *metav1.Table, keys int) {
	if output.Fits(t) {
		return
	}
	for i, row := range t.Rows {
		var answers []string
		for n, c := range row.Cells[keys:] {
			if s := fmt.Sprint(c); s != "0%" && s != "-" {
				answers = append(answers, t.ColumnDefinitions[keys+n].Name+" "+s)
			}
		}
		if len(answers) == 0 {
			answers = []string{"no cluster that was read"}
		}
		t.Rows[i].Cells = slices.Insert(row.Cells, keys, any(strings.Join(answers, ", ")))
	}
	for i := keys; i < len(t.ColumnDefinitions); i++ {
		t.ColumnDefinitions[i].Priority = 1
	}
	t.ColumnDefinitions = slices.Insert(t.ColumnDefinitions, keys, output.NewTable("ANSWERED-BY").ColumnDefinitions...)
}
