// Command rotation rotates the CA of a lab that runs Cilium, under traffic, and prints for each command how long it took, how many requests failed, and for
// how long a changed endpoint was not seen in another cluster.
//
// It expects a lab of `meshlab up --datapath=cilium --one-ca`: MESHLAB_KUBECONFIG, and kubectl and the plugins on the PATH.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	// syncLimit is how long a change may take to be seen in another cluster while no clustermesh-apiserver restarts.
	syncLimit = 5 * time.Second
	// afterRestart is how long after the replacement of a pod its peers may still connect again, and how long a change may take to be seen then.
	afterRestart = 15 * time.Second
	// lookTime is how much of the time until a change was seen may be that of the looks: between two of them, nobody knows when it arrived. On a busy
	// machine they take longer than a second. Where they take longer than this, the rest counts as the change's.
	lookTime = 3 * time.Second
)

// commands are what is done, in order: a rotation with each method, and an abort from each stage.
func commands(short bool) [][]string {
	rotate := func(method string) [][]string {
		return [][]string{{"rotate", "start", "--method", method}, {"rotate", "continue"}, {"rotate", "finish"}}
	}
	if short {
		return rotate("cross-sign")
	}
	out := append(rotate("bundle"), rotate("cross-sign")...)
	for _, words := range []string{"start --method cross-sign", "abort", "start --method cross-sign", "continue", "abort", "start --method bundle", "continue", "abort"} {
		out = append(out, append([]string{"rotate"}, strings.Fields(words)...))
	}
	return out
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	short := flag.Bool("short", false, "one rotation, cross-signed")
	apart := flag.Bool("apart", false, "begin with clusters of different CAs: federate, separate, copy the CA, and repair")
	flag.Parse()
	if err := run(ctx, os.Getenv("MESHLAB_KUBECONFIG"), *short, *apart, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "rotation:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores signal handling
	}
}

func run(ctx context.Context, kubeconfig string, short, apart bool, out io.Writer) error {
	if kubeconfig == "" {
		return errors.New("MESHLAB_KUBECONFIG is not set; run this with make rotate-cilium or make federate-cilium")
	}
	l, err := connect(ctx, kubeconfig, out)
	if err != nil {
		return err
	}
	if err := l.deploy(ctx); err != nil {
		return err
	}
	w := l.watch(ctx)
	defer w.end()
	if apart {
		return l.connectAll(ctx, w)
	}
	if err := w.ready(ctx, time.Time{}); err != nil {
		return fmt.Errorf("before the rotation: %w", err)
	}
	var rows []row
	for _, args := range commands(short) {
		r, err := l.meshCA(ctx, args...)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
		rows = append(rows, r)
	}
	// The mesh still works when it is over.
	if err := w.ready(ctx, time.Now()); err != nil {
		return fmt.Errorf("after the rotation: %w", err)
	}
	w.end()
	return judge(rows, w, out)
}

type row struct {
	name       string
	begun, end time.Time
	// restarts are when pods of clustermesh-apiserver were replaced.
	restarts []restart
}

// restart is one replacement of pods: from the message about it until the Deployment has only new ones, which takes long on a busy machine.
type restart struct{ begun, end time.Time }

// lasted is the longest replacement of a command.
func (r row) lasted() (longest time.Duration) {
	for _, one := range r.restarts {
		longest = max(longest, one.end.Sub(one.begun))
	}
	return longest
}

// quiet reports whether no clustermesh-apiserver was being replaced.
func quiet(rows []row, at time.Time) bool {
	for _, r := range rows {
		for _, restart := range r.restarts {
			if at.After(restart.begun.Add(-time.Second)) && at.Before(restart.end.Add(afterRestart)) {
				return false
			}
		}
	}
	return true
}

// judge prints the table, and says what is wrong.
func judge(rows []row, w *watchers, out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "COMMAND\tTOOK\tRESTARTS\tREQUESTS\tFAILED\tLONGEST SYNC GAP\tWITHOUT RESTARTS")
	var problems []string
	for _, r := range rows {
		all, failed, unclear := w.between(r.begun, r.end)
		if unclear > 0 {
			_, _ = fmt.Fprintf(out, "%s: %d requests timed out while the observer itself stood still: they prove nothing\n", r.name, unclear)
		}
		gap, calm := w.gaps(r.begun, r.end, func(at time.Time) bool { return quiet(rows, at) })
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%.1f s\t%.1f s\n", r.name, r.end.Sub(r.begun).Round(time.Second), len(r.restarts), all, failed, gap.Seconds(), calm.Seconds())
		if all == 0 {
			problems = append(problems, r.name+": no request was sent")
		}
		if failed > 0 {
			problems = append(problems, fmt.Sprintf("%s: %d requests failed", r.name, failed))
		}
		if gap > afterRestart+r.lasted() {
			problems = append(problems, fmt.Sprintf("%s: a change was not seen for %s", r.name, gap.Round(time.Second/10)))
		}
		if calm > syncLimit {
			problems = append(problems, fmt.Sprintf("%s: a change was not seen for %s while nothing restarted", r.name, calm.Round(time.Second/10)))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := errors.Join(w.failures...); err != nil {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}
