//go:build unix

package sender

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// BenchmarkOpenLoop shows which rate a pod keeps: for each shell, tool and rate the lag of the schedule and the CPU time of the pod.
//
//	go test ./plugins/kubectl-mesh-probe/internal/sender -run '^$' -bench OpenLoop -benchtime 1x
func BenchmarkOpenLoop(b *testing.B) {
	for _, name := range []string{"ash busybox", "dash busybox", "bash busybox", "dash GNU wget", "ash curl", "dash curl", "bash curl"} {
		for _, rate := range []float64{20, 50, 100, 200} {
			b.Run(fmt.Sprintf("%s/%v", name, rate), func(b *testing.B) {
				srv := newServer(b)
				cfg := openConfig(b, srv.URL, int(4*rate), rate)
				for b.Loop() {
					before := childTime()
					pod := newLocalPod(b, pods[name][0], pods[name][1:]...)
					res, err := Run(b.Context(), pod, cfg, func(reply.Reply) {})
					<-pod.ended
					if err != nil || !res.Complete {
						b.Fatalf("%+v %v", res, err)
					}
					lags := slices.Sorted(slices.Values(res.Schedule.Lags))
					b.ReportMetric(float64(lags[len(lags)/2].Microseconds())/1000, "lag-p50-ms")
					b.ReportMetric(float64(lags[len(lags)*99/100].Microseconds())/1000, "lag-p99-ms")
					b.ReportMetric(float64(lags[len(lags)-1].Microseconds())/1000, "lag-max-ms")
					b.ReportMetric(100*float64(res.Schedule.Kept())/float64(res.Schedule.Planned()), "%kept")
					b.ReportMetric(float64((childTime()-before).Microseconds())/1000/float64(res.Requests), "cpu-ms/req")
					b.ReportMetric(0, "ns/op")
				}
			})
		}
	}
}

// childTime is the CPU time of all processes that this one started and that have ended.
func childTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
