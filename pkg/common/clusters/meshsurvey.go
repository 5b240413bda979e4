package clusters

import (
	"slices"
	"strings"
	"time"
)

const (
	// fewContexts is up to how many contexts are asked along with the home cluster, as far as that runs no plugin. Far away, asking home first and
	// then the others doubles what a command takes; in a large kubeconfig most of the others have nothing to do with the mesh.
	fewContexts = 16
	// holdBack is how long the contexts that nothing connects with a peer are not made to log in while those of the peers may still answer.
	holdBack = 5 * time.Second
)

// meshSurvey asks the contexts of a kubeconfig for the peers of the home cluster.
type meshSurvey struct {
	*survey
	home    *Member
	rest    []*Member // all but home
	started map[*Member]bool
	read    []*Member // what has answered
	pending int       // started, and not answered
	ahead   []*Member // whose login was begun before the peers were known
}

// askHome asks the home cluster, and at the same time what costs little.
func (s *meshSurvey) askHome(tick <-chan time.Time) error {
	s.begin(s.home)
	if len(s.rest) < fewContexts {
		for _, m := range s.rest {
			if m.plugin == nil {
				s.begin(m)
			}
		}
	}
	look := time.After(s.f.headStart)
	for {
		m, err := s.next(tick, look)
		switch {
		case err != nil:
			return err
		case m == nil:
			if look = nil; s.tryLoginsAhead() {
				look = time.After(betweenLooks)
			}
			continue
		}
		s.took(m)
		if m == s.home {
			return nil
		}
	}
}

func (s *meshSurvey) begin(m *Member) {
	if s.started[m] {
		return
	}
	s.started[m] = true
	s.pending++
	s.start(m)
}

func (s *meshSurvey) took(m *Member) {
	s.pending--
	if m != s.home {
		s.read = append(s.read, m)
	}
}

// askPeers asks for the peers: first the contexts whose entries contain the name of a peer, then those that cost no login, and the rest only if a peer is
// still missing. It returns when all have answered or, once every peer has, a second later.
func (s *meshSurvey) askPeers(tick <-chan time.Time) error {
	var matches, others []*Member
	unmatched := slices.Clone(s.home.Peers)
	for _, m := range s.rest {
		named := slices.DeleteFunc(slices.Clone(s.home.Peers), func(peer string) bool { return !m.entry.contains(peer) })
		unmatched = slices.DeleteFunc(unmatched, func(peer string) bool { return slices.Contains(named, peer) })
		if len(named) > 0 {
			matches = append(matches, m)
		} else {
			others = append(others, m)
		}
	}
	for _, m := range matches {
		s.begin(m)
	}
	release := len(unmatched) > 0 || len(matches) == 0
	patience := time.NewTimer(holdBack)
	defer patience.Stop()
	var enough <-chan time.Time
	for _, m := range append([]*Member{s.home}, s.read...) {
		s.announcePeer(m)
	}
	for {
		all := s.everyPeer()
		if all && enough == nil {
			close(s.enough)
			enough = time.After(patienceForOthers)
		}
		release = release || slices.ContainsFunc(matches, s.isRead) && !slices.ContainsFunc(matches, func(m *Member) bool { return !s.isRead(m) })
		for _, m := range others {
			if s.loggedIn(m) || release && !all {
				s.begin(m)
			}
		}
		s.endAhead()
		if s.pending == 0 {
			return nil
		}
		timer := enough
		if timer == nil && !release {
			timer = patience.C
		}
		m, err := s.next(tick, timer)
		switch {
		case err != nil:
			return err
		case m != nil:
			s.took(m)
			s.announcePeer(m)
		case enough != nil:
			return nil
		default:
			release = true
		}
	}
}

func (s *meshSurvey) isRead(m *Member) bool { return slices.Contains(s.read, m) }

// inOrder returns what has answered in the order of the kubeconfig, whoever was faster.
func (s *meshSurvey) inOrder() []*Member {
	return slices.DeleteFunc(slices.Clone(s.rest), func(m *Member) bool { return !s.isRead(m) })
}

// everyPeer reports whether each peer of home has answered.
func (s *meshSurvey) everyPeer() bool {
	for _, peer := range s.home.Peers {
		if !slices.ContainsFunc(s.read, func(m *Member) bool { return m.Err == nil && m.Name == peer && notPeer(s.home, m) == "" }) {
			return false
		}
	}
	return true
}

// leftOut says which contexts did not answer, or were not asked, because every peer had answered.
func (s *meshSurvey) leftOut() []string {
	var silent, unasked []string
	for _, m := range s.rest {
		switch {
		case !s.started[m]:
			unasked = append(unasked, m.Context)
		case !s.isRead(m):
			silent = append(silent, m.Context)
		}
	}
	var notes []string
	if len(silent) > 0 {
		notes = append(notes, "every peer has answered; not waited for any longer: "+listContexts(silent, 0))
	}
	if len(unasked) > 0 {
		notes = append(notes, "every peer has answered; not asked: "+listContexts(unasked, 0))
	}
	return notes
}

// contains reports whether one of the names of the context's entries contains a peer's name. It decides the order of questions only.
func (e entry) contains(peer string) bool {
	return peer != "" && slices.ContainsFunc(e.names, func(name string) bool { return strings.Contains(strings.ToLower(name), strings.ToLower(peer)) })
}
