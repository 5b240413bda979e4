package sender

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// torturePods are the pods of the torture: each tool with whole replies, and where the pod compresses what it sends.
var torturePods = func() []string {
	if !everyPod {
		return []string{"ash busybox packed", "dash GNU wget packed", "bash curl"}
	}
	return []string{
		"ash busybox", "ash busybox packed", "dash GNU wget", "dash GNU wget packed", "dash curl", "dash curl packed", "bash curl packed",
	}
}()

// everyPod says that all pods and mixes take their turn, as make probe-torture asks for. A plain go test takes some of them, because most of these
// tests wait, and only as many wait at once as there are processors.
var everyPod = os.Getenv("TORTURE_REQUESTS") != ""

// result is how a request ended, for a report.
type result struct {
	status int
	class  reply.Class
}

// tortured is what each way to reply must become. A tool of which this is not true has an exception.
var tortured = map[string]result{
	"ok": {200, ""}, "no body": {200, ""}, "5 kB": {200, ""}, "15 kB": {200, ""}, "200 kB": {200, ""}, "5 MB": {200, ""}, "binary": {200, ""},
	"frame-like": {200, ""}, "chunked": {200, ""}, "no length": {200, ""}, "204": {204, ""}, "302": {302, ""}, "302 bare": {302, ""}, "304": {304, ""},
	"401": {401, reply.Class4xx}, "404": {404, reply.Class4xx}, "500": {500, reply.Class5xx}, "503": {503, reply.Class5xx},
	"half-closed": {0, reply.ClassEmpty}, "reset": {0, reply.ClassReset}, "reset in body": {200, reply.ClassReset},
	"short": {200, reply.ClassTruncated}, "short chunk": {200, reply.ClassTruncated}, "slow": {200, ""}, "junk": {0, reply.ClassUnknown},
}

// exceptions are results that a tool cannot tell from others, by kind and tool.
var exceptions = map[string]map[string]result{
	"302":         {"busybox": {200, ""}}, // it follows redirects
	"reset":       {"busybox": {0, reply.ClassEmpty}},
	"short chunk": {"GNU wget": {200, ""}}, // it does not report that a chunked body ended early
}

func expected(kind, pod string) result {
	if r, ok := exceptions[kind][toolOf(pod)]; ok {
		return r
	}
	return tortured[kind]
}

func toolOf(pod string) string {
	for _, w := range allPods[pod][1:] {
		switch w {
		case "curl":
			return "curl"
		case "wget=busybox", "busybox":
			return "busybox"
		case "wget":
			return "GNU wget"
		}
	}
	panic("no tool in " + pod)
}

// torture sends requests and returns the results that were counted, and those that the server's log requires.
func torture(t *testing.T, pod string, srv *tortureServer, cfg Config) (got, want map[result]int, res Result) {
	t.Helper()
	local := newLocalPod(t, allPods[pod][0], allPods[pod][1:]...)
	got = map[result]int{}
	if cfg.Timeout == defaultTimeout {
		cfg.Timeout = time.Minute // no way to reply depends on it, and a busy machine may stand still for longer than the default
	}
	res, err := Run(t.Context(), local, cfg, func(r reply.Reply) { got[result{r.Status, r.Class}]++ })
	if err != nil {
		t.Fatal(err)
	}
	<-local.ended
	want = map[result]int{}
	for kind, n := range srv.counts() {
		if kind != "landing" {
			want[expected(kind, pod)] += n
		}
	}
	return got, want, res
}

// Each way to reply has its class, in batches of all sizes.
func TestTortureClasses(t *testing.T) {
	t.Parallel()
	for _, pod := range torturePods {
		for kind := range tortured {
			t.Run(pod+" "+kind, func(t *testing.T) {
				t.Parallel()
				count := 24
				if kind == "5 MB" || kind == "slow" {
					count = 5
				}
				srv := newTortureServer(t, false, kind)
				got, _, res := torture(t, pod, srv, testConfig(t, srv.url, count))
				want := map[result]int{expected(kind, pod): count}
				if cut := (result{200, reply.ClassTruncated}); kind == "reset in body" && toolOf(pod) == "busybox" && got[cut] < count {
					got[expected(kind, pod)] += got[cut] // it reports the end of a body instead if it reads the part and the reset in one go
					delete(got, cut)
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" || !res.Complete {
					t.Errorf("result %+v (-want +got)\n%s", res, diff)
				}
			})
		}
	}
}

// mixes are ways to reply that follow one another. The tally must equal the server's log: no request is sent again.
var mixes = map[string][]string{
	"answers":    {"ok", "no body", "5 kB", "binary", "ok", "frame-like", "15 kB", "204"},
	"errors":     {"ok", "503", "ok", "401", "404", "500", "ok", "half-closed", "ok", "short"},
	"redirects":  {"ok", "302", "304", "ok"},
	"lengths":    {"ok", "chunked", "no length", "ok", "5 kB"},
	"everything": {"ok", "reset", "chunked", "503", "no length", "reset in body", "binary", "204", "302", "401", "302 bare", "short", "frame-like", "junk", "15 kB", "short chunk"},
	"same":       {"ok"},
}

// resends reports whether a tool cannot tell all replies of a mix apart, so that some requests are sent twice.
func resends(pod, mix string) bool {
	return toolOf(pod) == "busybox" && (mix == "lengths" || mix == "everything")
}

// The tally equals the server's log. TORTURE_REQUESTS is the number of requests over all pods and mixes; make probe-torture sets it.
func TestTortureTally(t *testing.T) {
	t.Parallel()
	each := 300
	if s := os.Getenv("TORTURE_REQUESTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		each = n/len(torturePods)/len(mixes) + 1
	}
	for _, pod := range torturePods {
		for mix, kinds := range mixes {
			if !everyPod && mix != "answers" && mix != "everything" {
				continue
			}
			t.Run(pod+" "+mix, func(t *testing.T) {
				t.Parallel()
				srv := newTortureServer(t, false, kinds...)
				got, want, res := torture(t, pod, srv, testConfig(t, srv.url, each))
				if !res.Complete || res.Requests != each {
					t.Errorf("result %+v", res)
				}
				served := 0
				for _, n := range want {
					served += n
				}
				if resends(pod, mix) {
					for r := range got {
						if r.class == reply.ClassTruncated || r.class == reply.ClassReset {
							continue // which of them depends on the moment
						}
						if want[r] < got[r] {
							t.Errorf("%+v: %d, but the server's log has %d", r, got[r], want[r])
						}
					}
					if len(res.Warnings) == 0 && served != each {
						t.Errorf("%d requests for %d, without a warning", served, each)
					}
					return
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" || served != each {
					t.Errorf("%d requests reached the server (-log +tally)\n%s", served, diff)
				}
			})
		}
	}
}

// Replies over TLS, of all sizes.
func TestTortureTLS(t *testing.T) {
	t.Parallel()
	for _, pod := range torturePods {
		t.Run(pod, func(t *testing.T) {
			t.Parallel()
			srv := newTortureServer(t, true, mixes["answers"]...)
			cfg := testConfig(t, srv.url, 64)
			cfg.Insecure = true
			got, want, res := torture(t, pod, srv, cfg)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" || !res.Complete {
				t.Errorf("result %+v (-log +tally)\n%s", res, diff)
			}
		})
	}
}

// The whole of each distinct body arrives, in the same bytes, when the pod compresses it.
func TestTortureBodies(t *testing.T) {
	t.Parallel()
	for _, pod := range torturePods {
		t.Run(pod, func(t *testing.T) {
			t.Parallel()
			srv := newTortureServer(t, false, "ok", "frame-like", "binary", "15 kB")
			local := newLocalPod(t, allPods[pod][0], allPods[pod][1:]...)
			const count = 200
			bodies := map[string]int{}
			res, err := Run(t.Context(), local, fieldConfig(t, srv.url, count), func(r reply.Reply) { bodies[string(r.Body)]++ })
			<-local.ended
			if err != nil || !res.Complete {
				t.Fatalf("result %+v, error %v", res, err)
			}
			if bodies[frameLike] != count/4 {
				t.Errorf("%d bodies that look like frames, want %d", bodies[frameLike], count/4)
			}
			for n := 1; n <= count; n += 4 {
				if bodies[fmt.Sprintf("hello %d", n)] != 1 {
					t.Errorf("no body of request %d", n)
				}
			}
		})
	}
}

// A body that is larger than the file of a packed batch ends the batch. No request is lost, and none fails because of it.
func TestTortureFullBatch(t *testing.T) {
	t.Parallel()
	kinds := slices.Repeat([]string{"ok"}, 150)
	kinds[120] = "5 MB" // in a batch that the pod compresses
	for _, pod := range []string{"ash busybox packed", "dash GNU wget packed", "dash curl packed"} {
		t.Run(pod, func(t *testing.T) {
			t.Parallel()
			srv := newTortureServer(t, false, kinds...)
			got, _, res := torture(t, pod, srv, testConfig(t, srv.url, 200))
			if diff := cmp.Diff(map[result]int{{200, ""}: 200}, got, cmp.AllowUnexported(result{})); diff != "" || !res.Complete {
				t.Errorf("result %+v, the server's log has %v (-want +got)\n%s", res, srv.counts(), diff)
			}
			// The request in flight was sent again, and the server's reply to that is another one.
			if n := srv.counts(); n["5 MB"] != 1 || n["ok"] != 200 {
				t.Errorf("the server's log has %v: no batch was full", n)
			}
		})
	}
}
