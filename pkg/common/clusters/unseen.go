package clusters

import (
	"slices"
	"strings"
	"sync"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// unseenMu guards what all members could not see; members are copied, and so hold none of their own.
var unseenMu sync.Mutex

// Unseen notes what is not known of a member because a permission is missing, as in "Cilium's version is not known", where the command goes on without it.
// It is safe for concurrent use: a member is asked several things at once.
func (m *Member) Unseen(what string, err error) {
	line := what
	if p, ok := failure.MissingPermission(err); ok {
		line += ": " + p.String()
	}
	unseenMu.Lock()
	defer unseenMu.Unlock()
	if !slices.Contains(m.unseen, line) {
		m.unseen = append(slices.Clip(m.unseen), line) // copies of the member have the same array
	}
}

// TakeUnseen returns what could not be seen and was not returned before, one line for all members of which it is equal.
func TakeUnseen(members []*Member) []string {
	var lines []string
	names := map[string][]string{}
	unseenMu.Lock() // commands of one process, as in tests, may share members
	defer unseenMu.Unlock()
	for _, m := range members {
		for _, line := range m.unseen[m.told:] {
			if names[line] == nil {
				lines = append(lines, line)
			}
			names[line] = append(names[line], m.Name)
		}
		m.told = len(m.unseen)
	}
	for i, line := range lines {
		lines[i] = strings.Join(names[line], ", ") + ": " + line
	}
	return lines
}

// After returns a copy of the member, which is a later copy of another one. What TakeUnseen returned of that one it does not return again.
func (m *Member) After(earlier *Member) *Member {
	out := *m
	out.told = earlier.told
	return &out
}
