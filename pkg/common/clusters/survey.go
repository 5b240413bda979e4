package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

const (
	// patienceForOthers is how long the other contexts may still answer once every peer has: one of them may be a second candidate for a peer.
	patienceForOthers = time.Second
	// untilProgress is after how long the user is told what the command waits for, and betweenProgress how often from then on.
	untilProgress   = time.Second
	betweenProgress = 10 * time.Second
)

// errLeftOut is the error of a context that nobody needs any more.
var errLeftOut = errors.New("every peer has answered before")

// survey asks contexts who they are: it fetches the credentials of each, which may take a person or a program, and then asks its API server.
type survey struct {
	f      *Flags
	ctx    context.Context
	cancel context.CancelFunc
	// answers has room for every context, so that one that is left out blocks nobody.
	answers chan *Member
	enough  chan struct{} // closed when no further login should begin
	// announced has the names of the members that Found was told of.
	announced map[string]bool

	mu      sync.Mutex
	waiting map[*Member]string // the credential plugin that a context waits for; empty while its API server is asked
	logins  map[string]*login
	last    *login // that may prompt
}

// login is one run of a credential plugin, for all contexts that use it with the same configuration.
type login struct {
	done   chan struct{}
	err    error // set before done is closed
	needed bool  // a context is asked with its credentials
}

func (l *login) isDone() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (f *Flags) newSurvey(ctx context.Context, contexts int) *survey {
	s := &survey{f: f, answers: make(chan *Member, contexts), enough: make(chan struct{}), announced: map[string]bool{}, waiting: map[*Member]string{}, logins: map[string]*login{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// stop ends what still runs, plugins included.
func (s *survey) stop() {
	s.cancel()
	if s.f.host != nil {
		s.f.host.Abandon()
	}
}

// start begins to ask a context. Plugins run in the order of the calls as far as only one may run at a time.
func (s *survey) start(m *Member) {
	if m.Err != nil {
		s.answers <- m
		return
	}
	var l *login
	s.mu.Lock()
	if m.plugin != nil {
		l = s.loginOf(m)
		l.needed = true
		m.plugin.need()
		s.waiting[m] = m.plugin.command
	} else {
		s.waiting[m] = ""
	}
	s.mu.Unlock()
	go func() {
		m.Err = failure.Classify(s.ask(m, l))
		s.mu.Lock()
		delete(s.waiting, m)
		s.mu.Unlock()
		s.answers <- m
	}()
}

// loginOf returns the login of a context, which it begins unless it has begun before. The caller holds the lock.
func (s *survey) loginOf(m *Member) *login {
	if l := s.logins[m.plugin.key]; l != nil {
		return l
	}
	l := &login{done: make(chan struct{})}
	s.logins[m.plugin.key] = l
	var before *login
	if m.plugin.prompts {
		before, s.last = s.last, l
	}
	go s.login(m, l, before)
	return l
}

// login runs the plugin, after the login before, which may prompt as this one may.
func (s *survey) login(m *Member, l, before *login) {
	defer close(l.done)
	if before != nil {
		select {
		case <-before.done:
		case <-s.enough:
		case <-s.ctx.Done():
		}
	}
	select {
	case <-s.enough:
		l.err = errLeftOut
	case <-s.ctx.Done():
		l.err = s.ctx.Err()
	default:
		l.err = m.plugin.explain(fetchCredentials(m.REST))
	}
}

// ask waits for the credentials and asks the API server. Its deadline holds for the API server alone.
func (s *survey) ask(m *Member, l *login) error {
	if l != nil {
		select {
		case <-l.done:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		if l.err != nil {
			return l.err
		}
		s.mu.Lock()
		s.waiting[m] = ""
		s.mu.Unlock()
	}
	identify := func() error {
		_, err := fanout.Within(m.withClock(s.ctx), s.f.Timeout, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, m.identify(ctx, s.f.CiliumNamespace)
		})
		return err
	}
	err := identify()
	if m.plugin != nil && err != nil && failure.Classify(err).Class == failure.Unauthorized {
		err = identify() // client-go has run the plugin again meanwhile
	}
	return m.plugin.explain(err)
}

// loggedIn reports whether asking a context runs no plugin. A login ahead does not count: it is not a reason to ask.
func (s *survey) loggedIn(m *Member) bool {
	if m.plugin == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logins[m.plugin.key]
	return l != nil && l.needed && l.isDone() && l.err == nil
}

// all asks contexts, waits for every answer, and calls took with each.
func (s *survey) all(members []*Member, took func(*Member)) error {
	for _, m := range members {
		s.start(m)
	}
	tick := s.progress()
	for range members {
		m, err := s.next(tick, nil)
		if err != nil {
			return err
		}
		took(m)
	}
	return nil
}

// next returns the next context that has answered, or nil when enough is closed or sends.
func (s *survey) next(tick <-chan time.Time, enough <-chan time.Time) (*Member, error) {
	for {
		select {
		case m := <-s.answers:
			return m, nil
		case <-enough:
			return nil, nil
		case <-tick:
			s.tell()
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
	}
}

// progress returns a channel on which something comes whenever the user should be told what the command waits for.
func (s *survey) progress() <-chan time.Time {
	out := make(chan time.Time)
	go func() {
		wait := untilProgress
		for {
			select {
			case at := <-time.After(wait):
				select {
				case out <- at:
				case <-s.ctx.Done():
					return
				}
			case <-s.ctx.Done():
				return
			}
			wait = betweenProgress
		}
	}()
	return out
}

// tell says what the command waits for, unless a plugin has the terminal.
func (s *survey) tell() {
	if s.f.Progress == nil || s.f.host != nil && s.f.host.Prompting() {
		return
	}
	s.mu.Lock()
	byPlugin := map[string][]string{}
	for m, plugin := range s.waiting {
		byPlugin[plugin] = append(byPlugin[plugin], m.Context)
	}
	s.mu.Unlock()
	for _, plugin := range sortedKeys(byPlugin) {
		contexts := listContexts(byPlugin[plugin], 6)
		if plugin == "" {
			if s.f.ServerProgress {
				s.f.Progress("Waiting for an answer from " + contexts)
			}
			continue
		}
		s.f.Progress(fmt.Sprintf("Waiting for credential plugin %s of %s", plugin, contexts))
	}
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// listContexts lists contexts for a person, sorted; at most so many if most is not 0.
func listContexts(names []string, most int) string {
	slices.Sort(names)
	word := "contexts "
	if len(names) == 1 {
		word = "context "
	}
	if most > 0 && len(names) > most {
		return fmt.Sprintf("%s%s and %d more", word, strings.Join(names[:most], ", "), len(names)-most)
	}
	return word + strings.Join(names, ", ")
}
