package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// Kept shows the backups of all clusters, and what still uses each.
func Kept(doc v1alpha1.CABackupList, now time.Time) []output.Section {
	t := output.NewTable("CLUSTER", "NAME", "CA", "AGE", "EXPIRES", "KEY", "IN-USE", "+OF", "+SUBJECT", "+CONTEXT", "+NAMESPACE", "+USED-BY", "+FINGERPRINT")
	for _, k := range doc.Backups {
		fingerprint, full, end, subject := "-", "-", "-", "-"
		if k.Certificate != nil {
			fingerprint, full, end, subject = pki.Short(k.Fingerprint), k.Fingerprint, expires(k.NotAfter, now), k.Subject
		}
		output.AddRow(t, k.Cluster, k.Name, fingerprint, age(now.Sub(k.Since)), end, orDash(k.Key), inUse(k), k.OriginalSecret, subject, k.Context, k.Namespace, orDash(usedBy(k.Uses)), full)
	}
	var text []string
	for _, line := range doc.Unread {
		text = append(text, "  not read: "+line)
	}
	return []output.Section{{Table: t, Text: text}}
}

// maxKeptNames is how many clusters are named in a column.
const maxKeptNames = 3

// inUse returns whether a backup is in use, and in which clusters.
func inUse(k v1alpha1.CABackup) string {
	switch k.State {
	case v1alpha1.BackupUsed:
		var where []string
		for _, u := range k.Uses {
			if !slices.Contains(where, u.Cluster) {
				where = append(where, u.Cluster)
			}
		}
		if len(where) > maxKeptNames {
			return fmt.Sprintf("yes (%d clusters)", len(where))
		}
		return "yes (" + strings.Join(where, ", ") + ")"
	case v1alpha1.BackupUnused:
		return "no"
	default:
		return "?"
	}
}

// usedBy names the objects that use a backup, each once.
func usedBy(uses []v1alpha1.CAUse) string {
	var out []string
	for _, u := range uses {
		object, _, _ := strings.Cut(u.Object, "[")
		if name := u.Cluster + ":" + strings.TrimPrefix(object, "secret/"); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age returns how long ago something was made, as kubectl does in one unit.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < day:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	default:
		return fmt.Sprintf("%dd", int(d/day))
	}
}

// Prune shows which backups are deleted, and why the others are not.
func Prune(doc v1alpha1.CAChangeReport) []output.Section {
	t := output.NewTable("CLUSTER", "CONTEXT", "BACKUP", "CA", "RESULT")
	for _, c := range doc.Changes {
		output.AddRow(t, c.Cluster, c.Context, c.Namespace+"/"+strings.TrimPrefix(c.Object, "secret/"), authorityOf(c.Before), deleted(c.Result))
	}
	return []output.Section{{Title: "Plan: delete backups", Table: t, Text: notes(doc)}}
}

// deleted words the result of a deletion.
func deleted(result string) string {
	switch result {
	case v1alpha1.ResultChanged:
		return "deleted"
	case v1alpha1.ResultUnchanged:
		return "gone already"
	case v1alpha1.ResultSkipped:
		return "kept"
	default:
		return result
	}
}

// Pruned shows what became of each backup.
func Pruned(doc v1alpha1.CAChangeReport) []output.Section {
	sections := Prune(doc)
	sections[0].Title = ""
	return sections
}

// Backup shows what was copied into a file.
func Backup(doc v1alpha1.CABackupReport, now time.Time) []output.Section {
	t := output.NewTable("CLUSTER", "CONTEXT", "SECRET", "CA", "EXPIRES", "OWNER", "+SUBJECT", "+FINGERPRINT")
	for _, c := range doc.Clusters {
		end := "-"
		if c.NotAfter != nil {
			end = expires(*c.NotAfter, now)
		}
		output.AddRow(t, c.Cluster, c.Context, c.Namespace+"/"+c.Secret, orDash(pki.Short(c.Fingerprint)), end, orDash(c.Owner), c.Subject, c.Fingerprint)
	}
	return []output.Section{{Table: t}}
}
