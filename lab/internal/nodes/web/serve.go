package web

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// finish bounds the time for requests under way after SIGTERM.
const finish = 5 * time.Second

// Main runs the server until SIGTERM or SIGINT.
func Main(args []string, stderr io.Writer) error {
	c, err := Parse(args, os.Getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	// The server is the first process of its container and inherits what commands leave behind; ignored, the
	// signal makes the kernel wait for them.
	signal.Ignore(syscall.SIGCHLD)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(c.Port)))
	if err != nil {
		return err
	}
	if c.TLS {
		certificate, err := selfSigned(time.Now())
		if err != nil {
			return err
		}
		l = tls.NewListener(l, tlsConfig(certificate))
	}
	return Serve(ctx, c, l, os.Stdout)
}

// Serve answers on l until the context ends, then serves on for c.Drain and lets requests under way finish.
func Serve(ctx context.Context, c *Config, l net.Listener, log io.Writer) error {
	s := &http.Server{Handler: Handler(c, log), ReadHeaderTimeout: time.Minute}
	s.SetKeepAlivesEnabled(c.KeepAlive)
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if c.Drain > 0 {
		time.Sleep(c.Drain)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		return s.Close()
	}
	return nil
}
