package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// Selection is the members that a command works on.
type Selection struct {
	Members []*Member
	// Literal: every member was named by the user, none found by a glob, by --all-contexts or by the peers of the home cluster.
	Literal bool
	// Named: they are those of --contexts or of the environment, globs among them; the mesh may have others.
	Named bool
	// ContextOnly: --context was given and --contexts was not; every write then needs --in.
	ContextOnly bool
	Warnings    []string
	// Notes say what was left out on purpose. They do not mean that the result is not complete.
	Notes []string
}

// Home returns the member of the current context or the first named, or nil.
func (s *Selection) Home() *Member {
	for _, m := range s.Members {
		if m.Home {
			return m
		}
	}
	return nil
}

// Failed returns the members that could not be read.
func (s *Selection) Failed() []*Member {
	var out []*Member
	for _, m := range s.Members {
		if m.Err != nil {
			out = append(out, m)
		}
	}
	return out
}

// Resolve finds members by Cilium name or by context name. A member that has several contexts uses the one that is named. flag names the flag in errors,
// which also say what could not be read: the name may be that of such a cluster.
func (s *Selection) Resolve(flag string, names []string) ([]*Member, error) {
	var out []*Member
	for _, name := range names {
		found := s.answering(name)
		switch {
		case len(found) == 0:
			return nil, s.WithUnread(fmt.Errorf("%s: no cluster %q among those that are read: %s", flag, name, s.names()))
		case len(found) > 1:
			return nil, fmt.Errorf("%s: %q means both %s and %s", flag, name, found[0].Label(), found[1].Label())
		case !slices.Contains(out, found[0]):
			found[0].useNamed(name)
			out = append(out, found[0])
		}
	}
	return out, nil
}

// answering returns the members that a name means. To write to the wrong one of two is worse than to ask.
func (s *Selection) answering(name string) []*Member {
	var found []*Member
	for _, m := range s.Members {
		if m.Name == name || m.Context == name || slices.Contains(m.Aliases, name) {
			found = append(found, m)
		}
	}
	return found
}

// noteAmbiguous notes the clusters whose name means another one too, such as the context of a cluster that could not be read. Resolve refuses these names,
// so printed commands use contexts.
func (s *Selection) noteAmbiguous() {
	for _, m := range s.Members {
		if len(s.answering(m.Name)) > 1 {
			m.origin.Ambiguous = m.Name
		}
	}
}

func (s *Selection) names() string {
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = m.Label()
	}
	return strings.Join(names, ", ")
}

// Label returns the member's Cilium name and, where it differs, its context.
func (m *Member) Label() string {
	if m.Name == m.Context || m.Context == "" {
		return m.Name
	}
	return fmt.Sprintf("%s (context %s)", m.Name, m.Context)
}

// Select finds the members and asks each who it is. It fails only on what the user must decide:
// a wrong flag, an unknown context, no kubeconfig, an ambiguous mesh. A member that cannot be reached is returned with its error.
// The selection is never nil: beside an error it holds the warnings that were collected before it.
func (f *Flags) Select(ctx context.Context) (*Selection, error) {
	if err := f.validate(); err != nil {
		return &Selection{}, err
	}
	kc, err := f.load()
	if err != nil {
		return &Selection{}, err
	}
	w := f.Warnings
	f.host = execplugin.FromContext(ctx)
	var sel *Selection
	switch patterns := f.patterns(); {
	case len(patterns) > 0:
		sel, err = f.selectNamed(ctx, kc, patterns, w)
	case f.AllContexts:
		sel, err = f.selectAll(ctx, kc, w)
	default:
		sel, err = f.selectMesh(ctx, kc, w)
	}
	if ctx.Err() != nil {
		return &Selection{}, ctx.Err()
	}
	if err != nil {
		out := &Selection{Warnings: w.Lines()}
		if sel != nil {
			out.Warnings = append(out.Warnings, TakeUnseen(sel.Members)...)
		}
		return out, err
	}
	selection := f.selection(kc)
	for _, m := range sel.Members {
		m.origin.Selection = selection
	}
	sel.noteAmbiguous()
	warnSkipped(sel.Members, w)
	sel.ContextOnly = ptr.Deref(f.Config.Context, "") != "" && len(f.Contexts) == 0
	sel.Warnings = append(sel.Warnings, w.Lines()...)
	sel.Warnings = append(sel.Warnings, TakeUnseen(sel.Members)...)
	return sel, nil
}

// SelectIn finds the members in some contexts; without any it is Select. found is told of members meanwhile; nil for nobody.
func (f *Flags) SelectIn(ctx context.Context, found Found, contexts ...string) (*Selection, error) {
	in := *f
	in.found = found
	if len(contexts) > 0 {
		in.Contexts = contexts
	}
	return in.Select(ctx)
}

// selectNamed takes the contexts of --contexts or of the environment. The first is home unless the current one is among them.
func (f *Flags) selectNamed(ctx context.Context, kc *kubeconfig, patterns []string, w *Warnings) (*Selection, error) {
	var chosen []candidate
	literal, named := true, map[string]bool{}
	for _, p := range patterns {
		found, err := kc.find(p)
		if err != nil {
			return nil, err
		}
		literal = literal && !isGlob(p)
		for _, c := range found {
			named[c.name] = named[c.name] || !isGlob(p)
			if !slices.ContainsFunc(chosen, func(o candidate) bool { return o.name == c.name }) {
				chosen = append(chosen, c)
			}
		}
	}
	members, err := f.members(ctx, chosen, kc.current, w)
	if err != nil {
		return nil, err
	}
	members = collapse(members, kc.current, named, w)
	markHome(members, kc.current)
	nameUnread(members)
	uniqueNames(members, w)
	return &Selection{Members: members, Literal: literal, Named: true}, nil
}

// selectAll takes every context; those without Cilium are a warning.
func (f *Flags) selectAll(ctx context.Context, kc *kubeconfig, w *Warnings) (*Selection, error) {
	members, err := f.members(ctx, kc.candidates, kc.current, w)
	if err != nil {
		return nil, err
	}
	members = slices.DeleteFunc(members, func(m *Member) bool {
		without := m.Err != nil && m.Err.Class == failure.NoCilium
		if without {
			w.Add("context %q is left out: %s", m.Context, m.Err)
		}
		return without
	})
	if len(members) == 0 {
		return nil, errors.New("no context has Cilium; name contexts with --contexts")
	}
	members = collapse(members, kc.current, nil, w)
	markHome(members, kc.current)
	nameUnread(members)
	uniqueNames(members, w)
	return &Selection{Members: members}, nil
}

// members builds and identifies the members of candidates, the current one first.
func (f *Flags) members(ctx context.Context, cs []candidate, current string, w *Warnings) ([]*Member, error) {
	if set := f.singleOnly(); len(set) > 0 && len(cs) > 1 {
		return nil, fmt.Errorf("%s cannot be used with more than one context; name one with --contexts", strings.Join(set, ", "))
	}
	members := make([]*Member, len(cs))
	var order []*Member
	for i, c := range cs {
		members[i] = f.newMember(c, len(cs) == 1, w)
		if c.name == current {
			order = slices.Insert(order, 0, members[i])
		} else {
			order = append(order, members[i])
		}
	}
	s := f.newSurvey(ctx, len(cs))
	defer s.stop()
	return members, s.all(order, func(m *Member) { s.announce(order[0], m) })
}

func markHome(members []*Member, current string) {
	home := members[0]
	for _, m := range members {
		if m.Context == current || slices.Contains(m.Aliases, current) {
			home = m
		}
	}
	home.Home = true
}

// nameUnread gives members that could not be read the name of a peer of the others, where their own entries in the kubeconfig say so,
// so that the row says eu and not kind-eu. A peer that two of them may be is neither.
func nameUnread(members []*Member) {
	var read, unread []*Member
	var known, peers []string
	for _, m := range members {
		if m.Err != nil && m.UID == "" {
			unread = append(unread, m)
			continue
		}
		read = append(read, m)
		known = append(known, m.Name)
		peers = append(peers, m.Peers...)
	}
	slices.Sort(peers)
	peers = slices.DeleteFunc(slices.Compact(peers), func(p string) bool { return slices.Contains(known, p) })
	byPeer := map[string][]*Member{}
	for _, m := range unread {
		if peer := peerOf(m, peers, known, read); peer != "" {
			byPeer[peer] = append(byPeer[peer], m)
		}
	}
	for peer, mine := range byPeer {
		if len(mine) == 1 {
			mine[0].Name = peer
		}
	}
}

// uniqueNames gives each member a name of its own. Members that have one Cilium name, such as the unset "default", are called by their contexts. So is
// a member whose Cilium name is not known, and it never takes the Cilium name of another one: clients and peers know that one by it.
func uniqueNames(members []*Member, w *Warnings) {
	count := map[string]int{}
	for _, m := range members {
		if m.Identified() {
			count[m.Name]++
		}
	}
	taken := map[string]bool{}
	for name, n := range count {
		taken[name] = n == 1
	}
	for _, m := range members {
		switch {
		case !m.Identified():
			m.Name = m.Apart(func(name string) bool { return taken[name] || count[name] > 0 })
		case count[m.Name] > 1:
			w.Add("more than one cluster is called %q; they are shown by their contexts", m.Name)
			m.Name = m.Apart(func(name string) bool { return taken[name] })
		default:
			continue
		}
		taken[m.Name] = true
		if m.Name != m.Context {
			w.Add("context %q is shown as %q, because another cluster is called %q", m.Context, m.Name, m.Context)
		}
	}
}

// Identify asks a member again who it is, after it could not be read or was lost. It returns a copy: the member stays as it is.
func (f *Flags) Identify(ctx context.Context, m *Member) (*Member, error) {
	again := *m
	if m.Client == nil {
		return nil, m.Err
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	if err := again.identify(ctx, f.CiliumNamespace); err != nil {
		return nil, err
	}
	if m.CiliumNamespace != "" {
		again.Name = m.Name // it was known; it may be called by its context because two clusters have one name
	}
	again.Err = nil
	return &again, nil
}

// WithUnread adds to an error which clusters could not be read, and why.
func (s *Selection) WithUnread(err error) error {
	var unread []string
	for _, m := range s.Failed() {
		unread = append(unread, fmt.Sprintf("%s could not be read (%s)", m.Label(), m.Err.Class))
	}
	if len(unread) == 0 {
		return err
	}
	return fmt.Errorf("%w; %s", err, strings.Join(unread, ", "))
}
