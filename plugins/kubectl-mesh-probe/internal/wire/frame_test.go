package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testNonce = "0123456789abcdef0123456789abcdef"

func parseAll(t *testing.T, pieces ...string) ([]string, *parser) {
	t.Helper()
	var got []string
	p := newParser(testNonce, 1000, func(f Frame) { got = append(got, fmt.Sprintf("%c|%s|%s|%d", f.verb, f.Text, f.Data, f.Size)) })
	for _, s := range pieces {
		if _, err := p.Write([]byte(s)); err != nil {
			break
		}
	}
	return got, p
}

func TestParser(t *testing.T) {
	t.Parallel()
	n := testNonce + " "
	stream := "motd\n" + n + "V 1\n" + n + "B 1\nbody without newline" + n + "E 1 0\n" + n + "B 2\n" + n + "H\n" + "a" + n + "H\n" + "b\n" + n + "E 2 28\n" + n + "Z 2\n"
	want := []string{"V|1|motd\n|5", "B|1||0", "E|1 0|body without newline|20", "B|2||0", "E|2 28|ab\n|3", "Z|2||0"}
	whole, _ := parseAll(t, stream)
	if diff := cmp.Diff(want, whole); diff != "" {
		t.Errorf("whole (-want +got)\n%s", diff)
	}
	single, p := parseAll(t, strings.Split(stream, "")...)
	if diff := cmp.Diff(want, single); diff != "" {
		t.Errorf("byte by byte (-want +got)\n%s", diff)
	}
	if p.beats != 2 {
		t.Errorf("%d heartbeats", p.beats)
	}
}

func TestParserHeartbeatInsideARecord(t *testing.T) {
	t.Parallel()
	n := testNonce + " "
	got, _ := parseAll(t, "x", n+"C 200 1 ", n+"H\n", "10 20\n")
	if diff := cmp.Diff([]string{"C|200 1 10 20|x|1"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// head may cut a record of curl in two; the next line must not be lost.
func TestParserRecordCutOff(t *testing.T) {
	t.Parallel()
	n := testNonce + " "
	got, _ := parseAll(t, "body", n+"C 200 1 1", n+"E 5 0\n")
	if diff := cmp.Diff([]string{"E|5 0|body|4"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParserLimits(t *testing.T) {
	t.Parallel()
	got, _ := parseAll(t, strings.Repeat("x", 700), strings.Repeat("y", 700), testNonce+" E 1 0\n")
	if want := "E|1 0|" + strings.Repeat("x", 700) + strings.Repeat("y", 300) + "|1400"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{testNonce + " " + strings.Repeat("z", maxLine+100), testNonce + " Boom 1\n", testNonce + " \n"} {
		if _, p := parseAll(t, bad); p.err == nil {
			t.Errorf("no error for %.60q", bad)
		}
	}
}

// However the stream is cut into pieces, the frames are the same, and nothing makes the parser fail or hang.
func FuzzParser(f *testing.F) {
	n := testNonce + " "
	f.Add([]byte("a"+n+"B 1\nbody"+n+"H\n"+n+"E 1 0\n"+n+"Z 1\n"), 3)
	f.Add([]byte(n+"C 200 "+n+"H\n1\n"), 1)
	f.Add([]byte("a"+n+"H 12 /x 3\nb"+n+"C 2"+n+"H 7\n00\n"+n+"Hx\n"), 5)
	f.Add([]byte(testNonce[:20]+n), 7)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		read := func(step int) (frames []string, p *parser) {
			p = newParser(testNonce, 64, func(f Frame) { frames = append(frames, fmt.Sprintf("%c|%s|%q|%d", f.verb, f.Text, f.Data, f.Size)) })
			for rest := stream; len(rest) > 0; {
				k := min(step, len(rest))
				if _, err := p.Write(bytes.Clone(rest[:k])); err != nil {
					break
				}
				rest = rest[k:]
			}
			return frames, p
		}
		whole, a := read(len(stream) + 1)
		pieces, b := read(max(1, step%64))
		if a.err != nil || b.err != nil {
			return
		}
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Fatalf("frames depend on the pieces (-whole +pieces)\n%s", diff)
		}
	})
}
