package podexec

import (
	"bytes"
	"context"
	"errors"
)

// printResolvConf needs only a shell.
const printResolvConf = `while IFS= read -r l || [ -n "$l" ]; do printf '%s\n' "$l"; done </etc/resolv.conf`

// maxResolvConf is larger than what any resolver reads.
const maxResolvConf = 64 << 10

// ResolvConf returns the pod's /etc/resolv.conf.
func (e *Exec) ResolvConf(ctx context.Context) (string, error) {
	var out, errOut limited
	if err := e.Exec(ctx, []string{"sh", "-c", printResolvConf}, nil, &out, &errOut); err != nil {
		return "", err
	}
	if out.Len() == 0 {
		return "", errors.New("/etc/resolv.conf is empty or could not be read")
	}
	return out.String(), nil
}

// limited keeps only the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// Write never fails: the rest is dropped.
func (l *limited) Write(p []byte) (int, error) {
	_, _ = l.Buffer.Write(p[:min(len(p), max(0, maxResolvConf-l.Len()))])
	return len(p), nil
}
