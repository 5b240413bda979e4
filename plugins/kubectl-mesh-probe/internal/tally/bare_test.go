package tally

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// busybox wget without -S prints no header. Its exit code 0 says that the server answered.
func TestField02BareBusyboxAnswers(t *testing.T) {
	t.Parallel()
	body := []byte("web-eu-1 says hello\n")
	c := reply.CutBusybox(reply.Block{Data: body, Size: len(body), Requests: 1, Bare: true, BodyLimit: 1000})
	if len(c.Replies) != 1 {
		t.Fatalf("%+v", c)
	}
	id, err := origin.Parse("body=(web-eu-\\d)", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tally := New(nil)
	tally.Add(c.Replies[0], id.Identify(&c.Replies[0]))
	if tally.Answered() != 1 || tally.Count("web-eu-1") != 1 {
		t.Errorf("%d answered, %d by web-eu-1", tally.Answered(), tally.Count("web-eu-1"))
	}
}
