// Package inspect is the commands of mesh-svc that read: clusters, describe, list, check and graph. Each reads the mesh and returns a document.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/check"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/graph"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/report"
)

// Config says what is read.
type Config struct {
	// Select finds the members and tells of each meanwhile, Namespace is the namespace of the Services.
	Select    func(context.Context, clusters.Found) (*clusters.Selection, error)
	Namespace func(home *clusters.Member) string
	Timeout   time.Duration // for each request

	Names         []string        // of Services; empty for all
	Selector      labels.Selector // nil for all
	AllNamespaces bool
	All           bool // list only: also Services that are global nowhere
}

// ErrNotFound says that a Service that was named is in no cluster.
var ErrNotFound = errors.New("not found in any cluster")

// Found is what was read, whether or not it holds what was asked for.
type Found struct {
	Members   []*clusters.Member
	Namespace string // empty for all

	state *meshstate.State
}

// None reports whether no member could be read.
func (f *Found) None() bool {
	return !slices.ContainsFunc(f.Members, func(m *clusters.Member) bool { return m.Err == nil })
}

// Read counts the members that were read.
func (f *Found) Read() int {
	n := 0
	for _, m := range f.Members {
		if m.Err == nil {
			n++
		}
	}
	return n
}

// query is what is read of each cluster.
func (c Config) query(home *clusters.Member) meshstate.Query {
	q := meshstate.Query{Selector: c.Selector}
	if !c.AllNamespaces {
		q.Namespace = c.Namespace(home)
	}
	if len(c.Names) == 1 {
		q.Name = c.Names[0]
	}
	return q
}

// read reads the Services of all members, of each as soon as it is known to be one.
func (c Config) read(ctx context.Context) (*Found, error) {
	ahead := meshstate.NewAhead(ctx, c.Timeout)
	defer ahead.Stop()
	sel, err := c.Select(ctx, func(home, m *clusters.Member) { ahead.Start(m, c.query(home)) })
	if err != nil {
		return nil, err
	}
	q := c.query(sel.Home())
	st := ahead.Read(ctx, sel.Members, q)
	return &Found{Members: st.Members, Namespace: q.Namespace, state: st}, nil
}

// named returns the keys of the Services that are named; each must be somewhere.
func (c Config) named(f *Found) ([]routing.Key, error) {
	var keys []routing.Key
	for _, n := range c.Names {
		key := routing.Key{Namespace: f.Namespace, Name: n}
		if !slices.Contains(f.state.Keys(), key) {
			return nil, notFound(f, key)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// notFound is the error for a Service that no cluster has.
func notFound(f *Found, key routing.Key) error {
	return fmt.Errorf("service %s %w; %s", key, ErrNotFound, plugin.WhereServices(commandline.MeshOf(f.Members), key.Namespace))
}

// Clusters shows the members as they see themselves.
func Clusters(ctx context.Context, c Config) (v1alpha1.ClusterList, *Found, error) {
	sel, err := c.Select(ctx, nil)
	if err != nil {
		return v1alpha1.ClusterList{}, nil, err
	}
	return report.Clusters(sel.Members), &Found{Members: sel.Members}, nil
}

// Describe shows one Service in all clusters. ErrNotFound: no cluster that was read has it.
func Describe(ctx context.Context, c Config) (v1alpha1.ServiceReport, *Found, error) {
	f, err := c.read(ctx)
	if err != nil {
		return v1alpha1.ServiceReport{}, nil, err
	}
	key := routing.Key{Namespace: f.Namespace, Name: c.Names[0]}
	if len(f.state.Keys()) == 0 {
		return v1alpha1.ServiceReport{}, f, notFound(f, key)
	}
	return report.Describe(f.state, f.Members, key), f, nil
}

// List lists Services over all clusters. ErrNotFound: one that is named is in no cluster that was read.
func List(ctx context.Context, c Config) (v1alpha1.ServiceList, *Found, error) {
	f, err := c.read(ctx)
	if err != nil {
		return v1alpha1.ServiceList{}, nil, err
	}
	if _, err := c.named(f); err != nil {
		return v1alpha1.ServiceList{}, f, err
	}
	return report.List(f.state, f.Members, c.All || len(c.Names) > 0, c.Names...), f, nil
}

// Update is one change of a list.
type Update struct {
	*Found

	Doc     v1alpha1.ServiceList      // of what changed only
	Changed []meshstate.MemberChanged // members that were lost, or are read again
	First   bool
}

// Watch calls show with the list and then with each change of it, until ctx ends or show fails.
func Watch(ctx context.Context, c Config, identify func(context.Context, *clusters.Member) (*clusters.Member, error), show func(Update) error) error {
	sel, err := c.Select(ctx, nil)
	if err != nil {
		return err
	}
	q := c.query(sel.Home())
	w := meshstate.Watch(ctx, sel.Members, c.Timeout, q, identify)
	tracker := report.NewTracker(c.All || len(c.Names) > 0)
	for first := true; ; first = false {
		update, err := w.Next(ctx)
		if err != nil {
			return err
		}
		keys := slices.DeleteFunc(update.Keys, func(k routing.Key) bool { return len(c.Names) > 0 && !slices.Contains(c.Names, k.Name) })
		if len(update.Changed) > 0 && !first {
			keys = mergeKeys(keys, tracker.Keys())
		}
		u := Update{Found: &Found{Members: update.Members, Namespace: q.Namespace}, Changed: update.Changed, First: first}
		u.Doc = tracker.Changed(w.State(keys), update.Members, keys)
		if err := show(u); err != nil {
			return err
		}
	}
}

// mergeKeys joins two lists of Services, each once, in order.
func mergeKeys(a, b []routing.Key) []routing.Key {
	out := slices.Concat(a, b)
	slices.SortFunc(out, func(a, b routing.Key) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// Check finds what is wrong, leaving out the findings of some ids. ErrNotFound: a Service that is named is in no cluster that was read.
func Check(ctx context.Context, c Config, ignore []string) (v1alpha1.FindingList, *Found, error) {
	f, err := c.read(ctx)
	if err != nil {
		return v1alpha1.FindingList{}, nil, err
	}
	keys := f.state.Keys()
	if len(c.Names) > 0 {
		if keys, err = c.named(f); err != nil {
			return v1alpha1.FindingList{}, f, err
		}
	}
	around := meshstate.ReadAround(ctx, f.Members, c.Timeout, check.Around(f.state, f.Members, keys, f.Namespace, ignore))
	return check.All(f.state, f.Members, keys, around, f.Namespace, ignore), f, nil
}

// Graph shows which cluster serves whom: for the Services that are named or, else, for all that are global. found is false where there is none.
// ErrNotFound: a Service that is named is in no cluster that was read.
func Graph(ctx context.Context, c Config) (doc v1alpha1.MeshGraph, f *Found, found bool, err error) {
	if f, err = c.read(ctx); err != nil {
		return doc, nil, false, err
	}
	keys := graph.Keys(f.state)
	if len(c.Names) > 0 {
		if keys, err = c.named(f); err != nil {
			return doc, f, false, err
		}
	}
	return graph.Build(f.state, f.Members, keys), f, len(keys) > 0, nil
}
