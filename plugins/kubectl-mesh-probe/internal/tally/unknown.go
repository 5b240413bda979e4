package tally

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// unknowns contains a copy of each distinct unknown reply and how often it arrived. When the names of new pods are known, all of them are
// examined again. Its size is limited. Replies that do not fit are counted by the tally and stay unknown.
type unknowns struct {
	groups map[[sha256.Size]byte]*unknownGroup
	bytes  int
	next   int
}

// unknownGroup is one distinct reply.
type unknownGroup struct {
	reply   reply.Reply
	count   int
	errors  int
	size    int
	latency []time.Duration
	order   int
}

// UnknownSample is the beginning of one distinct reply, and how often it arrived.
type UnknownSample struct {
	Count int
	Body  string
}

const (
	maxUnknownGroups = 5000
	maxUnknownBytes  = 16 << 20
	sampleSize       = 120
)

// volatileHeaders differ between replies and never identify the sender.
var volatileHeaders = []string{"date", "age", "expires", "last-modified", "etag", "content-length"}

func (u *unknowns) add(r reply.Reply) {
	key := sha256.New()
	for _, line := range r.Header {
		name, _, _ := reply.SplitHeader(line)
		if !slices.Contains(volatileHeaders, strings.ToLower(name)) {
			key.Write([]byte(line + "\n"))
		}
	}
	key.Write([]byte("\n"))
	key.Write(r.Body)
	sum := [sha256.Size]byte(key.Sum(nil))
	g := u.groups[sum]
	if g == nil {
		size := len(r.Body) + 64
		for _, line := range r.Header {
			size += len(line)
		}
		if len(u.groups) >= maxUnknownGroups || u.bytes+size > maxUnknownBytes {
			return
		}
		if u.groups == nil {
			u.groups = map[[sha256.Size]byte]*unknownGroup{}
		}
		r.Body = bytes.Clone(r.Body)
		g = &unknownGroup{reply: r, order: u.next, size: size}
		u.next++
		u.bytes += size
		u.groups[sum] = g
	}
	g.count++
	g.errors += failures(r)
	g.latency = append(g.latency, measured(r)...)
}

// take calls f for every group, and drops those for which f returns true.
func (u *unknowns) take(f func(*unknownGroup) bool) {
	for sum, g := range u.groups {
		if f(g) {
			delete(u.groups, sum)
			u.bytes -= g.size
		}
	}
}

func (u *unknowns) samples(most int) []UnknownSample {
	groups := slices.SortedFunc(maps.Values(u.groups), func(a, b *unknownGroup) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.order, b.order))
	})
	var out []UnknownSample
	for _, g := range groups[:min(len(groups), most)] {
		body := g.reply.Body
		out = append(out, UnknownSample{Count: g.count, Body: string(body[:min(len(body), sampleSize)])})
	}
	return out
}
