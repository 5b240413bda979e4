package globalsvc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// checkReach looks at where the Service is global and where it is at all.
func (c *checker) checkReach(absent map[string]*absence) {
	var local, external []string
	misspelt := ""
	balanced := slices.ContainsFunc(c.global, func(p place) bool { return !p.external() })
	for _, p := range c.present {
		switch {
		case p.proxied():
		case p.external() && balanced:
			external = append(external, p.name())
		// A value that is not understood has a finding of its own.
		case !p.global.Value && !p.global.Junk():
			local = append(local, p.name())
			if key := wrongKey(p.svc, cilium.AnnotationGlobal); key != "" {
				misspelt += fmt.Sprintf("; %s has %s, which Cilium does not read", p.name(), key)
			}
		}
	}
	global := strings.Join(placeNames(c.global), ", ")
	if len(external) > 0 {
		names := strings.Join(external, ", ")
		c.add(finding.ExternalNamePartly, external, "", "an ExternalName in %s only: clients there are sent to another name, and nobody gets endpoints from there", names)
	}
	if len(local) > 0 {
		names := strings.Join(local, ", ")
		c.add(finding.GlobalPartly, local, c.svcFix("globalize", local...), "global in %s, but not in %s: clients in %s get their own endpoints only, and nobody else gets those%s", global, names, names, misspelt)
	}
	var missing []*routing.Cluster
	for _, cl := range c.missing {
		if _, there := cl.Namespaces[c.key.Namespace]; !there && cl.NamespacesKnown {
			c.noteAbsence(absent, cl)
			continue
		}
		missing = append(missing, cl)
	}
	if len(missing) == 0 {
		return
	}
	effect := ""
	if len(c.present) == 1 {
		effect = "; global in one cluster alone has no effect"
	}
	names := namesOf(missing)
	c.add(finding.ServiceMissing, names, createFix(c.global[0].svc, missing), "global in %s, and there is no such Service in %s: clients there cannot resolve the name%s", global, strings.Join(names, ", "), effect)
}

func namesOf(cs []*routing.Cluster) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Name
	}
	return out
}

// createFix creates a global Service without a selector, which is enough for its clients, in some clusters.
// It has no endpoints of its own, so that it stays right until pods run there.
func createFix(like *routing.Service, in []*routing.Cluster) string {
	type port struct {
		Name     string `json:"name,omitempty"`
		Protocol string `json:"protocol,omitempty"`
		Port     int32  `json:"port"`
	}
	var spec struct {
		ClusterIP string `json:"clusterIP,omitempty"`
		Ports     []port `json:"ports,omitempty"`
	}
	for _, p := range like.Ports {
		np := port{p.Name, p.Protocol, p.Port}
		if np.Protocol == "TCP" {
			np.Protocol = ""
		}
		spec.Ports = append(spec.Ports, np)
	}
	if like.Headless {
		spec.ClusterIP = "None"
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Service", "spec": spec,
		"metadata": map[string]any{"namespace": like.Namespace, "name": like.Name, "annotations": map[string]string{cilium.AnnotationGlobal: "true"}},
	})
	if err != nil || like.Type == typeExternalName {
		return ""
	}
	return everyContext(in, func(at string) string {
		return fmt.Sprintf("echo %s | kubectl %s create -f -", clusters.Quote(string(manifest)), at)
	})
}

// everyContext repeats a command for each cluster, as a loop where their contexts can stand in one.
func everyContext(in []*routing.Cluster, command func(at string) string) string {
	var contexts, all []string
	for _, c := range in {
		all = append(all, command(contextFlag(c)))
		if !strings.Contains(c.Context, "::") {
			contexts = append(contexts, clusters.Quote(c.Context))
		}
	}
	if len(in) == 1 || len(contexts) < len(in) {
		return strings.Join(all, " && ")
	}
	return fmt.Sprintf(`for c in %s; do %s; done`, strings.Join(contexts, " "), command(`--context "$c"`))
}

// absence is a namespace that some clusters lack although others have global Services in it.
type absence struct {
	clusters []*routing.Cluster
	services []string
}

func (c *checker) noteAbsence(absent map[string]*absence, cl *routing.Cluster) {
	mergeAbsence(absent, c.key.Namespace, &absence{[]*routing.Cluster{cl}, []string{c.key.Name}})
}

// mergeAbsence adds what was found of a namespace to what is known of it.
func mergeAbsence(absent map[string]*absence, ns string, more *absence) {
	a := absent[ns]
	if a == nil {
		absent[ns] = more
		return
	}
	for _, cl := range more.clusters {
		if !slices.Contains(a.clusters, cl) {
			a.clusters = append(a.clusters, cl)
		}
	}
	for _, name := range more.services {
		if a.services[len(a.services)-1] != name {
			a.services = append(a.services, name)
		}
	}
}

// shownServices is how many Services a message names before it counts the rest.
const shownServices = 3

func (a *absence) finding(ns string) v1alpha1.Finding {
	services := strings.Join(a.services, ", ")
	if more := len(a.services) - shownServices; more > 0 {
		services = fmt.Sprintf("%s and %d more", strings.Join(a.services[:shownServices], ", "), more)
	}
	names := namesOf(a.clusters)
	return finding.NamespaceMissing.New("namespace/"+ns, names,
		fmt.Sprintf("there is no such namespace in %s: clients there cannot resolve the global services of it: %s", strings.Join(names, ", "), services),
		everyContext(a.clusters, func(at string) string { return fmt.Sprintf("kubectl %s create namespace %s", at, ns) }))
}
