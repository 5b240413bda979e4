package wire

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newLaunches is a stream of the open loop whose pod is the test: it writes to the returned mailbox.
func newLaunches() (*Launches, *mailbox) {
	ready := make(chan struct{}, 1)
	s := &Stream{nonce: testNonce, in: newLineQueue(), out: newMailbox(testNonce, ready), errOut: newMailbox(testNonce, ready), done: make(chan struct{})}
	return s.StartOpen(Program{Words: []string{"wget"}}, Pod{}), s.out
}

// lines is what a pod prints.
func lines(text ...string) []byte {
	return []byte(testNonce + " " + strings.Join(text, "\n"+testNonce+" ") + "\n")
}

func TestLaunches(t *testing.T) {
	t.Parallel()
	l, pod := newLaunches()
	_, _ = pod.Write(lines("W yes yes"))
	l.Order(0)
	l.OrderLimited(100, 5000000)
	_, _ = pod.Write(lines("P 2 77 5000010", "P 1 76 5000020", "M 1 part =n", "E 1 first=n", "R 2 143 5100000 ", "R 1 8 5200000  spaces =e ", "F 2 ", "F 1 =en=n end", "Z 0"))
	done, err := l.Read(time.Now())
	if err != nil || len(done) != 2 || l.Len() != 0 || l.Clock != (Clock{Reads: true, Waits: true}) {
		t.Fatalf("%v, %d done, %+v", err, len(done), l.Clock)
	}
	type result struct {
		ID, PID, Code   int
		Began, Finished int64
		Output, Errs    string
		Limited         bool
	}
	var got []result
	for _, o := range done {
		got = append(got, result{o.ID, o.PID, o.Code, o.Began, o.Finished, string(o.Output), string(o.Errs), o.Limited})
	}
	want := []result{
		{2, 77, 143, 5000010, 5100000, "", "", true},
		{1, 76, 8, 5000020, 5200000, "part \n=n\n end", "first\n spaces = ", false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if ended, err := l.Trailer(); !ended || err == nil {
		t.Errorf("the pod ended without being told to: %v %v", ended, err)
	}
}

// Whatever does not fit makes the stream broken: nothing of it is counted.
func TestLaunchesBroken(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"W maybe", "P 2 1 1", "P 1 x 1", "R 1 x 1 ", "F 1 ", "M 9 x", "Q 1", "Y 5", "A 1 2", "W /proc/self/fd cannot be used", "P 1 0 0",
	} {
		l, pod := newLaunches()
		l.Order(0)
		_, _ = pod.Write(lines(bad))
		if done, err := l.Read(time.Now()); err == nil || len(done) > 0 {
			t.Errorf("%q: %v, %d done", bad, err, len(done))
		}
	}
}

func TestOffset(t *testing.T) {
	t.Parallel()
	var o Offset
	base := time.Unix(1000, 0)
	o.Learn(5_000_000, base, base.Add(10*time.Millisecond))
	if got := o.Local(6_000_000).Sub(base); got != 1005*time.Millisecond || o.Error() != 5*time.Millisecond || !o.Known() {
		t.Errorf("%v ± %v", got, o.Error())
	}
	o.Learn(7_000_000, base.Add(2*time.Second), base.Add(2*time.Second+20*time.Millisecond)) // less exact
	if o.Error() != 5*time.Millisecond {
		t.Errorf("± %v", o.Error())
	}
	o.Learn(7_000_000, base.Add(2*time.Second), base.Add(2*time.Second+2*time.Millisecond))
	if got := o.Pod(base.Add(3 * time.Second)); got != 7_999_000 || o.Error() != time.Millisecond {
		t.Errorf("%v ± %v", got, o.Error())
	}
	o.Learn(17_000_000, base.Add(13*time.Second), base.Add(13*time.Second+20*time.Millisecond)) // the last one is old: clocks drift
	if got := o.Local(17_000_000).Sub(base); got != 13010*time.Millisecond {
		t.Errorf("%v", got)
	}
	o.Learn(20_015_000, base.Add(16*time.Second), base.Add(16*time.Second+40*time.Millisecond)) // less exact, and it fits
	if o.Error() != 10*time.Millisecond {
		t.Errorf("± %v", o.Error())
	}
	o.Learn(23_000_000, base.Add(17*time.Second), base.Add(17*time.Second+40*time.Millisecond)) // the clock was set: 2 s more
	if got := o.Local(23_000_000).Sub(base); got != 17020*time.Millisecond || o.Error() != 20*time.Millisecond {
		t.Errorf("%v ± %v", got, o.Error())
	}
	for pod, want := range map[int64]bool{22_900_000: false, 22_990_000: true, 23_000_000: true, 23_130_000: true, 23_300_000: false} {
		if got := o.Allows(pod, base.Add(17*time.Second), base.Add(17*time.Second+120*time.Millisecond)); got != want {
			t.Errorf("%d: %v", pod, got)
		}
	}
	if !(Offset{}).Allows(1, base, base) {
		t.Error("without a measurement, every time is possible")
	}
}

// When the start of a request contradicts what is known about the pod's clock, the clock was set, and the plugin asks for it.
func TestLaunchesClockStep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		step  time.Duration
		known bool
	}{"no step": {0, true}, "forwards": {2 * time.Second, false}, "backwards": {-time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, pod := newLaunches()
			shown := func(step time.Duration) string { return strconv.FormatInt(time.Now().Add(step).UnixMicro(), 10) }
			say := func(text ...string) {
				_, _ = pod.Write(lines(text...))
				if _, err := l.Read(time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			say("W yes yes")
			l.AskClock()
			say("Y " + shown(0))
			if !l.Waits() {
				t.Fatal("the clock is unknown")
			}
			l.Order(0)
			say("P 1 70 " + shown(tc.step))
			if l.Waits() != tc.known || len(l.asked) > 0 == tc.known {
				t.Errorf("offset %+v, asked %v", l.Offset(), l.asked)
			}
			if !tc.known {
				say("Y " + shown(tc.step))
				l.Order(0)
				say("P 2 71 " + shown(tc.step))
			}
			if !l.Waits() || len(l.asked) > 0 {
				t.Errorf("offset %+v, asked %v", l.Offset(), l.asked)
			}
		})
	}
}

// No output of a pod makes the reader panic, and no request is counted twice or without an order.
func FuzzLaunches(f *testing.F) {
	f.Add("W yes yes\nP 1 2 3\nE 1 a\nR 1 0 5 b\nM 1 c=n\nF 1 d\nZ 0")
	f.Add("R 1 0 \nF 1 \nF 1 ")
	f.Fuzz(func(t *testing.T, text string) {
		l, pod := newLaunches()
		l.AskClock()
		l.MeasureStart()
		for range 3 {
			l.Order(0)
		}
		_, _ = pod.Write(lines(strings.Split(text, "\n")...))
		done, _ := l.Read(time.Now())
		seen := map[int]bool{}
		for _, o := range done {
			if o.ID < 1 || o.ID > 3 || seen[o.ID] {
				t.Fatalf("request %d", o.ID)
			}
			seen[o.ID] = true
		}
		if len(done)+l.Len() != 3 {
			t.Fatalf("%d done, %d open", len(done), l.Len())
		}
	})
}
