package clusters

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// collapse leaves one member for each cluster: contexts lead to one cluster if its kube-system has the same UID or, where one of them could not be read,
// if the kubeconfig says so. The member keeps the other contexts, since one of them may be permitted to do what its own is not. named are the contexts that the user named.
func collapse(members []*Member, current string, named map[string]bool, w *Warnings) []*Member {
	var out []*Member
	for _, group := range byCluster(members) {
		best := group[0]
		for _, m := range group[1:] {
			if preferred(m, best, current, named) {
				best = m
			}
		}
		best.pinned = named[best.Context] || best.Context == current
		for _, m := range group {
			if m == best {
				continue
			}
			best.alternatives = append(best.alternatives, m)
			best.Aliases = append(best.Aliases, m.Context)
			if m.Err != nil && best.Err == nil {
				w.Add("contexts %q and %q are the same cluster; %q is used, since %q could not be read (%s)", best.Context, m.Context, best.Context, m.Context, m.Err.Class)
				continue
			}
			w.Add("contexts %q and %q are the same cluster; %q is used", best.Context, m.Context, best.Context)
		}
		out = append(out, best)
	}
	return out
}

// byCluster groups members by their clusters, in the order of each cluster's first member.
func byCluster(members []*Member) [][]*Member {
	var groups [][]*Member
	for _, m := range members {
		at := slices.IndexFunc(groups, func(group []*Member) bool {
			return slices.ContainsFunc(group, func(o *Member) bool {
				if m.UID != "" && o.UID != "" {
					return m.UID == o.UID
				}
				return (m.Err == nil || o.Err == nil) && sameCluster(m.entry, o.entry)
			})
		})
		if at < 0 {
			groups = append(groups, []*Member{m})
			continue
		}
		groups[at] = append(groups[at], m)
	}
	return groups
}

// preferred reports whether m is a better context of its cluster than o, which comes before it: one that can be read, then one that the user named,
// then the current one, then the one that may see more.
func preferred(m, o *Member, current string, named map[string]bool) bool {
	for _, better := range []func(*Member) bool{
		func(m *Member) bool { return m.Err == nil },
		func(m *Member) bool { return named[m.Context] },
		func(m *Member) bool { return m.Context == current },
	} {
		if better(m) != better(o) {
			return better(m)
		}
	}
	return m.Err == nil && len(m.unseen) < len(o.unseen)
}

// use makes the member reach its cluster through another of its contexts. It keeps its place: what it is called, and whether it is home.
func (m *Member) use(context *Member) {
	old, others := *m, m.alternatives
	*m = *context
	m.Home, m.origin.Selection, m.origin.Ambiguous = old.Home, old.origin.Selection, old.origin.Ambiguous
	if old.Name != old.Context {
		m.Name = old.Name
	}
	m.alternatives, m.Aliases = nil, nil
	for _, o := range others {
		if o != context {
			m.alternatives = append(m.alternatives, o)
			m.Aliases = append(m.Aliases, o.Context)
		}
	}
	old.alternatives, old.Aliases = nil, nil
	m.alternatives = append(m.alternatives, &old)
	m.Aliases = append(m.Aliases, old.Context)
}

// useNamed makes the member use the context that the user named, and no other one.
func (m *Member) useNamed(name string) {
	for _, o := range m.alternatives {
		if o.Context == name {
			m.use(o)
			break
		}
	}
	m.pinned = m.pinned || m.Context == name
}

// Ask calls ask, which returns an error of class Forbidden where the member's context lacks a permission. Unless the user chose that context, by name or
// as the current one, ask is then called for the other contexts of the same cluster. The member uses the first that is permitted, and notes it. If none is, it stays as it was.
// Deadlines within ask do not run while a credential plugin does.
func (m *Member) Ask(ctx context.Context, ask func(context.Context) error) error {
	attempt := func() error { return m.plugin.explain(ask(m.withClock(ctx))) }
	err := attempt()
	if m.pinned {
		return err
	}
	first := m.Context
	for _, name := range slices.Clone(m.Aliases) {
		if err == nil || ctx.Err() != nil || failure.Classify(err).Class != failure.Forbidden {
			return err
		}
		at := slices.IndexFunc(m.alternatives, func(o *Member) bool { return o.Context == name && o.Err == nil })
		if at < 0 {
			continue
		}
		m.use(m.alternatives[at])
		if another := attempt(); another == nil {
			m.Unseen(fmt.Sprintf("context %q is not permitted to do this, so that context %q of the same cluster is used", first, m.Context), err)
			return nil
		}
	}
	if at := slices.IndexFunc(m.alternatives, func(o *Member) bool { return o.Context == first }); at >= 0 {
		m.use(m.alternatives[at])
	}
	return err
}
