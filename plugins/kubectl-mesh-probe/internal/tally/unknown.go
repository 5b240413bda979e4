package tally

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// unknowns contains a copy of each distinct unknown reply and how often it arrived. When the names of new pods are known, all of them are
// examined again. Its size is limited. Replies that do not fit are counted by the tally and stay unknown.
type unknowns struct {
	groups map[[sha256.Size]byte]*unknownGroup
	bytes  int
	last   int // the number of the last group
}

// unknownGroup is one distinct reply.
type unknownGroup struct {
	reply  reply.Reply
	count  int
	errors int
	size   int
	number int // in the order of arrival, from 1
}

// UnknownSample is the beginning of one distinct reply, and how often it arrived. For a connection it is the address to which its socket leads, empty if
// that is unknown.
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

// add keeps a reply and returns its number, 0 if there is no room for it.
func (u *unknowns) add(r reply.Reply) int {
	key := sha256.New()
	for _, line := range r.Header {
		name, _, _ := reply.SplitHeader(line)
		if !slices.Contains(volatileHeaders, strings.ToLower(name)) {
			key.Write([]byte(line + "\n"))
		}
	}
	key.Write([]byte("\n"))
	if r.Peer.IsValid() {
		r.Body = []byte(r.Peer.String())
	}
	key.Write(r.Body)
	sum := [sha256.Size]byte(key.Sum(nil))
	g := u.groups[sum]
	if g == nil {
		size := len(r.Body) + 64
		for _, line := range r.Header {
			size += len(line)
		}
		if len(u.groups) >= maxUnknownGroups || u.bytes+size > maxUnknownBytes {
			return 0
		}
		if u.groups == nil {
			u.groups = map[[sha256.Size]byte]*unknownGroup{}
		}
		r.Body = bytes.Clone(r.Body)
		u.last++
		g = &unknownGroup{reply: r, number: u.last, size: size}
		u.bytes += size
		u.groups[sum] = g
	}
	g.count++
	g.errors += failures(r)
	return g.number
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
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.number, b.number))
	})
	var out []UnknownSample
	for _, g := range groups[:min(len(groups), most)] {
		body := g.reply.Body
		out = append(out, UnknownSample{Count: g.count, Body: string(body[:min(len(body), sampleSize)])})
	}
	return out
}
