package vnode

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// slowWriter takes a while for each write.
type slowWriter struct {
	buf  bytes.Buffer
	gate chan struct{}
}

func (s *slowWriter) Write(p []byte) (int, error) {
	<-s.gate
	return s.buf.Write(p)
}

func TestASlowClientGetsEverything(t *testing.T) {
	t.Parallel()
	var d drains
	client := &slowWriter{gate: make(chan struct{})}
	w, err := d.add(client)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("x", 50_000) // less than a pipe holds
	if _, err := io.WriteString(w, want); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() {
		d.wait(time.Millisecond) // far shorter than the client needs
		close(waited)
	}()
	for range 20 {
		if !d.moving() {
			t.Fatal("nothing moves, although the client has not got everything")
		}
	}
	close(client.gate)
	<-waited
	if client.buf.String() != want {
		t.Errorf("the client got %d bytes of %d", client.buf.Len(), len(want))
	}
}

func TestAnOutputThatAChildHoldsOpen(t *testing.T) {
	t.Parallel()
	var d drains
	var client bytes.Buffer
	w, err := d.add(&client)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if _, err := io.WriteString(w, "last words"); err != nil {
		t.Fatal(err)
	}
	d.wait(10 * time.Millisecond) // comes back although w is open
	if client.String() != "last words" {
		t.Errorf("the client got %q", client.String())
	}
}
