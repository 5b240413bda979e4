package wire

import (
	"strconv"
	"time"
)

// Program is how the pod runs a tool.
type Program struct {
	// Expand says that the tool itself repeats the URL, by a range that the script appends. Otherwise the script repeats the URL in the command.
	Expand bool
	URL    string
	// Config are the lines of the configuration that the tool reads from stdin.
	Config []string
	// Words are the words of the command.
	Words []string
}

// lines are what run() in script.sh reads.
func (p Program) lines(pod Pod) []string {
	mode, readTimeout := "list", ""
	if p.Expand {
		mode = "glob"
	}
	if pod.ReadTimeout {
		readTimeout = "-t " + strconv.Itoa(int(deadMan/time.Second))
	}
	out := []string{"run", mode, readTimeout, p.URL, strconv.Itoa(len(p.Config))}
	out = append(out, p.Config...)
	out = append(out, strconv.Itoa(len(p.Words)))
	return append(out, p.Words...)
}
