package vnode

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
)

// listener is a runtime in whose pod something listens from a time on, and until another.
type listener struct {
	Runtime
	from, until time.Time
}

func (l listener) Dial(context.Context, string, string) (net.Conn, error) {
	if now := time.Now(); now.Before(l.from) || !l.until.IsZero() && now.After(l.until) {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	return a, b.Close()
}

func tcpProbe(period, delay, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}},
		PeriodSeconds: period, InitialDelaySeconds: delay, FailureThreshold: failures, TimeoutSeconds: 1,
	}
}

// probed is what the API server is told of a container.
type probed struct{ started, ready bool }

func TestProbes(t *testing.T) {
	t.Parallel()
	startup := tcpProbe(2, 5, 300) // as Cilium's agent has them
	readiness := tcpProbe(30, 0, 3)
	for name, tc := range map[string]struct {
		startup, readiness *corev1.Probe
		from, until        time.Duration // when something listens
		want               map[time.Duration]probed
		killed             bool
	}{
		"ready soon after it has started": {startup, readiness, 10 * time.Second, 0, map[time.Duration]probed{
			9 * time.Second: {}, 12 * time.Second: {true, true},
		}, false},
		"no readiness probe": {startup, nil, 10 * time.Second, 0, map[time.Duration]probed{
			9 * time.Second: {}, 12 * time.Second: {true, true},
		}, false},
		"no startup probe": {nil, readiness, 10 * time.Second, 0, map[time.Duration]probed{
			9 * time.Second: {true, false}, 12 * time.Second: {true, true},
		}, false},
		"ready until it stops answering three times": {startup, readiness, 0, 40 * time.Second, map[time.Duration]probed{
			6 * time.Second: {true, true}, 100 * time.Second: {true, true}, 130 * time.Second: {true, false},
		}, false},
		"it never starts": {tcpProbe(2, 0, 3), readiness, time.Hour, 0, map[time.Duration]probed{10 * time.Second: {}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				run := listener{from: start.Add(tc.from)}
				if tc.until > 0 {
					run.until = start.Add(tc.until)
				}
				w := newWorker(&Cluster{Config: Config{Log: io.Discard}}, &node{runtime: run}, newPod())
				u := &unit{spec: corev1.Container{StartupProbe: tc.startup, ReadinessProbe: tc.readiness}, proc: &podnet.Process{}, procName: "p"}
				u.started(start)
				var killed atomic.Bool
				p := &prober{worker: w, unit: u, container: u.spec, name: "p", ip: "10.1.1.2", kill: func(context.Context) error {
					killed.Store(true)
					return nil
				}}
				ctx, cancel := context.WithCancel(t.Context())
				go p.run(ctx)
				for second := range 140 {
					time.Sleep(time.Second)
					synctest.Wait()
					want, ok := tc.want[time.Duration(second+1)*time.Second]
					if !ok {
						continue
					}
					w.mu.Lock()
					st := u.status()
					w.mu.Unlock()
					if got := (probed{*st.Started, st.Ready}); got != want {
						t.Errorf("after %d s: %+v, want %+v", second+1, got, want)
					}
				}
				if killed.Load() != tc.killed {
					t.Errorf("killed: %t, want %t", killed.Load(), tc.killed)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

func TestProbeOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	w := newWorker(nil, nil, newPod())
	u := &unit{procName: "second", proc: &podnet.Process{}}
	(&prober{worker: w, unit: u, name: "first"}).set(func(u *unit) { u.probeReady = true })
	if u.probeReady {
		t.Error("the result of an earlier process counts for the one that runs")
	}
}
