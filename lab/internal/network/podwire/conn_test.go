package podwire

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pair(t *testing.T) (*Conn, *Conn) {
	t.Helper()
	a, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close() // some tests close it themselves
		_ = b.Close()
	})
	return a, b
}

func TestMessagesKeepTheirBounds(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	want := []Request{
		{ID: 1, Op: OpAddPod, Pod: &Pod{Name: "p", IP: "10.1.1.2"}},
		{ID: 2, Op: OpVIPs, VIPs: []VIP{{Cluster: "us", Addr: "172.20.1.5:80", Protocol: "tcp", Backends: []string{"10.1.1.2:80"}}}},
	}
	for i := range want {
		if err := a.Send(&want[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		var got Request
		if _, err := b.Receive(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFilesGoAlong(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := a.Send(&Reply{ID: 1}, w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got Reply
	files, err := b.Receive(&got)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if _, err := files[0].WriteString("through another process"); err != nil {
		t.Fatal(err)
	}
	CloseAll(files)
	data, err := io.ReadAll(r)
	if err != nil || string(data) != "through another process" {
		t.Errorf("read %q, %v", data, err)
	}
}

func TestEndOfTheOtherSide(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	var got Reply
	if _, err := b.Receive(&got); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want EOF", err)
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	if err := a.Send(&Reply{Error: strings.Repeat("x", maxMessage)}); !errors.Is(err, ErrTooLong) {
		t.Errorf("error %v, want ErrTooLong", err)
	}
}

func TestLongestMessageFits(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	want := Reply{Error: strings.Repeat("x", maxMessage-100)}
	if err := a.Send(&want); err != nil {
		t.Fatal(err)
	}
	var got Reply
	if _, err := b.Receive(&got); err != nil || got != want {
		t.Errorf("%d bytes arrived, %v", len(got.Error), err)
	}
}
