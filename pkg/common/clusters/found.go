package clusters

// Found is called while members are selected, for each that has answered and will be a member unless the selection fails or prefers another context of
// the same cluster. The calls come one after another. m is a copy: the selection may give the member another name. home is the cluster that will
// be home, of which only what the kubeconfig says may be read. What counts is the selection.
type Found func(home, m *Member)

// announce tells of a member that is found: of one context for each cluster, as far as their names tell.
func (s *survey) announce(home, m *Member) {
	if s.f.found == nil || m.Err != nil || s.announced[m.Name] {
		return
	}
	s.announced[m.Name] = true
	early := *m
	s.f.found(home, &early)
}

// announcePeer tells of a member of the home cluster's mesh.
func (s *meshSurvey) announcePeer(m *Member) {
	if m == s.home || m.Err == nil && isPeer(s.home, m) {
		s.announce(s.home, m)
	}
}
