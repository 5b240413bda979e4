package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// selectMesh finds the mesh of the current context (or --context): the home
// cluster's peers, each in the one context whose cluster has that Cilium name, peers back, and has another id.
func (f *Flags) selectMesh(ctx context.Context, kc *kubeconfig, w *Warnings) (*Selection, error) {
	if set := f.singleOnly(); len(set) > 0 && len(kc.candidates) > 1 {
		return nil, fmt.Errorf("%s cannot be used with a mesh of several contexts: what is meant for one cluster would go to all; name one with --contexts", strings.Join(set, ", "))
	}
	homeName := ptr.Deref(f.Config.Context, "")
	named := homeName != ""
	if !named {
		homeName = kc.current
	}
	if homeName == "" {
		return nil, errors.New("no current context; name contexts with --contexts, --context or --all-contexts")
	}
	found, err := kc.find(homeName)
	if err != nil {
		return nil, err
	}
	s := &meshSurvey{survey: f.newSurvey(ctx, len(kc.candidates)), started: map[*Member]bool{}}
	defer s.stop()
	for _, c := range kc.candidates {
		m := f.newMember(c, len(kc.candidates) == 1, w)
		if c.name == found[0].name {
			s.home, m.Home = m, true
			continue
		}
		s.rest = append(s.rest, m)
	}
	tick := s.progress()
	if err := s.askHome(tick); err != nil {
		return nil, err
	}
	sel, home := &Selection{Members: []*Member{s.home}}, s.home
	switch {
	case home.Err != nil && home.Err.Class != failure.NoCilium && home.Err.Class != failure.Kubeconfig:
		// A result even so, so that scripts get their document: one member, not read.
		w.Add("cannot determine the mesh of context %q, because the context could not be read; name other contexts with --contexts", home.Context)
		return sel, nil
	case home.Err != nil:
		return sel, fmt.Errorf("could not read context %q to determine its mesh (%s): %w; name other contexts with --contexts", home.Context, home.Err.Class, home.Err)
	case !home.PeersKnown:
		return sel, fmt.Errorf("cluster %q: its peers may not be read (Secret cilium-clustermesh or ConfigMap clustermesh-remote-users in %s); name the contexts with --contexts%s", home.Name, home.CiliumNamespace, missingRules(home))
	case len(home.Peers) == 0:
		return sel, fmt.Errorf("cluster %q (context %s) has no peers; for clusters that are not connected yet name the contexts with --contexts%s", home.Name, home.Context, skippedText(home))
	}
	if err := s.askPeers(tick); err != nil {
		return sel, err
	}
	sel.Notes = s.leftOut()
	others := s.inOrder()
	others = collapse(append([]*Member{home}, others...), home.Context, map[string]bool{home.Context: named}, w)[1:]
	members, err := joinPeers(home, others, w)
	if err != nil {
		sel.Members = append(sel.Members, others...)
		warnSkipped(sel.Members, w)
		return sel, err
	}
	sel.Members = members
	return sel, nil
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
	var unread []*Member
	read := []*Member{home}
	byName := map[string][]*Member{}
	for _, m := range others {
		switch {
		case m.Err != nil && m.Err.Class != failure.NoCilium:
			unread = append(unread, m)
		case m.Err == nil:
			read = append(read, m)
			if !slices.Contains(home.Peers, m.Name) {
				continue
			}
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
	members = append(members, missingPeers(missing, unread, read, len(members) == 1, w)...)
	slices.SortStableFunc(members[1:], func(a, b *Member) int { return strings.Compare(a.Name, b.Name) })
	return members, nil
}

// missingPeers accounts for peers that no context that was read belongs to. Where contexts could not be read, or where no peer was found, each such peer is a
// member with an error: it gets a context only if the context's own entries say so. Otherwise the peer is a warning.
func missingPeers(missing []string, unread, read []*Member, alone bool, w *Warnings) []*Member {
	known := make([]string, len(read))
	for i, m := range read {
		known[i] = m.Name
	}
	byPeer := map[string][]*Member{}
	var others []*Member
	for _, m := range unread {
		if peer := peerOf(m, missing, known, read); peer != "" {
			byPeer[peer] = append(byPeer[peer], m)
		} else {
			others = append(others, m)
		}
	}
	var out []*Member
	for _, peer := range missing {
		switch mine := byPeer[peer]; {
		case len(mine) == 1:
			mine[0].Name = peer
			out = append(out, mine[0])
		case len(mine) > 1:
			out = append(out, &Member{Name: peer, Err: problem(commonClass(mine), "none of the contexts of this peer could be read: %s", listUnread(mine))})
		case len(others) > 0:
			out = append(out, &Member{Name: peer, Err: problem(failure.Kubeconfig, "no context that could be read belongs to this peer; name its context with --contexts. Contexts that could not be read and may lead to any cluster: %s", listUnread(others))})
		case alone:
			out = append(out, &Member{Name: peer, Err: problem(failure.Kubeconfig, "no context in the kubeconfig belongs to this peer; add one and name it with --contexts")})
		default:
			w.Add("peer %q has no context in the kubeconfig and cannot be read", peer)
		}
	}
	return out
}

// listUnread lists contexts that could not be read, each with the class of its error.
func listUnread(unread []*Member) string {
	const most = 12
	var lines []string
	for i, m := range unread {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(unread)-most))
			break
		}
		lines = append(lines, fmt.Sprintf("%s (%s)", m.Context, m.Err.Class))
	}
	return strings.Join(lines, ", ")
}

// commonClass returns the class of the members' errors, or failure.Other if they differ.
func commonClass(unread []*Member) failure.Class {
	class := unread[0].Err.Class
	for _, m := range unread {
		if m.Err.Class != class {
			return failure.Other
		}
	}
	return class
}

// isPeer reports whether a cluster that was read is a peer of home.
func isPeer(home, m *Member) bool {
	return slices.Contains(home.Peers, m.Name) && notPeer(home, m) == ""
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
