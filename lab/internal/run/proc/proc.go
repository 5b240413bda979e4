// Package proc starts processes that outlive their starter, records them in files,
// and finds them again without mistaking a stranger for them. It knows Linux's
// /proc and nothing of what the processes do.
package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// Condition is how a recorded process is.
type Condition string

// The conditions of a process. A zombie is Gone.
const (
	Running Condition = "running"
	Frozen  Condition = "frozen"
	Gone    Condition = "gone"
)

// Record identifies a process. A pid alone does not: it is given to somebody else
// after the process ended. The time of its start, counted since a certain boot,
// does.
type Record struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
	// Path is the program's file.
	Path string `json:"path"`
}

// Command is a process to be started.
type Command struct {
	Path string
	Args []string
	Dir  string
	// Log gets standard output and standard error, appended.
	Log string
	// PIDFile gets the Record.
	PIDFile string
}

// Child is a process that was just started.
type Child struct {
	Record
	// Ended is closed when it ends, if this process still runs then.
	Ended <-chan struct{}
}

// Spawn starts a process in a session of its own: it gets no signal that a terminal
// sends to us, and goes on when we end.
func Spawn(c Command) (*Child, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	// Not our context: the process outlives us.
	cmd := exec.CommandContext(context.Background(), c.Path, c.Args...) //nolint:gosec // a binary that the lab built
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	record, err := recordOf(cmd.Process.Pid)
	if err == nil {
		record.Path = c.Path
		err = record.write(c.PIDFile)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(c.Path), err), cmd.Process.Kill())
	}
	return &Child{Record: record, Ended: ended}, nil
}

// Read reads a record; ok is false if there is none, or none that can be read.
func Read(file string) (r Record, ok bool, err error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	if err := json.Unmarshal(data, &r); err != nil || r.PID <= 0 {
		return Record{}, false, nil //nolint:nilerr // half a record counts as none
	}
	return r, true, nil
}

func (r Record) write(file string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return state.WriteFile(file, append(data, '\n'), 0o600)
}

// Condition says how the process is now.
func (r Record) Condition() Condition {
	boot, err := bootID()
	if err != nil || boot != r.Boot {
		return Gone
	}
	stat, err := readStat(r.PID)
	if err != nil || stat.start != r.Start {
		return Gone
	}
	switch stat.state {
	case 'Z', 'X':
		return Gone
	case 'T', 't':
		return Frozen
	default:
		return Running
	}
}

// Signal sends a signal to the process, never to another one of the same pid; a
// process that has ended is not an error.
func (r Record) Signal(sig syscall.Signal) error {
	fd, ok, err := r.open()
	if err != nil || !ok {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", r.PID, err)
	}
	return nil
}

// open opens the process and then makes sure that it is ours: from then on the
// descriptor cannot come to mean another process.
func (r Record) open() (fd int, ok bool, err error) {
	fd, err = unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("open process %d: %w", r.PID, err)
	}
	if r.Condition() == Gone {
		return 0, false, unix.Close(fd)
	}
	return fd, true, nil
}

const pollStep = 100 * time.Millisecond

// WaitGone waits until the process is gone; false means that ctx ended first.
func (r Record) WaitGone(ctx context.Context) (bool, error) {
	fd, ok, err := r.open()
	if err != nil || !ok {
		return err == nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(pollStep.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, nil
		}
	}
}

// End ends the process: SIGTERM, and SIGKILL when grace is over. With no grace it
// kills at once. A frozen process is killed, as it cannot hear.
func (r Record) End(ctx context.Context, grace time.Duration) error {
	if grace > 0 && r.Condition() == Running {
		if err := r.Signal(unix.SIGTERM); err != nil {
			return err
		}
		graceCtx, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		if gone, err := r.WaitGone(graceCtx); gone || err != nil {
			return err
		}
	}
	if err := r.Signal(unix.SIGKILL); err != nil {
		return err
	}
	gone, err := r.WaitGone(ctx)
	if err == nil && !gone {
		err = fmt.Errorf("process %d does not end: %w", r.PID, ctx.Err())
	}
	return err
}

// Find returns the processes of this user that run a program called one of names
// with the argument arg: what a lab left behind whose records are lost.
func Find(arg string, names ...string) ([]Record, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []Record
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !runs(pid, arg, names) {
			continue
		}
		if record, err := recordOf(pid); err == nil && record.Condition() != Gone {
			found = append(found, record)
		}
	}
	return found, nil
}

func runs(pid int, arg string, names []string) bool {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	args := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	for _, name := range names {
		if filepath.Base(args[0]) != name {
			continue
		}
		for _, a := range args[1:] {
			if a == arg {
				return true
			}
		}
	}
	return false
}

func recordOf(pid int) (Record, error) {
	boot, err := bootID()
	if err != nil {
		return Record{}, err
	}
	stat, err := readStat(pid)
	if err != nil {
		return Record{}, err
	}
	return Record{PID: pid, Start: stat.start, Boot: boot}, nil
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

type stat struct {
	state  byte
	parent int
	start  uint64
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(data))
}

// parseStat reads fields 3 (state), 4 (parent) and 22 (start time) of /proc/PID/stat, see
// proc_pid_stat(5). Field 2, the name, is in brackets and may hold brackets and
// spaces itself, so what counts is after the last bracket.
func parseStat(line string) (stat, error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	const firstField = 3
	const stateField, parentField, startField = 0, 4 - firstField, 22 - firstField
	if len(fields) <= startField {
		return stat{}, fmt.Errorf("unexpected content of a stat file: %q", line)
	}
	start, err := strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("unexpected content of a stat file: %w", err)
	}
	parent, err := strconv.Atoi(fields[parentField])
	if err != nil {
		return stat{}, fmt.Errorf("unexpected content of a stat file: %w", err)
	}
	return stat{state: fields[stateField][0], parent: parent, start: start}, nil
}
