package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"
)

// selectMesh finds the mesh of the current context (or --context): the home
// cluster's peers, each in the one context whose cluster has that Cilium name, peers back, and has another id.
func (f *Flags) selectMesh(ctx context.Context, kc *kubeconfig, w *Warnings) (*Selection, error) {
	if set := f.singleOnly(); len(set) > 0 && len(kc.candidates) > 1 {
		return nil, fmt.Errorf("%s cannot be used with a mesh of several contexts: what is meant for one cluster would go to all; name one with --contexts", strings.Join(set, ", "))
	}
	homeName := ptr.Deref(f.Config.Context, "")
	if homeName == "" {
		homeName = kc.current
	}
	if homeName == "" {
		return nil, errors.New("no current context; name contexts with --contexts, --context or --all-contexts")
	}
	found, err := kc.find(homeName)
	if err != nil {
		return nil, err
	}
	var rest []candidate
	for _, c := range kc.candidates {
		if c.name != found[0].name {
			rest = append(rest, c)
		}
	}
	// Far away, asking home first and then the others doubles what a command takes. What the others say counts only if home has peers,
	// so nobody is made to log in to them before that is known.
	ask := func() ([]*Member, error) { return f.members(ctx, rest, w) }
	if !slices.ContainsFunc(rest, candidate.asks) {
		others, cancel := context.WithCancel(ctx)
		defer cancel()
		ask = meanwhile(func() ([]*Member, error) { return f.members(others, rest, w) })
	}
	homes, err := f.members(ctx, found[:1], w)
	if err != nil {
		return nil, err
	}
	home := homes[0]
	home.Home = true
	switch {
	case home.Err != nil && home.Err.Class != ClassNoCilium && home.Err.Class != ClassConfig:
		// A result all the same, so that scripts get their document: one member, not read.
		w.Add("the mesh of context %q is not known while it cannot be read; name other contexts with --contexts", home.Context)
		return &Selection{Members: homes}, nil
	case home.Err != nil:
		return nil, fmt.Errorf("context %q, whose mesh is asked for, could not be read (%s): %w; name other contexts with --contexts", home.Context, home.Err.Class, home.Err)
	}
	switch {
	case !home.PeersKnown:
		return nil, fmt.Errorf("cluster %q: its peers may not be read (Secret cilium-clustermesh or ConfigMap clustermesh-remote-users in %s); name the contexts with --contexts%s", home.Name, home.CiliumNamespace, missingRules(home))
	case len(home.Peers) == 0:
		return nil, fmt.Errorf("cluster %q (context %s) has no peers; for clusters that are not connected yet name the contexts with --contexts%s", home.Name, home.Context, skippedText(home))
	}
	others, err := ask()
	if err != nil {
		return nil, err
	}
	others = collapse(append([]*Member{home}, others...), home.Context, w)[1:]
	members, err := joinPeers(home, others, w)
	if err != nil {
		return nil, err
	}
	return &Selection{Members: members}, nil
}

// meanwhile starts fn and returns a function that waits for what it returns.
func meanwhile[T any](fn func() (T, error)) func() (T, error) {
	var (
		value T
		err   error
		done  = make(chan struct{})
	)
	go func() {
		defer close(done)
		value, err = fn()
	}()
	return func() (T, error) {
		<-done
		return value, err
	}
}

// missingRules says what is not known of a member and which rules would tell, for the end of an error.
func missingRules(m *Member) string {
	if lines := TakeUnseen([]*Member{m}); len(lines) > 0 {
		return "; " + strings.Join(lines, "; ")
	}
	return ""
}

// joinPeers picks the home cluster's peers out of the other contexts.
func joinPeers(home *Member, others []*Member, w *Warnings) ([]*Member, error) {
	var dead []*Member
	byName := map[string][]*Member{}
	for _, m := range others {
		switch {
		case m.Err != nil && m.Err.Class != ClassNoCilium:
			dead = append(dead, m)
		case m.Err == nil && slices.Contains(home.Peers, m.Name):
			if problem := notPeer(home, m); problem != "" {
				w.Add("context %q is left out: %s", m.Context, problem)
				continue
			}
			byName[m.Name] = append(byName[m.Name], m)
		}
	}
	members := []*Member{home}
	var missing []string
	for _, peer := range home.Peers {
		switch found := byName[peer]; len(found) {
		case 0:
			missing = append(missing, peer)
		case 1:
			members = append(members, found[0])
		default:
			return nil, fmt.Errorf("peer %q of cluster %q may be context %q or %q; say which with --contexts", peer, home.Name, found[0].Context, found[1].Context)
		}
	}
	members = append(members, unreadPeers(missing, dead, w)...)
	if len(members) == 1 {
		return nil, fmt.Errorf("no context belongs to a peer (%s) of cluster %q; name the contexts with --contexts", strings.Join(home.Peers, ", "), home.Name)
	}
	slices.SortStableFunc(members[1:], func(a, b *Member) int { return strings.Compare(a.Name, b.Name) })
	return members, nil
}

// unreadPeers accounts for peers without a readable context. Where contexts could not be read, each such peer is a
// member with an error, since one of them may be it; otherwise it is a warning.
func unreadPeers(missing []string, dead []*Member, w *Warnings) []*Member {
	var out []*Member
	for _, peer := range missing {
		switch {
		case len(dead) == 0:
			w.Add("peer %q has no context in the kubeconfig; what it does is not known here", peer)
		case len(missing) == 1 && len(dead) == 1:
			dead[0].Name = peer
			out = append(out, dead[0])
		default:
			var tried []string
			class := dead[0].Err.Class
			for _, d := range dead {
				tried = append(tried, fmt.Sprintf("%s (%s)", d.Context, d.Err.Class))
				if d.Err.Class != class {
					class = ClassOther
				}
			}
			out = append(out, &Member{Name: peer, Err: &Error{class, fmt.Errorf("none of the contexts that can be read is this peer; not read: %s", strings.Join(tried, ", "))}})
		}
	}
	return out
}

// notPeer says why a cluster with a peer's name is not that peer.
func notPeer(home, m *Member) string {
	switch {
	case m.PeersKnown && !slices.Contains(m.Peers, home.Name):
		return fmt.Sprintf("cluster %q is configured as a peer of %q, but not the other way round", m.Name, home.Name)
	case m.Config.ClusterID == home.Config.ClusterID:
		return fmt.Sprintf("cluster %q has the same cluster id %d as %q", m.Name, m.Config.ClusterID, home.Name)
	}
	return ""
}
