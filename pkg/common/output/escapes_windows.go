package output

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableEscapes makes a console of Windows understand escape sequences. Windows Terminal always does; an older console prints them as text until it
// is asked to, and one before Windows 10 cannot.
func enableEscapes(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	if windows.GetConsoleMode(console, &mode) != nil {
		return false
	}
	return mode&windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0 ||
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
