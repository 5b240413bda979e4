package netctl_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/netctl"
)

func TestCall(t *testing.T) {
	t.Parallel()
	// Deeper than a socket's name may be long.
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := netctl.Call(t.Context(), dir, netctl.Request{Op: netctl.OpStatus}); err == nil {
		t.Error("a lab answers that does not run")
	}
	do := func(_ context.Context, r netctl.Request) (netctl.Reply, error) {
		if r.Op != netctl.OpCut {
			return netctl.Reply{}, errors.New("no")
		}
		return netctl.Reply{Cuts: [][2]string{{r.A, r.B}}}, nil
	}
	for range 2 { // the second finds the first one's socket
		ctx, cancel := context.WithCancel(t.Context())
		if err := netctl.Serve(ctx, dir, do, io.Discard); err != nil {
			t.Fatal(err)
		}
		got, err := netctl.Call(t.Context(), dir, netctl.Request{Op: netctl.OpCut, A: "us", B: "eu"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(netctl.Reply{Cuts: [][2]string{{"us", "eu"}}}, got); diff != "" {
			t.Error(diff)
		}
		if _, err := netctl.Call(t.Context(), dir, netctl.Request{Op: netctl.OpHeal}); err == nil || err.Error() != "no" {
			t.Errorf("error %v, want the lab's", err)
		}
		cancel()
	}
}
