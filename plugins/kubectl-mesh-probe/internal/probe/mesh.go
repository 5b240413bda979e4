package probe

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
)

// mesh is the members of the mesh and how their state is read.
type mesh struct {
	selection *clusters.Selection
	members   []origin.Member
	namespace string
	timeout   time.Duration
	unread    []string // names of the members that could not be read at the start

	versions map[version]string   // the resourceVersion of each Service in each member, as it was read last
	touched  map[routing.Key]bool // the Services that have changed since the prediction was made
}

// version names a Service in a member.
type version struct {
	cluster string
	key     routing.Key
}

func newMesh(selection *clusters.Selection, cfg Config) *mesh {
	m := &mesh{
		selection: selection, namespace: cfg.Mesh.Namespace(selection.Home()), timeout: cfg.ClusterTimeout,
		versions: map[version]string{}, touched: map[routing.Key]bool{},
	}
	for _, one := range selection.Members {
		m.members = append(m.members, origin.Member{Name: one.Name, Context: one.Context})
	}
	return m
}

// read reads the state. A member that does not answer is marked as unread.
func (m *mesh) read(ctx context.Context, q meshstate.Query) *routing.Snapshot {
	st := m.state(ctx, m.selection.Members, q)
	selection := *m.selection
	selection.Members = st.Members
	m.selection = &selection
	return &st.Snapshot
}

// now returns a member as it was read last.
func (m *mesh) now(member *clusters.Member) *clusters.Member {
	at := slices.IndexFunc(m.selection.Members, func(o *clusters.Member) bool { return o.Name == member.Name })
	if at < 0 {
		return member
	}
	return m.selection.Members[at]
}

// look reads the state without marking a member that once does not answer.
func (m *mesh) look(ctx context.Context, q meshstate.Query) *routing.Snapshot {
	members := make([]*clusters.Member, len(m.selection.Members))
	for i, one := range m.selection.Members {
		copied := *one
		members[i] = &copied
	}
	return &m.state(ctx, members, q).Snapshot
}

// state reads the state, and notices a Service that was changed since it was read last, even if it was changed back.
func (m *mesh) state(ctx context.Context, members []*clusters.Member, q meshstate.Query) *meshstate.State {
	q.Objects = q.Name != ""
	st := meshstate.Read(ctx, members, m.timeout, q)
	key := routing.Key{Namespace: q.Namespace, Name: q.Name}
	for cluster, services := range st.Services {
		if svc := services[key]; svc != nil {
			at := version{cluster, key}
			if before, known := m.versions[at]; known && before != svc.ResourceVersion {
				m.touched[key] = true
			}
			m.versions[at] = svc.ResourceVersion
		}
	}
	return st
}

// silent lists the members that could be read at the start and are not in the snapshot.
func (m *mesh) silent(snap *routing.Snapshot) []string {
	var out []string
	for _, c := range snap.Clusters {
		if c.Gap != "" && !slices.Contains(m.unread, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// recognizer finds out which member sent a reply. It learns names while replies arrive.
type recognizer struct {
	rule   *origin.Identifier
	tokens *origin.Tokens
	// unread and peersOf are those of routing.Snapshot.Unread for the clients, when there were any last.
	unread, peersOf []string
	current         atomic.Pointer[origin.Identifier]
}

func newRecognizer(rule *origin.Identifier) *recognizer {
	r := &recognizer{rule: rule}
	r.current.Store(rule)
	return r
}

// learn adds the names and addresses of a snapshot. clients are the clusters that send requests, what they send is not evidence, and silent are those that
// do not count as unread.
func (r *recognizer) learn(snap *routing.Snapshot, key routing.Key, sent origin.Sent, clients, silent []string) {
	if !r.rule.Auto() {
		return
	}
	unread, peersOf := snap.Unread(key, clients...)
	unread = slices.DeleteFunc(unread, func(name string) bool { return slices.Contains(silent, name) })
	if len(unread)+len(peersOf) > 0 {
		r.unread, r.peersOf = unread, peersOf
	}
	tokens := origin.NewTokens(snap, key, slices.Concat(unread, peersOf)...).Sent(sent)
	if r.tokens != nil {
		tokens = r.tokens.Merge(tokens)
	}
	r.tokens = tokens
	r.current.Store(r.rule.WithTokens(tokens))
}

// identifier returns an identifier with everything that is known by now.
func (r *recognizer) identifier() *origin.Identifier { return r.current.Load() }
