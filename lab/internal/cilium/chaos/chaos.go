// Package chaos makes Services for the lab that are well but for faults drawn at
// random, and says which findings each fault must yield: what a checker of meshes is
// tried on. From a seed and a mesh to a plan is a pure function; only write.go speaks
// to clusters.
//
// What a fault must yield is worked out here, from Cilium's documentation and code as
// a person reads them (each kind of fault names its rule), and not by the code that
// checks: that would judge itself. For the same reason nothing of pkg/common is
// imported.
package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Cluster is what a fault's effect depends on.
type Cluster struct {
	Name string
	// Minor and Patch are those of Cilium 1.MINOR.PATCH.
	Minor, Patch int
	Settings
	// PodPrefix begins the addresses of its pods: "10.1".
	PodPrefix string
}

// Settings are those of Cilium's settings that decide about faults and that Options.VarySettings draws.
type Settings struct {
	KubeProxyReplacement bool `json:"kubeProxyReplacement"`
	// EndpointSliceSync is whether the cluster mirrors remote endpoints of headless Services.
	EndpointSliceSync bool `json:"endpointSliceSync"`
	// LocalPolicies is whether a policy's peer that names no cluster means pods of its own cluster.
	LocalPolicies bool `json:"policyDefaultLocalCluster"`
}

// Options say what is made.
type Options struct {
	Seed     uint64
	Services int
	// Faults is how many are seeded.
	Faults int
	// Kinds are the kinds to draw from; nil means all.
	Kinds []string
	// Prefix begins the names of the namespaces.
	Prefix string
	// VarySettings is whether the clusters' settings are drawn too.
	VarySettings bool
}

// Finding is one that a checker must report. Clusters is a set, and sorted.
type Finding struct {
	ID       string   `json:"id"`
	Object   string   `json:"object"`
	Clusters []string `json:"clusters"`
}

// Fault is one that was seeded.
type Fault struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	// Service is empty where the whole namespace is at fault.
	Service string `json:"service,omitempty"`
	// Clusters are those in which something is wrong.
	Clusters []string `json:"clusters"`
	// Detail is what was done, in words.
	Detail   string    `json:"detail"`
	Findings []Finding `json:"findings"`
}

// Plan is what is to be made of a seed.
type Plan struct {
	Seed     uint64   `json:"seed"`
	Clusters []string `json:"clusters"`
	// Settings are those that were drawn, by cluster.
	Settings   map[string]Settings `json:"settings,omitempty"`
	Namespaces []string            `json:"namespaces"`
	// Services is how many names there are; most are in every cluster.
	Services int     `json:"services"`
	Faults   []Fault `json:"faults"`
	// Mesh are findings that follow from how the lab's clusters are set up, whatever is seeded.
	Mesh []Finding `json:"mesh"`

	services   []*service
	namespaces []*namespace
}

// service is one name over all clusters.
type service struct {
	namespace, name string
	sites           map[string]*site
}

func (s *service) object() string { return "service/" + s.namespace + "/" + s.name }

// namespace is one name over all clusters.
type namespace struct {
	name string
	// missing are the clusters that have no such namespace.
	missing []string
	// annotations are by cluster.
	annotations map[string]map[string]string
	policies    []policy
}

// plainNamespaces is how many namespaces share the Services that need none of their own.
const plainNamespaces = 4

// New plans Services and faults. The same mesh and options make the same plan.
func New(mesh []Cluster, o Options) (*Plan, error) {
	if len(mesh) < 2 {
		return nil, fmt.Errorf("the lab has %d cluster; faults of a mesh need two", len(mesh))
	}
	if o.Services > maxServices {
		return nil, fmt.Errorf("%d services; a cluster of the lab has addresses for %d", o.Services, maxServices)
	}
	if o.Faults < 0 || o.Services < 1 || o.Faults > o.Services {
		return nil, fmt.Errorf("%d faults in %d services; want at least one service and at most one fault for each", o.Faults, o.Services)
	}
	d := &draw{Rand: rand.New(rand.NewPCG(o.Seed, pcgStream)), mesh: slices.Clone(mesh)}
	p := &Plan{Seed: o.Seed, Services: o.Services, Clusters: names(mesh)}
	if o.VarySettings {
		p.Settings = d.varySettings()
	}
	p.Mesh = meshFindings(d.mesh)
	kinds, err := selectKinds(d.mesh, o.Kinds)
	if err != nil {
		return nil, err
	}
	for i := range plainNamespaces {
		p.namespaces = append(p.namespaces, &namespace{name: fmt.Sprintf("%s-%d", o.Prefix, i+1)})
	}
	plain := slices.Clone(p.namespaces)
	for i, k := range d.sequence(kinds, o.Faults) {
		home := plain[d.IntN(len(plain))]
		if k.ownNamespace {
			home = &namespace{name: fmt.Sprintf("%s-%s-%d", o.Prefix, k.name, len(p.namespaces)), annotations: map[string]map[string]string{}}
			p.namespaces = append(p.namespaces, home)
		}
		// Each fault to come needs a Service of its own.
		p.Faults = append(p.Faults, p.seed(d, k, home, o.Services-len(p.services)-(o.Faults-i)))
	}
	for len(p.services) < o.Services {
		p.services = append(p.services, d.healthy(plain[d.IntN(len(plain))].name, d.name(len(p.services))))
	}
	for _, n := range p.namespaces {
		p.Namespaces = append(p.Namespaces, n.name)
	}
	slices.SortFunc(p.Faults, func(a, b Fault) int {
		return strings.Compare(a.Namespace+"/"+a.Service, b.Namespace+"/"+b.Service)
	})
	return p, nil
}

// maxServices is what the address plan has room for, with three endpoints each.
const maxServices = 16000

// pcgStream is the second half of the generator's state; any constant will do.
const pcgStream = 0x6d6573686c6162

// maxCompanions is how many further Services a namespace with a fault may have.
const maxCompanions = 2

// seed adds a Service with a fault, or a namespace with one and up to room further Services in it.
func (p *Plan) seed(d *draw, k kind, home *namespace, room int) Fault {
	f := &Fault{Kind: k.name, Namespace: home.name}
	s := &seeding{draw: d, ns: home, fault: f}
	n := 1
	if k.ownNamespace {
		n += d.IntN(1 + min(room, maxCompanions))
	}
	for range n {
		s.svc = d.global(home.name, d.name(len(p.services)))
		s.svcs = append(s.svcs, s.svc)
		p.services = append(p.services, s.svc)
	}
	k.seed(s)
	if !k.ownNamespace {
		f.Service = s.svc.name
	}
	slices.Sort(f.Clusters)
	for i := range f.Findings {
		slices.Sort(f.Findings[i].Clusters)
	}
	return *f
}

// name makes a name that no other Service has.
func (d *draw) name(number int) string { return fmt.Sprintf("%s-%d", d.pick(nouns...), number+1) }

// sequence draws kinds: each once before any comes twice, as far as n goes.
func (d *draw) sequence(kinds []kind, n int) []kind {
	var out []kind
	for len(out) < n {
		round := slices.Clone(kinds)
		if len(out) > 0 {
			round = []kind{kinds[d.IntN(len(kinds))]}
		}
		d.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		out = append(out, round...)
	}
	return out[:n]
}

func selectKinds(mesh []Cluster, names []string) ([]kind, error) {
	var out []kind
	known := map[string]bool{}
	for _, k := range allKinds() {
		known[k.name] = true
		if (names == nil || slices.Contains(names, k.name)) && (k.possible == nil || k.possible(mesh)) {
			out = append(out, k)
		}
	}
	for _, n := range names {
		if !known[n] {
			return nil, fmt.Errorf("unknown kind of fault %q; there are %s", n, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("none of the kinds %s is possible with the versions and settings of this lab's clusters", strings.Join(names, ", "))
	}
	return out, nil
}

// Kinds names all kinds of faults.
func Kinds() []string {
	var out []string
	for _, k := range allKinds() {
		out = append(out, k.name)
	}
	return out
}
