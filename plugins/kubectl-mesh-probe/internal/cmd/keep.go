package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// keepFlags are what is watched and kept of a run.
type keepFlags struct {
	eventFlags
	record, page string
	watch        bool
	command      commandOutput
}

const reportUsage = "File to write the report to as an HTML page. The page needs no network and no scripts. An earlier page is replaced."

func (f *keepFlags) addFlags(fs *pflag.FlagSet) {
	f.eventFlags.addFlags(fs)
	f.addFiles(fs)
	fs.BoolVar(&f.watch, "watch", false, "If true, show the timeline while requests are sent: shares, errors, latency and marks. Without a terminal, print one line for each interval.")
}

// addFiles registers the flags of what is kept in files.
func (f *keepFlags) addFiles(fs *pflag.FlagSet) {
	fs.StringVar(&f.record, "record", "", "File to record every request in, as compressed JSON lines. kubectl mesh-probe report, compare and merge read it. The file must not exist.")
	fs.StringVar(&f.page, "report", "", reportUsage)
}

// configure checks the flags and completes the config of the run.
func (f *keepFlags) configure(cfg *probe.Config, given func(flag string) bool) error {
	var err error
	if cfg.Marks, cfg.Action, err = f.events(given, cfg.Send.Duration, &f.command); err != nil {
		return err
	}
	return f.checkFiles(given)
}

func (f *keepFlags) checkFiles(given func(flag string) bool) error {
	switch {
	case f.record == "" && given("record"):
		return errors.New("--record: the name of the file is empty")
	case f.page == "" && given("report"):
		return errors.New("--report: the name of the file is empty")
	}
	return checkPage(f.page, f.record)
}

// open creates the record. It is nil if none is to be kept.
func (f *keepFlags) open() (*recordFile, error) {
	if f.record == "" {
		return nil, nil
	}
	return createRecord(f.record)
}

// finish completes the record and writes the page.
func (f *keepFlags) finish(kept *recordFile, doc v1alpha1.ProbeReport) error {
	var err error
	if kept != nil {
		err = kept.finish(doc)
	}
	return errors.Join(err, writePage(f.page, doc))
}

// showCommand prints what the command of --mark-on printed.
func (f *keepFlags) showCommand(e *kernel.Env) {
	for line := range strings.Lines(f.command.String()) {
		e.Say("--mark-on: %s", strings.TrimRight(line, "\r\n"))
	}
}

// eventFlags are the marks on the clock of a run.
type eventFlags struct {
	marks     []string
	markOn    string
	markAfter time.Duration
}

// markAfterDefault is how long requests are sent before the command of --mark-on starts.
const markAfterDefault = 3 * time.Second

func (f *eventFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.marks, "mark", nil, "Text to put on the timeline, as TIME=TEXT, such as 3s='failover begins' (repeatable). TIME counts from the first request. TEXT alone is put at the first request.")
	fs.StringVar(&f.markOn, "mark-on", "", "Command to run on this machine with 'sh -c' while requests are sent. The timeline shows its start, its end and its exit code. The report shows the longest time without a successful answer after its start. If the command fails, the exit code is 2.")
	fs.DurationVar(&f.markAfter, "mark-after", markAfterDefault, "How long after the first request the command of --mark-on starts.")
}

// events checks the flags.
func (f *eventFlags) events(given func(flag string) bool, duration time.Duration, streams *commandOutput) ([]probe.Mark, *probe.Action, error) {
	var marks []probe.Mark
	for _, text := range f.marks {
		m, err := parseMark(text)
		if err != nil {
			return nil, nil, err
		}
		marks = append(marks, m)
	}
	switch {
	case f.markOn == "" && given("mark-on"):
		return nil, nil, errors.New("--mark-on: the command is empty")
	case f.markOn == "" && given("mark-after"):
		return nil, nil, errors.New("--mark-after requires --mark-on")
	case f.markOn == "":
		return marks, nil, nil
	case f.markAfter < 0:
		return nil, nil, errors.New("--mark-after must not be negative")
	case duration > 0 && f.markAfter >= duration:
		return nil, nil, fmt.Errorf("--mark-after %s must be less than --duration %s", f.markAfter, duration)
	}
	run := func(ctx context.Context) (int, error) { return shell(ctx, f.markOn, streams) }
	return marks, &probe.Action{After: f.markAfter, Command: f.markOn, Run: run}, nil
}

// parseMark reads TIME=TEXT or TEXT. A text with an equals sign needs a time, even if it is 0s.
func parseMark(s string) (probe.Mark, error) {
	at, text, found := strings.Cut(s, "=")
	if !found {
		at, text = "0s", s
	}
	after, err := time.ParseDuration(at)
	switch {
	case err != nil:
		return probe.Mark{}, fmt.Errorf("--mark %q: %q is not a time; write TIME=TEXT, such as 3s=begins", s, at)
	case after < 0:
		return probe.Mark{}, fmt.Errorf("--mark %q: the time must not be negative", s)
	case strings.TrimSpace(text) == "":
		return probe.Mark{}, fmt.Errorf("--mark %q: the text is empty", s)
	}
	return probe.Mark{After: after, Text: text}, nil
}

// commandOutput keeps the beginning of what a command prints. It is shown after the run, so that it does not mix with the progress.
type commandOutput struct {
	text bytes.Buffer
	cut  int // how many bytes were not kept
}

// maxCommandOutput is how much of it is kept.
const maxCommandOutput = 16 << 10

// Write implements io.Writer.
func (o *commandOutput) Write(b []byte) (int, error) {
	kept := min(len(b), max(0, maxCommandOutput-o.text.Len()))
	o.text.Write(b[:kept])
	o.cut += len(b) - kept
	return len(b), nil
}

// String returns what was kept, and says how much was not.
func (o *commandOutput) String() string {
	if o.cut == 0 {
		return o.text.String()
	}
	return fmt.Sprintf("%s\n[%d more bytes are not shown]\n", strings.TrimRight(o.text.String(), "\n"), o.cut)
}

// shell runs a command of the user as a shell does, without input. Its exit code is not an error.
func shell(ctx context.Context, command string, out *commandOutput) (int, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // the user typed it for the shell
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second // a process that it left behind may keep the output open
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, err
}
