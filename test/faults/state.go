package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// watched are the kinds of objects that the plugins write.
var watched = []struct {
	schema.GroupVersionResource

	selector string
}{
	{schema.GroupVersionResource{Version: "v1", Resource: "services"}, ""},
	{schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, ""},
	{schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, ""},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, ""},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, ""},
	// Helper pods only: the others come and go with their Deployments.
	{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "app.kubernetes.io/managed-by=kubectl-mesh-probe"},
}

type object struct {
	context  string
	resource schema.GroupVersionResource
	content  *unstructured.Unstructured
	text     string // what may not change, as JSON
}

// state are the objects of all clusters, by cluster, kind and name.
type state map[string]object

// observe reads the state of all clusters.
func observe(ctx context.Context, clients map[string]dynamic.Interface) (state, error) {
	out := state{}
	for name, client := range clients {
		for _, kind := range watched {
			list, err := client.Resource(kind.GroupVersionResource).List(ctx, metav1.ListOptions{LabelSelector: kind.selector})
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, kind.Resource, err)
			}
			for _, item := range list.Items {
				text, err := lasting(&item)
				if err != nil {
					return nil, err
				}
				key := fmt.Sprintf("%s %s %s/%s", name, kind.Resource, item.GetNamespace(), item.GetName())
				out[key] = object{name, kind.GroupVersionResource, &item, text}
			}
		}
	}
	return out, nil
}

// lasting is what of an object only the plugins change in a lab.
func lasting(u *unstructured.Unstructured) (string, error) {
	content := maps.Clone(u.Object)
	delete(content, "status")
	content["metadata"] = map[string]any{"labels": u.GetLabels(), "annotations": u.GetAnnotations()}
	text, err := json.Marshal(content)
	return string(text), err
}

// random are the parts of names that differ from run to run.
var random = regexp.MustCompile(`-[0-9a-f]{8,}\b`)

// changes are the objects in which two states differ, without the random parts of their names.
func changes(before, after state) []string {
	var out []string
	for _, key := range differing(before, after) {
		out = append(out, random.ReplaceAllString(key, "-*"))
	}
	return out
}

func differing(before, after state) []string {
	keys := maps.Clone(before)
	maps.Copy(keys, after)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(keys)), func(k string) bool { return before[k].text == after[k].text })
}

// restore makes the clusters what they were.
func restore(ctx context.Context, clients map[string]dynamic.Interface, want, now state) error {
	for _, key := range differing(want, now) {
		o, wanted := want[key]
		if !wanted {
			o = now[key]
		}
		api := clients[o.context].Resource(o.resource).Namespace(o.content.GetNamespace())
		var err error
		switch _, exists := now[key]; {
		case !wanted:
			err = api.Delete(ctx, o.content.GetName(), metav1.DeleteOptions{})
		case exists && !immutable(now[key].content):
			u := o.content.DeepCopy()
			u.SetResourceVersion("")
			u.SetUID("")
			u.SetManagedFields(nil)
			_, err = api.Update(ctx, u, metav1.UpdateOptions{FieldManager: manager(o.content)})
		default:
			if exists {
				err = api.Delete(ctx, o.content.GetName(), metav1.DeleteOptions{})
			}
			u := o.content.DeepCopy()
			u.SetResourceVersion("")
			u.SetUID("")
			u.SetManagedFields(nil)
			if err == nil {
				_, err = api.Create(ctx, u, metav1.CreateOptions{FieldManager: manager(o.content)})
			}
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// immutable reports whether an object must be created again to be changed.
func immutable(u *unstructured.Unstructured) bool {
	value, _, err := unstructured.NestedBool(u.Object, "immutable")
	return err == nil && value
}

// manager is the field manager that wrote an object first. The plugins ask who owns what they would write.
func manager(u *unstructured.Unstructured) string {
	if fields := u.GetManagedFields(); len(fields) > 0 {
		return fields[0].Manager
	}
	return ""
}
