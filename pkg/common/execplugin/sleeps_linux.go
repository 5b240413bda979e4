package execplugin

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// ticks is how many units of CPU time /proc counts in a second; Linux shows 100 to every program.
	ticks = 100
	// maxLoad is which part of its time a process that waits may spend on the CPU.
	maxLoad = 0.25
)

// sleeps reports whether a process that began at some time, with all that it started, uses little CPU time and has nothing to do at this moment.
func sleeps(pid int, began time.Time) bool {
	used, asleep := load(pid)
	return asleep && used.Seconds() <= maxLoad*time.Since(began).Seconds()
}

// load returns the CPU time of a process and of those that it started, and whether all their threads sleep. It does not count processes that it cannot see
// as asleep.
func load(pid int) (used time.Duration, asleep bool) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		return 0, false
	}
	used, asleep = cpuTime(fmt.Sprintf("/proc/%d/stat", pid))
	for _, thread := range threads {
		_, sleeping := cpuTime(thread + "/stat")
		children, err := os.ReadFile(thread + "/children")
		if err != nil || !sleeping {
			return 0, false
		}
		for child := range strings.FieldsSeq(string(children)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				return 0, false
			}
			more, sleeping := load(n)
			if !sleeping {
				return 0, false
			}
			used += more
		}
	}
	return used, asleep
}

// cpuTime reads the stat file of a process or a thread: its CPU time, with that of children that have ended, and whether it sleeps.
func cpuTime(file string) (used time.Duration, asleep bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	// The name of the program, in parentheses, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const first = 11 // utime, stime, cutime, cstime
	if len(fields) < first+4 {
		return 0, false
	}
	for _, f := range fields[first : first+4] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, false
		}
		used += time.Duration(n) * time.Second / ticks
	}
	return used, fields[0] == "S"
}
