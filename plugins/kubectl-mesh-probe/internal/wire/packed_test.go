package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func packed(t testing.TB, text ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, s := range text {
		z := gzip.NewWriter(&out)
		if _, err := z.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	n := testNonce + " "
	out := packed(t, "body without newline"+n+"C 200 1 0\n"+"\x00\xff\n"+n+"C 503 1 2\n", "the rest"+n+"C 20")
	e := &End{Output: Frame{Data: out, Size: len(out)}, Errs: packed(t, "curl: (7) no\n")}
	if err := e.unpack(testNonce); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range append(e.Records, e.Output) {
		got = append(got, fmt.Sprintf("%s|%s|%d", f.Text, f.Data, f.Size))
	}
	want := []string{"200 1 0|body without newline|20", "503 1 2|\x00\xff\n|3", "|the rest" + n + "C 20|45"}
	if diff := cmp.Diff(want, got); diff != "" || string(e.Errs) != "curl: (7) no\n" || e.Full {
		t.Errorf("errors %q, full %v (-want +got)\n%s", e.Errs, e.Full, diff)
	}
	if e.Printed != len("curl: (7) no\n")+20+3+45+2*(len(n)+len("C 200 1 0\n")) {
		t.Errorf("%d bytes", e.Printed)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	whole := packed(t, strings.Repeat("hello ", 1000))
	bomb := packed(t, strings.Repeat("\x00", unpackLimit+1))
	for name, e := range map[string]*End{
		"no gzip":        {Output: Frame{Data: []byte("hello"), Size: 5}},
		"cut off":        {Output: Frame{Data: whole[:len(whole)-9], Size: len(whole) - 9}},
		"errors cut off": {Errs: whole[:20]},
		"a byte changed": {Output: Frame{Data: append(bytes.Clone(whole[:len(whole)-6]), whole[len(whole)-6]^1, 0, 0, 0, 0, 0), Size: len(whole)}},
		"dropped bytes":  {Output: Frame{Data: whole, Size: len(whole) + 1}},
		"a bomb":         {Output: Frame{Data: bomb, Size: len(bomb)}},
	} {
		if err := e.unpack(testNonce); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A tool that the pod's limit has ended says so, by its exit code or by the size of its file.
func TestUnpackFull(t *testing.T) {
	t.Parallel()
	full := packed(t, strings.Repeat("x", 4<<20))
	for _, e := range []*End{{Code: fileTooLarge}, {Code: 1, Output: Frame{Data: full, Size: len(full)}}, {Errs: full}} {
		if err := e.unpack(testNonce); err != nil || !e.Full {
			t.Errorf("full %v, error %v", e.Full, err)
		}
	}
}

// The shell prints "Terminated" for a tool that was stopped. That is not part of what is compressed.
func TestShellErrorsOfAPackedBatch(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{}, 1)
	s := &Stream{nonce: testNonce, in: newLineQueue(), out: newMailbox(testNonce, ready), errOut: newMailbox(testNonce, ready)}
	b := s.Start(Program{}, Pod{})
	b.SendPacked(100)
	n := testNonce + " "
	for to, text := range map[io.Writer]string{
		s.out:    n + "W gzip -1\n" + n + "B 1\n" + string(packed(t, "body")) + n + "E 1 143\n",
		s.errOut: n + "W\nTerminated\n" + n + "G\n" + string(packed(t, "curl: (7) no\n")) + n + "E 1\n",
	} {
		if _, err := io.WriteString(to, text); err != nil {
			t.Fatal(err)
		}
	}
	events, err := b.Read(time.Now())
	if err != nil || len(events) != 1 || string(events[0].End.Errs) != "Terminated\ncurl: (7) no\n" || string(events[0].End.Output.Data) != "body" {
		t.Fatalf("events %+v, error %v", events, err)
	}
}

// The heartbeat says how much a batch has written. Only a change is movement.
func TestHeartbeatIsMovement(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{}, 1)
	s := &Stream{nonce: testNonce, in: newLineQueue(), out: newMailbox(testNonce, ready), errOut: newMailbox(testNonce, ready)}
	b := s.Start(Program{}, Pod{})
	b.SendPacked(100)
	t0 := time.Now()
	for i, step := range []struct {
		text  string
		moved int
	}{{"W gzip -1\n", -1}, {"B 1\n", 1}, {"H 0 a\n", 2}, {"H 0 a\n", 2}, {"H 5 a\n", 4}} {
		if _, err := s.out.Write([]byte(testNonce + " " + step.text)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(t0.Add(time.Duration(i) * time.Second)); err != nil {
			t.Fatal(err)
		}
		c := b.Current()
		if step.moved < 0 {
			if c != nil || !b.Packs() {
				t.Fatalf("current %+v, packs %v", c, b.Packs())
			}
			continue
		}
		if got := c.Moved.Sub(t0); got != time.Duration(step.moved)*time.Second {
			t.Errorf("step %d: moved at %s, want %d s", i, got, step.moved)
		}
	}
}

// What was packed comes out again, however it is divided into gzip streams; anything else is an error or harmless.
func FuzzUnpack(f *testing.F) {
	n := testNonce + " "
	f.Add([]byte("a"+n+"C 1\nb"+n+"C 2\nrest"), 3, []byte("x"))
	f.Add([]byte(n+"C "+n+"C \n"), 20, []byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, data []byte, at int, junk []byte) {
		at = max(0, min(len(data), at))
		out := packed(t, string(data[:at]), string(data[at:]))
		e := &End{Output: Frame{Data: out, Size: len(out)}, Errs: packed(t, string(junk))}
		if err := e.unpack(testNonce); err != nil {
			t.Fatal(err)
		}
		var back []byte
		for _, r := range e.Records {
			back = fmt.Appendf(append(back, r.Data...), "%sC %s\n", n, r.Text)
		}
		if back = append(back, e.Output.Data...); !bytes.Equal(back, data) || !bytes.Equal(e.Errs, junk) {
			t.Fatalf("%q, want %q", back, data)
		}
		e = &End{Output: Frame{Data: junk, Size: len(junk)}, Errs: data}
		_ = e.unpack(testNonce) // must not panic
	})
}
