// Package finding is the registry of the problems that the plugins report. An id never changes its meaning.
// The package uses no client and prints nothing.
package finding

import (
	"cmp"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// Severity ranks findings.
type Severity string

// The severities. A rule that is only an inference from Cilium's code is never an error.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
	// Never is a threshold that no finding reaches. No rule has this severity.
	Never Severity = "never"
)

// rank orders severities, the worst first.
func (s Severity) rank() int {
	switch s {
	case Never:
		return -1
	case Error:
		return 0
	case Warning:
		return 1
	}
	return 2
}

// AtLeast reports whether s is as bad as t or worse.
func (s Severity) AtLeast(t Severity) bool { return s.rank() <= t.rank() }

// Rule is an entry of the registry.
type Rule struct {
	ID       string
	Severity Severity
	Title    string
	// Why is the behaviour of Cilium or Kubernetes behind the rule, and the versions in which it applies.
	Why string
	// Advice says how to fix it: in the documentation, and in findings without a command.
	Advice string
}

// New returns a finding of a rule. A finding without a fix, which is a command, gets the rule's advice.
func (r Rule) New(object string, clusters []string, message, fix string) v1alpha1.Finding {
	f := v1alpha1.Finding{ID: r.ID, Severity: string(r.Severity), Clusters: clusters, Object: object, Message: message, Reason: r.Why, Fix: fix}
	if fix == "" {
		f.Advice = r.Advice
	}
	return f
}

// Sort orders findings by severity, id, object and message.
func Sort(fs []v1alpha1.Finding) {
	slices.SortStableFunc(fs, func(a, b v1alpha1.Finding) int {
		return cmp.Or(
			cmp.Compare(Severity(a.Severity).rank(), Severity(b.Severity).rank()),
			cmp.Compare(a.ID, b.ID), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message))
	})
}

// Worst reports whether any finding is at least as bad as the threshold.
func Worst(fs []v1alpha1.Finding, threshold Severity) bool {
	return slices.ContainsFunc(fs, func(f v1alpha1.Finding) bool { return Severity(f.Severity).AtLeast(threshold) })
}

// All lists every rule of the registry, by plugin and id.
func All() []Rule { return slices.Concat(Service(), Authority()) }
