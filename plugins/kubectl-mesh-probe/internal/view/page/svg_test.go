package page

import (
	"encoding/xml"
	"strconv"
	"strings"
	"testing"
)

// attributes returns the numbers of an element; w and h are those of its viewBox.
func attributes(t *testing.T, e xml.StartElement) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "viewBox":
			f := strings.Fields(a.Value)
			out["w"], out["h"] = number(t, f[2]), number(t, f[3])
		case "x", "y", "width", "height", "x1", "x2", "y1", "y2":
			out[a.Name.Local] = number(t, a.Value)
		}
	}
	return out
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("%q is not a number", s)
	}
	return v
}
