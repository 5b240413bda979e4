// Package view turns the results of mesh-svc into tables. It is pure and makes
// no decisions: everything that it shows is in the documents.
package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/report"
)

// Clusters shows one row for each member, including members that could not be read.
func Clusters(doc v1alpha1.ClusterList) []output.Section {
	t := output.NewTable("CLUSTER", "CONTEXT", "ID", "VERSION", "PEERS", "KVSTOREMESH", "KPR", "STATUS", "FINDINGS", "+NAMESPACE", "+MAX-CLUSTERS", "+NAMESPACES-GLOBAL", "+DATAPATH", "+SERVER")
	readable := doc.Clusters // in the order of the members, without those that could not be read; two may have the same name
	for _, m := range doc.Members {
		if m.Error != nil {
			output.AddRow(t, m.Name, m.Context, "?", "?", "?", "?", "?", m.Error.Class, "?", "?", "?", "?", "?", m.Server)
			continue
		}
		if len(readable) == 0 {
			break
		}
		c := readable[0]
		readable = readable[1:]
		gate := "-"
		if c.DefaultGlobalNamespace != nil {
			gate = strconv.FormatBool(*c.DefaultGlobalNamespace)
		}
		output.AddRow(t, c.Name, c.Context, strconv.Itoa(int(c.ID)), orUnknown(c.Version), peers(c), known(c.KVStoreMesh), strconv.FormatBool(c.KubeProxyReplacement), "ok", clusterFindings(doc.Findings, c.Name),
			c.CiliumNamespace, strconv.Itoa(c.MaxConnectedClusters), gate, orUnknown(c.DatapathMode), m.Server)
	}
	return append([]output.Section{{Table: t}}, Findings(doc.Findings, false)...)
}

// clusterFindings lists the ids of a cluster's errors and warnings.
func clusterFindings(fs []v1alpha1.Finding, cluster string) string {
	var ids []string
	for _, f := range fs {
		if slices.Contains(f.Clusters, cluster) && f.Severity != "info" && !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return strings.Join(ids, ",")
}

// peers lists a cluster's peers and marks those that do not peer back.
func peers(c v1alpha1.Cluster) string {
	if !c.PeersKnown {
		return "unknown"
	}
	var out []string
	for _, p := range c.Peers {
		switch {
		case p.Mutual == nil:
			out = append(out, p.Name+"(?)")
		case !*p.Mutual:
			out = append(out, p.Name+"(one-way)")
		default:
			out = append(out, p.Name)
		}
	}
	for _, s := range c.SkippedPeers {
		out = append(out, s.Entry+"(skipped)")
	}
	return strings.Join(out, ",")
}

// known shows a setting that may be unknown.
func known(b *bool) string {
	if b == nil {
		return "unknown"
	}
	return strconv.FormatBool(*b)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// List shows one row for each Service.
func List(doc v1alpha1.ServiceList, namespaces bool) []output.Section {
	columns := []string{"NAME", "GLOBAL", "SHARED", "AFFINITY", "READY", "FINDINGS", "+TYPE"}
	if namespaces {
		columns = append([]string{"NAMESPACE"}, columns...)
	}
	t := output.NewTable(columns...)
	at := indexed(doc.Findings)
	for _, s := range doc.Services {
		row := []string{s.Name, count(s, doc.Members, func(c v1alpha1.ServiceCluster) bool { return c.Global.Value == "true" }),
			count(s, doc.Members, func(c v1alpha1.ServiceCluster) bool { return c.Shared.Value == "true" }) + drainedIn(s), affinities(s), ready(s, doc.Members), findingIDs(doc.Findings, at, s), types(s)}
		if namespaces {
			row = append([]string{s.Namespace}, row...)
		}
		output.AddRow(t, row...)
	}
	return []output.Section{{Table: t}}
}

// count shows in how many clusters a condition holds: n of the clusters that were read, whether or not they have the Service, and
// how many could not be read: "2/2 +1?".
func count(s v1alpha1.ServiceSummary, members []v1alpha1.Member, holds func(v1alpha1.ServiceCluster) bool) string {
	n := 0
	for _, c := range s.Clusters {
		if c.Present && holds(c) {
			n++
		}
	}
	read := len(s.Clusters)
	if read == len(members) {
		return fmt.Sprintf("%d/%d", n, read)
	}
	return fmt.Sprintf("%d/%d +%d?", n, read, len(members)-read)
}

// drainedIn names the clusters in which the Service is drained.
func drainedIn(s v1alpha1.ServiceSummary) string {
	var names []string
	for _, c := range s.Clusters {
		if c.Drained {
			names = append(names, c.Cluster)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (drained: " + strings.Join(names, ", ") + ")"
}

// affinities shows one value if all clusters agree, otherwise cluster=value.
func affinities(s v1alpha1.ServiceSummary) string {
	var parts, words []string
	for _, c := range s.Clusters {
		if c.Present {
			parts = append(parts, c.Cluster+"="+c.Affinity.Value)
			words = append(words, c.Affinity.Value)
		}
	}
	if slices.Sort(words); len(slices.Compact(slices.Clone(words))) == 1 {
		return words[0]
	}
	return strings.Join(parts, ",")
}

func ready(s v1alpha1.ServiceSummary, members []v1alpha1.Member) string {
	byName := map[string]v1alpha1.ServiceCluster{}
	for _, c := range s.Clusters {
		byName[c.Cluster] = c
	}
	var parts []string
	for _, m := range members {
		c, read := byName[m.Name]
		switch {
		case !read:
			parts = append(parts, m.Name+":?")
		case !c.Present:
			parts = append(parts, m.Name+":-")
		case c.Proxied:
			parts = append(parts, m.Name+":proxy")
		default:
			parts = append(parts, fmt.Sprintf("%s:%d", m.Name, *c.ReadyEndpoints))
		}
	}
	return strings.Join(parts, " ")
}

// byObject maps an object to the indexes of its findings in the document.
type byObject map[string][]int

func indexed(fs []v1alpha1.Finding) byObject {
	out := byObject{}
	for i, f := range fs {
		out[f.Object] = append(out[f.Object], i)
	}
	return out
}

// findingIDs lists the ids of a Service's errors and warnings, in the order of the document.
func findingIDs(fs []v1alpha1.Finding, at byObject, s v1alpha1.ServiceSummary) string {
	mine := slices.Clone(at["service/"+s.Namespace+"/"+s.Name])
	for _, i := range at["namespace/"+s.Namespace] {
		if report.AffectedBy(s, fs[i]) {
			mine = append(mine, i)
		}
	}
	slices.Sort(mine)
	var ids []string
	for _, i := range mine {
		if fs[i].Severity != "info" && !slices.Contains(ids, fs[i].ID) {
			ids = append(ids, fs[i].ID)
		}
	}
	return strings.Join(ids, ",")
}

func types(s v1alpha1.ServiceSummary) string {
	var out []string
	for _, c := range s.Clusters {
		if c.Present && !slices.Contains(out, c.Type) {
			out = append(out, c.Type)
		}
	}
	return strings.Join(out, ",")
}

// Plan shows the planned writes, with everything that identifies a cluster.
func Plan(doc v1alpha1.ChangeReport) []output.Section {
	t := output.NewTable("CLUSTER", "CONTEXT", "SERVER", "NAMESPACE", "SERVICE", "ANNOTATION", "OLD", "NEW")
	servers := map[string]string{}
	for _, m := range doc.Members {
		servers[m.Name] = m.Server
	}
	for _, c := range doc.Changes {
		if c.Result != v1alpha1.ResultPlanned {
			continue
		}
		for _, k := range changedKeys(c) {
			output.AddRow(t, c.Cluster, c.Context, servers[c.Cluster], c.Namespace, strings.TrimPrefix(c.Object, "service/"), k, show(c.Before[k]), show(c.After[k]))
		}
	}
	return []output.Section{{Title: "Plan: " + doc.Action, Table: t}, {}}
}

// Changes shows the results. If a plan was refused, it shows the reasons. If there are many Services, it counts them by result. With wide it shows each one.
func Changes(doc v1alpha1.ChangeReport, wide bool) []output.Section {
	if wide {
		return eachChange(doc)
	}
	doc, others := refused(doc)
	sections := eachChange(doc)
	if Counted(doc) {
		sections = changesSummary(doc, what)
	}
	last := &sections[len(sections)-1]
	last.Text = append(last.Text, others...)
	return sections
}

// eachChange shows the result for each Service in each cluster.
func eachChange(doc v1alpha1.ChangeReport) []output.Section {
	t := output.NewTable("CLUSTER", "NAMESPACE", "SERVICE", "RESULT", "CHANGE")
	done := map[string]bool{}
	for _, c := range doc.Changes {
		done[c.Cluster] = true
		output.AddRow(t, c.Cluster, c.Namespace, strings.TrimPrefix(c.Object, "service/"), result(doc, c), what(c))
	}
	for _, m := range doc.Members {
		if m.Error != nil && !done[m.Name] {
			output.AddRow(t, m.Name, "", "", v1alpha1.ResultSkipped, m.Error.Class)
		}
	}
	return []output.Section{{Table: t}}
}

// result shows the result of a change, and whether it comes from a dry run.
func result(doc v1alpha1.ChangeReport, c v1alpha1.Change) string {
	if doc.DryRun != "none" && c.Result == v1alpha1.ResultPlanned {
		return c.Result + " (" + doc.DryRun + " dry run)"
	}
	return c.Result
}

func what(c v1alpha1.Change) string {
	switch c.Result {
	case v1alpha1.ResultUnchanged:
		return "already has these values"
	case v1alpha1.ResultAbsent:
		return "the Service does not exist in this cluster"
	}
	var parts []string
	for _, k := range changedKeys(c) {
		parts = append(parts, fmt.Sprintf("%s: %s -> %s", k, show(c.Before[k]), show(c.After[k])))
	}
	change := strings.Join(parts, "; ")
	if c.Message != "" {
		return c.Message
	}
	return change
}

func changedKeys(c v1alpha1.Change) []string {
	var keys []string
	for k, v := range c.After {
		if show(v) != show(c.Before[k]) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return strconv.Quote(*v)
}

// matrixTable returns an empty table: client clusters in rows, answering clusters in columns.
func matrixTable(first string, clusters []string) *metav1.Table {
	return output.NewTable(append([]string{first}, clusters...)...)
}
