package sender

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// openConfig is a run of the open loop.
func openConfig(t testing.TB, url string, count int, rate float64) Config {
	t.Helper()
	cfg := testConfig(t, url, count)
	cfg.Schedule, cfg.Rate = true, rate
	return cfg
}

// toolStart is how much earlier than a request is due a tool that measures it may be started: a tool that then starts faster than it did when that was
// measured begins the request that much earlier. Package wire limits it.
const toolStart = 200 * time.Millisecond

// checkSchedule checks what holds for every complete run: nothing is missing, and each reply has its times.
func checkSchedule(t *testing.T, cfg Config, res Result, replies []reply.Reply) {
	t.Helper()
	if !res.Complete || res.Requests != len(replies) || len(res.Schedule.Lags) != len(replies) || len(replies)+res.Schedule.Dropped != cfg.Count {
		t.Fatalf("%d replies, result %+v", len(replies), res)
	}
	interval := time.Duration(float64(time.Second) / cfg.Rate)
	dues := map[time.Time]bool{}
	late := 0
	for i, r := range replies {
		if r.Due.IsZero() || r.Start.IsZero() || r.Uncertain < 0 || r.Lag < 0 || dues[r.Due] {
			t.Errorf("times of reply %d: %+v", i, r)
		}
		dues[r.Due] = true
		early := 50 * time.Millisecond
		if r.Measured {
			early += toolStart
		}
		if latest := r.Start.Add(r.Uncertain); latest.Before(r.Due.Add(r.Lag-early)) || r.Start.Before(r.Due.Add(-time.Second)) {
			t.Errorf("reply %d: due %v, started %v ± %v, lag %v", i, r.Due, r.Start, r.Uncertain, r.Lag)
		}
		if r.Lag > interval+50*time.Millisecond {
			late++
		}
	}
	if late != res.Schedule.Late {
		t.Errorf("%d late, reported %d", late, res.Schedule.Late)
	}
	warned := slices.ContainsFunc(res.Warnings, func(w string) bool { return strings.HasPrefix(w, "the pod kept ") })
	if warned != (late+res.Schedule.Dropped > 0) {
		t.Errorf("%d late, %d dropped, warnings %q", late, res.Schedule.Dropped, res.Warnings)
	}
}

// runOpenPod runs an open loop and returns its replies.
func runOpenPod(t *testing.T, words []string, cfg Config) ([]reply.Reply, Result) {
	t.Helper()
	pod := newLocalPod(t, words[0], words[1:]...)
	var replies []reply.Reply
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // ends a hang
	defer cancel()
	res, err := Run(ctx, pod, cfg, func(r reply.Reply) { replies = append(replies, r) })
	if err != nil {
		t.Fatal(err)
	}
	<-pod.ended
	return replies, res
}

// The open loop sees what the closed loop sees: every kind of reply, with every tool.
// openPods are the pods of the open loop: every shell and every tool, and each pair of them in make probe-torture.
var openPods = func() map[string][]string {
	if everyPod {
		return pods
	}
	some := map[string][]string{}
	for _, name := range []string{"ash busybox", "dash GNU wget", "dash curl", "bash curl"} {
		some[name] = pods[name]
	}
	return some
}()

func TestOpenLoopReplies(t *testing.T) {
	t.Parallel()
	for name, words := range openPods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for path, want := range map[string]map[reply.Class]int{
				"/": {"": 12}, "/503": {reply.Class5xx: 6}, "/204": {"": 6}, "/chunked": {"": 6}, "/nolength": {"": 6},
				"/empty": {reply.ClassEmpty: 6}, "/truncated": {reply.ClassTruncated: 6}, "/binary": {"": 6}, "/huge": {"": 2},
			} {
				if words[1] == "wget=wget2" && path != "/" || path == "/huge" && name != "ash busybox" && name != "dash curl" {
					continue
				}
				srv := newServer(t)
				n := 6
				switch path {
				case "/":
					n = 12
				case "/huge":
					n = 2
				}
				cfg := openConfig(t, srv.URL+path, n, 30)
				cfg.Timeout = 30 * time.Second
				replies, res := runOpenPod(t, words, cfg)
				checkSchedule(t, cfg, res, replies)
				classes, bodies := map[reply.Class]int{}, map[string]bool{}
				for _, r := range replies {
					classes[r.Class]++
					bodies[strings.TrimSuffix(string(r.Body), "\n")] = true
				}
				if diff := cmp.Diff(want, classes); diff != "" {
					t.Errorf("%s: class (-want +got)\n%s", path, diff)
				}
				if n := srv.requests.Load(); int(n) != len(replies) {
					t.Errorf("%s: the server saw %d requests", path, n)
				}
				for i := 1; path == "/" && i <= 12; i++ {
					if want := fmt.Sprintf("hello from %s %d", []string{"us", "eu", "ap"}[i%3], i); !bodies[want] {
						t.Errorf("no body %q", want)
					}
				}
			}
		})
	}
}

// Once a reply was large, the pod passes on only the beginning of the others. They count as answered, although nobody reads what the tool writes.
func TestOpenLoopLargeBodies(t *testing.T) {
	t.Parallel()
	for name, words := range openPods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			cfg := openConfig(t, srv.URL+"/large", 30, 5) // on a busy machine, many begin before the first reply shows that bodies are large
			cfg.Timeout = time.Minute
			replies, res := runOpenPod(t, words, cfg)
			checkSchedule(t, cfg, res, replies)
			limited := 0
			for _, r := range replies {
				if r.Class != "" || r.Status != 200 || len(r.Body) != cfg.BodyLimit {
					t.Errorf("%q %s, status %d, %d bytes", r.Class, r.Message, r.Status, len(r.Body))
				}
				if r.Size < largeBody {
					limited++
				}
			}
			if limited == 0 {
				t.Error("the output of no request was limited")
			}
		})
	}
}

// silentServer answers at once, except from one moment to another: who asks then gets no answer.
func silentServer(t *testing.T, silent func() bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent() {
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprint(w, "hello from us")
	}))
	t.Cleanup(srv.Close)
	return srv
}

// A server that is silent for 1.5 s is reported as silent for 1.5 s, with an error of at most an interval and 50 ms, and what the pod itself
// reports as its lag. A closed loop reports 2 s.
func TestOpenLoopMeasuresAnOutage(t *testing.T) {
	for _, name := range []string{"ash busybox", "dash busybox", "dash curl"} {
		t.Run(name, func(t *testing.T) {
			const outage = 1500 * time.Millisecond
			var begin time.Time
			var once sync.Once
			srv := silentServer(t, func() bool {
				once.Do(func() { begin = time.Now().Add(time.Second) })
				now := time.Now()
				return now.After(begin) && now.Before(begin.Add(outage))
			})
			cfg := openConfig(t, srv.URL, 45, 10)
			cfg.Timeout = time.Second
			replies, res := runOpenPod(t, pods[name], cfg)
			checkSchedule(t, cfg, res, replies)
			slices.SortFunc(replies, func(a, b reply.Reply) int { return a.Start.Compare(b.Start) })
			first := slices.IndexFunc(replies, func(r reply.Reply) bool { return r.Class != "" })
			if first < 1 {
				t.Fatalf("no failure: %+v", replies)
			}
			last := len(replies) - 1
			for replies[last].Class != "" {
				last--
			}
			for last > first && replies[last].Class == "" {
				last--
			}
			interval := time.Duration(float64(time.Second) / cfg.Rate)
			got := replies[last].Start.Sub(replies[first].Start) + interval
			// A pod that is too busy reports how late it was: that is an error of the measurement too.
			tolerance := interval + 50*time.Millisecond
			for _, r := range replies[first-1:] {
				tolerance = max(tolerance, interval+50*time.Millisecond+r.Lag, interval+50*time.Millisecond+r.Uncertain)
			}
			if d := (got - outage).Abs(); d > tolerance {
				t.Errorf("measured %v, want %v ± %v; %+v", got, outage, tolerance, res.Schedule)
			}
			t.Logf("measured %v ± %v", got, tolerance)
		})
	}
}

// In a shell without a clock, a request never ends before the server answered it: neither one that the tool measures, nor one that it does not.
func TestOpenLoopWithoutAClock(t *testing.T) {
	t.Parallel()
	for name, measures := range map[string]bool{"dash busybox": false, "dash GNU wget": false, "dash curl": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			var mu sync.Mutex
			answered := map[string]time.Time{}
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := count.Add(1)
				if n == 3 {
					time.Sleep(700 * time.Millisecond) // it waits for a dead backend, and another one answers
				}
				body := fmt.Sprintf("answer %d", n)
				mu.Lock()
				answered[body] = time.Now()
				mu.Unlock()
				_, _ = fmt.Fprint(w, body)
			}))
			t.Cleanup(srv.Close)
			cfg := openConfig(t, srv.URL, 8, 10)
			replies, res := runOpenPod(t, pods[name], cfg)
			checkSchedule(t, cfg, res, replies)
			for _, r := range replies {
				at, ok := answered[strings.TrimSpace(string(r.Body))]
				end := r.Start.Add(r.Latency)
				if r.Measured {
					end = end.Add(r.Uncertain)
				}
				if !ok || r.Measured != measures || end.Before(at) {
					t.Errorf("%q: answered at %v, ends at %v (%+v)", r.Body, at, end, r)
				}
			}
		})
	}
}

// More requests than the limit are not sent, and are reported.
func TestOpenLoopLimitsRequestsUnderWay(t *testing.T) {
	srv := silentServer(t, func() bool { return true })
	cfg := openConfig(t, srv.URL, 400, 100)
	cfg.Timeout = 8 * time.Second
	replies, res := runOpenPod(t, pods["dash busybox"], cfg)
	checkSchedule(t, cfg, res, replies)
	if res.Schedule.Dropped == 0 || len(replies) > maxFlying+60 {
		t.Errorf("%d replies, %d dropped", len(replies), res.Schedule.Dropped)
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "others were under way or the pod was more than 2s behind; use a shorter --timeout or a lower --rate") {
		t.Errorf("warnings %q", res.Warnings)
	}
}

// The stop of the run ends the schedule, and waits for the requests that are under way.
func TestOpenLoopStop(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	stop := make(chan struct{})
	cfg := openConfig(t, srv.URL, 1<<30, 20)
	cfg.Stop = stop
	pod := newLocalPod(t, "busybox", "wget=busybox")
	n := 0
	res, err := Run(t.Context(), pod, cfg, func(reply.Reply) {
		if n++; n == 10 {
			close(stop)
		}
	})
	if err != nil || !res.Complete || res.Requests < 10 || res.Requests > 200 || int(srv.requests.Load()) != res.Requests {
		t.Errorf("%v %+v; the server saw %d", err, res, srv.requests.Load())
	}
	<-pod.ended
}

// After an interrupt nothing runs in the pod, although no request gets an answer.
func TestOpenLoopInterrupted(t *testing.T) {
	t.Parallel()
	for name, words := range openPods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			pod := newLocalPod(t, words[0], words[1:]...)
			cfg := openConfig(t, srv.URL+"/hangall", 1000, 20)
			cfg.Timeout = 9 * time.Minute
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-srv.seen
				cancel()
			}()
			res, err := Run(ctx, pod, cfg, func(reply.Reply) {})
			if err != nil || res.Complete || res.Reason != "interrupted" {
				t.Errorf("%v %+v", err, res)
			}
			begin := time.Now()
			<-pod.ended                                          // its output ends when the last process that inherited it ends
			if took := time.Since(begin); took > 2*time.Minute { // and not after the time limit of the requests
				t.Errorf("the pod ended %v later", took)
			}
		})
	}
}

// A lost stream is never complete, and ends what runs in the pod.
func TestOpenLoopLostStream(t *testing.T) {
	t.Parallel()
	for name, words := range openPods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			pod := newLocalPod(t, words[0], words[1:]...)
			pod.cutAfter = 18000
			if words[1] == "curl" {
				pod.cutAfter = 8000
			}
			n := 0
			res, err := Run(t.Context(), pod, openConfig(t, srv.URL, 5000, 50), func(reply.Reply) { n++ })
			if err == nil && (res.Complete || res.Requests != n || n >= 5000 || res.Reason == "") {
				t.Errorf("%v %+v", err, res)
			}
			<-pod.ended
		})
	}
}

func TestOpenLoopStreams(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	cfg := openConfig(t, srv.URL, 60, 20)
	cfg.Streams = 3
	var replies []reply.Reply
	res, err := Run(t.Context(), &freshPods{t: t, words: []string{"busybox", "wget=busybox"}}, cfg, func(r reply.Reply) { replies = append(replies, r) })
	if err != nil {
		t.Fatal(err)
	}
	checkSchedule(t, cfg, res, replies)
}
