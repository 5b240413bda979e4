package tool

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// ErrNoTool says that the container has no tool that can be used.
var ErrNoTool = errors.New("the container has no curl and no wget")

// Find returns the tools of a pod, the best first. help is what curl, wget and busybox print about themselves.
func Find(help map[string]string) []Tool {
	var all []Tool
	if t, ok := newCurl(help["curl"]); ok {
		all = append(all, t)
	}
	linked := false
	for _, try := range []func(string, ...string) (Tool, bool){newBusybox, newWget2, newGNU} {
		if t, ok := try(help["wget"], "wget"); ok {
			_, linked = t.(busybox)
			all = append(all, t)
			break
		}
	}
	// If wget is a link to busybox, it is already listed.
	if t, ok := newBusybox(help["busybox"], "busybox", "wget"); ok && !linked {
		all = append(all, t)
	}
	// A tool that sends many requests with one process is better. Of those, curl measures each request.
	var best, rest []Tool
	for _, t := range all {
		if t.Traits().MaxBatch > 1 {
			best = append(best, t)
		} else {
			rest = append(rest, t)
		}
	}
	return append(best, rest...)
}

// Choose returns the first tool that can send the request. flag is the value of --tool: auto, curl or wget.
func Choose(tools []Tool, flag string, r request.Request) (Tool, error) {
	var refused error
	for _, t := range tools {
		if flag != "auto" && flag != "" && t.Traits().Flag != flag {
			continue
		}
		if err := t.Refuse(r); err != nil {
			refused = cmp.Or(refused, err)
			continue
		}
		return t, nil
	}
	switch {
	case refused != nil:
		return nil, refused
	case len(tools) > 0:
		return nil, fmt.Errorf("%w that --tool %s allows; it has %s", ErrNoTool, flag, tools[0].Traits().Name)
	}
	return nil, ErrNoTool
}
