package clusters

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// forbiddenText is how every API server says what was asked for, whichever authorizer refused it
// (k8s.io/apiserver pkg/endpoints/handlers/responsewriters, unchanged since 1.11).
var forbiddenText = regexp.MustCompile(`cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)"| at the cluster scope)`)

// Permission is a rule that a request needed.
type Permission struct {
	Verb, Group, Resource string
	Namespace             string // empty: cluster scope
	Name                  string // empty: any, as in a list
}

// String says where the rule belongs and what it is, as it stands in a manifest.
func (p Permission) String() string {
	where := "a ClusterRole"
	if p.Namespace != "" {
		where = "a Role in namespace " + p.Namespace
	}
	names := ""
	if p.Name != "" && slices.Contains([]string{"configmaps", "secrets", "namespaces", "daemonsets", "deployments"}, p.Resource) {
		names = fmt.Sprintf(", resourceNames: [%s]", p.Name)
	}
	group := p.Group
	if group == "" {
		group = `""`
	}
	return fmt.Sprintf("%s needs {apiGroups: [%s], resources: [%s]%s, verbs: [%s]}", where, group, p.Resource, names, p.Verb)
}

// forbidden is a refusal that says which rule is missing.
type forbidden struct {
	permission Permission
	err        error
}

func (f *forbidden) Error() string { return "no permission: " + f.permission.String() }
func (f *forbidden) Unwrap() error { return f.err }

// Explain turns the refusal of an API server into one line that prints the missing rule. Any other error, and a
// refusal that is not about permission, such as that of an admission policy, is returned as it is.
func Explain(err error) error {
	p, ok := missing(err)
	if !ok {
		return err
	}
	return &forbidden{p, err}
}

// missing reads the rule that a request lacked out of an API server's refusal.
func missing(err error) (Permission, bool) {
	var done *forbidden
	var status apierrors.APIStatus
	if !apierrors.IsForbidden(err) || errors.As(err, &done) || !errors.As(err, &status) {
		return Permission{}, false
	}
	m := forbiddenText.FindStringSubmatch(status.Status().Message)
	if m == nil {
		return Permission{}, false
	}
	p := Permission{Verb: m[1], Resource: m[2], Group: m[3], Namespace: m[4]}
	if d := status.Status().Details; d != nil && p.Verb != "create" {
		p.Name = d.Name
	}
	return p, true
}

// unseenMu guards what all members could not see; members are copied, and so hold none of their own.
var unseenMu sync.Mutex

// Unseen notes what is not known of a member for want of permission, as in "Cilium's version is not known", where the command goes on without it.
// It is safe for concurrent use: a member is asked several things at once.
func (m *Member) Unseen(what string, err error) {
	line := what
	if p, ok := missing(err); ok {
		line += ": " + p.String()
	}
	unseenMu.Lock()
	defer unseenMu.Unlock()
	if !slices.Contains(m.unseen, line) {
		m.unseen = append(slices.Clip(m.unseen), line) // copies of the member have the same array
	}
}

// TakeUnseen returns what could not be seen and was not returned before, one line for all members of which it is equal.
func TakeUnseen(members []*Member) []string {
	var lines []string
	names := map[string][]string{}
	for _, m := range members {
		for _, line := range m.unseen[m.told:] {
			if names[line] == nil {
				lines = append(lines, line)
			}
			names[line] = append(names[line], m.Name)
		}
		m.told = len(m.unseen)
	}
	for i, line := range lines {
		lines[i] = strings.Join(names[line], ", ") + ": " + line
	}
	return lines
}

// Renew makes the member what a copy of it became. What TakeUnseen returned of the member it does not return again.
func (m *Member) Renew(later *Member) {
	told := m.told
	*m = *later
	m.told = told
}
