package build

import (
	"strings"
	"testing"
	"time"
)

// A build of many minutes says now and then that it goes on, until it ends.
func TestRemind(t *testing.T) {
	t.Parallel()
	log := &lines{seen: make(chan string, 100)}
	b := &Builder{Log: log, Remind: time.Millisecond}
	stop := b.remind("still building etcd (2 of 4)")
	if got := <-log.seen; !strings.HasPrefix(got, "still building etcd (2 of 4), ") || !strings.HasSuffix(got, "s so far\n") {
		t.Errorf("%q", got)
	}
	stop()
	for len(log.seen) > 0 {
		<-log.seen
	}
	time.Sleep(20 * time.Millisecond)
	if len(log.seen) > 0 {
		t.Errorf("after the end: %q", <-log.seen)
	}
}

// lines hands on what is written.
type lines struct{ seen chan string }

func (l *lines) Write(b []byte) (int, error) {
	select {
	case l.seen <- string(b):
	default:
	}
	return len(b), nil
}
