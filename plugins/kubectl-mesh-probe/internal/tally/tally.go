// Package tally counts the replies that one client pod received, by the member that sent them.
//
// It keeps distinct unknown replies, so that they can be attributed later. It does not judge what the counts prove.
package tally

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// Tally counts the replies to one client pod, by the member that sent them.
type Tally struct {
	Requests int
	// Unknown counts the replies with an unknown sender. UnknownErrors counts those of them that are errors, such as a 503.
	Unknown       int
	UnknownErrors int
	// Recognized counts the other replies by what identified their sender. Weak counts those that rely on a name that may be there by chance.
	Recognized map[string]int
	Weak       int
	// NoAnswer counts the requests without a reply.
	NoAnswer int

	rows    map[string]*Row
	errors  map[reply.Class]*ErrorCount
	unknown unknowns
	parts   parts
}

// Row counts the replies of one member, or of one captured value that does not name a member.
type Row struct {
	Name     string
	Member   bool
	Requests int
	Errors   int
}

// ErrorCount is how often a class occurred, with an example of its message.
type ErrorCount struct {
	Class   reply.Class
	Count   int
	Message string
}

// New returns a tally with a row for each member.
func New(members []origin.Member) *Tally {
	t := &Tally{Recognized: map[string]int{}, rows: map[string]*Row{}, errors: map[reply.Class]*ErrorCount{}}
	for _, m := range members {
		t.rows[m.Name] = &Row{Name: m.Name, Member: true}
	}
	return t
}

// Add counts one reply. If its sender is unknown and the reply was kept, it returns the number of the distinct reply, otherwise 0.
func (t *Tally) Add(r reply.Reply, who origin.Match) (distinct int) {
	t.Requests++
	if r.Class != "" {
		e := t.errors[r.Class]
		if e == nil {
			e = &ErrorCount{Class: r.Class, Message: r.Message}
			t.errors[r.Class] = e
		}
		e.Count++
	}
	switch {
	case who.Name != "":
		t.parts.add(who.Name)
		t.attribute(who, 1, failures(r))
	case !r.Answered():
		t.NoAnswer++
	default:
		t.Unknown++
		t.UnknownErrors += failures(r)
		return t.unknown.add(r)
	}
	return 0
}

func failures(r reply.Reply) int {
	if r.Class != "" {
		return 1
	}
	return 0
}

// attribute counts replies for their sender.
func (t *Tally) attribute(who origin.Match, requests, errors int) {
	row := t.rows[who.Name]
	if row == nil {
		row = &Row{Name: who.Name, Member: who.Member}
		t.rows[who.Name] = row
	}
	row.Requests += requests
	row.Errors += errors
	t.Recognized[who.By] += requests
	if who.Weak {
		t.Weak += requests
	}
}

// Reattribute attributes unknown replies with what the identifier knows by now. It reports each distinct reply that it attributes, by the
// number that Add returned.
func (t *Tally) Reattribute(id *origin.Identifier, attributed func(distinct int, who origin.Match)) {
	t.unknown.take(func(g *unknownGroup) bool {
		who := id.Identify(&g.reply)
		if who.Name == "" {
			return false
		}
		t.Unknown -= g.count
		t.UnknownErrors -= g.errors
		t.attribute(who, g.count, g.errors)
		attributed(g.number, who)
		return true
	})
}

// EachUnknown calls f for each distinct reply that is still unknown and was kept, with how often it arrived.
func (t *Tally) EachUnknown(f func(r *reply.Reply, count int)) {
	for _, g := range t.unknown.groups {
		f(&g.reply, g.count)
	}
}

// UnknownSamples returns distinct replies that are still unknown, the most frequent first. It returns at most the given number.
func (t *Tally) UnknownSamples(most int) []UnknownSample { return t.unknown.samples(most) }

// Answered counts the requests that received a reply, from any sender.
func (t *Tally) Answered() int { return t.Requests - t.NoAnswer }

// Unattributed counts the requests that no row contains.
func (t *Tally) Unattributed() int { return t.Unknown + t.NoAnswer }

// UnattributedErrors counts the unattributed requests that failed.
func (t *Tally) UnattributedErrors() int { return t.UnknownErrors + t.NoAnswer }

// Rows returns the rows: the members in the given order, then other values sorted by name.
func (t *Tally) Rows(members []origin.Member) []*Row {
	var out []*Row
	for _, m := range members {
		out = append(out, t.rows[m.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		if !slices.ContainsFunc(members, func(m origin.Member) bool { return m.Name == name }) {
			out = append(out, t.rows[name])
		}
	}
	return out
}

// Count returns how many requests a row has.
func (t *Tally) Count(name string) int {
	if r := t.rows[name]; r != nil {
		return r.Requests
	}
	return 0
}

// Errors returns the classes, the most frequent first.
func (t *Tally) Errors() []ErrorCount {
	var out []ErrorCount
	for _, e := range t.errors {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class))
	})
	return out
}

// Failed counts all requests with an error, attributed or not.
func (t *Tally) Failed() int {
	n := 0
	for _, e := range t.errors {
		n += e.Count
	}
	return n
}

// OnlyUnreachable reports whether every request failed in a way that a Service without backends causes.
func (t *Tally) OnlyUnreachable() bool {
	for class := range t.errors {
		switch class {
		case reply.ClassRefused, reply.ClassUnreachable, reply.ClassConnectTimeout, reply.ClassReadTimeout, reply.ClassReset:
		default:
			return false
		}
	}
	return true
}
