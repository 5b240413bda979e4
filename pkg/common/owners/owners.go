// Package owners determines who manages an object, one of its fields or one of its annotations, from metadata alone: managedFields first, then the marks that
// tools leave. It has the one rule and the one list of tools for all plugins. It is pure: it uses no client and depends on no kind of object.
package owners

import (
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Field is a path into an object, such as {"metadata", "annotations", KEY}.
type Field []string

// Annotation is the field of one annotation.
func Annotation(key string) Field { return Field{"metadata", "annotations", key} }

// Label is the field of one label.
func Label(key string) Field { return Field{"metadata", "labels", key} }

// Data is the field of one key of a Secret or ConfigMap.
func Data(key string) Field { return Field{"data", key} }

// SpecOf is a field of the spec.
func SpecOf(field string) Field { return Field{"spec", field} }

// serviceSpec are the fields whose owner keeps a Service. Each definition of a Service has ports or a selector or a type. Other fields of the spec are also
// written by controllers that keep nothing: addresses and classes by load balancers, for example.
var serviceSpec = []Field{SpecOf("ports"), SpecOf("selector"), SpecOf("type"), SpecOf("externalName")}

// rolloutsHash is the key that Argo Rollouts adds to the selector of a Service that others keep (utils/service, DefaultRolloutUniqueLabelKey).
const rolloutsHash = "rollouts-pod-template-hash"

// people lists the field managers of interactive clients: whole names in lower case, without ".exe". Everything else reconciles. That includes curl and
// the HTTP libraries of scripts (python-requests, node-fetch, OpenAPI-Generator), which Kubernetes names after the user agent: a script runs again. It also
// includes "unknown", the name for a client that sends no user agent (apimachinery managedfields/internal/buildmanagerinfo.go): no interactive client does that.
var people = map[string]bool{
	// k8s.io/kubectl v0.37, the constants fieldManager and fieldManager* of each command. Commands without a field manager of their own, and server-side
	// apply, write as "kubectl". A plugin has a name that is not here: kubectl-neat is another program.
	"kubectl": true, "kubectl-annotate": true, "kubectl-autoscale": true, "kubectl-client-side-apply": true, "kubectl-create": true, "kubectl-debug": true,
	"kubectl-edit": true, "kubectl-expose": true, "kubectl-label": true, "kubectl-last-applied": true, "kubectl-patch": true, "kubectl-replace": true,
	"kubectl-rollout": true, "kubectl-run": true, "kubectl-scale": true, "kubectl-set": true, "kubectl-taint": true,
	// kubectl as OpenShift ships it.
	"oc": true,
	// cilium-cli: it creates cilium-ca and writes the Secrets of Cluster Mesh when a person runs it. The agent and the operator have longer names.
	"cilium": true,
	// This project.
	"mesh-svc": true, "mesh-ca": true, "mesh-ca-trust": true, "mesh-ca-lock": true, "mesh-probe": true,
	// Terminal and desktop clients, named after their binaries.
	"k9s": true, "lens": true, "openlens": true, "freelens": true, "headlamp": true, "headlamp-server": true,
	// Consoles. A console that runs in the browser (OpenShift, Rancher, Headlamp) passes on the browser's user agent, which begins with Mozilla/5.0.
	"mozilla": true, "googlecloudconsole": true,
	// Kubernetes Dashboard: DefaultUserAgent in src/app/backend/client/manager.go.
	"dashboard": true,
}

// beforeFirstApply is the API server's own name for fields that were set before it tracked the object (apimachinery
// managedfields/internal/skipnonapplied.go). It tells neither a person nor a controller.
const beforeFirstApply = "before-first-apply"

// Interactive reports whether a field manager belongs to an interactive client.
func Interactive(manager string) bool {
	return people[strings.TrimSuffix(strings.ToLower(manager), ".exe")]
}

// Reconciles reports whether a field manager writes its fields again: every field manager that is not interactive.
func Reconciles(manager string) bool {
	return manager != "" && manager != beforeFirstApply && !Interactive(manager)
}

// Fields are the managed fields of one object, parsed once.
type Fields []entry

type entry struct {
	manager string
	fields  json.RawMessage
}

// Parse reads managedFields. Entries without fields own nothing.
func Parse(managed []metav1.ManagedFieldsEntry) Fields {
	var out Fields
	for _, f := range managed {
		if f.FieldsV1 != nil {
			out = append(out, entry{f.Manager, f.FieldsV1.GetRawBytes()})
		}
	}
	return out
}

// Of returns the field managers that own any of the fields, or a part of one, sorted. Server-side apply lets several managers own the same field.
func (f Fields) Of(fields ...Field) []string {
	return f.which(func(raw json.RawMessage) bool {
		return slices.ContainsFunc(fields, func(field Field) bool { return owns(raw, field) })
	})
}

// Below returns the field managers that own a part of a field, such as one key of the data, sorted.
func (f Fields) Below(field Field) []string {
	return f.which(func(raw json.RawMessage) bool {
		set, _ := object(raw) // what is not one has no fields
		for _, name := range field {
			var ok bool
			if set, ok = object(set["f:"+name]); !ok {
				return false
			}
		}
		delete(set, ".") // the field itself
		return len(set) > 0
	})
}

// Any returns all field managers, sorted.
func (f Fields) Any() []string { return f.which(func(json.RawMessage) bool { return true }) }

// ServiceKeepers returns the field managers that own what defines a Service.
func (f Fields) ServiceKeepers() []string {
	return f.which(func(raw json.RawMessage) bool {
		return slices.ContainsFunc(serviceSpec, func(field Field) bool {
			return owns(raw, field) && (field[1] != "selector" || !onlyKey(raw, field, rolloutsHash))
		})
	})
}

func (f Fields) which(keep func(json.RawMessage) bool) []string {
	var out []string
	for _, e := range f {
		if keep(e.fields) && !slices.Contains(out, e.manager) {
			out = append(out, e.manager)
		}
	}
	slices.Sort(out)
	return out
}

// owns reports whether a set of fields (FieldsV1) has a path, a part below it, or a field above it as a whole.
func owns(raw json.RawMessage, path Field) bool {
	set, ok := object(raw)
	for n, name := range path {
		if !ok {
			return false // an entry that does not parse owns nothing
		}
		if n > 0 && len(set) == 0 {
			return true // {"f:spec":{}}: the whole field, for which the schema lists no parts
		}
		if raw, ok = set["f:"+name]; ok {
			set, ok = object(raw)
		}
	}
	return ok
}

// onlyKey reports whether an entry owns one key below a path and nothing else there.
func onlyKey(raw json.RawMessage, path Field, key string) bool {
	for _, name := range path {
		set, _ := object(raw)
		raw = set["f:"+name]
	}
	set, _ := object(raw)
	_, has := set["f:"+key]
	return has && len(set) == 1
}

func object(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	var set map[string]json.RawMessage
	err := json.Unmarshal(raw, &set)
	return set, err == nil && set != nil
}
