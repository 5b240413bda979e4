package sender

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// In a slow pod, starting a process takes longer than sending requests. A process then sends more requests, not a single one.
func TestSlowStartOfProcesses(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("sleep is not installed")
	}
	for _, name := range tools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			pod := newLocalPod(t, pods[name][0], pods[name][1:]...)
			started := filepath.Join(t.TempDir(), "started")
			wrap(t, pod, map[bool]string{true: "curl", false: "wget"}[name == "dash curl"],
				fmt.Sprintf(`case $* in *help*|*-V*) exec REAL "$@";; esac; echo . >>%s; %s 0.6; exec REAL "$@"`, started, sleep))
			got, res := runIn(t, pod, fieldConfig(t, srv.URL, 60))
			wantClasses(t, got, res, map[reply.Class]int{"": 60})
			lines, err := os.ReadFile(started)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(lines, []byte("\n")); n > 15 {
				t.Errorf("%d processes sent 60 requests", n)
			}
		})
	}
}
