package cilium

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
)

// TestField16WrongKeys: what looks like one of Cilium's keys is told from what is somebody else's.
func TestField16WrongKeys(t *testing.T) {
	t.Parallel()
	global, shared, affinity, sync := AnnotationGlobal, AnnotationShared, AnnotationAffinity, AnnotationSyncEndpointSlices
	for key, want := range map[string]string{
		// one edit, in the name or in the prefix
		"service.cilium.io/globl": global, "service.cilium.io/globals": global, "service.cilium.io/glboal": global, "service.cilium.io/clobal": global,
		"serivce.cilium.io/global": global, "service.cillium.io/global": global, "service.cilum.io/global": global, "service.ciilum.io/global": global, "service.clium.io/global": global, "service.cilium.oi/global": global,
		"servicecilium.io/global": global, "service.cilium.io/share": shared, "service.cilium.io/affinty": affinity, "io.cilium/global-servce": global,
		"io.cilum/global-service": global, "service.cilium.io/global-sync-endpoint-slice": sync,
		// swapped halves
		"service.io.cilium/global": global, "io.cilium.service/global": global, "io.cilium/service-global": global, "io.cilium/service-shared": shared,
		"service.io.cilium/shared": shared, "io.cilium.service/affinity": affinity, "cilium.service.io/global": global, "global/service.cilium.io": global,
		// wrong prefix
		"cilium.io/global": global, "services.cilium.io/global": global, "svc.cilium.io/shared": shared, "io.cilium/global": global, "io.cilium/affinity": affinity,
		"clustermesh.cilium.io/global": global, "clustermesh.cilium.io/shared": shared, "network.cilium.io/affinity": affinity, "service.cilium.com/global": global,
		"cilium.io/global-service": global, "service.cilium.io/global-service": global, "service.cilium.io/service-affinity": affinity,
		"mesh.cilium.io/shared-service": shared, "cilium/global": global, "cilium.io/sync-endpoint-slices": sync,
		// other case and other separators
		"service.cilium.io/Global": global, "Service.Cilium.io/global": global, "service.cilium.io/globalService": global,
		"service.cilium.io/GlobalSyncEndpointSlices": sync, "service.cilium.io/global_service": global, "service.cilium.io.global": global,
		"io.cilium.global-service": global,
		// Cilium's other keys of a Service
		"service.cilium.io/lb-algorith": "service.cilium.io/lb-algorithm", "service.io.cilium/type": "service.cilium.io/type", "service.cilium.io/nodes": "service.cilium.io/node",
	} {
		got := WrongServiceKeys(map[string]string{key: "true"}, nil)
		if len(got) != 1 || got[0].Meant != want || got[0].Key != key || got[0].On != KindService {
			t.Errorf("%s: %+v, want %s", key, got, want)
		}
	}
	for _, key := range []string{
		global, AnnotationGlobalAlias, shared, AnnotationSharedAlias, affinity, AnnotationAffinityAlias, sync, AnnotationL7, "service.cilium.io/lb-algorithm", "service.cilium.io/type",
		"example.com/global", "cilium.example.com/global", "example.com/cilium-global", "global.example.io/cilium", "service.example.io/global", "global-service", "cilium-global",
		"service.kubernetes.io/global", "io.cilium/lb-ipam-ips", "lbipam.cilium.io/sharing-key", "lbipam.cilium.io/ips", "ingress.cilium.io/service-type",
		"clustermesh.cilium.io/supported-ip-families", "service.cilium.io/local-endpointslice", "cilium.io/ingress", "io.cilium.gateway/owning-gateway",
		"mesh.kubectl.io/drained", "networking.gke.io/affinity", "io.cilium.global.example/affinity-rule", "policy.cilium.io/no-track-port", "cec.cilium.io/is-l7lb", "",
	} {
		if got := WrongServiceKeys(map[string]string{key: "true"}, nil); len(got) > 0 {
			t.Errorf("%s: %+v, want nothing", key, got)
		}
	}
}

// TestField16WeightKeys: the annotation of an EndpointSlice is recognized as those of Services are, wherever it stands.
func TestField16WeightKeys(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"service.cilium.io/wieght", "service.cilium.io/weights", "service.cilium.io/Weight", "service.io.cilium/weight", "io.cilium/weight", "io.cilium/service-weight",
		"cilium.io/weight", "endpointslice.cilium.io/weight", "clustermesh.cilium.io/weight", "weight/service.cilium.io",
	} {
		for on, got := range map[string][]WrongKey{
			"a slice": WrongSliceKeys(map[string]string{key: "3"}, nil), "a Service": WrongServiceKeys(map[string]string{key: "3"}, nil), "a label": WrongServiceKeys(nil, map[string]string{key: "3"}),
			"a label of a slice": WrongSliceKeys(nil, map[string]string{key: "3"}),
		} {
			if len(got) != 1 || got[0].Meant != AnnotationWeight || got[0].On != KindSlice || got[0].Label != strings.HasPrefix(on, "a label") {
				t.Errorf("%s on %s: %+v", key, on, got)
			}
		}
	}
	if got := WrongServiceKeys(nil, map[string]string{AnnotationWeight: "3"}); len(got) != 1 || got[0].On != KindSlice {
		t.Errorf("%+v", got)
	}
	for _, key := range []string{"service.cilium.org/global", "cluster.cilium.io/global", "multicluster.cilium.io/global"} {
		if got := WrongServiceKeys(map[string]string{key: "true"}, nil); len(got) != 1 || got[0].Meant != AnnotationGlobal {
			t.Errorf("%s: %+v", key, got)
		}
	}
	for _, key := range []string{"example.com/weight", "bgp.example.io/cilium", "traefik.io/weight"} {
		if got := WrongServiceKeys(map[string]string{key: "3"}, nil); len(got) > 0 {
			t.Errorf("%s: %+v", key, got)
		}
	}
}

// TestField16WrongPlaces: a key that is spelt rightly has no effect as a label, or on another kind of object.
func TestField16WrongPlaces(t *testing.T) {
	t.Parallel()
	got := WrongServiceKeys(map[string]string{AnnotationWeight: "3", "clustermesh.cilium.io/global": "true"},
		map[string]string{AnnotationGlobal: "true", "service.io.cilium/shared": "false", "io.cilium/service-affinity": "local", "app": "global", "cilium.io/ingress": "true"})
	want := []WrongKey{
		{Key: AnnotationNamespaceGlobal, Value: "true", Meant: AnnotationGlobal, On: KindService},
		{Key: AnnotationWeight, Value: "3", Meant: AnnotationWeight, On: KindSlice},
		{Key: AnnotationAffinityAlias, Value: "local", Label: true, Meant: AnnotationAffinity, On: KindService},
		{Key: AnnotationGlobal, Value: "true", Label: true, Meant: AnnotationGlobal, On: KindService},
		{Key: "service.io.cilium/shared", Value: "false", Label: true, Meant: AnnotationShared, On: KindService},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = WrongSliceKeys(map[string]string{AnnotationWeight: "3", "service.cilium.io/wieght": "4", AnnotationGlobal: "true", "endpoints.kubernetes.io/last-change-trigger-time": "x"}, nil)
	if d := cmp.Diff([]WrongKey{{Key: AnnotationGlobal, Value: "true", Meant: AnnotationGlobal, On: KindService}, {Key: "service.cilium.io/wieght", Value: "4", Meant: AnnotationWeight, On: KindSlice, Now: ptr.To("3")}}, got); d != "" {
		t.Error(d)
	}
	got = WrongNamespaceKeys(map[string]string{AnnotationNamespaceGlobal: "true", "clustermesh.io.cilium/global": "true", AnnotationGlobal: "true", "cilium.io/global": "false", "service.cilium.io/affinity": "local", "example.com/global": "1"},
		map[string]string{AnnotationNamespaceGlobal: "true", "kubernetes.io/metadata.name": "shop"})
	want = []WrongKey{
		{Key: "cilium.io/global", Value: "false", Meant: AnnotationNamespaceGlobal, On: KindNamespace, Now: ptr.To("true")},
		{Key: "clustermesh.io.cilium/global", Value: "true", Meant: AnnotationNamespaceGlobal, On: KindNamespace, Now: ptr.To("true")},
		{Key: AnnotationAffinity, Value: "local", Meant: AnnotationAffinity, On: KindService},
		{Key: AnnotationGlobal, Value: "true", Meant: AnnotationGlobal, On: KindService},
		{Key: AnnotationNamespaceGlobal, Value: "true", Label: true, Meant: AnnotationNamespaceGlobal, On: KindNamespace, Now: ptr.To("true")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = WrongServiceKeys(map[string]string{AnnotationGlobalAlias: "false", "service.cilium.io/globl": "true"}, nil)
	if d := cmp.Diff([]WrongKey{{Key: "service.cilium.io/globl", Value: "true", Meant: AnnotationGlobal, On: KindService, Now: ptr.To("false")}}, got); d != "" {
		t.Error(d)
	}
}
