package output

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The values of --color.
const (
	colourAuto   = "auto"
	colourAlways = "always"
	colourNever  = "never"
)

// The escape sequences of terminals (ECMA-48, SGR). Only the eight basic colours: every terminal's palette keeps them readable.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// stateFormat marks the columns whose cells are results, severities or verdicts.
const stateFormat = "state"

// stateColumns are the columns that are marked by their name alone.
var stateColumns = []string{"RESULT", "SEVERITY", "STATUS", "TRUST"}

// MarkStates marks the columns of a table from this one on: their cells are results, which are coloured on a terminal.
func MarkStates(t *metav1.Table, from int) {
	for i := from; i < len(t.ColumnDefinitions); i++ {
		t.ColumnDefinitions[i].Format = stateFormat
	}
}

// colourOf returns the colour of a result by its first word, "" for none.
func colourOf(text string) string {
	word, _, _ := strings.Cut(text, " ")
	switch strings.Trim(word, "():,") {
	case "changed", "ok", "fresh", "PASS", "SAME":
		return green
	case "error", "failed", "refused", "broken", "stale", "FAIL", "DIFFERENT", "expired",
		"dns", "timeout", "tls", "unauthorized", "forbidden", "notfound", "no-cilium":
		return red
	case "warning", "skipped", "unknown", "?", "INCONCLUSIVE":
		return yellow
	case "planned", "info":
		return cyan
	}
	return ""
}

// checkColour refuses an unknown value of --color.
func (f *Flags) checkColour() error {
	if !slices.Contains([]string{"", colourAuto, colourAlways, colourNever}, f.Colour) {
		return fmt.Errorf("invalid value %q for --color; must be one of: auto, always, never", f.Colour)
	}
	return nil
}

// coloured reports whether tables on a stream have colours. NO_COLOR is https://no-color.org; a flag wins over it.
func (f *Flags) coloured(w io.Writer) bool {
	switch f.Colour {
	case colourAlways:
		return true
	case colourNever:
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && TakesEscapes(w)
}
