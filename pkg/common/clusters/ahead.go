package clusters

import "time"

// Who the peers are is known only when the home cluster has answered, and that takes its plugin first. The plugins of the peers would take the same time again.
// They are therefore started while that of the home cluster runs, where that is safe. A login ahead fetches credentials and does nothing else: which contexts
// are asked, and in which order, stays the same.
const (
	// headStart is how long the plugin of the home cluster runs alone. One that has credentials in a cache ends before, and then nobody logs in ahead.
	headStart = 300 * time.Millisecond
	// betweenLooks is how often the plugin is looked at from then on: it may compute first, and then wait.
	betweenLooks = 100 * time.Millisecond
	// maxAhead bounds how many plugins run ahead. It leaves room among those that the host runs at once: what is needed does not wait for what may be.
	maxAhead = 40
)

// tryLoginsAhead begins logins ahead if that is safe now, and reports whether to look again. It is safe under these conditions:
//   - The plugin of the home cluster still runs, cannot prompt, and waits. Others then take no CPU time from it. Plugins that compute, such as
//     interpreters that start, would together take longer than one round after the other.
//   - The other plugin is the same command, cannot prompt, and does not look like one that opens a browser. One window for each context helps nobody.
//   - It is not completion: nobody presses Tab to log in everywhere.
func (s *meshSurvey) tryLoginsAhead() bool {
	home := s.home.plugin
	if home == nil || home.host == nil || home.prompts || home.browser || s.f.unattended || s.loggedIn(s.home) {
		return false
	}
	if !home.host.Waits(home.key) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.rest {
		p := m.plugin
		if m.Err != nil || p == nil || p.prompts || p.browser || p.command != home.command || s.logins[p.key] != nil {
			continue
		}
		if len(s.ahead) == maxAhead {
			break
		}
		s.ahead = append(s.ahead, m)
		p.host.Ahead(p.key)
		s.loginOf(m)
	}
	return false
}

// endAhead ends the logins ahead that nobody needs. It is called once the home cluster has named the peers and the contexts to ask have been begun. A login
// that has ended is kept, and so is its error: a plugin that failed does not run again.
func (s *meshSurvey) endAhead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.ahead {
		if l := s.logins[m.plugin.key]; l != nil && !l.needed && !l.isDone() {
			delete(s.logins, m.plugin.key)
			m.plugin.host.EndAhead(m.plugin.key)
		}
	}
	s.ahead = nil
}
