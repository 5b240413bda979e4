package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// checkReach checks in which clusters the Service exists and is global.
func (c *checker) checkReach(absent map[string]*absence) {
	var local, external []string
	misspelt := ""
	balanced := slices.ContainsFunc(c.global, func(p place) bool { return !p.external() })
	for _, p := range c.present {
		switch {
		case p.proxied():
		case p.external() && balanced:
			external = append(external, p.name())
		// An invalid value has its own finding.
		case !p.global.Value && !p.global.Junk():
			local = append(local, p.name())
			if key := wrongKey(p.svc, cilium.AnnotationGlobal); key != "" {
				misspelt += fmt.Sprintf("; Cilium does not read %s in %s", key, p.name())
			}
		}
	}
	global := strings.Join(placeNames(c.global), ", ")
	if len(external) > 0 {
		names := strings.Join(external, ", ")
		c.add(finding.ExternalNamePartly, external, "", "an ExternalName Service in %s only: clients there are sent to another name, and no cluster gets endpoints from there", names)
	}
	if len(local) > 0 {
		names := strings.Join(local, ", ")
		c.add(finding.GlobalPartly, local, c.svcFix("globalize", local...), "global in %s, but not in %s: clients in %s use only their own endpoints, and no other cluster uses those%s", global, names, names, misspelt)
	}
	var missing []*routing.Cluster
	for _, cl := range c.missing {
		if _, there := cl.Namespaces[c.key.Namespace]; !there && !cl.NamespacesHidden {
			c.noteAbsence(absent, cl)
			continue
		}
		missing = append(missing, cl)
	}
	if len(missing) == 0 {
		return
	}
	effect := ""
	if len(c.present) == 1 && c.st.PeersRead(c.present[0].cluster) {
		effect = "; global in only one cluster has no effect"
	}
	names := namesOf(missing)
	c.add(finding.ServiceMissing, names, createFix(c.global[0].svc, c.contexts(missing)), "global in %s, but the Service does not exist in %s: clients there cannot resolve the name%s", global, strings.Join(names, ", "), effect)
}

func namesOf(cs []*routing.Cluster) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Name
	}
	return out
}

// createFix returns the command that creates a global Service without a selector in some clusters. This is enough for clients,
// and it stays correct until pods run there, because it has no endpoints.
func createFix(like *routing.Service, in []commandline.Context) string {
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
	return commandline.Each(in, func(at commandline.Context) string {
		return commandline.Pipe("echo "+commandline.Quote(string(manifest)), commandline.Tool("kubectl", at, "", "create", "-f", "-"))
	})
}

// absence is a namespace that is missing in some clusters and has global Services in others.
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

// shownServices is the number of Services that a message names. The rest is counted.
const shownServices = 3

func (a *absence) finding(ns string, cmds commands) v1alpha1.Finding {
	services := strings.Join(a.services, ", ")
	if more := len(a.services) - shownServices; more > 0 {
		services = fmt.Sprintf("%s and %d more", strings.Join(a.services[:shownServices], ", "), more)
	}
	names := namesOf(a.clusters)
	return finding.NamespaceMissing.New("namespace/"+ns, names,
		fmt.Sprintf("the namespace does not exist in %s: clients there cannot resolve its global services: %s", strings.Join(names, ", "), services),
		commandline.Each(cmds.contexts(a.clusters), func(at commandline.Context) string {
			return commandline.Tool("kubectl", at, "", "create", "namespace", ns)
		}))
}
