package faults

import (
	"context"
	"io"
	stdlog "log" //nolint:depguard // net/http takes no other logger
	"log/slog"
	"net"
)

// quiet is a log of a server whose clients are expected to go away.
func quiet() *stdlog.Logger {
	return slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
}

// nobody returns an address at which nobody listens.
func nobody() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := l.Addr().String()
	return address, l.Close()
}
