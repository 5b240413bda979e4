// Package report makes the documents of list, describe and clusters from the state that was read. It is pure.
package report

import (
	"slices"
	"strconv"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/check"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/parallel"
)

// List summarises every Service over all members, or those with these names. Unless all is set, only Services that are global in at
// least one cluster are listed.
func List(st *meshstate.State, members []*clusters.Member, all bool, names ...string) v1alpha1.ServiceList {
	out := v1alpha1.ServiceList{Document: clusters.Document("ServiceList", members), Services: []v1alpha1.ServiceSummary{}}
	var keys []routing.Key
	for _, part := range parallel.Map(st.Keys(), func(keys []routing.Key) []v1alpha1.ServiceSummary {
		var part []v1alpha1.ServiceSummary
		for _, key := range keys {
			if len(names) > 0 && !slices.Contains(names, key.Name) {
				continue
			}
			s := v1alpha1.ServiceSummary{Namespace: key.Namespace, Name: key.Name, Clusters: perCluster(st, key)}
			if all || globalAnywhere(s) {
				part = append(part, s)
			}
		}
		return part
	}) {
		out.Services = append(out.Services, part...)
	}
	for _, s := range out.Services {
		keys = append(keys, routing.Key{Namespace: s.Namespace, Name: s.Name})
	}
	out.Findings = check.Services(st, members, keys)
	return out
}

func globalAnywhere(s v1alpha1.ServiceSummary) bool { return slices.ContainsFunc(s.Clusters, isGlobal) }

func isGlobal(c v1alpha1.ServiceCluster) bool { return c.Global != nil && c.Global.Value == "true" }

// AffectedBy reports whether a finding of the namespace of a Service affects it: the Service is global, and does not exist in a cluster of the finding.
func AffectedBy(s v1alpha1.ServiceSummary, f v1alpha1.Finding) bool {
	return f.Object == "namespace/"+s.Namespace &&
		slices.ContainsFunc(s.Clusters, func(c v1alpha1.ServiceCluster) bool { return isGlobal(c) && !c.Proxied }) &&
		slices.ContainsFunc(s.Clusters, func(c v1alpha1.ServiceCluster) bool {
			return !c.Present && slices.Contains(f.Clusters, c.Cluster)
		})
}

// perCluster is one Service in each cluster that was read.
func perCluster(st *meshstate.State, key routing.Key) []v1alpha1.ServiceCluster {
	var out []v1alpha1.ServiceCluster
	for i := range st.Clusters {
		c := &st.Clusters[i]
		if c.Gap != "" {
			continue
		}
		svc := c.Services[key]
		if svc == nil {
			out = append(out, v1alpha1.ServiceCluster{Cluster: c.Name})
			continue
		}
		sc := v1alpha1.ServiceCluster{
			Cluster: c.Name, Present: true, Type: svc.Type,
			Global:   boolValue(cilium.Global(svc.Annotations)),
			Shared:   boolValue(cilium.Shared(svc.Annotations)),
			Affinity: affinityValue(svc.Annotations, c.Version), Drained: drainrecord.OutOfService(svc.Annotations, c.Name),
			ReadyEndpoints: ptr.To(svc.ReadyEndpoints()), Endpoints: ptr.To(svc.TotalEndpoints()), Proxied: exempt.Proxied(svc),
		}
		for _, p := range svc.Ports {
			sc.Ports = append(sc.Ports, v1alpha1.Port{Name: p.Name, Protocol: p.Protocol, Port: p.Port})
		}
		out = append(out, sc)
	}
	return out
}

func boolValue(b cilium.Bool) *v1alpha1.Value {
	return &v1alpha1.Value{Value: strconv.FormatBool(b.Value), Source: string(b.Source), Key: b.Key, Raw: b.Raw}
}

// affinityValue shows the affinity under the newest rules that may hold for the version; where the
// possible versions differ the outcomes of the prediction say so.
func affinityValue(ann map[string]string, v cilium.Version) *v1alpha1.Value {
	a := cilium.AffinityOf(ann, cilium.RulesFor(v)[0].Rules)
	return &v1alpha1.Value{Value: string(a.Value), Source: string(a.Source), Key: a.Key, Raw: a.Raw}
}

// Describe says everything about one Service: its values in each cluster, who answers whom, and
// who would if one cluster lost its endpoints.
func Describe(st *meshstate.State, members []*clusters.Member, key routing.Key) v1alpha1.ServiceReport {
	out := v1alpha1.ServiceReport{
		Document: clusters.Document("ServiceReport", members), Namespace: key.Namespace, Name: key.Name,
		Clusters: perCluster(st, key), Predictions: Predict(&st.Snapshot, key),
	}
	out.Findings = check.Services(st, members, []routing.Key{key})
	for _, c := range st.Clusters {
		svc := c.Services[key]
		if svc == nil || svc.ReadyEndpoints() == 0 {
			continue
		}
		out.Failures = append(out.Failures, v1alpha1.Failure{LostCluster: c.Name, Predictions: Predict(st.WithoutEndpoints(c.Name, key), key)})
	}
	return out
}

// Predict says for the clients of each cluster and each of their ports who answers.
func Predict(snap *routing.Snapshot, key routing.Key) []v1alpha1.Prediction {
	out := []v1alpha1.Prediction{}
	for i := range snap.Clusters {
		c := &snap.Clusters[i]
		svc := c.Services[key]
		if svc == nil {
			out = append(out, prediction(routing.Decide(snap, c.Name, key, routing.Frontend{})))
			continue
		}
		frontends := svc.Frontends()
		if len(frontends) == 0 { // an ExternalName Service has no cluster IP
			frontends = []routing.Frontend{{}}
		}
		for _, fe := range frontends {
			out = append(out, prediction(routing.Decide(snap, c.Name, key, fe)))
		}
	}
	return out
}

// mayAnswer reports whether a cluster could not be read and may answer. It may then have any part of the shares of the others.
func mayAnswer(r routing.Reason) bool { return r.Code == routing.ReasonUnread }

func prediction(d routing.Decision) v1alpha1.Prediction {
	p := v1alpha1.Prediction{Client: d.Client, Kind: string(d.Kind), Complete: !d.Incomplete, Caveats: d.Caveats}
	if len(d.Outcomes) > 0 {
		p.Port = v1alpha1.Port{Name: d.Frontend.Name, Protocol: d.Frontend.Protocol, Port: d.Frontend.Port.Port}
		p.IPFamily = d.Frontend.Family()
	}
	for _, o := range d.Outcomes {
		out := v1alpha1.Outcome{Versions: o.Versions}
		bounds := len(d.UnreadPeers) > 0 || slices.ContainsFunc(o.Reasons, mayAnswer)
		for i, s := range o.Shares {
			r := o.Reasons[i]
			share := v1alpha1.Share{Cluster: s.Cluster, Reason: r.String(), Code: string(r.Code)}
			high := 1.0
			if !mayAnswer(r) {
				high = s.Fraction()
				share.Share, share.Backends, share.Used = ptr.To(high), ptr.To(s.Backends), ptr.To(r.Used)
			}
			if bounds {
				share.Low, share.High = ptr.To(0.0), ptr.To(high)
			}
			out.Shares = append(out.Shares, share)
		}
		p.Outcomes = append(p.Outcomes, out)
	}
	return p
}

// Clusters says what each member is, as far as it told.
func Clusters(members []*clusters.Member) v1alpha1.ClusterList {
	out := v1alpha1.ClusterList{Document: clusters.Document("ClusterList", members), Clusters: []v1alpha1.Cluster{}}
	out.Findings = check.Clusters(members)
	byName := map[string]*clusters.Member{}
	for _, m := range members {
		byName[m.Name] = m
	}
	for _, m := range members {
		if m.Err != nil {
			continue
		}
		c := v1alpha1.Cluster{Name: m.Name, Context: m.Context, ID: m.Config.ClusterID, CiliumNamespace: m.CiliumNamespace,
			MaxConnectedClusters: m.Config.MaxConnectedClusters, KubeProxyReplacement: m.Config.KubeProxyReplacement,
			PeersKnown: m.PeersKnown, KVStoreMesh: m.KVStoreMesh, UID: m.UID, Home: m.Home}
		if m.Version.Known() {
			c.Version = m.Version.String()
		}
		if m.Config.RoutingMode != "" {
			c.DatapathMode = m.Config.Mode()
		}
		if cilium.RulesFor(m.Version)[0].NamespaceGate {
			c.DefaultGlobalNamespace = ptr.To(m.Config.DefaultGlobalNamespace)
		}
		for _, p := range m.Peers {
			c.Peers = append(c.Peers, v1alpha1.Peer{Name: p, Mutual: mutual(m.Name, byName[p])})
		}
		for _, s := range m.SkippedPeers {
			c.SkippedPeers = append(c.SkippedPeers, v1alpha1.SkippedPeer{Entry: s.Entry, Reason: s.Reason})
		}
		out.Clusters = append(out.Clusters, c)
	}
	return out
}

// mutual says whether the other side peers back; nil when that is not known.
func mutual(name string, other *clusters.Member) *bool {
	if other == nil || other.Err != nil || !other.PeersKnown {
		return nil
	}
	for _, p := range other.Peers {
		if p == name {
			return ptr.To(true)
		}
	}
	return ptr.To(false)
}
