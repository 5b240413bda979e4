package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/proc"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// laps is how long the parts of a start took, in their order.
type laps struct {
	last  time.Time
	parts []lap
}

type lap struct {
	name string
	took time.Duration
}

func newLaps(now time.Time) *laps { return &laps{last: now} }

// end takes note of the part that has just ended.
func (l *laps) end(name string, now time.Time) {
	l.parts = append(l.parts, lap{name, now.Sub(l.last)})
	l.last = now
}

// String says how long everything took, and each part.
func (l *laps) String() string {
	var all time.Duration
	texts := make([]string, 0, len(l.parts))
	for _, p := range l.parts {
		all += p.took
		texts = append(texts, fmt.Sprintf("%s %.1f s", p.name, p.took.Seconds()))
	}
	return fmt.Sprintf("the lab started in %.1f s: %s", all.Seconds(), strings.Join(texts, ", "))
}

// logCost prints what a start took, and the memory that the lab uses. A lab is no worse if this cannot be found out.
func (m *Manager) logCost(l *state.Lab, took *laps) {
	m.logf("%s", took)
	planes := make([]string, 0, len(l.Clusters))
	for _, c := range l.Clusters {
		planes = append(planes, m.Dir.ClusterPID(c.Name))
	}
	first, err := memoryOf(planes...)
	if err != nil {
		m.logf("cannot tell the memory that it uses: %v", err)
		return
	}
	second, err := memoryOf(m.Dir.NetPID(), m.Dir.ChooserPID())
	if err != nil {
		m.logf("cannot tell the memory that it uses: %v", err)
		return
	}
	m.logf("%s", memoryLine(first, second))
}

// memoryOf is the memory of recorded processes, in bytes; those without a record use none.
func memoryOf(files ...string) (int64, error) {
	var records []proc.Record
	for _, file := range files {
		record, ok, err := proc.Read(file)
		if err != nil {
			return 0, err
		}
		if ok {
			records = append(records, record)
		}
	}
	return proc.Memory(records...)
}

func memoryLine(planes, nodes int64) string {
	const mega = 1 << 20
	return fmt.Sprintf("its processes use %d MB of memory: control planes %d MB, nodes with their pods %d MB", (planes+nodes)/mega, planes/mega, nodes/mega)
}
