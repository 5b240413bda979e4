package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// bench is one run of the whole.
type bench struct {
	kubeconfig, context    string
	rounds, requests, loop int
	tools                  []string
	out                    io.Writer

	pids     []int  // a process of each client pod
	address  string // of the Service
	measured map[contender][]sample
}

// contender is what is measured: hey, bare, loop or probe, with a tool and a number of streams.
type contender struct {
	name, tool string
	streams    int
}

// sample is one measurement. The times are CPU seconds.
type sample struct {
	rate     float64 // requests per second
	client   float64 // what sends the requests: processes in the pod, or hey
	plugin   float64
	parts    usage
	requests int
}

// bareTool are the commands that send requests with one process and throw the replies away. The arguments are the URLs.
var bareTool = map[string]string{
	"curl":    `exec curl -q -s -o /dev/null --http1.1 -H "Connection: close" "http://nginx:80/#[1-N]"`,
	"wget":    `exec wget -q --no-config -t1 --no-proxy --no-http-keep-alive -O /dev/null "$@"`,
	"busybox": `exec wget -q -Y off -O /dev/null "$@"`,
}

const walkthrough = `i=0; while [ $i -lt N ]; do wget -qO- http://nginx:80; echo; i=$((i+1)); done`

// measure takes all samples.
func (b *bench) measure(ctx context.Context) error {
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Fprintf(b.out, "load of the machine before the first measurement (1, 5, 15 minutes): %s; what else runs makes all rates lower\n",
			strings.Join(strings.Fields(string(load))[:3], " "))
	}
	for range b.rounds {
		for _, streams := range []int{1, 4} {
			if err := b.add(contender{"hey", "", streams}, func() (sample, error) { return b.hey(ctx, streams) }); err != nil {
				return err
			}
			for i, tool := range b.tools {
				if err := b.add(contender{"bare", tool, streams}, func() (sample, error) { return b.bare(ctx, i, streams) }); err != nil {
					return err
				}
				if err := b.add(contender{"mesh-probe", tool, streams}, func() (sample, error) { return b.probe(ctx, tool, streams) }); err != nil {
					return err
				}
			}
		}
		for _, tool := range b.tools {
			if tool == "curl" {
				continue // the walk-through's client has wget
			}
			if err := b.add(contender{"loop", tool, 1}, func() (sample, error) { return b.walkthrough(ctx, tool) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes one sample, with what the lab's parts used meanwhile.
func (b *bench) add(c contender, run func() (sample, error)) error {
	before := used()
	s, err := run()
	if err != nil {
		return fmt.Errorf("%s %s: %w", c.name, c.tool, err)
	}
	s.parts = used().minus(before)
	if c.name == "mesh-probe" || c.name == "loop" {
		s.client = s.parts.pods
	}
	b.measured[c] = append(b.measured[c], s)
	return nil
}

var heyRate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)

// hey runs in the network namespace of the first client pod.
func (b *bench) hey(ctx context.Context, streams int) (sample, error) {
	n := b.requests / streams * streams
	cmd := exec.CommandContext(ctx, "nsenter", "--net=/proc/"+strconv.Itoa(b.pids[0])+"/ns/net", "hey",
		"-n", strconv.Itoa(n), "-c", strconv.Itoa(streams), "-disable-keepalive", "http://"+b.address+"/")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("%w: %s", err, out)
	}
	m := heyRate.FindSubmatch(out)
	if m == nil || !bytes.Contains(out, fmt.Appendf(nil, "[200]\t%d responses", n)) {
		return sample{}, fmt.Errorf("not every request was answered:\n%s", out)
	}
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	return sample{rate: rate, client: cpuOf(cmd), requests: n}, err
}

// bare runs the tool in its pod, as many processes as there are streams.
func (b *bench) bare(ctx context.Context, pod, streams int) (sample, error) {
	each := b.requests / streams
	begun := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	s, errs := sample{requests: each * streams}, error(nil)
	for range streams {
		wg.Go(func() {
			cpu, err := b.inPod(ctx, pod, bareTool[b.tools[pod]], each)
			mu.Lock()
			defer mu.Unlock()
			s.client += cpu
			errs = errors.Join(errs, err)
		})
	}
	wg.Wait()
	s.rate = float64(s.requests) / time.Since(begun).Seconds()
	return s, errs
}

// inPod runs a shell command with N requests in all namespaces of a pod, and returns its CPU time.
func (b *bench) inPod(ctx context.Context, pod int, command string, n int) (float64, error) {
	args := []string{"--target", strconv.Itoa(b.pids[pod]), "--all", "sh", "-c", strings.ReplaceAll(command, "N]", strconv.Itoa(n)+"]"), "sh"}
	if strings.Contains(command, `"$@"`) {
		args = append(args, slices.Repeat([]string{"http://nginx:80"}, n)...)
	}
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return cpuOf(cmd), nil
}

// probe runs kubectl mesh-probe. Its rate is that of its report: it leaves out how long it takes to read the clusters.
func (b *bench) probe(ctx context.Context, tool string, streams int) (sample, error) {
	cmd := exec.CommandContext(ctx, "kubectl-mesh_probe", "http://nginx:80", "--contexts", b.context, "-n", namespace, "--from", "pod/"+tool,
		"--count", strconv.Itoa(b.requests), "--concurrency", strconv.Itoa(streams), "--max-rate", "0", "-o", "json")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("%w: %s", err, errOut.String())
	}
	var doc v1alpha1.ProbeReport
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		return sample{}, err
	}
	// A fast failure is not fast.
	if c := doc.Clients[0]; !c.Complete || c.Answered != b.requests || c.Unknown > 0 || c.RequestsPerSecond == nil {
		return sample{}, fmt.Errorf("%d of %d requests answered, %d of them by unknown senders: %s", c.Answered, b.requests, c.Unknown, c.Reason)
	}
	return sample{rate: *doc.Clients[0].RequestsPerSecond, plugin: cpuOf(cmd), requests: b.requests}, nil
}

// walkthrough runs the loop of the first walk-through, with one exec.
func (b *bench) walkthrough(ctx context.Context, tool string) (sample, error) {
	begun := time.Now()
	out, err := b.kubectl(ctx, "exec", tool, "--", "sh", "-c", strings.ReplaceAll(walkthrough, "lt N", "lt "+strconv.Itoa(b.loop)))
	if got := strings.Count(out, "Hello"); err == nil && got != b.loop {
		err = fmt.Errorf("%d of %d requests answered", got, b.loop)
	}
	return sample{rate: float64(b.loop) / time.Since(begun).Seconds(), requests: b.loop}, err
}

func cpuOf(cmd *exec.Cmd) float64 {
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}
