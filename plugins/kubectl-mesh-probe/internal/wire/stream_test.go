package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewPod(t *testing.T) {
	t.Parallel()
	help := map[string]string{"curl": "curl 8.5.0\n", "wget": "", "busybox": "", "nc": "", "busybox-nc": "", "bash": ""}
	for text, want := range map[string]Pod{
		"bash=\nread-t=2\nhead=a\n":       {Head: true, Help: help},
		"bash=5.2\nread-t=1\nhead=\n":     {ReadTimeout: true, Bash: true, Help: help},
		"arch=s390x\nbash=\nsockets=a\n":  {BigEndian: true, Sockets: true, Help: help},
		"arch=ppc64le\nsockets=\n":        {Help: help},
		"bash=\nread-t=127\nhead=error\n": {Help: help},
	} {
		if diff := cmp.Diff(want, newPod(map[string]string{"shell": text, "curl": "curl 8.5.0\n"})); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
}
