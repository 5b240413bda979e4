package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// checkService checks a global Service in one cluster.
func (c *checker) checkService(p place) {
	c.checkProxy(p)
	if p.external() {
		if !slices.ContainsFunc(c.global, func(o place) bool { return !o.external() }) {
			c.tell(finding.ExternalName, p, "unglobalize --include-system", "the Service is an ExternalName")
		}
		return
	}
	if p.svc.Selector && p.svc.ReadyEndpoints() == 0 {
		c.tellFix(finding.NoEndpoints, p, c.kubectl(p.cluster, c.key.Namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name="+c.key.Name), "%s", routing.NoneReady(p.svc.TotalEndpoints()))
	}
	if p.svc.SessionAffinity {
		c.tellFix(finding.SessionAffinity, p, c.specFix(p, "sessionAffinity", "None"), "sessionAffinity is ClientIP")
	}
	if p.svc.InternalLocal {
		c.tellFix(finding.TrafficPolicy, p, c.specFix(p, "internalTrafficPolicy", "Cluster"), "internalTrafficPolicy is Local")
	}
	if p.svc.ExternalLocal {
		c.tellFix(finding.TrafficPolicy, p, c.specFix(p, "externalTrafficPolicy", "Cluster"), "externalTrafficPolicy is Local")
	}
	c.checkNodePort(p)
	c.checkGate(p)
}

// checkNodePort checks whether traffic that enters through a node port or a load balancer gets remote endpoints.
func (c *checker) checkNodePort(p place) {
	m := c.members[p.name()]
	mirrored := p.cluster.Mirrors(p.svc)
	if p.svc.Type != typeNodePort && p.svc.Type != typeLoadBalancer || m != nil && m.Config.KubeProxyReplacement || mirrored && !p.svc.ExternalLocal {
		return
	}
	policy := ""
	if mirrored {
		policy = " with externalTrafficPolicy Local"
	}
	c.tellFix(finding.NeedsKPR, p, c.helmFix(p, "kubeProxyReplacement=true"), "the Service type is %s%s, and Cilium does not replace kube-proxy", p.svc.Type, policy)
}

// checkProxy checks whether another proxy serves the Service, or its cluster IP is not served.
func (c *checker) checkProxy(p place) {
	v, labelled := p.svc.Labels[cilium.LabelServiceProxyName]
	name := p.cluster.ServiceProxyName
	if cilium.LabelledHeadless(p.svc.Labels, p.svc.Headless) && !p.external() {
		c.tellFix(finding.ProxyName, p, c.apiFix(p, "label service", cilium.LabelHeadless+"-"), "with the label %s, whatever its value, neither Cilium nor kube-proxy serves the cluster IP", cilium.LabelHeadless)
	}
	if cilium.ClusterIPHidden(p.svc.Annotations, p.svc.Headless, p.cluster.Version) && !p.external() {
		rule, condition := finding.ProxyName, ""
		if !p.cluster.Version.Known() {
			rule.Severity, condition = finding.Warning, ", if Cilium (version unknown) is 1.17 or later"
		}
		c.tellFix(rule, p, c.apiFix(p, "annotate service", cilium.AnnotationType+"-"), "%s is %q: Cilium does not serve the cluster IP%s", cilium.AnnotationType, p.svc.Annotations[cilium.AnnotationType], condition)
	}
	fix := []string{cilium.LabelServiceProxyName + "-"}
	if name != "" {
		fix = []string{cilium.LabelServiceProxyName + "=" + name, "--overwrite"}
	}
	switch {
	case !cilium.Ignored(p.svc.Labels, name):
	case labelled:
		c.tellFix(finding.ProxyName, p, c.apiFix(p, "label service", fix...), "label %s is %q", cilium.LabelServiceProxyName, v)
	default:
		c.tellFix(finding.ProxyName, p, c.apiFix(p, "label service", fix...), "the agents serve only Services with the label %s=%s", cilium.LabelServiceProxyName, name)
	}
}

// checkGate checks whether the namespace is global. Only exports depend on it: a Service that offers nothing to other clusters loses nothing, and its own
// clients use the endpoints of other clusters anyway. If namespaces could not be read, the reader has already warned.
func (c *checker) checkGate(p place) {
	if p.cluster.NamespacesHidden || p.nothingToShare() || !cilium.Shared(p.svc.Annotations).Value {
		return
	}
	ns := cilium.NamespaceGlobal(p.cluster.Namespaces[c.key.Namespace], p.cluster.DefaultGlobalNamespace)
	if ns.Value || !p.rules[0].NamespaceGate {
		return
	}
	rule, condition := finding.NamespaceGate, ""
	if len(p.rules) > 1 {
		rule.Severity, condition = finding.Warning, ", if Cilium (version unknown) is 1.20"
	}
	if fix := c.gateKept(p); fix != "" {
		c.tellFix(rule, p, fix, "namespace %s is not global, so other clusters do not use the endpoints there%s", c.key.Namespace, condition)
		return
	}
	c.tellFix(rule, p, c.kubectl(p.cluster, "", "annotate", "namespace", c.key.Namespace, cilium.AnnotationNamespaceGlobal+"=true", "--overwrite"),
		"namespace %s is not global, so other clusters do not use the endpoints there%s", c.key.Namespace, condition)
}

// checkTypes compares what kind of Service the clusters have.
func (c *checker) checkTypes() {
	byType := map[string][]string{}
	var names []string
	for _, p := range c.global {
		if !p.external() {
			byType[p.svc.Type] = append(byType[p.svc.Type], p.name())
			names = append(names, p.name())
		}
	}
	if len(byType) < 2 {
		return
	}
	var parts []string
	for _, t := range slices.Sorted(maps.Keys(byType)) {
		parts = append(parts, fmt.Sprintf("%s in %s", t, strings.Join(byType[t], ", ")))
	}
	c.add(finding.TypeDiffers, names, "", "%s", strings.Join(parts, "; "))
}

func (c *checker) checkHeadless() {
	var headless, other []string
	for _, p := range c.global {
		switch {
		case p.external():
		case p.svc.Headless:
			headless = append(headless, p.name())
		default:
			other = append(other, p.name())
		}
	}
	if len(headless) > 0 && len(other) > 0 {
		c.add(finding.Headless, headless, "", "headless in %s, with a cluster IP in %s", strings.Join(headless, ", "), strings.Join(other, ", "))
	}
}

// checkSync checks whether remote endpoints become EndpointSlices where they are needed or requested.
func (c *checker) checkSync(p place) {
	bar := cilium.SyncsSlices(p.svc.Annotations, p.svc.Headless, p.cluster.EndpointSliceSync, p.cluster.Version)
	if p.external() || bar == cilium.SyncNotAsked || bar == cilium.SyncForbidden {
		return
	}
	rule := finding.SyncUnheard
	if p.svc.Headless {
		rule = finding.HeadlessAlone
		// A mixture of both has a finding of its own.
		if !slices.ContainsFunc(c.global, p.uses) || slices.ContainsFunc(c.global, func(o place) bool { return !o.external() && !o.svc.Headless }) {
			return
		}
	}
	switch bar {
	case cilium.SyncJunk:
		c.tellFix(rule, p, c.apiFix(p, "annotate service", cilium.AnnotationSyncEndpointSlices+"=true", "--overwrite"), "%s is %q, not \"true\"", cilium.AnnotationSyncEndpointSlices, p.svc.Annotations[cilium.AnnotationSyncEndpointSlices])
	case cilium.SyncAliasOnly:
		c.tellGlobalize(rule, p, "only %s makes the Service global, and EndpointSlice synchronization does not read that key", cilium.AnnotationGlobalAlias)
	case cilium.SyncTooOld:
		c.tellFix(rule, p, "", "Cilium %s does not have EndpointSlice synchronization", p.cluster.Version)
	case cilium.SyncOff:
		c.tellFix(rule, p, c.helmFix(p, "clustermesh.enableEndpointSliceSynchronization=true"), "EndpointSlice synchronization is off")
	}
}

// specFix sets a field of the Service's spec in the place's cluster.
func (c *checker) specFix(p place, field, value string) string {
	if fix := c.specKept(p, field, value); fix != "" {
		return fix
	}
	return c.apiFix(p, "patch service", "-p", fmt.Sprintf(`{"spec":{%q:%q}}`, field, value))
}

// chartPlaceholder is written for the chart if no object of the cluster names a chart with a known address.
const chartPlaceholder = "CHART"

// helmFix returns a command that sets a Helm value in the place's cluster and keeps the version. If no object names a Helm release, it returns a sentence.
func (c *checker) helmFix(p place, set string) string {
	if fix := c.helmKept(p, set); fix != "" {
		return fix
	}
	m := c.members[p.name()]
	if m == nil {
		return ""
	}
	if m.Release.Name == "" {
		return fmt.Sprintf(setHelmValue+"%s in the source of Cilium's manifests in %s: no object there names a Helm release", set, m.Name)
	}
	if m.Chart.Controller {
		return fmt.Sprintf(setHelmValue+"%s in HelmChartConfig %s in namespace kube-system of %s; an upgrade with helm%sthe Helm controller of RKE2 or K3s keeps the release",
			set, m.Release.Name, m.Name, notLasting)
	}
	words := []string{"upgrade", m.Release.Name}
	if m.Chart.Official {
		words = append(words, m.Chart.Name, "--repo", owners.OfficialRepository)
	} else {
		words = append(words, chartPlaceholder)
	}
	version := m.Chart.Version
	if version == "" && m.Version.Known() {
		version = m.Version.String()
	}
	if version != "" {
		words = append(words, "--version", version)
	}
	return commandline.Tool("helm", m.Origin().At(), m.Release.Namespace, append(words, "--reuse-values", "--set", set)...)
}

// derived reports whether the MCS-API controller made the Service.
func (c *checker) derived() bool {
	return slices.ContainsFunc(c.present, func(p place) bool { return cilium.DerivedService(c.key.Namespace, c.key.Name, p.svc.Labels) })
}

// redirectDerived adds a finding with the owner of a derived Service, and replaces every fix that would change it.
// The ServiceImport is in every cluster, but a ServiceExport only in those that export: there the derived Service has the selector of the exported one or,
// with the EndpointSlice mirror controller, its endpoints and no selector (service_controller.go and endpointslice_mirror_controller.go, read).
func (c *checker) redirectDerived() {
	what, fix := "a ServiceExport", c.kubectl(c.global[0].cluster, c.key.Namespace, "get", "serviceexports")
	for _, p := range slices.Backward(c.global) {
		export := p.svc.Labels[cilium.LabelImportedService]
		if export == "" {
			continue
		}
		what = "ServiceExport " + export
		if !p.nothingToShare() {
			fix = c.kubectl(p.cluster, c.key.Namespace, "edit", "serviceexport", export)
		}
	}
	for i := range c.out {
		if c.out[i].Fix != "" {
			c.out[i].Fix = fix
		}
	}
	c.add(finding.DerivedService, placeNames(c.global), fix, "derived from %s; its controller overwrites it", what)
}
