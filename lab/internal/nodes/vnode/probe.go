package vnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// watchReadiness runs a container's readiness probe until the container ends. httpGet, tcpSocket and
// exec are known; anything else never becomes ready and says so in the log.
func (w *worker) watchReadiness(ctx context.Context, u *unit) {
	p := u.spec.ReadinessProbe
	if p == nil {
		return
	}
	ctx, u.stopProbe = context.WithCancel(ctx)
	name, env, ip := u.procName, u.env, w.ip.String()
	container := u.spec
	go func() {
		period := time.Duration(max(p.PeriodSeconds, 1)) * time.Second
		delay := time.Duration(p.InitialDelaySeconds) * time.Second
		good, bad, said := int32(0), int32(0), false
		for n := 0; ; n++ {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return
			}
			delay = period
			err := w.probe(ctx, &container, p, name, fmt.Sprintf("%s/probe-%d", name, n), env, ip)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				good, bad = good+1, 0
			} else {
				good, bad = 0, bad+1
				if n == 0 {
					delay = min(period, time.Second) // just started: look again soon
				}
				if !said {
					w.cluster.logf("container %s: readiness probe: %v", name, err)
					said = true
				}
			}
			w.mu.Lock()
			before := u.probeReady
			switch {
			case good >= max(p.SuccessThreshold, 1):
				u.probeReady = true
			case bad >= max(p.FailureThreshold, 1):
				u.probeReady = false
			}
			changed := u.procName == name && before != u.probeReady
			w.mu.Unlock()
			if changed {
				w.kick()
			}
		}
	}()
}

// probe asks once.
func (w *worker) probe(ctx context.Context, c *corev1.Container, p *corev1.Probe, container, proc string, env []string, ip string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(p.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	switch {
	case p.HTTPGet != nil:
		return w.probeHTTP(ctx, c, p.HTTPGet, ip)
	case p.TCPSocket != nil:
		port, err := portNumber(c, p.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := w.node.runtime.Dial(ctx, "tcp", net.JoinHostPort(ip, port))
		if err != nil {
			return err
		}
		return conn.Close()
	case p.Exec != nil:
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = null.Close() }()
		process, err := w.node.runtime.Exec(ctx, podwire.Exec{Proc: proc, Container: container, Argv: p.Exec.Command, Env: env}, null, null, null)
		if err != nil {
			return err
		}
		select {
		case <-process.Done():
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no answer in time"), process.Kill(context.WithoutCancel(ctx)))
		}
		if code := process.ExitCode(); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		return nil
	}
	return fmt.Errorf("the lab knows httpGet, tcpSocket and exec probes only")
}

func (w *worker) probeHTTP(ctx context.Context, c *corev1.Container, get *corev1.HTTPGetAction, ip string) error {
	port, err := portNumber(c, get.Port)
	if err != nil {
		return err
	}
	if get.Scheme == corev1.URISchemeHTTPS {
		return fmt.Errorf("the lab has no HTTPS probes")
	}
	if get.Host != "" {
		ip = get.Host
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(ip, port)+"/"+strings.TrimPrefix(get.Path, "/"), nil)
	if err != nil {
		return err
	}
	for _, h := range get.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return w.node.runtime.Dial(ctx, network, address)
		},
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return nil
}

// portNumber resolves a port that may be given by its name.
func portNumber(c *corev1.Container, p intstr.IntOrString) (string, error) {
	if p.Type == intstr.Int {
		return strconv.Itoa(int(p.IntVal)), nil
	}
	for _, cp := range c.Ports {
		if cp.Name == p.StrVal {
			return strconv.Itoa(int(cp.ContainerPort)), nil
		}
	}
	if _, err := strconv.ParseUint(p.StrVal, 10, 16); err != nil {
		return "", fmt.Errorf("container %q has no port %q", c.Name, p.StrVal)
	}
	return p.StrVal, nil
}
