package clusters

import (
	"net"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// TestDeadHomeWaitsForNobody: the others are asked at the same time as home, and left alone when home does not answer.
func TestDeadHomeWaitsForNobody(t *testing.T) {
	t.Parallel()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	gone, mute := listen(), listen() // nobody listens any more; connects and never answers
	_ = gone.Close()
	defer mute.Close()
	f := NewFlags()
	f.Config.KubeConfig = ptr.To(writeConfig(t, t.TempDir(), "config", "home", "home=http://"+gone.Addr().String(), "other=http://"+mute.Addr().String()))
	f.Timeout = time.Hour
	sel, err := f.Select(t.Context())
	if err != nil || len(sel.Members) != 1 || sel.Members[0].Err == nil || sel.Members[0].Err.Class != failure.Refused {
		t.Fatalf("%+v, %v", sel, err)
	}
}
