package probe

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Tally counts the replies of one client pod by who answered.
type Tally struct {
	Requests int
	// Unknown counts replies without an error of which nobody knows who sent them.
	Unknown int
	// Sample is the beginning of one of them.
	Sample string
	// Recognised counts by what the others were attributed.
	Recognised map[string]int
	// NoAnswer counts the requests with an error that no row has.
	NoAnswer int

	rows    map[string]*Row
	errors  map[Class]*ErrorCount
	pending []unknownReply
}

// Row is one member, or one captured value that names no member.
type Row struct {
	Name     string
	Member   bool
	Requests int
	Errors   int
	latency  []time.Duration
}

// ErrorCount is how often one class occurred, with one message as an example.
type ErrorCount struct {
	Class   Class
	Count   int
	Message string
}

// unknownReply is kept, up to a bound, so that it can be looked at again with the names of pods that came up meanwhile.
type unknownReply struct{ reply Reply }

const (
	maxPending = 2000
	sampleSize = 120
)

// NewTally returns a tally with a row for each member.
func NewTally(members []Known) *Tally {
	t := &Tally{Recognised: map[string]int{}, rows: map[string]*Row{}, errors: map[Class]*ErrorCount{}}
	for _, m := range members {
		t.rows[m.Name] = &Row{Name: m.Name, Member: true}
	}
	return t
}

// Add counts one reply.
func (t *Tally) Add(r Reply, who Answer) {
	t.Requests++
	if r.Class != "" {
		e := t.errors[r.Class]
		if e == nil {
			e = &ErrorCount{Class: r.Class, Message: r.Message}
			t.errors[r.Class] = e
		}
		e.Count++
	}
	if who.Name != "" {
		t.attribute(r, who)
		return
	}
	if r.Class != "" {
		t.NoAnswer++
		return
	}
	t.Unknown++
	if t.Sample == "" {
		t.Sample = string(r.Body[:min(len(r.Body), sampleSize)])
	}
	if len(t.pending) < maxPending {
		r.Body = slices.Clone(r.Body)
		t.pending = append(t.pending, unknownReply{r})
	}
}

func (t *Tally) attribute(r Reply, who Answer) {
	row := t.rows[who.Name]
	if row == nil {
		row = &Row{Name: who.Name, Member: who.Member}
		t.rows[who.Name] = row
	}
	row.Requests++
	t.Recognised[who.By]++
	if r.Class != "" {
		row.Errors++
	}
	if r.Measured {
		row.latency = append(row.latency, r.Latency)
	}
}

// Again attributes what was unknown with what is known now.
func (t *Tally) Again(id *Identifier) {
	left := t.pending[:0]
	for _, u := range t.pending {
		if who := id.Identify(&u.reply); who.Name != "" {
			t.Unknown--
			t.attribute(u.reply, who)
			continue
		}
		left = append(left, u)
	}
	t.pending = left
	if t.Unknown == 0 {
		t.Sample = ""
	}
}

// Rows returns the rows: members in the given order, then other values by name.
func (t *Tally) Rows(members []Known) []*Row {
	var out []*Row
	for _, m := range members {
		out = append(out, t.rows[m.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		if !slices.ContainsFunc(members, func(m Known) bool { return m.Name == name }) {
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

// Latency sums up the measured times of a row. It is nil where nothing was measured.
func (r *Row) Latency() *Latency {
	n := len(r.latency)
	if n == 0 {
		return nil
	}
	slices.Sort(r.latency)
	l := &Latency{N: n, Min: r.latency[0], Max: r.latency[n-1]}
	var sum time.Duration
	for _, d := range r.latency {
		sum += d
	}
	l.Mean = sum / time.Duration(n)
	l.P50, l.P95, l.P99 = percentile(r.latency, 50), percentile(r.latency, 95), percentile(r.latency, 99)
	return l
}

// Latency is a summary; percentiles are nil where fewer than ten values lie above them.
type Latency struct {
	N              int
	Min, Mean, Max time.Duration
	P50, P95, P99  *time.Duration
}

// percentile is the nearest rank of sorted values.
func percentile(sorted []time.Duration, p int) *time.Duration {
	n := len(sorted)
	if n*(100-p) < 10*100 {
		return nil
	}
	v := sorted[(n*p+99)/100-1]
	return &v
}
