package vnode

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// writeLog makes the log of a container that has printed lines and ended.
func writeLog(t *testing.T, lines ...string) *logFile {
	t.Helper()
	l, err := newLogFile(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := l.pipes()
	if err != nil {
		t.Fatal(err)
	}
	if err := stderr.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.WriteString(strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
	finish(t, l, stdout)
	return l
}

// finish closes the container's last output and waits until the log has all of it.
func finish(t *testing.T, l *logFile, out *os.File) {
	t.Helper()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	for open, changed := l.state(); open; open, changed = l.state() {
		<-changed
	}
}

func read(t *testing.T, l *logFile, o logOptions) string {
	t.Helper()
	var out bytes.Buffer
	if err := l.copyTo(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLogs(t *testing.T) {
	t.Parallel()
	l := writeLog(t, "one\n", "two\n", "three\n", "no newline")
	tests := map[string]struct {
		o    logOptions
		want string
	}{
		"all":         {logOptions{tail: -1}, "one\ntwo\nthree\nno newline\n"},
		"tail":        {logOptions{tail: 2}, "three\nno newline\n"},
		"tail none":   {logOptions{tail: 0}, ""},
		"tail more":   {logOptions{tail: 10}, "one\ntwo\nthree\nno newline\n"},
		"limit":       {logOptions{tail: -1, limit: 6}, "one\ntw"},
		"since later": {logOptions{tail: -1, since: time.Now().Add(time.Hour)}, ""},
		"followed":    {logOptions{tail: 1, follow: true}, "no newline\n"},
	}
	for name, tt := range tests {
		if diff := cmp.Diff(tt.want, read(t, l, tt.o)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for line := range strings.Lines(read(t, l, logOptions{tail: -1, timestamps: true})) {
		stamp, _, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil {
			t.Error(err)
		}
	}
}

func TestLongLinesAreSplit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLogLine+10)
	if got := read(t, writeLog(t, long, "\n"), logOptions{tail: -1}); strings.ReplaceAll(got, "\n", "") != long {
		t.Errorf("%d bytes of %d came back", len(got), len(long))
	}
}

func TestFollowSeesWhatComesLater(t *testing.T) {
	t.Parallel()
	l, err := newLogFile(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := l.pipes()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- l.copyTo(t.Context(), &out, logOptions{tail: -1, follow: true}) }()
	var want strings.Builder
	for i := range 100 {
		if _, err := fmt.Fprintf(stdout, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if err := stderr.Close(); err != nil {
		t.Fatal(err)
	}
	finish(t, l, stdout)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLogOfAContainerThatNeverRan(t *testing.T) {
	t.Parallel()
	var l *logFile
	if got := read(t, l, logOptions{tail: -1, follow: true}); got != "" {
		t.Errorf("it printed %q", got)
	}
	l.close()
	l.remove()
}

func TestLogOptions(t *testing.T) {
	t.Parallel()
	now := time.Unix(10_000, 0)
	parse := func(query string) (logOptions, error) {
		return parseLogOptions(httptest.NewRequest(http.MethodGet, "/?"+query, nil), now)
	}
	got, err := parse("follow=true&timestamps=true&tailLines=5&limitBytes=7&sinceSeconds=60")
	want := logOptions{follow: true, timestamps: true, tail: 5, limit: 7, since: now.Add(-time.Minute)}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := parse(""); err != nil || got.tail != -1 {
		t.Errorf("without options: %+v, %v", got, err)
	}
	for _, bad := range []string{"tailLines=x", "tailLines=-1", "limitBytes=0", "sinceSeconds=soon", "sinceTime=yesterday"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
