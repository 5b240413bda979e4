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

// prober runs the probes of one container.
type prober struct {
	worker    *worker
	unit      *unit
	container corev1.Container
	name, ip  string // the container's process and the pod's address
	env       []string
	kill      func(context.Context) error
	asked     int  // how often, which makes names for processes
	said      bool // a failure was logged
}

// watchProbes runs a container's startup probe and then its readiness probe until the container ends. httpGet, tcpSocket and
// exec are known; anything else never succeeds and says so in the log.
func (w *worker) watchProbes(ctx context.Context, u *unit) {
	if u.spec.StartupProbe == nil && u.spec.ReadinessProbe == nil {
		return
	}
	ctx, u.stopProbe = context.WithCancel(ctx)
	p := &prober{worker: w, unit: u, container: u.spec, name: u.procName, ip: w.ip.String(), env: u.env, kill: u.proc.Kill}
	go p.run(ctx)
}

func (p *prober) run(ctx context.Context) {
	if probe := p.container.StartupProbe; probe != nil && !p.startUp(ctx, probe) {
		return
	}
	p.set(func(u *unit) { u.startedUp, u.probeReady = true, p.container.ReadinessProbe == nil })
	if probe := p.container.ReadinessProbe; probe != nil {
		p.followReadiness(ctx, probe)
	}
}

// startUp waits until the startup probe succeeds. A container that fails too often is killed, as by a kubelet.
func (p *prober) startUp(ctx context.Context, probe *corev1.Probe) bool {
	delay := time.Duration(probe.InitialDelaySeconds) * time.Second
	for range max(probe.FailureThreshold, 1) {
		err := p.ask(ctx, probe, delay)
		if ctx.Err() != nil || err == nil {
			return err == nil
		}
		delay = periodOf(probe)
	}
	p.worker.cluster.logf("container %s: its startup probe failed %d times", p.name, probe.FailureThreshold)
	if err := p.kill(ctx); err != nil && ctx.Err() == nil {
		p.worker.cluster.logf("container %s: kill: %v", p.name, err)
	}
	return false
}

// firstPeriod is how often a container is asked that has not been ready yet. A kubelet asks as often as later; the lab must not make its users wait.
const firstPeriod = time.Second

// followReadiness keeps the container's readiness up to date.
func (p *prober) followReadiness(ctx context.Context, probe *corev1.Probe) {
	period := periodOf(probe)
	delay := time.Duration(probe.InitialDelaySeconds) * time.Second
	good, bad, answered := int32(0), int32(0), false
	for {
		err := p.ask(ctx, probe, delay)
		if ctx.Err() != nil {
			return
		}
		delay = period
		if err == nil {
			good, bad, answered = good+1, 0, true
		} else {
			good, bad = 0, bad+1
		}
		if !answered {
			delay = min(period, firstPeriod)
		}
		p.set(func(u *unit) {
			switch {
			case good >= max(probe.SuccessThreshold, 1):
				u.probeReady = true
			case bad >= max(probe.FailureThreshold, 1):
				u.probeReady = false
			}
		})
	}
}

func periodOf(probe *corev1.Probe) time.Duration {
	return time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
}

// ask probes once, after a delay.
func (p *prober) ask(ctx context.Context, probe *corev1.Probe, delay time.Duration) error {
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	err := p.worker.probe(ctx, &p.container, probe, p.name, fmt.Sprintf("%s/probe-%d", p.name, p.asked), p.env, p.ip)
	p.asked++
	if err != nil && !p.said && ctx.Err() == nil {
		p.worker.cluster.logf("container %s: probe: %v", p.name, err)
		p.said = true
	}
	return err
}

// set changes the container's state, unless another process runs in it by now, and tells the worker if it shows.
func (p *prober) set(change func(*unit)) {
	p.worker.mu.Lock()
	changed := false
	if u := p.unit; u.procName == p.name && u.proc != nil {
		before := [2]bool{u.startedUp, u.probeReady}
		change(u)
		changed = before != [2]bool{u.startedUp, u.probeReady}
	}
	p.worker.mu.Unlock()
	if changed {
		p.worker.kick()
	}
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
