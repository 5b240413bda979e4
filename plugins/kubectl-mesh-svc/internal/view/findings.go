package view

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Findings shows one row for each finding and, below the table, the suggested fixes. With reasons it also explains each rule once.
func Findings(fs []v1alpha1.Finding, reasons bool) []output.Section {
	if len(fs) == 0 {
		return nil
	}
	s := output.Section{Title: "Findings", Table: output.NewTable("ID", "SEVERITY", "OBJECT", "MESSAGE")}
	shown := map[string]bool{}
	for _, f := range fs {
		output.AddRow(s.Table, f.ID, f.Severity, cmp.Or(shortObject(f.Object), strings.Join(f.Clusters, ","), "-"), f.Message)
	}
	sections := []output.Section{s}
	if text := fixes(fs); len(text) > 0 {
		sections = append(sections, output.Section{Title: "Suggested fix", Text: text})
	}
	if reasons {
		why := output.Section{Title: "Why"}
		for _, f := range fs {
			if !shown[f.ID] {
				shown[f.ID] = true
				why.Text = append(why.Text, fmt.Sprintf("  %s: %s", f.ID, f.Reason))
			}
		}
		sections = append(sections, why)
	}
	return sections
}

func shortObject(object string) string { return strings.TrimPrefix(object, "service/") }

// sharedFix is a command that fixes several objects: a mesh-svc command that takes many names between before and after, or
// one complete command.
type sharedFix struct{ id, before, after string }

// fixes lists the commands, one line for each command.
func fixes(fs []v1alpha1.Finding) []string {
	type line struct {
		id, object string
		group      sharedFix
		names      []string
	}
	var lines []*line
	groups := map[sharedFix]*line{}
	seen := map[string]bool{}
	for _, f := range fs {
		object := shortObject(f.Object)
		if f.Fix == "" { // no command fixes it: show the rule's advice once
			f.Fix, object = f.Advice, ""
		}
		if f.Fix == "" || seen[f.ID+object+f.Fix] {
			continue
		}
		seen[f.ID+object+f.Fix] = true
		namespace, name, service := strings.Cut(object, "/")
		before, after, found := strings.Cut(f.Fix, " "+name+" -n "+namespace)
		g := sharedFix{f.ID, before, " -n " + namespace + after}
		if !service || !found || !strings.HasPrefix(f.Fix, "kubectl mesh-svc ") {
			g = sharedFix{id: f.ID, before: f.Fix}
		}
		if groups[g] == nil {
			groups[g] = &line{id: f.ID, object: object, group: g}
			lines = append(lines, groups[g])
		}
		groups[g].names = append(groups[g].names, name)
	}
	var out []string
	for _, l := range lines {
		fix := l.group.before
		if l.group.after != "" {
			fix += " " + strings.Join(l.names, " ") + l.group.after
		}
		if n := len(l.names); n > 1 {
			l.object = fmt.Sprintf("%s and %d more", l.object, n-1)
		}
		if l.object == "" {
			out = append(out, fmt.Sprintf("  %s: %s", l.id, fix))
			continue
		}
		out = append(out, fmt.Sprintf("  %s %s: %s", l.id, l.object, fix))
	}
	return out
}

// NotExamined lists, in one line for each resource, the clusters in which it could not be read.
func NotExamined(list []v1alpha1.NotExamined) []string {
	var messages []string
	clusters := map[string][]string{}
	for _, n := range list {
		if clusters[n.Message] == nil {
			messages = append(messages, n.Message)
		}
		clusters[n.Message] = append(clusters[n.Message], n.Cluster)
	}
	for i, m := range messages {
		what := "cluster "
		if len(clusters[m]) > 1 {
			what = "clusters "
		}
		messages[i] = what + strings.Join(clusters[m], ", ") + ": " + m
	}
	return messages
}
