package request

import "testing"

func TestParseHeader(t *testing.T) {
	t.Parallel()
	if got, err := ParseHeader("X-A :  b: c "); err != nil || got != "X-A: b: c" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, raw := range []string{"", "nocolon", ": x", "A B: c", "A: b\nC: d", "A: b\rC", "A: \x00", "Connection: keep-alive", "a{b: c"} {
		if got, err := ParseHeader(raw); err == nil {
			t.Errorf("ParseHeader(%q) = %q", raw, got)
		}
	}
}
