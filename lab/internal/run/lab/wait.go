package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

var (
	errEnded    = errors.New("ended instead of getting ready")
	errNotReady = errors.New("is not ready in time")
)

// poll waits until ready says so.
func poll(ctx context.Context, ended <-chan struct{}, ready func() bool) error {
	return pollEvery(ctx, pollInterval, ended, ready)
}

func pollEvery(ctx context.Context, interval time.Duration, ended <-chan struct{}, ready func() bool) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return errNotReady
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// tail is the end of a log for an error message.
func tail(name string) string {
	data, err := os.ReadFile(name)
	if err != nil || len(data) == 0 {
		return ""
	}
	if len(data) > logTail {
		data = data[len(data)-logTail:]
		data = data[slices.Index(data, '\n')+1:]
	}
	return fmt.Sprintf("; the end of %s:\n  %s", name, strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", "\n  "))
}
