// Package observe is an observer of a Service that owes nothing to mesh-probe: it opens a connection every few milliseconds,
// whatever became of those before, and writes down when each began, how long it took and who answered.
package observe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Attempt is one connection with one request.
type Attempt struct {
	// Start is in milliseconds since the Unix epoch, Took in milliseconds.
	Start int64 `json:"start"`
	Took  int64 `json:"took"`
	// Cluster is who answered; empty with an error.
	Cluster string `json:"cluster,omitempty"`
	// Error is a word: refused, reset, timeout, status or other.
	Error string `json:"error,omitempty"`
}

// patience is how long an attempt may take.
const patience = 2 * time.Second

var clusterOf = regexp.MustCompile(`cluster=(\S+)`)

// Main observes the URL that follows the flags and writes an Attempt per line.
func Main(args []string, out, errOut io.Writer) error {
	flags := flag.NewFlagSet("observe", flag.ContinueOnError)
	flags.SetOutput(errOut)
	every := flags.Duration("every", 10*time.Millisecond, "pause between the starts of two connections")
	lasts := flags.Duration("for", 10*time.Second, "how long to observe")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("observe: want one URL")
	}
	dial, err := resolved(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	run(flags.Arg(0), dial, *every, *lasts, json.NewEncoder(out))
	return nil
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// resolved resolves the URL's host once and returns what dials it. In a Go program all lookups of a name wait for the first of them: one
// answer that is lost would look like an outage of five seconds.
func resolved(raw string) (dialer, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(addrs[0], cmp.Or(u.Port(), "80"))
	d := net.Dialer{Timeout: patience}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}, nil
}

func run(target string, dial dialer, every, lasts time.Duration, out *json.Encoder) {
	client := &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial},
	}
	var lock sync.Mutex
	var all sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	for end := time.Now().Add(lasts); time.Now().Before(end); <-tick.C {
		all.Go(func() {
			a := attempt(client, target)
			lock.Lock()
			defer lock.Unlock()
			_ = out.Encode(a) // whoever reads has gone
		})
	}
	all.Wait()
}

func attempt(client *http.Client, target string) Attempt {
	start := time.Now()
	a := Attempt{Start: start.UnixMilli()}
	cluster, err := ask(client, target)
	a.Took = time.Since(start).Milliseconds()
	a.Cluster, a.Error = cluster, class(err)
	return a
}

var errStatus = errors.New("status")

func ask(client *http.Client, target string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w %d", errStatus, resp.StatusCode)
	}
	m := clusterOf.FindSubmatch(body)
	if err != nil || m == nil {
		return "", errors.Join(err, map[bool]error{true: errStatus}[m == nil])
	}
	return string(m[1]), nil
}

// class is a word for an error.
func class(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "reset"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return "timeout"
	case errors.Is(err, errStatus):
		return "status"
	}
	return "other"
}
