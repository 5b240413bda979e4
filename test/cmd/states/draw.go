package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// pods is how many web servers each cluster has.
const pods = 3

// state is one Service in every cluster, and the cluster whose client asks it.
type state struct {
	Index     int
	Namespace string
	Client    string
	Clusters  map[string]*side // nil where the cluster has no such Service
}

func (s state) name() string { return fmt.Sprintf("s%03d", s.Index) }

// side is the Service in one cluster.
type side struct {
	Annotations map[string]string
	Labels      map[string]string
	Headless    bool
	Ports       []port
	Slices      []slice
}

// port is a Service port. All lead to port 80 of the pods.
type port struct {
	Name     string
	Protocol string
	Number   int32
}

// slice is an EndpointSlice that somebody wrote by hand.
type slice struct {
	Labels map[string]string
	// Ports are names and protocols; the number is 80.
	Ports     []port
	Endpoints []endpoint
}

// endpoint points at a web server of the cluster, by number. A condition that is nil is absent.
type endpoint struct {
	Pod                         int
	Ready, Serving, Terminating *bool
}

// String tells a state so that a person can rebuild it.
func (s state) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "state %d: Service %s/%s, asked from %s\n", s.Index, s.Namespace, s.name(), s.Client)
	for _, c := range sortedKeys(s.Clusters) {
		v := s.Clusters[c]
		if v == nil {
			fmt.Fprintf(&b, "  %s: no Service\n", c)
			continue
		}
		fmt.Fprintf(&b, "  %s: annotations %q labels %q headless %t ports %v\n", c, v.Annotations, v.Labels, v.Headless, v.Ports)
		for _, sl := range v.Slices {
			fmt.Fprintf(&b, "    slice labels %q ports %v:", sl.Labels, sl.Ports)
			for _, e := range sl.Endpoints {
				fmt.Fprintf(&b, " pod %d ready %s serving %s terminating %s;", e.Pod, condition(e.Ready), condition(e.Serving), condition(e.Terminating))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func condition(c *bool) string {
	if c == nil {
		return "absent"
	}
	return fmt.Sprint(*c)
}

// dice draws from one seed. What it draws for one index does not depend on other indices.
type dice struct{ *rand.Rand }

func newDice(seed, index uint64) dice { return dice{rand.New(rand.NewPCG(seed, index))} } //nolint:gosec // a test's dice must be repeatable, not secret

// percent is true that often of a hundred times.
func (d dice) percent(n int) bool { return d.IntN(100) < n }

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// gates draws what a run has once: the annotations of each namespace in each cluster.
func (d dice) gates(namespaces, clusters []string) map[string]map[string]map[string]string {
	out := map[string]map[string]map[string]string{}
	for _, c := range clusters {
		out[c] = map[string]map[string]string{}
		for _, ns := range namespaces {
			out[c][ns] = map[string]string{}
			if d.percent(25) {
				out[c][ns][cilium.AnnotationNamespaceGlobal] = pick(d, "true", "true", "TRUE", "false", "no", "")
			}
		}
	}
	return out
}

func (d dice) state(index int, namespaces, clusters []string) state {
	s := state{Index: index, Namespace: pick(d, namespaces...), Client: pick(d, clusters...), Clusters: map[string]*side{}}
	// Most states mean the same Service everywhere: where all differ in everything nothing is ever shared.
	name := pick(d, "http", "http", "http", "web", "")
	for _, c := range clusters {
		missing := 10
		if c == s.Client {
			missing = 2
		}
		if d.percent(missing) {
			s.Clusters[c] = nil
			continue
		}
		s.Clusters[c] = d.side(name, c == s.Client)
	}
	if !slices.ContainsFunc(clusters, func(c string) bool { return s.Clusters[c] != nil }) {
		s.Clusters[s.Client] = d.side(name, true) // a Service that is nowhere cannot be described
	}
	return s
}

func (d dice) side(name string, client bool) *side {
	v := &side{Annotations: d.annotations(), Labels: map[string]string{}}
	if d.percent(15) {
		name = pick(d, "http", "web", "")
	}
	v.Ports = []port{{name, "TCP", 80}}
	if d.percent(20) {
		if name == "" {
			v.Ports[0].Name = "http" // with two ports each must have a name
		}
		v.Ports = append(v.Ports, port{"more", "TCP", 8080})
	}
	if d.percent(3) {
		v.Labels[cilium.LabelServiceProxyName] = pick(d, "kube-router", "other", "")
	}
	// The client's own stays balanced: the names of headless Services are another matter.
	v.Headless = !client && d.percent(4)
	v.Slices = d.slices(v.Ports)
	return v
}

func (d dice) annotations() map[string]string {
	ann := map[string]string{}
	set := func(key, alias string, often int, value func() string) {
		if !d.percent(often) {
			return
		}
		switch n := d.IntN(100); {
		case n < 70:
			ann[key] = value()
		case n < 90:
			ann[alias] = value()
		default:
			ann[key], ann[alias] = value(), value()
		}
	}
	boolean := func(yes int) func() string {
		return func() string {
			if d.percent(yes) {
				return pick(d, "true", "true", "true", "True", "TRUE")
			}
			return pick(d, "false", "false", "False", "1", "yes", "", " true", "junk")
		}
	}
	set(cilium.AnnotationGlobal, cilium.AnnotationGlobalAlias, 95, boolean(90))
	set(cilium.AnnotationShared, cilium.AnnotationSharedAlias, 30, boolean(60))
	set(cilium.AnnotationAffinity, cilium.AnnotationAffinityAlias, 60, func() string {
		return pick(d, "local", "local", "remote", "remote", "none", "Local", "REMOTE", "local ", "cluster-a", "junk", "")
	})
	return ann
}

// slices spreads some of the cluster's pods over one or two EndpointSlices. No address is in two of them.
func (d dice) slices(ports []port) []slice {
	order := d.Perm(pods)
	n := pick(d, 0, 1, 1, 2, 2, 2, 3, 3)
	used := order[:n]
	split := n
	if n > 1 && d.percent(20) {
		split = 1
	}
	var out []slice
	for _, group := range [][]int{used[:split], used[split:]} {
		if len(group) > 0 {
			out = append(out, d.slice(ports, group))
		}
	}
	if n < pods && d.percent(6) {
		mirrored := d.slice(ports, order[n:n+1])
		mirrored.Labels[cilium.LabelManagedBy] = cilium.ManagedByMesh
		out = append(out, mirrored)
	}
	return out
}

func (d dice) slice(ports []port, group []int) slice {
	s := slice{Labels: map[string]string{}}
	for _, p := range ports {
		s.Ports = append(s.Ports, port{Name: p.Name, Protocol: p.Protocol, Number: 80})
	}
	switch n := d.IntN(100); {
	case n < 6:
		s.Ports[0].Name = pick(d, "http", "web", "")
	case n < 9:
		s.Ports[0].Protocol = "UDP"
	}
	for _, pod := range group {
		s.Endpoints = append(s.Endpoints, d.endpoint(pod))
	}
	// A slice with the same port name twice is not valid.
	s.Ports = slices.CompactFunc(s.Ports, func(a, b port) bool { return a.Name == b.Name })
	return s
}

func (d dice) endpoint(pod int) endpoint {
	yes, no := true, false
	e := pick(d,
		endpoint{Ready: &yes, Serving: &yes, Terminating: &no},
		endpoint{Ready: &yes, Serving: &yes, Terminating: &no},
		endpoint{Ready: &yes, Serving: &yes, Terminating: &no},
		endpoint{Ready: &yes},
		endpoint{},
		endpoint{Ready: &no, Serving: &no, Terminating: &no},
		endpoint{Ready: &no, Serving: &yes, Terminating: &yes},
		endpoint{Ready: &no, Serving: &yes, Terminating: &yes},
		endpoint{Ready: &no, Serving: &no, Terminating: &yes},
		endpoint{Ready: &no, Serving: &yes, Terminating: &no},
		endpoint{Ready: &no},
		endpoint{Ready: &yes, Serving: &yes, Terminating: &yes},
	)
	e.Pod = pod
	return e
}
