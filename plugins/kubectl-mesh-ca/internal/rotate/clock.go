package rotate

import (
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Times that a cluster wrote (managedFields, logs, locks) are compared with the cluster's own clock. This machine's may be wrong.

const (
	// clockTold is the difference between two clocks from which people are told.
	clockTold = 30 * time.Second
	// clockLimit is the difference from which nothing is signed: new certificates are valid from some time before this machine's present on. If that is
	// later than a cluster's present, the cluster does not accept them.
	clockLimit = pki.Backdate / 2
)

// Clocks compares the clocks of clusters with this machine's. told is what a person should know; wrong are the reasons against signing certificates here.
func Clocks(members []*clusters.Member) (told, wrong []string) {
	for _, m := range members {
		skew, known := m.Skew()
		d := skew.Certain()
		how := "behind"
		if d < 0 {
			d, how = -d, "ahead of"
		}
		text := fmt.Sprintf("%s: the clock of this machine is %s %s that of the API server", m.Name, d.Round(time.Second), how)
		switch {
		case !known:
			told = append(told, m.Name+": the clock of the API server is not known, because its answers have no Date header. Make sure that the clock of this machine is right")
		case d >= clockLimit:
			wrong = append(wrong, text+": certificates that are signed here might not be valid there. Set the clock")
		case d >= clockTold:
			told = append(told, text+". Times that the cluster wrote are compared with its own clock")
		}
	}
	return told, wrong
}

// watched is the last event in a cluster, and since when this run has seen no later one, by this machine's clock.
type watched struct{ last, since time.Time }

// watch notes for how long this run has seen nothing new in each cluster.
func (r *run) watch() {
	if r.watched == nil {
		r.watched = map[string]watched{}
	}
	for _, c := range r.m.clusters {
		last := later(c.running.Rejected, c.changed())
		have, ok := r.watched[c.Member.Name]
		if !ok || !have.last.Equal(last) {
			have = watched{last, r.m.at}
			r.watched[c.Member.Name] = have
		}
		c.seen = have.since
	}
}

// age returns how long ago, at least, an event was whose time the cluster wrote. If the cluster's clock is not known, only what this run has seen itself counts.
func (m *mesh) age(c *cluster, at time.Time) time.Duration {
	if _, known := c.Member.Skew(); !known {
		return m.at.Sub(c.seen)
	}
	return c.Member.Earliest(m.at).Sub(at)
}

// logsSince returns the earliest time, by the clock of a cluster, of the lines of its logs that are read. Zero if that is not known: then the logs are read to their beginning.
func (m *mesh) logsSince(c *cluster) time.Time {
	if _, known := c.Member.Skew(); !known {
		return time.Time{}
	}
	return c.Member.Earliest(m.at).Add(-lookBack)
}
