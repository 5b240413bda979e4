package permissions

import (
	"slices"
	"strings"
)

// Permission is one verb on one kind of object, as an API server is asked for it.
type Permission struct {
	Verb, Group, Resource string
	Namespace             string // empty: cluster scope
	Name                  string // empty: any object, as in a list or a create
}

// named are the resources whose rules are printed with resourceNames. For the others a rule that names single objects helps nobody.
var named = []string{"configmaps", "secrets", "namespaces", "daemonsets", "deployments"}

// String says where the rule belongs and what it is, as it is written in a manifest.
func (p Permission) String() string { return Needs([]Permission{p}) }

// Needs says which rules grant the permissions, and where they belong: one rule for all verbs on the same object.
func Needs(missing []Permission) string {
	type object struct{ namespace, group, resource, name string }
	var order []object
	verbs := map[object][]string{}
	for _, p := range missing {
		o := object{p.Namespace, p.Group, p.Resource, p.Name}
		if !slices.Contains(named, p.Resource) {
			o.name = ""
		}
		if verbs[o] == nil {
			order = append(order, o)
		}
		if !slices.Contains(verbs[o], p.Verb) {
			verbs[o] = append(verbs[o], p.Verb)
		}
	}
	var parts []string
	for i, o := range order {
		where := "a ClusterRole needs "
		if o.namespace != "" {
			where = "a Role in namespace " + o.namespace + " needs "
		}
		if i > 0 && order[i-1].namespace == o.namespace {
			where = ""
		}
		a := Access{Group: o.group, Resource: o.resource, Verbs: verbs[o]}
		if o.name != "" {
			a.Names = []string{o.name}
		}
		parts = append(parts, where+a.Rule())
	}
	return strings.Join(parts, " and ")
}

// MissingError says which permissions are not granted. It is the one sentence with which every command does so.
type MissingError struct {
	Permissions []Permission
	Err         error // the answer of the API server; nil where an access review said so
}

// Error names the rules that grant the permissions.
func (e *MissingError) Error() string { return "no permission: " + Needs(e.Permissions) }

// Unwrap returns the answer of the API server.
func (e *MissingError) Unwrap() error { return e.Err }

// In returns the permissions of an access to one object in one namespace; a create never names its object.
func (a Access) In(namespace, name string) []Permission {
	var out []Permission
	for _, verb := range a.Verbs {
		p := Permission{Verb: verb, Group: a.Group, Resource: a.Resource, Namespace: namespace, Name: name}
		if verb == "create" {
			p.Name = ""
		}
		out = append(out, p)
	}
	return out
}
