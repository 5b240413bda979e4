// Package cilium interprets Cilium's objects: the annotations that make a
// Service global, the rules of each Cilium version, and the identity and the
// peers of a cluster. Every rule names its source and the versions to which it
// applies.
//
// It is pure: it uses no client, no clock and no output, and reads nothing
// itself.
package cilium

import (
	"strconv"
	"strings"
)

// Annotation and label keys of Cilium Cluster Mesh.
// Source: cilium/cilium pkg/annotation/k8s.go (1.15 to 1.20).
const (
	// AnnotationGlobal marks a Service as global.
	AnnotationGlobal = "service.cilium.io/global"
	// AnnotationGlobalAlias is the deprecated spelling of AnnotationGlobal.
	AnnotationGlobalAlias = "io.cilium/global-service"
	// AnnotationShared sets whether a global Service's endpoints are offered to the other clusters.
	AnnotationShared = "service.cilium.io/shared"
	// AnnotationSharedAlias is the deprecated spelling of AnnotationShared.
	AnnotationSharedAlias = "io.cilium/shared-service"
	// AnnotationAffinity sets whether clients prefer local or remote endpoints.
	AnnotationAffinity = "service.cilium.io/affinity"
	// AnnotationAffinityAlias is the deprecated spelling of AnnotationAffinity.
	AnnotationAffinityAlias = "io.cilium/service-affinity"
	// AnnotationSyncEndpointSlices requests remote endpoints as EndpointSlices (1.16+, no alias).
	AnnotationSyncEndpointSlices = "service.cilium.io/global-sync-endpoint-slices"
	// AnnotationWeight is an annotation of an EndpointSlice (1.20+); see SliceWeight.
	AnnotationWeight = "service.cilium.io/weight"
	// AnnotationNamespaceGlobal is an annotation of a Namespace that gates the export of its global Services (1.20+).
	AnnotationNamespaceGlobal = "clustermesh.cilium.io/global"

	// AnnotationType restricts by which kinds of frontend Cilium serves a Service; see ClusterIPHidden.
	AnnotationType = "service.cilium.io/type"

	// AnnotationTopologyMode and its older spelling request endpoints of the client's zone; see PrefersNear.
	AnnotationTopologyMode = "service.kubernetes.io/topology-mode"
	// AnnotationTopologyHints is the older spelling of AnnotationTopologyMode.
	AnnotationTopologyHints = "service.kubernetes.io/topology-aware-hints"

	// LabelServiceProxyName leaves a Service to another proxy; see Ignored.
	LabelServiceProxyName = "service.kubernetes.io/service-proxy-name"
	// LabelHeadless makes Cilium serve none of a Service's cluster IPs, whatever the label's value is
	// (isHeadless in pkg/loadbalancer/reflectors/conversions.go; 1.20.2, run, 1.18.11 and 1.19.5, read).
	LabelHeadless = "service.kubernetes.io/headless"
	// LabelManagedBy is a label of EndpointSlices; see ManagedByMesh.
	LabelManagedBy = "endpointslice.kubernetes.io/managed-by"
	// ManagedByMesh marks EndpointSlices that Cilium synchronized from other clusters. Cilium's own watch ignores them.
	ManagedByMesh = "endpointslice-mesh-controller.cilium.io"
)

// Ignored reports whether an agent leaves a Service to another proxy by its label. proxyName is the agent's option
// k8s-service-proxy-name: without it the label must not be there, whatever its value is; with it the label must have that value.
// The chart hands the option to the agents and not to clustermesh-apiserver, which exports by an empty one, unless
// clustermesh.apiserver.extraArgs says otherwise.
// Source: GetServiceAndEndpointListOptionsModifier and serviceListLabelSelector in pkg/k8s/utils/utils.go (1.16.19, 1.18.11, 1.19.5
// and 1.20.2, read; without the option run), templates/clustermesh-apiserver/deployment.yaml (1.16.19, 1.18.11, 1.20.2).
func Ignored(labels map[string]string, proxyName string) bool {
	v, ok := labels[LabelServiceProxyName]
	if proxyName == "" {
		return ok
	}
	return !ok || v != proxyName
}

// LabelledHeadless reports whether nobody serves the cluster IP of a Service because of LabelHeadless: kube-proxy, too, leaves out what has this label.
// headless is whether the Service has no cluster IP; the label then changes nothing.
func LabelledHeadless(labels map[string]string, headless bool) bool {
	_, labelled := labels[LabelHeadless]
	return labelled && !headless
}

// ClusterIPHidden reports whether agents do not serve the cluster IP of a Service because of AnnotationType, whatever the Service's type is. The values NodePort
// and LoadBalancer hide it; they are compared exactly, and any other value changes nothing. headless is whether the Service has no cluster IP; the annotation then
// changes nothing. The exporter does not look at it: other clusters use the endpoints anyway. 1.17 and later; an unknown version counts as one that knows it.
// Source: NewSvcExposureType and CanExpose in pkg/loadbalancer/reflectors/conversions.go (1.18.11, 1.19.5, 1.19.7 and 1.20.2, read), newSvcExposureType in
// pkg/k8s/service.go (1.17.16, read); 1.16.19 does not have it (read). Convert in operator/watchers/service_sync.go (1.20.2, read).
func ClusterIPHidden(ann map[string]string, headless bool, v Version) bool {
	if headless || v.Known() && v.Major == 1 && v.Minor < 17 {
		return false
	}
	return ann[AnnotationType] == "NodePort" || ann[AnnotationType] == "LoadBalancer"
}

// Source says where the value of a setting comes from.
type Source string

// The places where a setting's value can come from.
const (
	SourceKey     Source = "key"     // the current annotation key
	SourceAlias   Source = "alias"   // the deprecated alias key
	SourceDefault Source = "default" // no annotation
	SourceIgnored Source = "ignored" // annotated, but without effect because the Service is not global
)

// Bool is the effective value of a boolean annotation, and its source.
type Bool struct {
	Value  bool
	Source Source
	Key    string // the key that decided; empty when none is present
	Raw    string // the annotation's literal value; empty when none is present
}

// Junk reports whether the annotation's text is neither "true" nor "false" in any case.
// Cilium takes such a value as false (pkg/annotation/clustermesh.go: only
// strings.ToLower(v) == "true" is true).
func (b Bool) Junk() bool {
	if b.Key == "" {
		return false
	}
	l := strings.ToLower(b.Raw)
	return l != "true" && l != "false"
}

// lookup mirrors Cilium's annotation.Get: the first key that is present wins,
// even when its value is empty or invalid.
func lookup(ann map[string]string, key, alias string) (value, found string, src Source) {
	if v, ok := ann[key]; ok {
		return v, key, SourceKey
	}
	if v, ok := ann[alias]; ok && alias != "" {
		return v, alias, SourceAlias
	}
	return "", "", SourceDefault
}

// Global returns whether annotations make their Service global.
// Only the case-insensitive word "true" does; "1", "yes" and " true " do not.
// Source: pkg/annotation/clustermesh.go GetAnnotationIncludeExternal (1.15 to 1.20).
func Global(ann map[string]string) Bool {
	raw, key, src := lookup(ann, AnnotationGlobal, AnnotationGlobalAlias)
	return Bool{Value: strings.EqualFold(raw, "true"), Source: src, Key: key, Raw: raw}
}

// Shared returns whether a Service's endpoints are offered to other clusters.
// A Service that is not global is never shared; a global one is unless the
// annotation is present with any other value than "true".
// Source: pkg/annotation/clustermesh.go GetAnnotationShared (1.14 to 1.20).
func Shared(ann map[string]string) Bool {
	global := Global(ann).Value
	raw, key, src := lookup(ann, AnnotationShared, AnnotationSharedAlias)
	switch {
	case !global && src != SourceDefault:
		return Bool{Value: false, Source: SourceIgnored, Key: key, Raw: raw}
	case src == SourceDefault:
		return Bool{Value: global, Source: SourceDefault}
	default:
		return Bool{Value: strings.EqualFold(raw, "true"), Source: src, Key: key, Raw: raw}
	}
}

// Affinity is which endpoints the clients of a cluster prefer.
type Affinity string

// The affinities that Cilium knows. AffinityDropRemote is not a value that
// users write: Cilium 1.18 and 1.19 treat "none" and unknown values this way.
const (
	AffinityNone       Affinity = "none"
	AffinityLocal      Affinity = "local"
	AffinityRemote     Affinity = "remote"
	AffinityDropRemote Affinity = "drop-remote"
)

// AffinitySetting is the effective affinity of a Service, and its source.
type AffinitySetting struct {
	Value  Affinity
	Source Source
	Key    string
	Raw    string
}

// Junk reports whether the annotation has a value that Cilium does not document.
func (a AffinitySetting) Junk() bool {
	switch strings.ToLower(a.Raw) {
	case "", "none", "local", "remote":
		return false
	}
	return true
}

// AffinityOf returns the affinity that annotations mean under the rules of one Cilium version.
// The value is compared case-insensitively and not trimmed. Absent and empty
// mean none. What "none" and junk mean differs by version: see Rules.UnknownAffinityDropsRemote.
// Source: pkg/annotation/clustermesh.go GetAnnotationServiceAffinity (1.18.11, 1.19.5, 1.19.7 and 1.20.2, run; 1.16.19, read).
func AffinityOf(ann map[string]string, r Rules) AffinitySetting {
	raw, key, src := lookup(ann, AnnotationAffinity, AnnotationAffinityAlias)
	s := AffinitySetting{Value: AffinityNone, Source: src, Key: key, Raw: raw}
	if !Global(ann).Value {
		if src != SourceDefault {
			s.Source = SourceIgnored
		}
		return s
	}
	switch strings.ToLower(raw) {
	case "":
	case string(AffinityLocal):
		s.Value = AffinityLocal
	case string(AffinityRemote):
		s.Value = AffinityRemote
	default:
		if r.UnknownAffinityDropsRemote {
			s.Value = AffinityDropRemote
		}
	}
	return s
}

// SyncBar is the reason why the remote endpoints of a global Service do not become EndpointSlices in a client's cluster, "" if they do.
type SyncBar string

// The reasons, in the order in which SyncsSlices checks them.
const (
	SyncNotAsked  SyncBar = "not-asked"  // by default only a headless Service requests it
	SyncForbidden SyncBar = "forbidden"  // AnnotationSyncEndpointSlices is false
	SyncJunk      SyncBar = "junk"       // its value is neither true nor false
	SyncAliasOnly SyncBar = "alias-only" // the Service is not global under the current key
	SyncTooOld    SyncBar = "too-old"    // Cilium has no such feature before 1.16
	SyncOff       SyncBar = "off"        // clustermesh-enable-endpoint-sync is not set
)

// SyncsSlices says why the remote endpoints of a Service do not become EndpointSlices in its cluster, whose setting
// clustermesh-enable-endpoint-sync is on. An unknown version counts as one with the feature.
// Source: doesServiceSyncEndpointSlice in pkg/clustermesh/endpointslicesync/service_informer.go (1.16.19, 1.18.11, 1.19.5 and 1.20.2, read).
func SyncsSlices(ann map[string]string, headless, on bool, v Version) SyncBar {
	value, asked := ann[AnnotationSyncEndpointSlices]
	switch {
	case !asked && !headless:
		return SyncNotAsked
	case strings.EqualFold(value, "false"):
		return SyncForbidden
	case asked && !strings.EqualFold(value, "true"):
		return SyncJunk
	case !strings.EqualFold(ann[AnnotationGlobal], "true"):
		return SyncAliasOnly
	case v.Known() && v.Major == 1 && v.Minor < 16:
		return SyncTooOld
	case !on:
		return SyncOff
	}
	return ""
}

// NamespaceGlobal returns whether a namespace lets its global Services be
// exported, given the namespace's annotations and the cluster's default
// (clustermesh-default-global-namespace). A junk value means false.
// It matters only where Rules.NamespaceGate holds.
// Source: pkg/clustermesh/namespace/namespace.go (1.20).
func NamespaceGlobal(ann map[string]string, def bool) Bool {
	v, ok := ann[AnnotationNamespaceGlobal]
	if !ok {
		return Bool{Value: def, Source: SourceDefault}
	}
	return Bool{Value: strings.EqualFold(v, "true"), Source: SourceKey, Key: AnnotationNamespaceGlobal, Raw: v}
}

// SliceWeight returns the weight of the endpoints of an EndpointSlice by its annotations, and whether they have one: a number from
// 0 to 65535. Those with weight 0 get no new connections of their own cluster's clients; another weight counts with maglev only.
// The exporter does not look at it. It matters only where Rules.SliceWeights holds.
// Source: ParseEndpointSliceV1 in pkg/k8s/endpoints.go (1.20.2, run), operator/watchers/service_sync.go (1.20.2, read).
func SliceWeight(ann map[string]string) (weight uint16, weighted bool) {
	w, err := strconv.ParseUint(ann[AnnotationWeight], 10, 16)
	return uint16(w), err == nil
}

// PrefersNear returns whether a Service asks for endpoints of the client's own zone or node, by
// spec.trafficDistribution or by annotation. AnnotationTopologyHints, if present, decides in place of AnnotationTopologyMode. internalLocal is whether
// internalTrafficPolicy is Local: the Service then asks for nothing. Only clusters with enable-service-topology heed it.
// Up to 1.19 the only word for trafficDistribution is PreferClose; all words of 1.20 count here.
// Source: trafficDistribution and getAnnotationTopologyAwareHints in pkg/loadbalancer/reflectors/conversions.go (1.20.2, read), isTopologyAware there (1.18.11,
// 1.19.5 and 1.19.7, read), getTopologyAware in pkg/k8s/service.go and filterEndpoints in pkg/k8s/service_cache.go (1.16.19, read).
func PrefersNear(ann map[string]string, distribution *string, internalLocal bool) bool {
	if internalLocal {
		return false
	}
	if distribution != nil {
		switch *distribution {
		case "PreferClose", "PreferSameZone", "PreferSameNode":
			return true
		}
	}
	value, ok := ann[AnnotationTopologyHints]
	if !ok {
		value = ann[AnnotationTopologyMode]
	}
	return value != "" && value != "disabled" && value != "Disabled"
}
