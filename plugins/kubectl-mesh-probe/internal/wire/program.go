package wire

import (
	"strconv"
	"time"
)

// Program is how the pod runs a tool.
type Program struct {
	// Expand says that the tool itself repeats the URL, by a range that the script appends. Otherwise the script repeats the URL in the command.
	Expand bool
	// Dial says that the words open one connection, to which nothing is sent. There is no URL: the words name host and port.
	Dial bool
	URL  string
	// Config are the lines of the configuration that the tool reads from stdin.
	Config []string
	// Words are the words of the command.
	Words []string
}

// lines are what settings() in script.sh reads. order says what to do with them: run or open.
func (p Program) lines(order string, pod Pod) []string {
	mode, readTimeout := "list", ""
	switch {
	case p.Expand:
		mode = "glob"
	case p.Dial:
		mode = "tcp"
	}
	if pod.ReadTimeout {
		readTimeout = "-t " + strconv.Itoa(int(deadMan/time.Second))
	}
	out := []string{order, mode, readTimeout, p.URL, strconv.Itoa(len(p.Config))}
	out = append(out, p.Config...)
	out = append(out, strconv.Itoa(len(p.Words)))
	return append(out, p.Words...)
}
