package probe

import "testing"

// busybox wget without -S shows no header, and its exit code 0 says that the server answered.
func TestField02BareBusyboxAnswers(t *testing.T) {
	t.Parallel()
	body := []byte("web-eu-1 says hello\n")
	c := cutBusybox(block{data: body, size: len(body), n: 1, bare: true, limit: 1000})
	if len(c.replies) != 1 {
		t.Fatalf("%+v", c)
	}
	tally := NewTally(nil)
	tally.Add(c.replies[0], fieldIdentifier(t).Identify(&c.replies[0]))
	if tally.Answered() != 1 || tally.Count("eu") != 1 {
		t.Errorf("%d answered, %d by eu", tally.Answered(), tally.Count("eu"))
	}
}
