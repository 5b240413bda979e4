package output

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// terminal opens a terminal with some columns.
func terminal(t *testing.T, columns uint16) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	var unlocked, number uint32
	size := [4]uint16{24, columns} // rows, columns, and two sizes in pixels
	for request, value := range map[uintptr]unsafe.Pointer{
		syscall.TIOCSPTLCK: unsafe.Pointer(&unlocked), syscall.TIOCGPTN: unsafe.Pointer(&number), syscall.TIOCSWINSZ: unsafe.Pointer(&size),
	} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(value)); errno != 0 {
			t.Fatal(errno)
		}
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return slave
}

func TestTerminalWidth(t *testing.T) {
	t.Setenv("COLUMNS", "")
	for columns, table := range map[uint16]int{80: 80, 300: maxWidth} {
		tty := terminal(t, columns)
		if got, ok := TerminalWidth(tty); got != int(columns) || !ok {
			t.Errorf("%d columns: got %d, %v", columns, got, ok)
		}
		if got := tableWidth(tty); got != table {
			t.Errorf("%d columns: a table gets %d, want %d", columns, got, table)
		}
	}
	if got, ok := TerminalWidth(terminal(t, 0)); ok {
		t.Errorf("a terminal that does not report its width: got %d", got)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, ok := TerminalWidth(file); ok {
		t.Error("a file has a width")
	}
	if _, ok := TerminalWidth(&bytes.Buffer{}); ok {
		t.Error("a buffer has a width")
	}
	if got := tableWidth(&bytes.Buffer{}); got != maxWidth {
		t.Errorf("a table in a buffer gets %d", got)
	}
}
