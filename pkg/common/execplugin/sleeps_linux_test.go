package execplugin

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestSleeps: a process that waits is told from one that computes, also in what it started.
func TestSleeps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		want   bool
	}{
		"waits":               {"sleep 1000; true", true},
		"computes":            {"while :; do :; done", false},
		"its child computes":  {"(while :; do :; done); true", false},
		"one of two computes": {"sleep 1000 & while :; do :; done", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", c.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				_ = cmd.Wait() // it was killed
			})
			time.Sleep(200 * time.Millisecond) // a process that starts computes
			looks := 20
			if c.want {
				looks = 2000 // this machine may be busy
			}
			got := false
			for n := 0; n < looks && !got; n++ {
				time.Sleep(10 * time.Millisecond) // between two looks
				got = sleeps(cmd.Process.Pid, began)
			}
			if got != c.want {
				t.Errorf("sleeps: %v", got)
			}
		})
	}
	if sleeps(1<<30, time.Now()) {
		t.Error("a process that does not exist sleeps")
	}
}
