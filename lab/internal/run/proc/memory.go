package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is how many bytes of memory the processes and all their descendants use. A page that several processes share is counted in parts, so
// that the sum over all processes is right. What the kernel keeps for them, such as BPF maps, is not in it. Processes that end meanwhile, or that
// must not be looked at, count nothing.
func Memory(records ...Record) (bytes int64, err error) {
	children, err := childrenOf()
	if err != nil {
		return 0, err
	}
	var left []int
	for _, r := range records {
		if r.Condition() != Gone {
			left = append(left, r.PID)
		}
	}
	for len(left) > 0 {
		pid := left[0]
		left = append(left[1:], children[pid]...)
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err == nil {
			bytes += proportional(string(text))
		}
	}
	return bytes, nil
}

// childrenOf is a snapshot of all processes by their parents.
func childrenOf() (map[int][]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil {
			children[stat.parent] = append(children[stat.parent], pid)
		}
	}
	return children, nil
}

// proportional reads the line Pss of /proc/PID/smaps_rollup, see proc_pid_smaps(5), in bytes.
func proportional(text string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes * 1024
		}
	}
	return 0
}
