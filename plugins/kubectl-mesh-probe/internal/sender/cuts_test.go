package sender

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// cutPod is a local pod whose exec stream is lost at some moment, without an error, as client-go reports it. partition says that the pod
// does not notice: its stdin stays open.
type cutPod struct {
	*localPod
	now       <-chan struct{} // closed: the stream is lost
	partition bool
	release   chan struct{} // closed: a partition ends
	begun     func()        // called when the pod has printed something: it has the whole script
}

func (p *cutPod) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	in, feed := io.Pipe()
	out, errOut := &cutWriter{w: stdout, first: p.begun}, &cutWriter{w: stderr}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := stdin.Read(buf)
			if p.partition && out.isCut() {
				n = 0 // reaches nobody
			}
			if _, werr := feed.Write(buf[:n]); err != nil || werr != nil {
				if !p.partition {
					_ = feed.Close()
				}
				return
			}
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- p.localPod.Exec(context.WithoutCancel(ctx), command, in, out, errOut) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		_ = feed.Close()
		return ctx.Err()
	case <-p.now:
	}
	out.cut()
	errOut.cut()
	if p.partition {
		go func() {
			<-p.release
			_ = feed.Close()
		}()
		return nil
	}
	_ = feed.Close()
	return nil
}

// cutWriter drops everything once it is cut.
type cutWriter struct {
	mu    sync.Mutex
	w     io.Writer
	lost  bool
	first func() // called at the first write, unless it is nil
}

func (c *cutWriter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first != nil {
		c.first()
		c.first = nil
	}
	if c.lost {
		return len(b), nil
	}
	return c.w.Write(b)
}

func (c *cutWriter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
}

func (c *cutWriter) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// marked returns the commands that run with a word in their environment.
func marked(word string) []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !strings.Contains(string(env), word) {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		if strings.Contains(string(stat), ") Z ") {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		out = append(out, strings.ReplaceAll(string(command), "\x00", " "))
	}
	return out
}

// lingering waits until no command runs with a word in its environment, and returns those that do not end. That takes up to 20 seconds, and longer on
// a busy machine: what counts are the looks, so that a machine that stands still does not end the wait.
func lingering(word string) (left []string) {
	for range 600 {
		if left = marked(word); len(left) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return left
}

// A stream that is cut at any moment never leaves a run that says it is complete while requests are missing, and soon nothing runs in the pod.
// CUTS is how many there are.
func TestCuts(t *testing.T) {
	t.Parallel()
	cuts := 9
	if s := os.Getenv("CUTS"); s != "" {
		var err error
		if cuts, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	for i := range cuts {
		name := torturePods[i%len(torturePods)]
		t.Run(fmt.Sprint(i, " ", name), func(t *testing.T) {
			t.Parallel()
			word := fmt.Sprintf("MARK=%s-%d.", hex.EncodeToString(id[:]), i)
			pod := newLocalPod(t, allPods[name][0], allPods[name][1:]...)
			pod.env = []string{word}
			srv := newTortureServer(t, false, mixes["answers"]...)
			const count = 1 << 30
			after := time.Duration(mathrand.Int64N(int64(3 * time.Second)))
			now := make(chan struct{})
			time.AfterFunc(after, func() { close(now) })
			n := 0
			res, err := Run(t.Context(), &cutPod{localPod: pod, now: now}, testConfig(t, srv.url, count), func(reply.Reply) { n++ })
			if err == nil && (res.Complete || res.Reason == "" || res.Requests != n) {
				t.Errorf("cut after %s: result %+v, %d replies", after, res, n)
			}
			if left := lingering(word); len(left) > 0 {
				t.Fatalf("cut after %s: there are still %q", after, left)
			}
		})
	}
}

// If the pod does not notice that the plugin is gone, shells whose read can time out end the run themselves, whenever that happens.
func TestCutsWithoutANotice(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ash busybox packed", "bash curl packed"} {
		for _, after := range []int{0, 30} {
			if after == 0 && !everyPod {
				continue
			}
			t.Run(fmt.Sprint(name, " after ", after), func(t *testing.T) {
				t.Parallel()
				var id [8]byte
				_, _ = rand.Read(id[:])
				word := "MARK=" + hex.EncodeToString(id[:])
				pod := newLocalPod(t, allPods[name][0], allPods[name][1:]...)
				pod.env = []string{word}
				srv := newTortureServer(t, false, "ok")
				now, n := make(chan struct{}), 0
				lost := &cutPod{localPod: pod, now: now, partition: true, release: make(chan struct{})}
				t.Cleanup(func() { close(lost.release) })
				if after == 0 { // soon after the pod has the script, without which it waits for it
					lost.begun = func() { time.AfterFunc(100*time.Millisecond, func() { close(now) }) }
				}
				res, err := Run(t.Context(), lost, testConfig(t, srv.url, 1<<30), func(reply.Reply) {
					if n++; n == after {
						close(now)
					}
				})
				if err == nil && res.Complete {
					t.Errorf("result %+v", res)
				}
				if left := lingering(word); len(left) > 0 {
					t.Fatalf("there are still %q", left)
				}
			})
		}
	}
}
