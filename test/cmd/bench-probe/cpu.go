package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one process of this machine. Its times are in hundredths of a second.
type process struct {
	pid          int
	command      string  // with its arguments
	self, waited float64 // of the process, and of its children that have ended
}

// processes reads /proc.
func processes() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []process
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		cmdline, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue
		}
		p := process{command: strings.ReplaceAll(string(cmdline), "\x00", " ")}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		p.self, p.waited = times(string(stat))
		out = append(out, p)
	}
	return out
}

// times reads the CPU times from a line of /proc/PID/stat.
func times(stat string) (self, waited float64) {
	// The name is in brackets and may contain brackets. Then come the state and, from the 12th, the times.
	f := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(f) < 15 {
		return 0, 0
	}
	n := func(i int) float64 {
		v, _ := strconv.ParseFloat(f[i], 64)
		return v
	}
	return n(11) + n(12), n(13) + n(14)
}

// usage is the CPU time in seconds of the lab's parts so far.
type usage struct {
	apiServer float64 // with etcd and the controller manager
	kubelet   float64 // with the lab's DNS and choice of backends
	pods      float64 // processes that an exec has started and that have ended
	network   float64 // the node's processes, which carry the packets, and the servers
}

// used reads how much the parts of the lab have used.
func used() usage {
	var u usage
	for _, p := range processes() {
		name := filepath.Base(strings.SplitN(p.command, " ", 2)[0])
		switch {
		case name == "meshlab-cluster":
			u.apiServer += p.self / 100
		case name == "meshlab-net":
			u.kubelet += p.self / 100
		case name == "meshlab-pod" && strings.Contains(p.command, " node"):
			u.network += p.self / 100
			u.pods += p.waited / 100
		case strings.Contains(p.command, "/lab web"):
			u.network += p.self / 100
		}
	}
	return u
}

func (u usage) minus(o usage) usage {
	return usage{u.apiServer - o.apiServer, u.kubelet - o.kubelet, u.pods - o.pods, u.network - o.network}
}
