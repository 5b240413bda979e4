package proc

import (
	"os"
	"testing"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	child, _ := spawnSleep(t, "memory")
	shell, err := Memory(child.Record)
	if err != nil || shell <= 0 {
		t.Errorf("a process that runs uses %d bytes, error %v", shell, err)
	}
	self, err := recordOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The shell is a child of this process.
	all, err := Memory(self)
	if err != nil || all <= shell {
		t.Errorf("this process and its children use %d bytes, one child %d; error %v", all, shell, err)
	}
	gone := child.Record
	gone.Start++ // another process of the same pid
	if used, err := Memory(gone); err != nil || used != 0 {
		t.Errorf("a process that is gone uses %d bytes, error %v", used, err)
	}
}

func TestProportional(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want int64
	}{
		"a kernel's answer":   {"00400000-7ffe [rollup]\nRss:      912 kB\nPss:      100 kB\nPss_Anon:      7 kB\n", 100 * 1024},
		"without the line":    {"Rss: 912 kB\n", 0},
		"not a number":        {"Pss: many kB\n", 0},
		"a process that ends": {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := proportional(tc.text); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
