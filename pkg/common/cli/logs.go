package cli

import (
	"flag"
	"io"
	stdlog "log" //nolint:depguard // what net/http writes to it must not reach the user
	"os"
	"strconv"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// maxVerbosity is the highest klog level at which client-go logs no bodies.
const maxVerbosity = 7

// silenceLogs drops what libraries log, once for the process: client-go reports lost watches and the like through klog,
// net/http through package log. A command reports an error itself, in its own words.
var silenceLogs = sync.OnceFunc(func() { logTo(false) })

// logTo sends the log lines of libraries to stderr or drops them.
func logTo(stderr bool) {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	for name, value := range map[string]string{"stderrthreshold": "FATAL", "alsologtostderr": "false"} {
		if err := fs.Set(name, value); err != nil {
			panic(err) // klog has both flags
		}
	}
	if stderr {
		klog.LogToStderr(true)
		stdlog.SetOutput(os.Stderr)
		return
	}
	klog.SetOutput(io.Discard) // before klog stops using stderr: without an output it makes files
	klog.LogToStderr(false)
	stdlog.SetOutput(io.Discard)
}

// addVerbosity exports klog's -v only. Bodies, which klog would print from level 8 on, may hold keys: client-go
// prints them for Secrets too, so the level is capped below that.
func addVerbosity(root *cobra.Command) {
	level := 0
	root.PersistentFlags().IntVarP(&level, "v", "v", 0, "Log verbosity on stderr, up to 7: 6 shows each request's URL. Bodies are never logged.")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		level = min(max(level, 0), maxVerbosity)
		if level == 0 { // klog's flags are global, and tests run commands at the same time
			return nil
		}
		logTo(true)
		fs := flag.NewFlagSet("klog", flag.ContinueOnError)
		klog.InitFlags(fs)
		return fs.Set("v", strconv.Itoa(level))
	}
}
