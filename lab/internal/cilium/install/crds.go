package install

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const ciliumGroup = "cilium.io"

// kind is a custom resource. Its schema accepts everything: the lab validates
// nothing, and the plugins only read.
type kind struct {
	group, version, kind, plural string
	short                        []string
	namespaced                   bool
}

func (k kind) resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: k.version, Resource: k.plural}
}

func (k kind) apiVersion() string { return k.group + "/" + k.version }

func ciliumNodeKind() kind {
	return kind{ciliumGroup, "v2", "CiliumNode", "ciliumnodes", []string{"cn", "ciliumn"}, false}
}

// ciliumKinds are the resources of Cilium's that say something about a mesh.
func ciliumKinds() []kind {
	return []kind{
		ciliumNodeKind(),
		{ciliumGroup, "v2", "CiliumEndpoint", "ciliumendpoints", []string{"cep", "ciliumep"}, true},
		{ciliumGroup, "v2", "CiliumIdentity", "ciliumidentities", []string{"ciliumid"}, false},
		{ciliumGroup, "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", []string{"cnp", "ciliumnp"}, true},
		{ciliumGroup, "v2", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", []string{"ccnp"}, false},
		{ciliumGroup, "v2alpha1", "CiliumPodIPPool", "ciliumpodippools", []string{"cpip"}, false},
	}
}

// ciliumCRDs are registered by Cilium's operator, not by Helm.
func ciliumCRDs(s site) []Object {
	var objects []Object
	for _, k := range ciliumKinds() {
		objects = append(objects, crd(managerOperator, k, metav1.ObjectMeta{Labels: map[string]string{
			"io.cilium.k8s.crd.schema.version": s.CiliumVersion,
		}}))
	}
	if s.method() == CertManager {
		for _, k := range certManagerKinds() {
			objects = append(objects, crd(managerHelm, k, metav1.ObjectMeta{Labels: map[string]string{
				"app.kubernetes.io/instance": "cert-manager", "app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/managed-by": "Helm",
			}}))
		}
	}
	return objects
}

func crd(manager string, k kind, meta metav1.ObjectMeta) Object {
	meta.Name = k.plural + "." + k.group
	scope := "Cluster"
	if k.namespaced {
		scope = "Namespaced"
	}
	short := make([]any, 0, len(k.short))
	for _, name := range k.short {
		short = append(short, name)
	}
	return raw(manager, crdGroup+"/v1", "CustomResourceDefinition", meta, map[string]any{
		"spec": map[string]any{
			"group": k.group,
			"scope": scope,
			"names": map[string]any{
				"kind": k.kind, "listKind": k.kind + "List", "plural": k.plural, "singular": strings.ToLower(k.kind), "shortNames": short,
			},
			"versions": []any{map[string]any{
				"name": k.version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
				"subresources": map[string]any{"status": map[string]any{}},
			}},
		},
	})
}

// ciliumNodes are written by the agents, one per node. With ipam.mode=kubernetes the
// ranges are those of the Nodes.
func ciliumNodes(s site) []Object {
	objects := make([]Object, 0, len(s.Nodes))
	for _, node := range s.Nodes {
		objects = append(objects, raw(managerAgent, ciliumNodeKind().apiVersion(), ciliumNodeKind().kind, metav1.ObjectMeta{
			Name: node.Name, Labels: map[string]string{"kubernetes.io/hostname": node.Name, "kubernetes.io/os": "linux"},
		}, map[string]any{
			"spec": map[string]any{
				"addresses": []any{map[string]any{"ip": node.Address, "type": "InternalIP"}},
				"ipam":      map[string]any{"podCIDRs": []any{node.PodCIDR}},
			},
		}))
	}
	return objects
}
