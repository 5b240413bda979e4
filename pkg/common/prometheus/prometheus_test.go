package prometheus

import "testing"

// A name that a cluster chose neither ends the label nor controls a terminal.
func TestLabels(t *testing.T) {
	t.Parallel()
	m := &Metrics{}
	m.Family("x", Gauge, "Help.")
	m.Sample("1", "name", "a\"b\\c\nd\x1b[2J\u009b\x7f\xff")
	const want = "# HELP x Help.\n# TYPE x gauge\nx{name=\"a\\\"b\\\\c\\nd[2J\uFFFD\"} 1\n"
	if got := string(m.Bytes()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
